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


def build_document_routes() -> list[BaseRoute]:
    """Return the routes of the document and its pages."""
    return [
        Route("/openapi.json", _serve_document),
        Route("/docs", _create_page_endpoint("docs.html")),
        Route("/redoc", _create_page_endpoint("redoc.html")),
    ]


async def _serve_document(request: Request) -> Response:
    context = await check_reader(request)
    with suppress(ProblemError):  # without a database the other routes are still documented
        await context.catalog.refresh()
    return Response(orjson.dumps(request.app.state.openapi()), media_type="application/json")


def _create_page_endpoint(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve_page(request: Request) -> Response:
        await check_reader(request)
        return FileResponse(STATIC / name)

    return serve_page
