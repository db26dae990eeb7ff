"""The endpoint `/api/v1/universe`: the tickers that traded on a session of a market, now or as stored at an instant.

It is a query like a table's, over the SQL function `universe`.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.generated.envelopes import create_envelope
from market_pipeline.api.generated.formats import ResponseFormat
from market_pipeline.api.generated.instants import resolve_snapshot, settle_instant
from market_pipeline.api.generated.negotiation import negotiate_format
from market_pipeline.api.generated.query_params import read_query_string
from market_pipeline.api.generated.responses import NoRowsError, respond
from market_pipeline.api.generated.universe_params import MOST_ROWS, parse_universe_request
from market_pipeline.warehouse.universe import describe_types, require_universe

PATH = "/api/v1/universe"


async def read_universe(request: Request) -> Response:
    """Return the tickers that traded on a session, those that are gone now among them."""
    context = await check_reader(request)
    parameters = parse_universe_request(await resolve_snapshot(context, read_query_string(request)))
    await settle_instant(context, parameters.as_of)
    kind = negotiate_format(request, parameters.format)
    note = None
    if parameters.type is not None and kind is ResponseFormat.JSON:
        notes = await asyncio.to_thread(
            describe_types, context.warehouse, parameters.market, parameters.date, parameters.type, parameters.as_of
        )
        note = " ".join(notes) or None
    envelope = create_envelope({"market": parameters.market.name, "date": parameters.date, "note": note})

    async def respond_with(*, needs_rows: bool) -> Response:
        return await respond(
            request, context, parameters.query, kind, envelope, needs_rows=needs_rows, most_complete=MOST_ROWS
        )

    try:
        return await respond_with(needs_rows=True)
    except NoRowsError:
        await asyncio.to_thread(
            require_universe, context.warehouse, parameters.market, parameters.date, parameters.as_of
        )
    return await respond_with(needs_rows=False)  # the session is there, and no ticker meets the conditions
