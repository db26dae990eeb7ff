"""The API as an ASGI application: its routes, what every request passes, and what is opened and closed with it.

The generated routes, which carry the load, are plain Starlette; what they don't match is FastAPI's.
"""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry, disable_created_metrics
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from market_pipeline.api import status
from market_pipeline.api.admin import backfills, keys, symbols
from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.client_rate_limit import RequestLimit
from market_pipeline.api.compression import Compressed
from market_pipeline.api.context import Context
from market_pipeline.api.documentation import document_routes
from market_pipeline.api.generated import historical, tables
from market_pipeline.api.generated.openapi import DESCRIPTION, PROBLEM, with_generated
from market_pipeline.api.metrics import PATH as METRICS
from market_pipeline.api.metrics import Counted, RequestMetrics, metrics_routes
from market_pipeline.api.page import page_routes
from market_pipeline.api.pipeline_metrics import PipelineMetrics
from market_pipeline.api.problems import ProblemError, respond_with_problem
from market_pipeline.api.route_shortcut import Shortcut
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings

ERRORS = (ProblemError, HTTPException, RequestValidationError, MarketPipelineError, Exception)
HANDLERS: dict[Any, Any] = dict.fromkeys(ERRORS, respond_with_problem)


def create_app(context: Context) -> Starlette:
    """The API over this context, whose reader it opens and closes."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await context.reader.open()
        # What is imported stays: looking through it for garbage, again and again, would hold up every request.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            await context.reader.close()

    documented = _documented(context)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of no use to anyone
    registry = CollectorRegistry()

    busy = [Route(historical.PATH, historical.historical), Route(tables.PATH + "/{table}", tables.read_table)]
    routes = [
        *busy,
        *document_routes(),
        *metrics_routes(PipelineMetrics(context.reader, context.instance), registry),
        *page_routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Counted, metrics=RequestMetrics(registry)),
            *_middleware(context.settings),
            Middleware(Shortcut, routes=busy),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = documented
    for each in (app, documented):
        each.state.context, each.state.openapi = context, documented.openapi
    return app


def _documented(context: Context) -> FastAPI:
    """The endpoints that are not generated, and the documentation of all."""
    app = FastAPIOffline(
        docs_url=None,  # it has a script in the page; documents.py has pages without
        redoc_url=None,
        title="Market Pipeline",
        version=version("market-pipeline"),
        description=DESCRIPTION,
        responses={"default": PROBLEM},
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    app.include_router(status.health_router)  # which a load balancer asks without a key
    for router in (status.router, tables.router):
        app.include_router(router, dependencies=[Depends(check_reader)])
    app.include_router(symbols.router)
    app.include_router(backfills.router)
    app.include_router(keys.router)
    written = app.openapi

    def openapi() -> dict[str, Any]:
        return with_generated(written(), context.catalog.relations.values(), context.settings)

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """What every request that was counted passes, the outermost first."""
    found = []
    if origins := [origin.strip() for origin in settings.api_cors_origins.split(",") if origin.strip()]:
        exposed, headers = ["Link", "ETag", "X-Adjustment"], ["X-API-Key"]
        found.append(Middleware(CORSMiddleware, allow_origins=origins, allow_headers=headers, expose_headers=exposed))
    if settings.api_requests_per_minute:
        limit = settings.api_requests_per_minute
        found.append(Middleware(RequestLimit, requests_per_minute=limit, but_for=METRICS))
    return [*found, Middleware(Compressed)]
