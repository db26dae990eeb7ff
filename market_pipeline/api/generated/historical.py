"""The runbook's `/api/v1/historical/{symbol}`: a symbol's bars, as traded or adjusted, now or as they were stored then.

It is a query like any table's, over a source that depends on the adjustment. What adjusted prices are, dbt/ says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, lru_cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.context import Context
from market_pipeline.api.generated.catalog import Column
from market_pipeline.api.generated.query_params import KEPT, parameters, read_cursor, read_limit
from market_pipeline.api.generated.query_sql import Condition, Order, Query
from market_pipeline.api.generated.responses import WHOLE, Envelope, NoRowsError, query_string, respond, wanted_format
from market_pipeline.api.generated.value_types import is_valid, kind_of
from market_pipeline.api.problems import Fault, ProblemError, wrong_parameters

PATH = "/api/v1/historical/{symbol}"
MART = "daily_bars_adjusted"

_TYPES: Mapping[str, str] = {
    "time": "timestamp with time zone", "date": "date", "symbol": "text", "open": "double precision",
    "high": "double precision", "low": "double precision", "close": "double precision", "volume": "double precision",
    "vwap": "double precision", "transactions": "bigint", "source": "text", "validated": "boolean",
    "quality_score": "double precision", "validation_notes": "text", "flags": "text[]", "gap_detected": "boolean",
    "volume_anomaly": "boolean", "fetched_at": "timestamp with time zone", "run_id": "text",
}  # fmt: skip
_NULLABLE = ("open", "high", "low", "close", "volume", "vwap", "transactions", "validation_notes")
COLUMNS = [Column(name, kind, name in _NULLABLE, "") for name, kind in _TYPES.items()]
"""The columns of an answer, the runbook's among them. Prices are null where an adjustment can't be worked out."""

_BY_DATE = (Order(next(column for column in COLUMNS if column.name == "date")),)
_WITH_DIVIDENDS = {name: f"adj_{name} AS {name}" for name in ("open", "high", "low", "close")} | {
    "vwap": "vwap * dividend_factor AS vwap"
}
SOURCES: Mapping[str, str] = {
    "splits": f"analytics.{MART}",
    "none": "public.market_data",
    "all": f"(SELECT {', '.join(_WITH_DIVIDENDS.get(name, name) for name in _TYPES)}, split_factor "  # noqa: S608
    f"FROM analytics.{MART}) AS bars",
}
"""What an adjustment is read from, the default first."""

AS_TRADED = (
    "As traded: the splits of {symbol} are not known yet. Dagster asks for them every night, `market-pipeline backfill "
    "--marts` at once."
)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a request asks for; `adjustment` is None where it leaves the choice to us."""

    symbol: str
    start: date
    end: date
    adjustment: str | None = None
    as_of: datetime | None = None
    validated_only: bool = False
    min_quality: float = 0.0
    limit: int = WHOLE
    cursor: Sequence[str | None] | None = None
    format: str | None = None

    @cached_property
    def queries(self) -> Mapping[str, Query]:
        """The query for the bars in each adjustment."""
        return {adjustment: self._query(adjustment) for adjustment in SOURCES}

    def _query(self, adjustment: str) -> Query:
        conditions = [
            Condition("symbol = %s", [self.symbol]),
            Condition("date >= %s::date", [self.start]),
            Condition("date <= %s::date", [self.end]),
            *([Condition("validated", ())] if self.validated_only else ()),
            *([Condition("quality_score >= %s", [self.min_quality])] if self.min_quality > 0 else ()),
            *([Condition("split_factor IS NOT NULL", ())] if adjustment != "none" else ()),
        ]
        source, values = SOURCES[adjustment], list[Any]()
        if self.as_of is not None:
            source, values = "public.market_data_as_of(%s::timestamptz)", [self.as_of]
        query = Query(source, COLUMNS, conditions, _BY_DATE, self.limit, values, by_key=True)
        return query.after(self.cursor) if self.cursor else query


async def historical(request: Request) -> Response:
    """The bars of a symbol from `start` to `end`, both included, by date."""
    context = await check_reader(request)
    asked = _asked(request.path_params["symbol"], query_string(request))
    if asked.as_of and asked.as_of > datetime.now(UTC):
        raise wrong_parameters([Fault("as_of", "is in the future: take an instant that is over")])
    kind = wanted_format(request, asked.format)
    adjustments = [asked.adjustment] if asked.adjustment else ["none"] if asked.as_of else ["splits", "none"]
    for adjustment in adjustments:
        if adjustment != "none" and await context.catalog.find(MART) is None:
            continue
        query = asked.queries[adjustment]
        note = AS_TRADED.format(symbol=asked.symbol) if adjustment != adjustments[0] else None
        headers = [(b"x-adjustment", adjustment.encode())]  # which a file has no other place for
        envelope = _envelope(asked, adjustment, note)
        try:
            return await respond(request, context, query, kind, envelope, headers, needs_rows=True)
        except NoRowsError:
            continue
    raise await _nothing(context, asked)


