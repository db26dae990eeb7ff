"""Splits inferred from prices: moves with the shape of an unlisted split or large distribution.

Such a move happens between two sessions, is near a ratio of small numbers, and lasts; and it is far more unusual than
the trading, as nobody trades on a split. A crash or a squeeze of the same size comes with many times the usual volume.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import LOOK_AHEAD, LOOK_BACK, Columns
from market_pipeline.quality.impossible import Verdicts
from market_pipeline.quality.symbol_windows import Rows, SymbolWindows, compute_medians

FEWEST_SESSIONS = 10
"""Sessions before a bar that are needed to know the usual move and volume."""

WEEK = LOOK_AHEAD + 1
"""Sessions on either side whose median is the price before and after: a single wrong bar doesn't change it."""

RATIOS = np.array(
    [3 / 2, 5 / 3, 2, 5 / 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 35, 40, 45, 50, 60, 75, 80, 90,
     100, 150, 200, 250, 300, 400, 500, 1000]
)  # fmt: skip
"""Shares for one, or one for so many. Smaller splits can't be told from news, which moves a price by a quarter too."""

SMALLEST_STEP = 0.2
"""Smallest change between two closes (natural logarithm) that is examined: a 3-for-2 split is 0.41, less a rally."""

LEAST_VOLUME_OF_NEWS, VOLUME_OF_MOVE = 2.5, 5.0
"""Volume from which trading may explain a move: so many times the usual one, and per unit of the move's logarithm, in
the larger shares. A split has less, as 97.9 % of the recorded sessions have; news that halves a price has ten times."""

SMALLEST_USUAL_MOVE = 0.005
"""Floor of the usual move, as a bond fund's or a stale price is almost none."""

UNIT_RATIOS = (100, 1000)
"""Ratios between currency units, such as dollars and cents."""

_LOGARITHMS = np.concatenate([-np.log(RATIOS), np.log(RATIOS)])
_NORMAL = 1.4826  # a normal distribution's standard deviation, as a multiple of its median absolute value


def infer_splits(
    bars: Columns, windows: SymbolWindows, factor: NDArray[Any], price_factor: NDArray[Any], among: Verdicts
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the split that each bar looks like, and how far its volume fails to explain the move.

    Args:
        bars: `date`, `open`, `close` and `volume` of some symbols, none missing between a symbol's first and last
            stored session.
        windows: those of the symbols' rows.
        factor: for each bar the factor that makes its shares comparable with its symbol's last bar's, from the listed
            splits.
        price_factor: the same for its price, from listed distributions too.
        among: the bars to examine.

    Returns:
        `inferred_factor`, the price factor (0.25 for a 4-for-1 split, beyond any listed one), and `move_for_volume`,
        the move over the usual move, divided by the volume over the usual volume. NaN where a move has no such shape.
    """
    inferred, move_for_volume = (np.full(len(factor), np.nan) for _ in range(2))
    rows = _find_candidates(bars["close"], price_factor, among & (windows.position >= FEWEST_SESSIONS))
    if len(rows):
        with np.errstate(divide="ignore", invalid="ignore"):  # a usual volume of zero explains nothing
            ratio, found, unusual = _judge(bars, windows, factor, price_factor, rows)
        inferred[rows[found]] = np.exp(ratio[found])
        move_for_volume[rows[found]] = unusual[found]
    return inferred, move_for_volume


def _find_candidates(close: NDArray[Any], factor: NDArray[Any], among: Verdicts) -> Rows:
    """Return the rows of large moves that no listed split explains; a listed one without its move is none."""
    comparable = np.log(close * factor)
    rows = np.flatnonzero(among[1:] & (np.abs(np.diff(comparable)) > SMALLEST_STEP)) + 1
    as_traded = np.abs(np.log(close[rows] / close[rows - 1]))
    return np.asarray(rows[as_traded >= np.abs(comparable[rows] - comparable[rows - 1]) / 2])


def _judge(
    bars: Columns, windows: SymbolWindows, factor: NDArray[Any], price_factor: NDArray[Any], rows: Rows
) -> tuple[NDArray[Any], Verdicts, NDArray[Any]]:
    """Return for each row the nearest ratio's logarithm, if the move has its shape, and the move for its volume."""
    price = np.log(bars["close"] * price_factor)
    gap = np.log(bars["open"][rows] * price_factor[rows]) - price[rows - 1]
    ratio = _LOGARITHMS[np.abs(gap[:, np.newaxis] - _LOGARITHMS).argmin(axis=1)]
    size = np.abs(ratio)
    usual_move = _measure_usual_move(windows.beside(price, rows, -LOOK_BACK, 0)) * np.sqrt(
        _count_sessions_apart(bars["date"], rows)
    )
    is_near = np.abs(gap - ratio) <= np.clip(3 * usual_move, size / 8, size / 4)
    # A split that is listed a few days late disturbs the comparable prices, so those as traded count too.
    steps = [_measure_step_of_levels(windows, values, rows) for values in (price, np.log(bars["close"]))]
    off = np.minimum.reduce([np.abs(step - ratio) for step in steps])
    lasts = off <= np.clip(5 * usual_move, size / 4, size / 2)
    # The larger number of shares, as a split that is listed wrongly would hide the volume of a crash soon after it.
    volumes = [_measure_volume_times(windows, values, rows) for values in (bars["volume"] / factor, bars["volume"])]
    traded = np.maximum.reduce(volumes) * np.minimum(np.exp(ratio), 1)  # in the fewer shares
    found = is_near & lasts & (traded <= np.maximum(LEAST_VOLUME_OF_NEWS, VOLUME_OF_MOVE * size))
    return ratio, found, np.minimum(size, np.abs(gap)) / usual_move / np.maximum(traded, 1)


def _measure_usual_move(before: NDArray[Any]) -> NDArray[Any]:
    """Return the usual change between two closes of each line, which crashes don't affect."""
    return np.maximum(compute_medians(np.abs(np.diff(before, axis=1))) * _NORMAL, SMALLEST_USUAL_MOVE)


def _count_sessions_apart(days: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Return the number of weekdays since the bar before: a price may move further over a halt or a gap."""
    before, at = (days[each].astype("datetime64[D]") for each in (rows - 1, rows))
    return np.maximum(np.busday_count(before, at), 1)


def _measure_step_of_levels(windows: SymbolWindows, values: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Return the difference of the week's median from each row on to the week's before it."""
    return np.asarray(
        compute_medians(windows.beside(values, rows, 0, WEEK)) - compute_medians(windows.beside(values, rows, -WEEK, 0))
    )


def _measure_volume_times(windows: SymbolWindows, volume: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Return each row's volume as a multiple of the usual one in the sessions before it."""
    return np.asarray(volume[rows] / compute_medians(windows.beside(volume, rows, -LOOK_BACK, 0)))
