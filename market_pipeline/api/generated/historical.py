"""The endpoint `/api/v1/historical/{symbol}`: a symbol's bars, as traded or adjusted, now or as stored at an instant.

It is a query like a table's, over a source that depends on the adjustment. The view `daily_bars_adjusted` defines
adjusted prices.
"""

import asyncio
import re
from dataclasses import replace
from datetime import date, datetime

from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.context import Context
from market_pipeline.api.generated.envelopes import create_envelope
from market_pipeline.api.generated.formats import ResponseFormat
from market_pipeline.api.generated.history_params import HistoryRequest, parse_history_request
from market_pipeline.api.generated.instants import resolve_snapshot, settle_instant
from market_pipeline.api.generated.negotiation import negotiate_format
from market_pipeline.api.generated.query_params import read_query_string
from market_pipeline.api.generated.responses import NoRowsError, respond
from market_pipeline.api.problems import ProblemError
from market_pipeline.warehouse.statements import read_driver_statement
from market_pipeline.warehouse.symbol_names import find_alias
from market_pipeline.warehouse.tracked_symbols import read_former_names

PATH = "/api/v1/historical/{symbol}"

KNOWN = read_driver_statement("known_adjustment")
KNOWN_AS_OF = re.sub(r"FROM (adjustment_factors|bars) AS", r"FROM \1_as_of(%(as_of)s::timestamptz) AS", KNOWN)

NOT_KNOWN = "the adjusted prices of {symbol} are not known: {reason}"
UNADJUSTED = "their factors are not computed; `market-pipeline db migrate` computes them"
NEVER_REQUESTED, REQUESTED_BY = "never requested", "; `market-pipeline backfill --missing` requests them"
NULL_BEFORE = "The adjusted prices of {symbol} before {day} are not known, and null: {reason}."


async def read_historical(request: Request) -> Response:
    """Return the bars of a symbol from `start` to `end`, both included, by date; without them all."""
    context = await check_reader(request)
    text = await resolve_snapshot(context, read_query_string(request))
    history = parse_history_request(request.path_params["symbol"], text)
    await settle_instant(context, history.as_of)
    kind = negotiate_format(request, history.format)
    if response := await _respond(request, context, history, kind):
        return response
    ticker = history.symbol
    alias = await asyncio.to_thread(find_alias, context.warehouse, ticker, active_only=False)
    if alias is not None and alias.symbol.name != ticker:
        history = replace(history, symbol=alias.symbol.name)
        if response := await _respond(request, context, history, kind, note=alias.note):
            return response
    raise await _build_no_rows_problem(context, history)


async def _respond(
    request: Request, context: Context, history: HistoryRequest, kind: ResponseFormat, note: str | None = None
) -> Response | None:
    """Return the response with the symbol's bars; None if it has none. `note` comes before ours.

    Raises:
        ProblemError: the requested adjustment is not known.
    """
    adjustment = history.adjustment or ("none" if history.as_of else "splits")
    known_from, reason = await find_known(context, history, adjustment)
    unknown: str | None = None
    if adjustment != "none" and known_from is None:
        if history.adjustment:
            await _check_not_stored(context, history, reason)
            return None
        adjustment, unknown = "none", f"As traded: {describe_unknown(history.symbol, reason)}."
    elif reason:
        unknown = NULL_BEFORE.format(symbol=history.symbol, day=known_from, reason=reason)
    is_null_before = adjustment != "none" and reason is not None
    envelope = create_envelope(
        {
            "symbol": history.symbol,
            "start_date": history.start,
            "end_date": history.end,
            "adjustment": adjustment,
            "known_from": known_from if is_null_before else None,
            "note": ". ".join(part for part in (note, unknown) if part) or None,
        }
    )
    headers = [(b"x-adjustment", adjustment.encode())]  # for files, which have no envelope
    if is_null_before:
        headers.append((b"x-known-from", str(known_from).encode()))
    try:
        return await respond(request, context, history.queries[adjustment], kind, envelope, headers, needs_rows=True)
    except NoRowsError:
        return None


async def find_known(context: Context, history: HistoryRequest, adjustment: str) -> tuple[date | None, str | None]:
    """Return from which day on the adjusted prices of the requested bars are known, and why not before."""
    if adjustment == "none":
        return None, None
    values = {
        "symbol": history.symbol, "start": history.first, "end": history.last, "with_dividends": adjustment == "all",
        "as_of": history.as_of,
    }  # fmt: skip
    known_from, reason = await context.reader.row(KNOWN_AS_OF if history.as_of else KNOWN, values, by_key=True)
    return known_from, reason


async def _check_not_stored(context: Context, history: HistoryRequest, reason: str | None) -> None:
    """Check that no bars of the request are stored, so that their adjustment is not what is missing.

    Raises:
        ProblemError: there are some.
    """
    query = history.queries["none"]
    first, values = query.statement(query.columns[:1], "LIMIT 1")
    [is_stored] = await context.reader.row(f"SELECT EXISTS ({first})", values)
    if is_stored:
        unknown = describe_unknown(history.symbol, reason)
        raise ProblemError(409, f"{unknown}; adjustment=none gives prices as traded")


def describe_unknown(symbol: str, reason: str | None) -> str:
    """Return a message: a symbol's adjusted prices are not known, with the reason and the next step."""
    next_step = REQUESTED_BY if reason and NEVER_REQUESTED in reason else ""
    return NOT_KNOWN.format(symbol=symbol, reason=reason or UNADJUSTED) + next_step


def _read_former_name(context: Context, symbol: str, as_of: datetime) -> str | None:
    """Return the symbol's name at an instant, if it was another one."""
    with context.warehouse.connect() as connection:
        former = read_former_names(connection, [symbol], as_of).get(symbol)
    return former if former != symbol else None


def _describe_range(history: HistoryRequest) -> str:
    if history.start and history.end:
        return f" ({history.start} to {history.end})"
    return (f" since {history.start}" if history.start else "") + (f" up to {history.end}" if history.end else "")


async def _build_no_rows_problem(context: Context, history: HistoryRequest) -> ProblemError:
    """Find out why there are no bars, and return the problem."""
    detail = f"No data found for {history.symbol}{_describe_range(history)}"
    if history.as_of is not None:
        former = await asyncio.to_thread(_read_former_name, context, history.symbol, history.as_of)
        if former:
            return ProblemError(404, f"{detail}: its name was {former} as of that instant; use that")
    tracked, capital = await context.reader.row(
        "SELECT count(*) FILTER (WHERE symbol = %s), count(*) FILTER (WHERE symbol = upper(%s)) FROM symbol_identities",
        [history.symbol, history.symbol],
    )
    if not tracked:
        detail += f": did you mean {history.symbol.upper()}?" if capital else f": {history.symbol} is not tracked"
    return ProblemError(404, detail)
