"""The API as an ASGI application: its routes, its middleware, and its start and end.

The generated routes, which have most of the load, are plain Starlette; FastAPI serves the others.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
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
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from market_pipeline.api import changes, status, symbol_search
from market_pipeline.api.admin import backfills, keys, symbols
from market_pipeline.api.admin.auth import HEADER, check_reader
from market_pipeline.api.client_rate_limit import RateLimitMiddleware
from market_pipeline.api.compression import CompressionMiddleware
from market_pipeline.api.context import Context
from market_pipeline.api.documentation import build_document_routes
from market_pipeline.api.generated import historical, tables, universe
from market_pipeline.api.generated.openapi import DESCRIPTION, add_generated_routes
from market_pipeline.api.generated.openapi_parts import PROBLEM
from market_pipeline.api.metrics import PATH as METRICS
from market_pipeline.api.metrics import CountingMiddleware, RequestMetrics, build_metrics_routes
from market_pipeline.api.page import build_page_routes
from market_pipeline.api.pipeline_metrics import PipelineMetrics
from market_pipeline.api.postgrest.rest_openapi import add_rest_operation
from market_pipeline.api.postgrest.rest_tables import EXPOSED_HEADERS, SENT_HEADERS, build_rest_routes
from market_pipeline.api.problems import ProblemError, build_problem_response, respond_with_problem
from market_pipeline.api.udf.udf_openapi import add_udf_operations
from market_pipeline.api.udf.udf_routes import build_udf_routes
from market_pipeline.api.vendor_dialect.dialect_responses import build_dialect_problem
from market_pipeline.api.vendor_dialect.dialect_routes import build_dialect_routes, is_of_dialect
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings

ERRORS = (ProblemError, HTTPException, RequestValidationError, MarketPipelineError, Exception)
HANDLERS: dict[Any, Any] = dict.fromkeys(ERRORS, respond_with_problem)


def create_app(context: Context) -> Starlette:
    """Create the API over a context, whose reader it opens and closes."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await context.reader.open()
        try:
            yield
        finally:
            context.files.close()
            await context.reader.close()

    documented = _create_fastapi_app(context)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it would add a second series for each counter
    registry = CollectorRegistry()

    table_route, *other_rest_routes = build_rest_routes()
    chart_route, *other_chart_routes = build_udf_routes()
    shortcut_routes = [
        Route(historical.PATH, historical.read_historical),
        Route(tables.PATH + "/{table}", tables.read_table),
        table_route,
        chart_route,
    ]
    vendor_routes = build_dialect_routes(context.reader) if context.settings.api_vendor_dialect else ()
    routes = [
        *vendor_routes,
        *shortcut_routes,
        *other_rest_routes,
        *other_chart_routes,
        Route(universe.PATH, universe.read_universe),
        *build_document_routes(),
        *build_metrics_routes(PipelineMetrics(context.reader, context.instance), registry),
        *build_page_routes(),
    ]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(CountingMiddleware, metrics=RequestMetrics(registry)),
            *_build_middleware(context.settings),
            Middleware(RouteShortcut, routes=shortcut_routes, longer=next(iter(vendor_routes), None)),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = HeadRequests(documented)
    for each in (app, documented):
        each.state.context, each.state.openapi = context, documented.openapi
    return app


def _create_fastapi_app(context: Context) -> FastAPI:
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


def _build_middleware(settings: Settings) -> list[Middleware]:
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
        middleware.append(
            Middleware(
                RateLimitMiddleware,
                requests_per_minute=settings.api_requests_per_minute,
                is_exempt=partial(_is_unlimited, settings),
                respond=_respond_at_limit,
            )
        )
    return [*middleware, Middleware(CompressionMiddleware)]


def _is_unlimited(settings: Settings, path: str) -> bool:
    """Return True if requests for a path have no limit; the vendor's dialect has one only if it is set."""
    return path == METRICS or (
        settings.api_vendor_dialect and not settings.limits_vendor_dialect and is_of_dialect(path)
    )


def _respond_at_limit(problem: ProblemError, path: str) -> Response:
    return build_dialect_problem(problem) if is_of_dialect(path) else build_problem_response(problem, path)


class HeadRequests:
    """Passes HEAD on as GET, which FastAPI's routes have alone. The server sends no body, as the request is HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        passed = {**scope, "method": "GET"}
        try:
            await self._app(passed, receive, send)
        finally:
            scope["route"] = passed.get("route")  # for the count of requests


class RouteShortcut:
    """Serves GET without Starlette's router on routes `/fixed/path/{name}`, and on a longer one.

    The router takes as long as parsing the request. The application has the same routes, for other methods.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route], longer: Route | None = None) -> None:
        self._app = app
        self._routes: Mapping[str, Route] = {route.path.rpartition("/")[0]: route for route in routes}
        self._longer = longer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        folder, _, name = scope["path"].rpartition("/") if scope["type"] == "http" else ("", "", "")
        route = self._routes.get(folder)
        values = dict.fromkeys(route.param_convertors, name) if route and name else self._match_longer(scope)
        route = route or self._longer
        if route is None or not values or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = route, values
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            response = await respond_with_problem(request, error)
        await response(scope, receive, send)

    def _match_longer(self, scope: Scope) -> Mapping[str, str]:
        """Return the values of the longer route's parameters; none if a path is not of it."""
        found = self._longer.path_regex.match(scope["path"]) if self._longer and scope["type"] == "http" else None
        return found.groupdict() if found else {}
