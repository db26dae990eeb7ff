"""The documentation: `/openapi.json`, and two pages that show it. They need a key if reading does.

Their files are in the folder `static`, without inline scripts, so one security policy is for all pages.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.page import STATIC
from market_pipeline.api.problems import ProblemError


def document_routes() -> list[BaseRoute]:
    """Return the routes of the document and its pages."""
    return [Route("/openapi.json", _document), Route("/docs", _page("docs.html")), Route("/redoc", _page("redoc.html"))]


async def _document(request: Request) -> Response:
    context = await check_reader(request)
    with suppress(ProblemError):  # without a database the other routes are still documented
        await context.catalog.refresh()
    return Response(orjson.dumps(request.app.state.openapi()), media_type="application/json")


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        await check_reader(request)
        return FileResponse(STATIC / name)

    return page
