"""The web page at `/`, from the folder `static`; clients other than browsers get a list of the endpoints.

Removed paths of the earlier service respond with 410 and the name of their replacement.
"""

from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from market_pipeline.api.problems import ProblemError

STATIC = Path(__file__).parent / "static"
HEADERS = [
    # The chart library and the documentation have inline styles; the documentation also has images in its styles, and a
    # worker for its search.
    (
        "content-security-policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
]
"""Headers of every response."""

NO_CACHE = "nothing is cached, every response is read from the database: /metrics has their durations"
GONE = {
    "/api/v1/observability/metrics": "/metrics counts and times requests, in the form that Prometheus reads",
    "/api/v1/observability/alerts": "alerts go out by webhook and e-mail; /api/v1/tables/runs has the runs that failed",
    "/api/v1/performance/cache": NO_CACHE,
    "/api/v1/performance/queries": NO_CACHE,
    "/api/v1/performance/summary": NO_CACHE,
}
"""Paths of the earlier service that showed one process's memory, and their replacements."""


def build_page_routes() -> list[BaseRoute]:
    """Return the routes of the page, its files, and the earlier paths."""
    return [
        Route("/", _serve_front),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/dashboard", _redirect_dashboard),
        *(Route(path, _reject_gone) for path in GONE),
    ]


async def _redirect_dashboard(_request: Request) -> Response:
    return RedirectResponse("/")


async def _reject_gone(request: Request) -> Response:
    raise ProblemError(HTTPStatus.GONE, GONE[request.scope["path"]])


async def _serve_front(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return FileResponse(STATIC / "index.html", headers={"vary": "Accept"})
    return JSONResponse(
        {
            "name": "Market Pipeline",
            "version": version("market-pipeline"),
            "description": "A warehouse of daily market data that runs itself.",
            "dashboard": "/dashboard",
            "dashboard_direct": "/",
            "docs": "/docs",
            "authentication": "X-API-Key, for all below /api/v1/admin/",
            "endpoints": {
                "health": "/health",
                "status": "/api/v1/status",
                "historical": "/api/v1/historical/{symbol}?start=YYYY-MM-DD&end=YYYY-MM-DD",
                "symbols": "/api/v1/symbols",
                "universe": "/api/v1/universe?date=YYYY-MM-DD",
                "metrics": "/api/v1/metrics",
                "tables": "/api/v1/tables",
            },
        },
        headers={"vary": "Accept"},
    )
