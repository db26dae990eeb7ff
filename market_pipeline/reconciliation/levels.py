"""Levels: stretches of sessions over which a file's values are one multiple of the stored ones, and the reason.

Between two splits or dividends, any two conventions of adjusting prices differ by a constant factor. So the logarithm
of the ratio of two sources is a staircase with steps at corporate actions; everything else is a difference of its own.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from market_pipeline.reconciliation.field_series import SMALLEST_STEP, Explanation, FieldSeries, Flags, Floats
from market_pipeline.warehouse.export_query import Adjustment

SHORTEST = 5
"""Sessions that make a level; fewer, such as a day's typing error, are looked at one by one."""

MOST_OF_DIVIDEND = 1.05
"""Largest step at a dividend, as a multiple of its effect: all of it, and 5 % for another close to divide it by."""

MOST_DAYS_LATE = timedelta(days=7)
"""Longest delay, compared with here, of the file's date of a split."""

SHARE_OF_CONSTANT = 0.5
"""Share of the sessions that a constant factor has to explain."""

_BASES = {
    (False, False): "as traded",
    (True, True): "adjusted for splits and dividends",
    (True, False): "adjusted for splits only",
    (False, True): "adjusted for dividends only",
}


@dataclass
class Level:
    """A stretch of shared rows from `start` to before `stop`, with the median logarithm of the ratio and its noise.

    `split` and `dividend` are the logarithms of the stored factors there, NaN where not known.
    """

    start: int
    stop: int
    height: float
    noise: float
    split: float
    dividend: float
    explanation: Explanation = Explanation.UNEXPLAINED
    detail: str | None = None


def find_levels(series: FieldSeries, ratio: Floats) -> list[Level]:
    """Return the levels of at least SHORTEST shared rows, oldest first, without explanations.

    Args:
        series: the field.
        ratio: logarithm of file / stored by shared row.
    """
    rows = series.shared
    noise, split, dividend = series.noise[rows], series.split[rows], series.dividend[rows]
    breaks = np.ones(len(rows), dtype=bool)
    breaks[1:] = np.abs(np.diff(ratio)) > noise[1:] + noise[:-1]
    breaks[1:] |= _find_steps(split) | _find_steps(dividend)
    starts = np.flatnonzero(breaks)
    stops = np.append(starts[1:], len(rows))
    return [
        Level(
            int(start),
            int(stop),
            float(np.median(ratio[start:stop])),
            float(np.median(noise[start:stop])),
            float(split[start]),
            float(dividend[start]),
        )
        for start, stop in zip(starts, stops, strict=True)
        if stop - start >= SHORTEST
    ]


def _find_steps(factor: Floats) -> Flags:
    known = np.isfinite(factor)
    return np.where(
        known[1:] & known[:-1], np.abs(np.diff(np.nan_to_num(factor))) > SMALLEST_STEP, known[1:] != known[:-1]
    )


def place_rows(series: FieldSeries, ratio: Floats, levels: list[Level]) -> NDArray[np.intp]:
    """Return the index of each shared row's level; -1 if it agrees without a level, -2 for none."""
    noise = series.noise[series.shared]
    place = np.full(len(ratio), -2)
    place[np.abs(ratio) <= noise] = -1
    starts = np.array([level.start for level in levels], dtype=np.intp)
    heights = np.array([level.height for level in levels])
    at = np.searchsorted(starts, np.arange(len(ratio)), side="right") - 1
    for near in (at + 1, at):  # the level that a row is in, or follows, has precedence
        possible = (near >= 0) & (near < len(levels))
        where = np.flatnonzero(possible)
        fits = np.abs(ratio[where] - heights[near[where]]) <= noise[where]
        place[where[fits]] = near[where[fits]]
    return place


