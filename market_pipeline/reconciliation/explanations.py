"""Explanations of the differences of one field of one symbol, date by date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from market_pipeline.reconciliation.field_series import Dates, Explanation, FieldSeries, Flags, Floats
from market_pipeline.reconciliation.levels import (
    SHORTEST,
    Level,
    explain_height,
    explain_levels,
    find_levels,
    place_rows,
)

SHORTEST_SHIFT = 3
"""Sessions that show a shift; a value that only repeats the one before may do so by chance."""

MOST_CHANCE_ROWS = 3
"""Rows in a row that may agree by chance within a stretch that doesn't."""

SHARE_OF_RUN = 0.9
"""Share of a stretch's rows that a shift or another security has to match."""

Texts = NDArray[np.object_]

Replaced = Mapping[np.datetime64, tuple[float, ...]]
"""Values as traded that a correction has replaced, by date."""

SecuritySearch = Callable[[Dates, Floats, Floats], str | None]
"""Find the other symbol whose stored values on these dates are these, but for the noise."""


@dataclass(frozen=True)
class ExplainedSeries:
    """A series with, by date, its explanation and the detail; both None where nothing was compared."""

    series: FieldSeries
    explanation: Texts
    detail: Texts


def explain_series(series: FieldSeries, replaced: Replaced, find_security: SecuritySearch) -> ExplainedSeries:
    """Explain the values of a field where both sides have one: by levels, then the rows without.

    Args:
        series: the field.
        replaced: revisions of the stored values.
        find_security: called for stretches of SHORTEST values or more that nothing else explains.
    """
    explained = ExplainedSeries(series, *(np.full(len(series.dates), None, dtype=object) for _ in range(2)))
    unknown = (series.file > 0) & (series.traded > 0) & np.isnan(series.stored)
    explained.explanation[unknown] = Explanation.FACTOR_UNKNOWN
    _explain_without_ratio(explained)
    rows = series.shared
    if not len(rows):
        return explained
    ratio = np.log(series.file[rows] / series.stored[rows])
    levels = find_levels(series, ratio)
    base = explain_levels(series, levels)
    levels = [level for level in levels if level.explanation is not Explanation.UNEXPLAINED]
    place = place_rows(series, ratio, levels)
    for number, level in enumerate(levels):
        explained.explanation[rows[place == number]] = level.explanation
        explained.detail[rows[place == number]] = level.detail
    explained.explanation[rows[place == -1]] = Explanation.AGREED
    for run in _find_irregular_runs(place):
        _explain_run(explained, rows[run], (base, _find_height_around(levels, run)), replaced, find_security)
    agreed = explained.explanation[rows] == Explanation.AGREED
    rounded = agreed & (np.abs(np.expm1(ratio)) > series.tolerance)
    explained.explanation[rows[rounded]] = Explanation.ROUNDING
    return explained


def _explain_without_ratio(explained: ExplainedSeries) -> None:
    """Explain values that aren't positive: equal ones, such as volumes of 0, agree."""
    series = explained.series
    both = np.isfinite(series.file) & np.isfinite(series.stored) & ~((series.file > 0) & (series.stored > 0))
    explained.explanation[both] = np.where(
        series.file[both] == series.stored[both], Explanation.AGREED, Explanation.UNEXPLAINED
    )


def _find_irregular_runs(place: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return runs of rows without a level, with the few between them that may fit one by chance."""
    irregular = np.flatnonzero(place == -2)
    if not len(irregular):
        return []
    runs = np.split(irregular, np.flatnonzero(np.diff(irregular) > MOST_CHANCE_ROWS + 1) + 1)
    return [np.arange(run[0], run[-1] + 1) if len(run) >= SHORTEST else run for run in runs]


def _find_height_around(levels: list[Level], run: NDArray[np.intp]) -> float:
    """Return the height of the level before the run, or else after it; 0 without any level."""
    before = [level for level in levels if level.start < run[0]]
    return before[-1].height if before else levels[0].height if levels else 0.0


def _explain_run(
    explained: ExplainedSeries,
    rows: NDArray[np.intp],
    heights: tuple[float, float],
    replaced: Replaced,
    find_security: SecuritySearch,
) -> None:
    """Explain rows without a level, given the height of the constant factor and that of the level around."""
    series = explained.series
    base, height = heights

    def mark(matching: Flags, explanation: Explanation, detail: str | None) -> None:
        nonlocal rows
        explained.explanation[rows[matching]] = explanation
        explained.detail[rows[matching]] = detail
        rows = rows[~matching]

    mark(_match_replaced(series, rows, height, replaced), Explanation.CORRECTION, "the value before a correction")
    for direction, name in ((-1, "before"), (1, "after")):
        shifted = _match_shifted(series, rows, height, direction)
        if len(rows) >= SHORTEST_SHIFT and shifted.mean() >= SHARE_OF_RUN:
            mark(shifted, Explanation.SHIFTED_DAY, f"values of the session {name}")
    if len(rows) >= SHORTEST and (symbol := find_security(series.dates[rows], series.file[rows], series.noise[rows])):
        mark(np.ones(len(rows), dtype=bool), Explanation.ANOTHER_SECURITY, f"values of {symbol}")
    for row in rows[explained.explanation[rows] == None]:  # noqa: E711 - rows that fit a level by chance keep it
        ratio = float(np.log(series.file[row] / series.stored[row]))
        found = None
        if len(rows) < SHORTEST:
            found = explain_height(series, ratio - base, float(series.noise[row]), int(row))
        alone = f"{np.expm1(ratio - height):+.2%} against the dates around" if len(rows) == 1 else None
        explained.explanation[row], explained.detail[row] = found or (Explanation.UNEXPLAINED, alone)


def _match_replaced(series: FieldSeries, rows: NDArray[np.intp], height: float, replaced: Replaced) -> Flags:
    factor = np.exp(series.factor(series.adjustment)[rows] + height)
    return np.array(
        [
            any(abs(series.file[row] / (value * by) - 1) <= series.noise[row] for value in replaced.get(day, ()))
            for row, day, by in zip(rows, series.dates[rows], factor, strict=True)
        ],
        dtype=bool,
    )


def _match_shifted(series: FieldSeries, rows: NDArray[np.intp], height: float, direction: int) -> Flags:
    """Mark the rows with the stored value of the session before (-1) or after (1)."""
    held = np.flatnonzero(series.stored > 0)
    at = np.searchsorted(held, rows, side="left") - 1 if direction < 0 else np.searchsorted(held, rows, side="right")
    there = (at >= 0) & (at < len(held))
    other = np.full(len(rows), np.nan)
    other[there] = series.stored[held[at[there]]]
    ratio = np.log(series.file[rows] / other)
    noise = series.noise[rows]
    matching: Flags = (np.abs(ratio) <= noise) | (np.abs(ratio - height) <= noise)
    return matching
