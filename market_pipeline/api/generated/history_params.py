"""Parsing of a request for a symbol's bars, and the query for them in each adjustment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any

from market_pipeline.api.generated.catalog import Column
from market_pipeline.api.generated.query_params import (
    CACHED_QUERIES,
    Parsers,
    create_choice_parser,
    create_value_parser,
    parse_cursor,
    parse_each,
    parse_instant,
    parse_limit,
)
from market_pipeline.api.generated.query_sql import Condition, Order, Query
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.api.generated.value_types import find_value_kind, is_valid
from market_pipeline.api.problems import Fault, build_parameter_problem

_TYPES: Mapping[str, str] = {
    "time": "timestamp with time zone", "date": "date", "symbol": "text", "open": "double precision",
    "high": "double precision", "low": "double precision", "close": "double precision", "volume": "double precision",
    "vwap": "double precision", "transactions": "bigint", "source": "text", "validated": "boolean",
    "quality_score": "double precision", "validation_notes": "text", "flags": "text[]", "gap_detected": "boolean",
    "volume_anomaly": "boolean", "fetched_at": "timestamp with time zone", "run_id": "text",
}  # fmt: skip
_NULLABLE = ("open", "high", "low", "close", "volume", "vwap", "transactions", "validation_notes")
COLUMNS = [Column(name, kind, name in _NULLABLE, "") for name, kind in _TYPES.items()]
"""The columns of a response, the runbook's among them. Prices are null where an adjustment isn't known."""

_BY_DATE = (Order(next(column for column in COLUMNS if column.name == "date")),)
_WITH_DIVIDENDS = {name: f"adj_{name} AS {name}" for name in ("open", "high", "low", "close")} | {
    "vwap": "vwap * dividend_factor AS vwap"
}
SOURCES: Mapping[str, str] = {
    "splits": "public.daily_bars_adjusted",
    "none": "public.market_data",
    "all": f"(SELECT {', '.join(_WITH_DIVIDENDS.get(name, name) for name in _TYPES)} "  # noqa: S608
    "FROM public.daily_bars_adjusted) AS bars",
}
"""The source of each adjustment, the default first."""


@dataclass(frozen=True, kw_only=True)
class HistoryRequest:
    """The parameters of a request; None: the API chooses the adjustment, or a date is no limit."""

    symbol: str
    start: date | None = None
    end: date | None = None
    adjustment: str | None = None
    as_of: datetime | None = None
    validated_only: bool = False
    min_quality: float = 0.0
    limit: int | None = None
    cursor: Sequence[str | None] | None = None
    format: str | None = None

    @property
    def first(self) -> date:
        """The first date. It is never None, so that every request has the same statement, which is planned once."""
        return self.start or date.min

    @property
    def last(self) -> date:
        """The last date, included."""
        return self.end or date.max

    @cached_property
    def queries(self) -> Mapping[str, Query]:
        """The query for the bars in each adjustment."""
        return {adjustment: self._build_query(adjustment) for adjustment in SOURCES}

    def _build_query(self, adjustment: str) -> Query:
        conditions = [
            Condition("symbol = %s", [self.symbol]),
            Condition("date >= %s::date", [self.first]),
            Condition("date <= %s::date", [self.last]),
            *([Condition("validated", ())] if self.validated_only else ()),
            *([Condition("quality_score >= %s", [self.min_quality])] if self.min_quality > 0 else ()),
        ]
        source, values = SOURCES[adjustment], list[Any]()
        if self.as_of is not None:
            # The function with the rows of an instant has the name of the view that it stands for.
            source, values = re.sub(r"public\.\w+", r"\g<0>_as_of(%s::timestamptz)", source), [self.as_of]
        query = Query(
            source, COLUMNS, conditions, _BY_DATE, self.limit or MAX_COMPLETE_ROWS, values, by_key=True,
            as_of=self.as_of, is_limited=self.limit is not None,
        )  # fmt: skip
        return query.after(self.cursor) if self.cursor else query


@lru_cache(CACHED_QUERIES)
def parse_history_request(symbol: str, text: str) -> HistoryRequest:
    """Parse the parameters of a request.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    values, faults = parse_each(text, PARSERS, others=["snapshot"])
    if not is_valid("text", symbol):
        faults.insert(0, Fault("symbol", f"is not {find_value_kind('text').called}"))
    faults += [] if faults else _find_contradictions(values)
    if faults:
        raise build_parameter_problem(faults)
    return HistoryRequest(symbol=symbol, **values)


def _parse_quality(text: str) -> float:
    if not is_valid("double precision", text) or not 0 <= float(text) <= 1:
        raise ValueError(f"{text!r} is not a number from 0 to 1")
    return float(text)


PARSERS: Parsers = {
    "start": lambda text: date.fromisoformat(create_value_parser("date")(text)),
    "end": lambda text: date.fromisoformat(create_value_parser("date")(text)),
    "adjustment": create_choice_parser(*SOURCES),
    "as_of": parse_instant,
    "validated_only": lambda text: create_choice_parser("true", "false")(text) == "true",
    "min_quality": _parse_quality,
    "limit": lambda text: parse_limit(text, MAX_COMPLETE_ROWS),
    "cursor": lambda text: parse_cursor(text, _BY_DATE),
    "format": str,
}
"""The parser of each parameter."""


def _find_contradictions(values: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if "start" in values and "end" in values and values["start"] > values["end"]:
        faults.append(Fault("start", f"{values['start']} is after the end {values['end']}: swap them"))
    return faults
