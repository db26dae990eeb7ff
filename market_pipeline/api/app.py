"""The API as an ASGI application: its routes, its middleware, and its start and end.

The generated routes, which have most of the load, are plain Starlette; FastAPI serves the others.
"""

import gc
from collections.abc import AsyncIterator, Mapping, Sequence
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
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from market_pipeline.api import changes, status, symbol_search
from market_pipeline.api.admin import backfills, keys, symbols
from market_pipeline.api.admin.auth import HEADER, check_reader
from market_pipeline.api.client_rate_limit import RateLimitMiddleware
from market_pipeline.api.compression import CompressionMiddleware
from market_pipeline.api.context import Context
from market_pipeline.api.documentation import document_routes
from market_pipeline.api.generated import historical, tables, universe
from market_pipeline.api.generated.openapi import DESCRIPTION, add_generated_routes
from market_pipeline.api.generated.openapi_parts import PROBLEM
from market_pipeline.api.metrics import PATH as METRICS
from market_pipeline.api.metrics import CountingMiddleware, RequestMetrics, metrics_routes
from market_pipeline.api.page import page_routes
from market_pipeline.api.pipeline_metrics import PipelineMetrics
from market_pipeline.api.postgrest.rest_openapi import add_rest_operation
from market_pipeline.api.postgrest.rest_tables import EXPOSED_HEADERS, SENT_HEADERS, rest_routes
from market_pipeline.api.problems import ProblemError, respond_with_problem
from market_pipeline.api.udf.udf_openapi import add_udf_operations
from market_pipeline.api.udf.udf_routes import udf_routes
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings

ERRORS = (ProblemError, HTTPException, RequestValidationError, MarketPipelineError, Exception)
HANDLERS: dict[Any, Any] = dict.fromkeys(ERRORS, respond_with_problem)


def create_app(context: Context) -> Starlette:
    """Create the API over a context, whose reader it opens and closes."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await context.reader.open()
        # Imported objects stay alive: scanning them again and again in garbage collections would delay requests.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()
            context.files.close()
            await context.reader.close()

    documented = _fastapi_app(context)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it would add a second series for each counter
    registry = CollectorRegistry()

    table_route, *other_rest_routes = rest_routes()
    chart_route, *other_chart_routes = udf_routes()
    shortcut_routes = [
        Route(historical.PATH, historical.historical),
        Route(tables.PATH + "/{table}", tables.read_table),
        table_route,
        chart_route,
    ]
    routes = [
        *shortcut_routes,
        *other_rest_routes,
        *other_chart_routes,
        Route(universe.PATH, universe.read_universe),
        *document_routes(),
        *metrics_routes(PipelineMetrics(context.reader, context.instance), registry),
        *page_routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(CountingMiddleware, metrics=RequestMetrics(registry)),
            *_middleware(context.settings),
            Middleware(RouteShortcut, routes=shortcut_routes),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = documented
    for each in (app, documented):
        each.state.context, each.state.openapi = context, documented.openapi
    return app


def _fastapi_app(context: Context) -> FastAPI:
    """Create the application of the endpoints that are not generated, and of the documentation."""
    app = FastAPIOffline(
        docs_url=None,  # it has an inline script; `documentation` has pages without
        redoc_url=None,
        title="Market Pipeline",
        version=version("market-pipeline"),
        description=DESCRIPTION,
        responses={"default": PROBLEM},
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    app.include_router(status.health_router)  # for load balancers, without a key
    for router in (status.router, symbol_search.router, tables.router, changes.router):
        app.include_router(router, dependencies=[Depends(check_reader)])
    app.include_router(symbols.router)
    app.include_router(backfills.router)
    app.include_router(keys.router)
    fastapi_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        relations = context.catalog.relations
        document = add_generated_routes(fastapi_openapi(), relations.values(), context.settings)
        return add_udf_operations(add_rest_operation(document, relations))

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware of every counted request, the outermost first."""
    middleware = []
    if origins := [origin.strip() for origin in settings.api_cors_origins.split(",") if origin.strip()]:
        exposed = ["Link", "ETag", "X-Adjustment", *EXPOSED_HEADERS]
        middleware.append(
            Middleware(
                CORSMiddleware, allow_origins=origins, allow_headers=[HEADER, *SENT_HEADERS], expose_headers=exposed
            )
        )
    if settings.api_requests_per_minute:
        limit = settings.api_requests_per_minute
        middleware.append(Middleware(RateLimitMiddleware, requests_per_minute=limit, but_for=METRICS))
    return [*middleware, Middleware(CompressionMiddleware)]


class RouteShortcut:
    """Serves GET on routes of the form `/fixed/path/{name}` without Starlette's router.

    The router takes as long as parsing the request. The application has the same routes, for other methods.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._routes: Mapping[str, Route] = {route.path.rpartition("/")[0]: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        folder, _, name = scope["path"].rpartition("/") if scope["type"] == "http" else ("", "", "")
        route = self._routes.get(folder)
        if route is None or not name or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, dict.fromkeys(route.param_convertors, name)
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            response = await respond_with_problem(request, error)
        await response(scope, receive, send)
