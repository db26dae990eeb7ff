"""Administrators' endpoints for tracked symbols, under the runbook's paths and names. Each needs an admin key."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from market_pipeline.api.admin.auth import NO_NULL, AuditedRoute, key_header
from market_pipeline.api.context import Context, InContext
from market_pipeline.api.problems import ProblemError
from market_pipeline.core.symbols import TICKERS, AssetClass, Symbol
from market_pipeline.warehouse.symbol_names import find_alias
from market_pipeline.warehouse.tracked_symbols import add_symbols, read_symbol_records, remove_symbol

PREFIX = "/api/v1/admin/symbols"
router = APIRouter(prefix=PREFIX, tags=["administration"], route_class=AuditedRoute, dependencies=[Depends(key_header)])

Name = Annotated[str, Path(description="The symbol, e.g. AAPL; case-sensitive.", examples=["AAPL"], pattern=NO_NULL)]


def _document_tickers(schema: dict[str, Any]) -> None:
    """Document the form of each asset class's tickers."""
    schema["anyOf"] = [
        {
            "properties": {"asset_class": {"enum": [str(kind)]}, "symbol": {"pattern": f"^(?:{pattern})$"}},
            "required": [] if kind is AssetClass.STOCK else ["asset_class"],
        }
        for kind, pattern in TICKERS.items()
    ]


class NewSymbol(BaseModel):
    """A symbol to track."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_document_tickers)

    symbol: str = Field(min_length=1, max_length=30, description="Its ticker: AAPL, BRK.B, BTC.", examples=["NVDA"])
    asset_class: AssetClass = Field(AssetClass.STOCK, description="Its asset class, which determines its calendar.")


class DateRange(BaseModel):
    """The first and the last session with a bar."""

    start: date | None
    end: date | None


class Stats(BaseModel):
    """Counts of a symbol's stored bars; `validation_rate` is from 0 to 1, null without bars."""

    record_count: int
    date_range: DateRange
    validation_rate: float | None
    gaps_detected: int


class TrackedSymbol(BaseModel):
    """A tracked symbol; an inactive one is no longer fetched, its bars are kept."""

    id: int
    symbol: str
    asset_class: AssetClass
    active: bool
    date_added: datetime
    last_backfill: datetime | None
    backfill_status: Literal["pending", "completed", "failed"]
    stats: Stats | None = None


class Removed(BaseModel):
    """Result of removing a symbol."""

    status: Literal["success"] = "success"
    message: str
    data_retained: Literal[True] = True


_LINKS = {
    operation: {"operationId": f"{operation}_symbol", "parameters": {"symbol": "$response.body#/symbol"}}
    for operation in ("show", "change", "remove")
}


@router.post("", status_code=201, operation_id="add_symbol", responses={201: {"links": _LINKS}})
def track(context: InContext, new_symbol: NewSymbol) -> TrackedSymbol:
    """Track a symbol: the next nightly run fetches it, and it can be backfilled at once.

    A symbol that was removed is tracked again.
    """
    symbol = Symbol.of(new_symbol.symbol, new_symbol.asset_class)
    alias = find_alias(context.warehouse, symbol.name)
    if alias is not None and alias.symbol != symbol and alias.symbol.asset_class is symbol.asset_class:
        raise ProblemError(409, alias.note)
    if not add_symbols(context.warehouse, [symbol]):
        raise ProblemError(409, f"Symbol {symbol.name} already tracked")
    return _get_symbol(context, symbol.name)


@router.get("", operation_id="list_symbols")
def list_all(
    context: InContext,
    active_only: Annotated[bool, Query(description="Leave out those that are no longer fetched.")] = True,
    include_stats: Annotated[bool, Query(description="Include the counts of stored bars.")] = False,
) -> list[TrackedSymbol]:
    """List tracked symbols in alphabetical order."""
    records = read_symbol_records(context.warehouse, active_only=active_only)
    return [_to_model(record, stats=include_stats) for record in records]


@router.get("/{symbol}", operation_id="show_symbol")
def show(context: InContext, symbol: Name) -> TrackedSymbol:
    """Return one symbol, with the counts of its stored bars."""
    return _get_symbol(context, symbol)


@router.put("/{symbol}", operation_id="change_symbol")
def change(
    context: InContext,
    symbol: Name,
    active: Annotated[bool, Query(description="True to fetch it, false to stop.")],
) -> TrackedSymbol:
    """Start or stop fetching a symbol. Its bars are kept."""
    known = _get_symbol(context, symbol)
    if active:
        add_symbols(context.warehouse, [Symbol.of(known.symbol, known.asset_class)])
    elif known.active:
        remove_symbol(context.warehouse, symbol)
    return _get_symbol(context, symbol)


@router.delete("/{symbol}", operation_id="remove_symbol")
def untrack(context: InContext, symbol: Name) -> Removed:
    """Stop fetching a symbol. Its bars are kept."""
    if _get_symbol(context, symbol).active:
        remove_symbol(context.warehouse, symbol)
    return Removed(message=f"Symbol {symbol} is no longer fetched; its bars are kept")


def _get_symbol(context: Context, name: str) -> TrackedSymbol:
    found = read_symbol_records(context.warehouse, name=name)
    if not found:
        known = read_symbol_records(context.warehouse, name=name.upper())
        alias = find_alias(context.warehouse, name)
        hint = f": did you mean {name.upper()}?" if known else ": add it by a POST to " + PREFIX
        hint = f": {alias.note}" if alias is not None else hint
        raise ProblemError(404, f"Symbol {name} not tracked{hint}")
    return _to_model(found[0], stats=True)


def _to_model(record: Any, *, stats: bool) -> TrackedSymbol:
    values = record._asdict()
    stats_model = Stats(date_range=DateRange(start=values["start"], end=values["end"]), **values) if stats else None
    return TrackedSymbol(**values, stats=stats_model)
