"""Predicates for suspicious bars, one per rule, on a symbol's stored bars in order.

A verdict follows from the bar, at most LOOK_BACK stored sessions before it, LOOK_AHEAD after it and the splits, never
from the bars loaded with it. `rules` declares the rules' meanings, reasons and thresholds.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.core.bars import LARGE_DISTRIBUTION, LOOK_BACK, PRICE_COLUMNS, VALUE_COLUMNS, Columns
from market_pipeline.quality.impossible import Verdicts
from market_pipeline.quality.inferred_splits import infer_splits

FEWEST_VOLUMES = 10
"""Sessions before a bar that are needed to judge its volume."""

_REPEATED = (*PRICE_COLUMNS, "volume")


History = Mapping[str, NDArray[Any]]
"""A symbol's bars in order by column: date, VALUE_COLUMNS, and the values that each bar is compared with."""


def history(bars: Columns, splits: Mapping[date, float], distributions: Mapping[date, float]) -> History:
    """Return a symbol's bars with the values that each is compared with.

    Args:
        bars: `date` and VALUE_COLUMNS, ordered by date, one row a session, none missing between the first and the last
            stored.
        splits: by execution date, the factor for earlier prices (0.5 for a 2-for-1 split).
        distributions: by ex-date, the cash a share in dollars; those below LARGE_DISTRIBUTION are ignored.

    Returns:
        The columns of `bars`, and `previous_date`, `previous_close` (dollars as traded), `split` (the factor
        between the two closes, 1 where there is none), `distributed` (dollars a share between them, 0 where there is
        none), `move` (the close's change that neither explains, a fraction), `raw_move` (its change as traded),
        `volume_times` (the volume as a multiple of the median of the sessions before, in shares of its own day), and
        `inferred_factor` and `move_for_volume` of `infer_splits`. NaN where there is nothing to compare with.
    """
    days, close, volume = (bars[name] for name in ("date", "close", "volume"))
    factor = _factor(days, splits)
    previous = _previous(close)
    split = _previous(factor, first=factor[:1]) / factor
    in_last_shares = pd.Series(volume / factor)
    distributed = _distributed(days, previous * split, distributions)
    expected = previous * split - distributed
    inferred, move_for_volume = infer_splits(bars, factor, _price_factor(factor, expected / (previous * split)))
    usual = in_last_shares.rolling(LOOK_BACK, min_periods=FEWEST_VOLUMES, closed="left").median()
    return {
        **{name: bars[name] for name in ("date", *VALUE_COLUMNS)},
        "previous_date": _previous(days, first=days[:1]),
        "previous_close": previous,
        "split": split,
        "distributed": distributed,
        "raw_move": close / previous - 1,
        "move": close / expected - 1,
        "inferred_factor": inferred,
        "move_for_volume": move_for_volume,
        "volume_times": (in_last_shares / usual.where(usual > 0)).to_numpy(),
    }


def unexplained_move(bars: History, threshold: float) -> Verdicts:
    """The close moved by more than the threshold."""
    found: Verdicts = abs(bars["move"]) > threshold
    return found


def unlisted_split(bars: History, threshold: float) -> Verdicts:
    """The move has the shape of a split, and is at least so many times more unusual than the volume."""
    found: Verdicts = bars["move_for_volume"] >= threshold
    return found


def split_without_move(bars: History, threshold: float) -> Verdicts:
    """There was a split, and the close is at the price it would have without one."""
    found: Verdicts = (bars["split"] != 1) & (abs(bars["move"]) > threshold) & (abs(bars["raw_move"]) <= threshold)
    return found


def volume_outlier(bars: History, threshold: float) -> Verdicts:
    """The volume is above or below the usual one by more than the factor `threshold`. Zero has a rule of its own."""
    times = bars["volume_times"]
    return (times > threshold) | ((times > 0) & (times < 1 / threshold))


def zero_volume(bars: History, _threshold: float) -> Verdicts:
    """Nothing was traded."""
    found: Verdicts = bars["volume"] == 0
    return found


def repeated(bars: History, _threshold: float) -> Verdicts:
    """All prices and the volume are equal to the previous session's."""
    found: Verdicts = np.logical_and.reduce([bars[name] == _previous(bars[name]) for name in _REPEATED])
    return found


def vwap_outside(bars: History, threshold: float) -> Verdicts:
    """The average price is below the lowest or above the highest one by more than the fraction `threshold`."""
    return (bars["vwap"] < bars["low"] * (1 - threshold)) | (bars["vwap"] > bars["high"] * (1 + threshold))


def _factor(days: NDArray[Any], splits: Mapping[date, float]) -> NDArray[Any]:
    """Return for each day the factor that makes its price comparable with the last day's."""
    factor = np.ones(len(days))
    for executed, ratio in splits.items():
        factor[days < np.datetime64(executed)] *= ratio
    return factor


def _distributed(days: NDArray[Any], before: NDArray[Any], distributions: Mapping[date, float]) -> NDArray[Any]:
    """Return the cash of the large distributions between each bar and the one before, whose price was `before`."""
    cash = np.zeros(len(days))
    for paid, amount in distributions.items():
        row = int(np.searchsorted(days, np.datetime64(paid)))
        if 0 < row < len(days):
            cash[row] += amount
    is_large = (cash >= LARGE_DISTRIBUTION * before) & (cash < before)
    return np.where(is_large, cash, 0)


def _price_factor(factor: NDArray[Any], kept: NDArray[Any]) -> NDArray[Any]:
    """Return the splits' factor times the shares of the price that later distributions left."""
    left = np.where(np.isnan(kept), 1, kept)[1:]
    return np.asarray(factor * np.concatenate([np.cumprod(left[::-1])[::-1], [1]])[: len(factor)])


def _previous(values: NDArray[Any], first: Any = (np.nan,)) -> NDArray[Any]:
    """Return each row's predecessor; `first` for the row that has none."""
    return np.concatenate([first, values[:-1]])