def explain_levels(series: FieldSeries, levels: list[Level]) -> float:
    """Explain each level by itself or, from the newest to the oldest, by its step from the one after it.

    Returns:
        The logarithm of the constant factor between file and stored values, if there is one, else 0.
    """
    base = 0.0
    _explain_all(series, levels, base)
    all_unexplained = all(level.explanation is Explanation.UNEXPLAINED for level in levels)
    if levels and all_unexplained and (series.any_unit or series.adjustment is not Adjustment.NONE):
        base = levels[-1].height
        _explain_all(series, levels, base)
        explained = sum(level.stop - level.start for level in levels if level.explanation != Explanation.UNEXPLAINED)
        if explained < SHARE_OF_CONSTANT * len(series.shared):
            base = 0.0
            _explain_all(series, levels, base)
    for level in levels:
        if level.explanation is Explanation.UNEXPLAINED and not np.isfinite(level.split + level.dividend):
            level.explanation = Explanation.FACTOR_UNKNOWN
    return base


def explain_height(
    series: FieldSeries, height: float, noise: float, last: int
) -> tuple[Explanation, str | None] | None:
    """Return the basis, other than the compared one, under which stored values would have this ratio, if any.

    Args:
        series: the field.
        height: logarithm of file / stored.
        noise: how far it may be off.
        last: position of the date among the dates, or of the last one of a level.
    """
    return _find_basis(series, height, noise, last) or _find_splits(series, height, noise, last)


def _explain_all(series: FieldSeries, levels: list[Level], base: float) -> None:
    newer: Level | None = None
    for level in reversed(levels):
        level.explanation, level.detail = _explain(series, level, newer, base)
        newer = level


def _explain(series: FieldSeries, level: Level, newer: Level | None, base: float) -> tuple[Explanation, str | None]:
    height, last = level.height - base, int(series.shared[level.stop - 1])
    if abs(height) <= level.noise:
        return (Explanation.CONSTANT_FACTOR if base else Explanation.AGREED), None
    step = abs(level.height - newer.height) if newer else np.inf
    if newer and step <= level.noise and (newer.explanation is not Explanation.AGREED or not level.dividend):
        return newer.explanation, newer.detail
    if found := explain_height(series, height, level.noise, last):
        return found
    if newer and newer.explanation is not Explanation.UNEXPLAINED:
        until = int(series.shared[newer.start])
        if (suspected := last + 1 + np.flatnonzero(series.suspected[last + 1 : until + 1])).size:
            return (
                Explanation.UNLISTED_SPLIT,
                f"the stored bar of {series.dates[suspected[0]]} is flagged unlisted_split",
            )
        effect = abs(level.dividend - newer.dividend)
        if step <= MOST_OF_DIVIDEND * effect + level.noise:  # with an effect of 0, small ones have added up
            return Explanation.DIVIDEND_BASIS, "dividends of other amounts, or applied in another way"
    return Explanation.UNEXPLAINED, None


def _find_basis(series: FieldSeries, height: float, noise: float, last: int) -> tuple[Explanation, str] | None:
    split, dividend = float(series.split[last]), float(series.dividend[last])
    own = (series.adjustment is not Adjustment.NONE, series.adjustment is Adjustment.ALL)
    for other, name in _BASES.items():
        by_split, by_dividend = ((int(new) - int(old)) for new, old in zip(other, own, strict=True))
        effect = (by_split * split if by_split else 0.0) + (by_dividend * dividend if by_dividend else 0.0)
        if abs(effect) > noise and abs(height - effect) <= noise:
            return Explanation.SPLIT_BASIS if by_split and split else Explanation.DIVIDEND_BASIS, name
    return None


def _find_splits(series: FieldSeries, height: float, noise: float, last: int) -> tuple[Explanation, str] | None:
    """Return the splits in a row, all later, whose joint factor, or its inverse, is this ratio, if any."""
    applied = (
        ("applied", "applied inversely") if series.adjustment is Adjustment.NONE else ("applied twice", "not applied")
    )
    for (older, _), (newer, day) in combinations(series.split_stretches, 2):
        if day + MOST_DAYS_LATE < series.dates[last].item():
            continue
        for sign, what in zip((1, -1), applied, strict=True):
            if abs(older - newer) > noise and abs(height - sign * (older - newer)) <= noise:
                return Explanation.SPLIT_BASIS, f"splits up to the one of {day} {what}"
    return None