def _envelope(asked: _Asked, adjustment: str, note: str | None) -> Envelope:
    told = orjson.dumps({"symbol": asked.symbol, "start_date": asked.start, "end_date": asked.end,
                         "adjustment": adjustment, "note": note})  # fmt: skip

    def envelope(count: int, truncated: bool, following: str) -> tuple[bytes, bytes]:
        more = f',"count":{count},"truncated":{"true" if truncated else "false"},"next":{following},"data":['
        return told[:-1] + more.encode(), b"]}"

    return envelope


async def _any(context: Context, query: Query) -> bool:
    statement, values = query.statement(query.columns[:1], "LIMIT 1")
    return bool((await context.reader.row(f"SELECT EXISTS ({statement})", values))[0])


async def _nothing(context: Context, asked: _Asked) -> ProblemError:
    """Why there are no bars to answer with."""
    if asked.adjustment not in (None, "none") and await _any(context, asked.queries["none"]):
        return ProblemError(
            409,
            f"the splits of {asked.symbol} are not known yet: Dagster asks for them every night, `market-pipeline "
            "backfill --marts` at once; adjustment=none gives prices as traded",
        )
    found = f"No data found for {asked.symbol} ({asked.start} to {asked.end})"
    tracked, capital = await context.reader.row(
        "SELECT count(*) FILTER (WHERE symbol = %s), count(*) FILTER (WHERE symbol = upper(%s)) FROM tracked_symbols",
        [asked.symbol, asked.symbol],
    )
    if not tracked:
        found += f": did you mean {asked.symbol.upper()}?" if capital else f": {asked.symbol} is not tracked"
    return ProblemError(404, found)


@lru_cache(KEPT)
def _asked(symbol: str, query_string: str) -> _Asked:
    """What a request asks for.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    faults = [] if is_valid("text", symbol) else [Fault("symbol", f"is not {kind_of('text').called}")]
    values: dict[str, Any] = {}
    for name, text in parameters(query_string):
        if name in values:
            faults.append(Fault(name, "is there more than once"))
        try:
            values[name] = _read(name, text)
        except ValueError as error:
            faults.append(Fault(name, str(error)))
    wrong = {fault.parameter for fault in faults}
    required = [name for name in ("start", "end") if name not in values and name not in wrong]
    faults += [Fault(name, "is missing: write it as 2024-01-31") for name in required]
    faults += [] if faults else _contradictions(values)
    if faults:
        raise wrong_parameters(faults)
    return _Asked(symbol=symbol, **values)


def _read(name: str, text: str) -> Any:
    if name not in READERS:
        raise ValueError(f"there is no such parameter, only {', '.join(READERS)}")
    return READERS[name](text)


def _valid(kind: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not is_valid(kind, text):
            raise ValueError(f"{text!r} is not {kind_of(kind).called}")
        return text

    return read


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return read


def _quality(text: str) -> float:
    if not is_valid("double precision", text) or not 0 <= float(text) <= 1:
        raise ValueError(f"{text!r} is not a number from 0 to 1")
    return float(text)


READERS: Mapping[str, Callable[[str], Any]] = {
    "start": lambda text: date.fromisoformat(_valid("date")(text)),
    "end": lambda text: date.fromisoformat(_valid("date")(text)),
    "adjustment": _one_of(*SOURCES),
    "as_of": lambda text: datetime.fromisoformat(_valid("timestamp with time zone")(text)),
    "validated_only": lambda text: _one_of("true", "false")(text) == "true",
    "min_quality": _quality,
    "limit": lambda text: read_limit(text, WHOLE),
    "cursor": lambda text: read_cursor(text, _BY_DATE),
    "format": str,
}
"""The parameters, and what reads each."""


def _contradictions(values: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if values["start"] > values["end"]:
        faults.append(Fault("start", f"{values['start']} is after the end {values['end']}: swap them"))
    if values.get("as_of") and values.get("adjustment", "none") != "none":
        faults.append(Fault("as_of", "adjusted prices are of now, and what they were is not kept: use adjustment=none"))
    return faults
