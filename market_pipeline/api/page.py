"""The page for people at `/`, whose files are in the folder `static`; programs get a list of what there is instead."""

from importlib.metadata import version
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"
HEADERS = {
    # The chart library sets styles of its own.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def page_routes() -> list[BaseRoute]:
    """The page and its files."""
    return [Route("/", _front), Mount("/static", StaticFiles(directory=STATIC))]


async def _front(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return FileResponse(STATIC / "index.html", headers={**HEADERS, "vary": "Accept"})
    return JSONResponse(
        {
            "name": "Market Pipeline",
            "version": version("market-pipeline"),
            "description": "A warehouse of daily market data that runs itself.",
            "docs": "/docs",
            "authentication": "X-API-Key for /api/v1/admin/ and to start a backfill",
            "endpoints": {
                "health": "/health",
                "status": "/api/v1/status",
                "historical": "/api/v1/historical/{symbol}?start=YYYY-MM-DD&end=YYYY-MM-DD",
                "symbols": "/api/v1/symbols",
                "metrics": "/api/v1/metrics",
                "tables": "/api/v1/tables",
            },
        },
        headers={"vary": "Accept"},
    )
