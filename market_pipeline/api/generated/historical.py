"""The endpoint `/api/v1/historical/{symbol}`: a symbol's bars, as traded or adjusted, now or as stored at an instant.

It is a query like a table's, over a source that depends on the adjustment. Adjusted prices are defined in dbt/.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.context import Context
from market_pipeline.api.generated.envelopes import envelope_with
from market_pipeline.api.generated.formats import ResponseFormat
from market_pipeline.api.generated.history_params import MART, HistoryRequest, parse_history_request
from market_pipeline.api.generated.negotiation import negotiate_format
from market_pipeline.api.generated.query_params import query_string
from market_pipeline.api.generated.responses import NoRowsError, respond
from market_pipeline.api.problems import Fault, ProblemError, parameter_problem
from market_pipeline.warehouse.symbol_names import find_aliases

PATH = "/api/v1/historical/{symbol}"

AS_TRADED = (
    "As traded: the splits of {symbol} are not known yet. Dagster fetches them every night, `market-pipeline backfill "
    "--marts` at once."
)


async def historical(request: Request) -> Response:
    """Return the bars of a symbol from `start` to `end`, both included, by date."""
    context = await check_reader(request)
    history = parse_history_request(request.path_params["symbol"], query_string(request))
    if history.as_of and history.as_of > datetime.now(UTC):
        raise parameter_problem([Fault("as_of", "is in the future: use an instant in the past")])
    kind = negotiate_format(request, history.format)
    if response := await _respond(request, context, history, kind):
        return response
    alias = (await asyncio.to_thread(find_aliases, context.warehouse, [history.symbol], active_only=False)).get(
        history.symbol
    )
    if alias is not None and alias.symbol.name != history.symbol:
        named = replace(history, symbol=alias.symbol.name)
        if response := await _respond(request, context, named, kind, note=alias.note):
            return response
    raise await _no_rows_problem(context, history)


async def _respond(
    request: Request, context: Context, history: HistoryRequest, kind: ResponseFormat, note: str | None = None
) -> Response | None:
    """Return the response in the first adjustment that has rows; None if none has."""
    adjustments = [history.adjustment] if history.adjustment else ["none"] if history.as_of else ["splits", "none"]
    for adjustment in adjustments:
        if adjustment != "none" and await context.catalog.find(MART) is None:
            continue
        as_traded = AS_TRADED.format(symbol=history.symbol) if adjustment != adjustments[0] else None
        envelope = envelope_with(
            {
                "symbol": history.symbol,
                "start_date": history.start,
                "end_date": history.end,
                "adjustment": adjustment,
                "note": ". ".join(part for part in (note, as_traded) if part) or None,
            }
        )
        headers = [(b"x-adjustment", adjustment.encode())]  # for files, which have no envelope
        try:
            query = history.queries[adjustment]
            return await respond(request, context, query, kind, envelope, headers, needs_rows=True)
        except NoRowsError:
            continue
    return None


async def _no_rows_problem(context: Context, history: HistoryRequest) -> ProblemError:
    """Find out why there are no bars, and return the problem."""
    if history.adjustment not in (None, "none"):
        query = history.queries["none"]
        statement, values = query.statement(query.columns[:1], "LIMIT 1")
        [is_stored] = await context.reader.row(f"SELECT EXISTS ({statement})", values)
        if is_stored:
            return ProblemError(
                409,
                f"the splits of {history.symbol} are not known yet: Dagster fetches them every night, "
                "`market-pipeline backfill --marts` at once; adjustment=none gives prices as traded",
            )
    detail = f"No data found for {history.symbol} ({history.start} to {history.end})"
    tracked, capital = await context.reader.row(
        "SELECT count(*) FILTER (WHERE symbol = %s), count(*) FILTER (WHERE symbol = upper(%s)) FROM tracked_symbols",
        [history.symbol, history.symbol],
    )
    if not tracked:
        detail += f": did you mean {history.symbol.upper()}?" if capital else f": {history.symbol} is not tracked"
    return ProblemError(404, detail)
