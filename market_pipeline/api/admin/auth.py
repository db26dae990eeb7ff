"""Authentication and authorization by API key, and the audit trail of administrators' requests.

Keys are stored by `warehouse.api_keys`.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers

from market_pipeline.api.context import Context, get_context
from market_pipeline.api.problems import ProblemError, to_problem
from market_pipeline.api.request_bodies import load_body
from market_pipeline.core.sockets import is_loopback
from market_pipeline.warehouse.api_keys import ApiKey, Scope, accept_key, record_use
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError

HEADER = "X-API-Key"
SHORT_HEADER = "apikey"
"""The header by which PostgREST's clients of Supabase send a key."""

NO_NULL = r"^[^\x00]*$"
"""Pattern of text that PostgreSQL can store."""

BASIC = 'Basic realm="Market Pipeline: an API key as the password", charset="UTF-8"'

key_header = APIKeyHeader(
    name=HEADER, auto_error=False, description="Made with `market-pipeline keys create NAME --scope admin`."
)
"""Documents that a route needs a key. `AuditedRoute` checks it before the request's body is read."""


def _check_administrator(request: Request) -> ApiKey:
    """Return the request's key if its scope is admin. A valid key is kept for the audit trail in any case.

    Raises:
        ProblemError: 401 without a valid key, 403 with one of scope read.
    """
    key = check_key(get_context(request), request.headers.get(HEADER))
    request.state.key = key
    if key.scope is not Scope.ADMIN:
        raise ProblemError(403, f"the key {key.id} may only read: this needs one of the scope admin")
    return key


async def check_reader(request: Request) -> Context:
    """Check the request's key if reading needs one, else its host; return the request's context.

    Raises:
        ProblemError: 401 without a valid key, 421 if it needs none and may be a foreign page's.
    """
    context = get_context(request)
    if context.settings.api_key_required:
        key = find_key(request.headers)
        try:
            await run_in_threadpool(check_key, context, key)
        except ProblemError as problem:
            if "text/html" in request.headers.get("accept", ""):  # a browser, which can prompt for a password
                raise ProblemError(problem.status, problem.detail, headers={"WWW-Authenticate": BASIC}) from None
            raise
    elif not context.settings.trusted_proxies and _is_rebound(request):
        raise ProblemError(
            421,
            "without keys, a server that only this machine reaches rejects requests for another host: request "
            f"http://localhost:{request.scope['server'][1]}, or set API_KEY_REQUIRED=true",
        )
    return context


def _is_rebound(request: Request) -> bool:
    """Return True if a request reached a loopback server under a name that is not this machine's.

    A page on the web can give its own name this machine's address (DNS rebinding): the browser then lets it read.
    """
    server = request.scope.get("server")  # a request within this process has none
    return server is not None and is_loopback_name(server[0]) and not names_this_machine(request)


def names_this_machine(request: Request) -> bool:
    """Return True if a request's Host is a name of this machine, or missing as no browser's is."""
    for name, value in request.scope["headers"]:
        if name == b"host":
            return _is_own_host(value.decode("latin-1"))
    return True


@lru_cache(maxsize=256)
def _is_own_host(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    return is_loopback(name) or name.endswith(".localhost")  # reserved by RFC 6761


is_loopback_name = lru_cache(is_loopback)  # parsing an address takes as long as parsing a query


async def may_read(request: Request) -> bool:
    """Return True if a request may read."""
    try:
        await check_reader(request)
    except (ProblemError, DatabaseUnavailableError, SQLAlchemyError):
        return False
    return True


def find_key(headers: Headers) -> str | None:
    """Return a reading request's key: from a header of its own, a bearer token, or a password."""
    key = headers.get(HEADER) or headers.get(SHORT_HEADER)
    if key:
        return key
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":  # a browser
            return _parse_password(credentials)
    return None


def _parse_password(encoded: str) -> str | None:
    """Return the password of HTTP Basic."""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def check_key(context: Context, key: str | None) -> ApiKey:
    """Return an accepted key.

    Raises:
        ProblemError: 401 without a valid key.
    """
    if not key:
        raise _build_unauthorized_problem(f"Missing {HEADER} header")
    accepted = accept_key(context.warehouse, SecretStr(key))
    if accepted is None:
        raise _build_unauthorized_problem("Invalid or inactive API key")
    return accepted


def _build_unauthorized_problem(detail: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'})


class AuditedRoute(APIRoute):
    """A route for administrators: its requests are recorded in the audit trail of their key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return a handler that checks the key, reads the body, handles the request and records it."""
        handle = super().get_route_handler()

        async def handle_and_record(request: Request) -> Response:
            try:
                await run_in_threadpool(_check_administrator, request)
                response = await handle(await load_body(request))
            except (Exception, asyncio.CancelledError) as error:
                await _record(request, to_problem(error).status)
                raise
            await _record(request, response.status_code)
            return response

        return handle_and_record


async def _record(request: Request, status: int) -> None:
    key: ApiKey | None = getattr(request.state, "key", None)
    if key is not None:
        path = request.scope["raw_path"].decode(
            "latin-1"
        )  # as it was sent: decoded, it may have characters that can't be stored
        await run_in_threadpool(record_use, get_context(request).warehouse, key, request.method, path, status)
