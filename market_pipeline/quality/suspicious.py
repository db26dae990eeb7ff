"""Predicates for suspicious bars, one per rule, on the stored bars of many symbols at once.

A verdict follows from the bar, at most LOOK_BACK stored sessions of its symbol before it, LOOK_AHEAD after it and the
splits, never from the bars loaded with it. `rules` declares the rules' meanings, reasons and thresholds.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import (
    LARGE_DISTRIBUTION,
    LOOK_BACK,
    PRICE_COLUMNS,
    VALUE_COLUMNS,
    ActionsByPlace,
    Columns,
)
from market_pipeline.quality.impossible import Verdicts
from market_pipeline.quality.inferred_splits import infer_splits
from market_pipeline.quality.symbol_windows import SymbolWindows, compute_medians

FEWEST_VOLUMES = 10
"""Sessions before a bar that are needed to judge its volume."""

_REPEATED = ("place", *PRICE_COLUMNS, "volume")
_ROWS_AT_ONCE = 20_000  # whose windows take 10 MB: a market's all at once would take a GB

Threshold = float | NDArray[np.float64]
"""A rule's threshold: one for all bars, or one for each."""

History = Mapping[str, NDArray[Any]]
"""Bars of some symbols in order by column: place, date, VALUE_COLUMNS, and the values that each is compared with."""


def build_history(
    bars: Columns, windows: SymbolWindows, splits: ActionsByPlace, distributions: ActionsByPlace, among: Verdicts
) -> History:
    """Return the bars of some symbols with the values that each is compared with, always its own symbol's.

    Args:
        bars: `place`, `date` and VALUE_COLUMNS, ordered by place and date, one row a session, none missing between a
            symbol's first and last stored one.
        windows: those of the symbols' rows.
        splits: by place and execution date, the factor for earlier prices (0.5 for a 2-for-1 split).
        distributions: by place and ex-date, the cash a share in dollars; those below LARGE_DISTRIBUTION are ignored.
        among: the bars for which the costly columns, from `inferred_factor` on, are computed; NaN for others.

    Returns:
        The columns of `bars`, and `previous_date`, `previous_close` (dollars as traded), `split` (the factor
        between the two closes, 1 where there is none), `distributed` (dollars a share between them, 0 where there is
        none), `move` (the close's change that neither explains, a fraction), `raw_move` (its change as traded),
        `inferred_factor` and `move_for_volume` of `infer_splits`, and `volume_times` (the volume as a multiple of the
        median of the sessions before, in shares of its own day). NaN where there is nothing to compare with.
    """
    days, close = bars["date"], bars["close"]
    factor = _compute_factor(days, windows, splits)
    previous = windows.previous(close)
    split = windows.previous(factor, first=factor) / factor
    distributed = _sum_distributed(days, windows, previous * split, distributions)
    expected = previous * split - distributed
    price_factor = _compute_price_factor(windows, factor, expected / (previous * split), distributed)
    inferred, move_for_volume = infer_splits(bars, windows, factor, price_factor, among)
    return {
        **{name: bars[name] for name in ("place", "date", *VALUE_COLUMNS)},
        "previous_date": windows.previous(days, first=days),
        "previous_close": previous,
        "split": split,
        "distributed": distributed,
        "raw_move": close / previous - 1,
        "move": close / expected - 1,
        "inferred_factor": inferred,
        "move_for_volume": move_for_volume,
        "volume_times": _measure_volume_times(windows, bars["volume"] / factor, among),
    }


def unexplained_move(bars: History, threshold: Threshold) -> Verdicts:
    """The close moved by more than the threshold."""
    found: Verdicts = abs(bars["move"]) > threshold
    return found


def unlisted_split(bars: History, threshold: Threshold) -> Verdicts:
    """The move has the shape of a split, and is at least so many times more unusual than the volume."""
    found: Verdicts = bars["move_for_volume"] >= threshold
    return found


def split_without_move(bars: History, threshold: Threshold) -> Verdicts:
    """There was a split, and the close is at the price it would have without one."""
    found: Verdicts = (bars["split"] != 1) & (abs(bars["move"]) > threshold) & (abs(bars["raw_move"]) <= threshold)
    return found


def volume_outlier(bars: History, threshold: Threshold) -> Verdicts:
    """The volume is above or below the usual one by more than the factor `threshold`. Zero has a rule of its own."""
    times = bars["volume_times"]
    return (times > threshold) | ((times > 0) & (times < 1 / threshold))


def zero_volume(bars: History, _threshold: Threshold) -> Verdicts:
    """Nothing was traded."""
    found: Verdicts = bars["volume"] == 0
    return found


def repeated(bars: History, _threshold: Threshold) -> Verdicts:
    """All prices and the volume are equal to the previous session's."""
    same = np.logical_and.reduce([bars[name][1:] == bars[name][:-1] for name in _REPEATED])
    return np.concatenate([[False], same])[: len(bars["place"])]


def vwap_outside(bars: History, threshold: Threshold) -> Verdicts:
    """The average price is below the lowest or above the highest one by more than the fraction `threshold`."""
    return (bars["vwap"] < bars["low"] * (1 - threshold)) | (bars["vwap"] > bars["high"] * (1 + threshold))


def _compute_factor(days: NDArray[Any], windows: SymbolWindows, splits: ActionsByPlace) -> NDArray[Any]:
    """Return for each bar the factor that makes its price comparable with its symbol's last bar's."""
    factor = np.ones(len(days))
    for place, listed in splits.items():
        rows = windows.rows_of(place)
        for executed, ratio in listed.items():
            factor[rows][days[rows] < np.datetime64(executed)] *= ratio
    return factor


def _sum_distributed(
    days: NDArray[Any], windows: SymbolWindows, before: NDArray[Any], distributions: ActionsByPlace
) -> NDArray[Any]:
    """Return the cash of the large distributions between each bar and the one before, whose price was `before`."""
    cash = np.zeros(len(days))
    for place, paid in distributions.items():
        rows = windows.rows_of(place)
        for day, amount in paid.items():
            row = int(np.searchsorted(days[rows], np.datetime64(day)))
            if 0 < row < len(days[rows]):
                cash[rows][row] += amount
    is_large = (cash >= LARGE_DISTRIBUTION * before) & (cash < before)
    return np.where(is_large, cash, 0)


def _compute_price_factor(
    windows: SymbolWindows, factor: NDArray[Any], kept: NDArray[Any], distributed: NDArray[Any]
) -> NDArray[Any]:
    """Return the splits' factor times the shares of the price that later distributions left."""
    price_factor = factor.copy()
    for first in np.unique(windows.first[distributed > 0]):
        rows = slice(first, windows.end[first])
        left = np.where(np.isnan(kept[rows]), 1, kept[rows])[1:]
        price_factor[rows] *= np.concatenate([np.cumprod(left[::-1])[::-1], [1]])
    return price_factor


def _measure_volume_times(windows: SymbolWindows, volume: NDArray[Any], among: Verdicts) -> NDArray[Any]:
    """Return the volume as a multiple of the usual one, where enough sessions are before."""
    times = np.full(len(volume), np.nan)
    rows = np.flatnonzero(among & (windows.position >= FEWEST_VOLUMES))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        usual = compute_medians(windows.beside(volume, part, -LOOK_BACK, 0))
        times[part] = volume[part] / np.where(usual > 0, usual, np.nan)
    return times
