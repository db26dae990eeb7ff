"""Ranges: dates of a symbol with the same explanation, as they are reported and stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from market_pipeline.reconciliation.explanations import ExplainedSeries, Texts
from market_pipeline.reconciliation.field_series import Explanation
from market_pipeline.reconciliation.symbol_rows import SymbolRows
from market_pipeline.warehouse.export_query import Adjustment

SCATTERED = frozenset(
    {
        Explanation.AGREED, Explanation.ROUNDING, Explanation.SPLIT_BASIS, Explanation.DIVIDEND_BASIS,
        Explanation.CONSTANT_FACTOR, Explanation.FACTOR_UNKNOWN,
    }
)  # fmt: skip
"""Explanations whose dates make one range, although dates with other ones may lie between."""

COVERAGE = "bar"
"""The field of a range that one side has no bar of."""

MOST_DAYS_APART = 5
"""Days from a shifted value to a date that the shift leaves to one side: a weekend and a holiday."""

Unstored = Mapping[date, tuple[Explanation, str]]
"""Dates of the file without a stored bar, and the reason."""


@dataclass(frozen=True, kw_only=True)
class ReconciledRange:
    """Dates of one symbol and field with the same explanation: a row of the table `reconciliations`.

    `sessions` is their number. The ratios are those of the file's values to the stored ones, None where one is missing.
    """

    symbol: str
    field: str
    first_session: date
    last_session: date
    sessions: int
    found_in: str
    explanation: Explanation
    detail: str | None
    lowest_ratio: float | None
    highest_ratio: float | None
    adjustment: Adjustment

    @property
    def explained(self) -> bool:
        """False if there is no likely reason for the difference."""
        return self.explanation is not Explanation.UNEXPLAINED


def find_value_ranges(rows: SymbolRows, field: str, explained: ExplainedSeries) -> Iterator[ReconciledRange]:
    """Yield the ranges of a field."""
    series = explained.series
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = series.file / series.stored
    ratio[~np.isfinite(ratio)] = np.nan
    unknown = explained.explanation == Explanation.FACTOR_UNKNOWN
    explained.detail[unknown] = rows.unknown_because[unknown]
    compared = explained.explanation != None  # noqa: E711 - by element
    sides = np.full(len(series.dates), "both", dtype=object)
    columns = {"explanation": explained.explanation, "detail": explained.detail, "found_in": sides, "ratio": ratio}
    yield from _group(rows, field, series.adjustment, columns, compared)


def find_coverage_ranges(rows: SymbolRows, explained: ExplainedSeries, unstored: Unstored) -> Iterator[ReconciledRange]:
    """Yield the ranges that only the file has, or only the warehouse."""
    count = len(rows.dates)
    explanation, detail = np.full(count, None, dtype=object), np.full(count, None, dtype=object)
    in_file = np.flatnonzero(rows.in_file)
    only_here = rows.in_warehouse & ~rows.in_file
    explanation[only_here], detail[only_here] = Explanation.UNEXPLAINED, "the file has no row"
    outside = only_here & ((np.arange(count) < in_file[0]) | (np.arange(count) > in_file[-1]))
    explanation[outside], detail[outside] = Explanation.OUTSIDE_FILE, None
    for at in np.flatnonzero(rows.in_file & ~rows.in_warehouse):
        explanation[at], detail[at] = unstored[rows.dates[at].item()]
    shifted = np.flatnonzero(explained.explanation == Explanation.SHIFTED_DAY)
    for at in np.flatnonzero((explanation != None) & ~outside) if len(shifted) else ():  # noqa: E711 - by element
        if _is_between_shifted(rows, explained.explanation, int(at)):
            explanation[at], detail[at] = Explanation.SHIFTED_DAY, explained.detail[shifted[0]]
    sides = np.where(rows.in_file, "file", "warehouse").astype(object)
    columns = {"explanation": explanation, "detail": detail, "found_in": sides, "ratio": np.full(count, np.nan)}
    missing = explanation != None  # noqa: E711 - by element
    yield from _group(rows, COVERAGE, explained.series.adjustment, columns, missing)


def _is_between_shifted(rows: SymbolRows, explanation: Texts, at: int) -> bool:
    """Return True if the nearest compared dates are shifted, as are those around a weekend that a shift reaches."""
    compared = np.flatnonzero(explanation != None)  # noqa: E711 - by element
    near = [*compared[compared < at][-1:], *compared[compared > at][:1]]
    apart = np.timedelta64(MOST_DAYS_APART, "D")
    close = [other for other in near if abs(rows.dates[other] - rows.dates[at]) <= apart]
    return bool(close) and all(explanation[other] == Explanation.SHIFTED_DAY for other in close)


def _group(
    rows: SymbolRows, field: str, adjustment: Adjustment, columns: Mapping[str, Any], included: Any
) -> Iterator[ReconciledRange]:
    frame = pd.DataFrame({"date": rows.dates, **columns})[included]
    if frame.empty:
        return
    keys = ["explanation", "detail", "found_in"]
    frame["detail"] = frame["detail"].fillna("")
    changes = (frame[keys] != frame[keys].shift()).any(axis="columns").cumsum()
    frame["island"] = changes.where(~frame["explanation"].isin(SCATTERED), 0)
    for (explanation, detail, found_in, _), part in frame.groupby([*keys, "island"], sort=False):
        lowest, highest = part["ratio"].min(), part["ratio"].max()
        yield ReconciledRange(
            symbol=rows.symbol,
            field=field,
            first_session=part["date"].iloc[0].date(),
            last_session=part["date"].iloc[-1].date(),
            sessions=len(part),
            found_in=found_in,
            explanation=Explanation(explanation),
            detail=detail or None,
            lowest_ratio=None if pd.isna(lowest) else float(lowest),
            highest_ratio=None if pd.isna(highest) else float(highest),
            adjustment=adjustment,
        )
