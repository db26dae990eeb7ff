"""Serving an assistant: over standard input and output, or over HTTP behind the API's keys."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.concurrency import run_in_threadpool
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from market_pipeline.api.admin.auth import HEADER
from market_pipeline.api.client_rate_limit import RateLimitMiddleware
from market_pipeline.api.context import ReadingContext
from market_pipeline.api.generated.catalog import Catalog
from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.http_protocol import ApiServer
from market_pipeline.api.limits import BODY_BYTES
from market_pipeline.api.problems import ProblemError, build_problem_response, to_problem
from market_pipeline.api.server import create_http_server
from market_pipeline.assistants.analyst_query import AnalystQueries
from market_pipeline.assistants.protocol import AssistantServer, create_server
from market_pipeline.core.errors import UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import is_loopback
from market_pipeline.warehouse.api_keys import accept_key
from market_pipeline.warehouse.assistant_role import AssistantLogin, find_reading_role, find_reading_user
from market_pipeline.warehouse.database import find_database_url, warehouse_of

PATH = "/mcp"

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names that a client on this machine may call us by. A page in a browser could lead another name to us."""


class AssistantKeyError(UsageError):
    """Keys are required, and DATABASE_URL's user can't check them."""


@contextmanager
def open_assistant(settings: Settings) -> Iterator[tuple[AssistantServer, Engine]]:
    """Open the warehouse inside the block; yield a server over it, and the warehouse.

    Raises:
        MarketPipelineError: the database can't be used, or its reading role can't be made.
    """
    with warehouse_of(settings) as warehouse:
        role = find_reading_role(warehouse)
        reader = Reader(find_database_url(settings), role, most=settings.database_max_connections)
        context = ReadingContext(settings=settings, reader=reader, catalog=Catalog(reader), warehouse=warehouse)
        yield create_server(context, AnalystQueries(AssistantLogin(warehouse, settings))), warehouse


def serve_stdio(settings: Settings) -> None:
    """Serve one assistant over standard input and output until it closes them.

    Raises:
        MarketPipelineError: the database can't be used, or its reading role can't be made.
    """
    with open_assistant(settings) as (server, _):
        asyncio.run(server.run_stdio_async())


def requires_key(settings: Settings, host: str) -> bool:
    """Return True if requests need a key: beyond this machine, or with API_KEY_REQUIRED."""
    return settings.api_key_required or not is_loopback(host)


@contextmanager
def open_http_server(settings: Settings, host: str) -> Iterator[ApiServer]:
    """Open the HTTP server for a socket on `host`. Its `run([socket])` serves requests until it is stopped.

    Raises:
        AssistantKeyError: keys are required, and DATABASE_URL's user can't check them.
        MarketPipelineError: the database can't be used, or its reading role can't be made.
    """
    with open_assistant(settings) as (server, warehouse):
        keyed = requires_key(settings, host)
        if keyed and find_reading_user(warehouse):
            raise AssistantKeyError(
                "requests need an API key here, which DATABASE_URL's user may not check: use the address of the "
                "warehouse's owner, or listen on 127.0.0.1 without API_KEY_REQUIRED"
            )
        # Without sessions a client may come back after a restart, and none is kept for clients that are gone.
        app: ASGIApp = server.streamable_http_app(
            streamable_http_path=PATH,
            stateless_http=True,
            json_response=True,
            max_request_body_size=BODY_BYTES,
            transport_security=_build_transport_security(host),
        )
        if keyed:
            app = KeyMiddleware(app, warehouse)
        if settings.api_requests_per_minute:
            app = RateLimitMiddleware(app, settings.api_requests_per_minute)
        with create_http_server(app, settings) as http:
            yield http


def _build_transport_security(host: str) -> TransportSecuritySettings:
    if not is_loopback(host):  # a key is required instead
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    names = {*LOOPBACK_NAMES, host}
    return TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in names], allowed_origins=[f"http://{name}:*" for name in names]
    )


class KeyMiddleware:
    """Responds with 401 to requests without a valid API key, as X-API-Key or as a bearer token."""

    def __init__(self, app: ASGIApp, warehouse: Engine) -> None:
        self._app, self._warehouse = app, warehouse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "http":
            try:
                await self._check(Headers(scope=scope))
            except Exception as error:
                await build_problem_response(to_problem(error), scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _check(self, headers: Headers) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = headers.get(HEADER) or (token.strip() if scheme.lower() == "bearer" else "")
        if not key or await run_in_threadpool(accept_key, self._warehouse, SecretStr(key)) is None:
            detail = f"send a valid API key as {HEADER} or as a bearer token: `market-pipeline keys create` makes one"
            raise ProblemError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="Market Pipeline"'})
