"""The endpoints `/udf/...`: TradingView's datafeed protocol UDF, with the protocol's form of errors.

See https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF. A chart's datafeed URL is `/udf`, or
`/udf/{adjustment}` for prices of another adjustment than the default.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.context import Context
from market_pipeline.api.generated.history_params import SOURCES
from market_pipeline.api.generated.query_params import read_query_string
from market_pipeline.api.generated.responses import BytesResponse
from market_pipeline.api.problems import ProblemError, to_problem
from market_pipeline.api.udf.udf_history import parse_chart_request, read_chart_bars
from market_pipeline.api.udf.udf_symbols import CONFIGURATION, describe_symbol, search_chart_symbols

PATH = "/udf/{call}"
ADJUSTED_PATH = "/udf/{adjustment}/{call}"
JSON = "application/json"
NO_CACHE = {"cache-control": "no-cache"}
HISTORY_HEADERS = {
    adjustment: [
        (b"content-type", JSON.encode()),
        (b"cache-control", b"no-cache"),
        (b"x-adjustment", adjustment.encode()),
    ]
    for adjustment in SOURCES
}
"""Headers of bars of each adjustment, encoded once: encoding them takes as long as the rest of a small response."""

Call = Callable[[Request, Context], Awaitable[Response]]


def build_udf_routes() -> list[Route]:
    """Return the routes, the one with most of the load first."""
    return [Route(path, respond_to_call) for path in (PATH, ADJUSTED_PATH)]


async def respond_to_call(request: Request) -> Response:
    """Return the response to a call of the protocol; an error is in its form."""
    try:
        call = _find_call(request.path_params["call"], request.path_params.get("adjustment"))
        return await call(request, await check_reader(request))
    except Exception as error:
        problem = to_problem(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logging.getLogger(__name__).exception("%s %s", request.method, request.scope["path"])
        body = orjson.dumps({"s": "error", "errmsg": problem.detail})
        return Response(body, problem.status, {"cache-control": "no-store", **(problem.headers or {})}, JSON)


def _find_call(name: str, adjustment: str | None) -> Call:
    if name not in CALLS or adjustment not in (None, *SOURCES):
        calls, adjustments = ", ".join(CALLS), ", ".join(SOURCES)
        raise ProblemError(404, f"there is no such call: use /udf/CALL or /udf/ADJUSTMENT/CALL, {calls}; {adjustments}")
    return CALLS[name]


def _respond_with(value: object) -> Response:
    return Response(orjson.dumps(value), headers=NO_CACHE, media_type=JSON)


async def _configure(_request: Request, _context: Context) -> Response:
    return _respond_with(CONFIGURATION)


async def _respond_with_time(_request: Request, _context: Context) -> Response:
    return Response(str(int(time.time())), headers=NO_CACHE, media_type="text/plain")


async def _describe(request: Request, context: Context) -> Response:
    return _respond_with(await describe_symbol(context, read_query_string(request)))


async def _search(request: Request, context: Context) -> Response:
    return _respond_with(await search_chart_symbols(context, read_query_string(request)))


async def _read_history(request: Request, context: Context) -> Response:
    chart = parse_chart_request(read_query_string(request), request.path_params.get("adjustment"))
    found, adjustment = await read_chart_bars(context, chart)
    body = found.encode()
    return BytesResponse(200, [*HISTORY_HEADERS[adjustment], (b"content-length", b"%d" % len(body))], body)


CALLS: Mapping[str, Call] = {
    "config": _configure,
    "symbols": _describe,
    "search": _search,
    "history": _read_history,
    "time": _respond_with_time,
}
"""The calls of the protocol; quotes and marks aren't offered."""
