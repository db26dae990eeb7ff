"""Who may do what: the key that a request comes with, and the record of what it was used for.

Keys are made and kept by warehouse/api_keys.py; here they are asked for.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from market_pipeline.api.context import Context, context_of
from market_pipeline.api.problems import ProblemError, as_problem
from market_pipeline.api.request_bodies import with_body
from market_pipeline.warehouse.api_keys import ApiKey, Scope, accept_key, record_use
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError

HEADER = "X-API-Key"
NO_NULL = r"^[^\x00]*$"
"""The pattern of a text that PostgreSQL can hold."""

BASIC = 'Basic realm="Market Pipeline: an API key as the password", charset="UTF-8"'

key_header = APIKeyHeader(
    name=HEADER, auto_error=False, description="Made with `market-pipeline keys create NAME --scope admin`."
)
"""Documents that a route takes a key. Which it is, is asked before the body of a request is read."""


def _administrator(request: Request) -> ApiKey:
    """The key of an administrator that the request comes with; kept for the audit trail, as one for reading is.

    Raises:
        ProblemError: 401 without a key that is good, 403 with one that may only read.
    """
    accepted = _accepted(context_of(request), request.headers.get(HEADER))
    request.state.key = accepted
    if accepted.scope is not Scope.ADMIN:
        raise ProblemError(403, f"the key {accepted.id} may only read: this takes one of the scope admin")
    return accepted


async def check_reader(request: Request) -> Context:
    """The context of a request that may read, where reading takes a key.

    Raises:
        ProblemError: 401 without a key that is good.
    """
    context = context_of(request)
    if context.settings.api_key_required:
        key = request.headers.get(HEADER) or _password(request.headers.get("authorization", ""))
        try:
            await run_in_threadpool(_accepted, context, key)
        except ProblemError as problem:
            if "text/html" in request.headers.get("accept", ""):  # a browser, which can ask for a password
                raise ProblemError(problem.status, problem.detail, headers={"WWW-Authenticate": BASIC}) from None
            raise
    return context


async def may_read(request: Request) -> bool:
    """True if a request may read."""
    try:
        await check_reader(request)
    except (ProblemError, DatabaseUnavailableError, SQLAlchemyError):
        return False
    return True


def _password(authorization: str) -> str | None:
    """The password of HTTP Basic, in whose place a browser sends a key."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _accepted(context: Context, key: str | None) -> ApiKey:
    if not key:
        raise _unauthorized(f"Missing {HEADER} header")
    accepted = accept_key(context.warehouse, SecretStr(key))
    if accepted is None:
        raise _unauthorized("Invalid or inactive API key")
    return accepted


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'})


class AuditedRoute(APIRoute):
    """A route for administrators, whose requests are recorded in the audit trail of the key that they came with."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the key asked for and the body read before it, and the recording behind it."""
        handle = super().get_route_handler()

        async def audited(request: Request) -> Response:
            try:
                await run_in_threadpool(_administrator, request)
                response = await handle(await with_body(request))
            except (Exception, asyncio.CancelledError) as error:
                await _record(request, as_problem(error).status)
                raise
            await _record(request, response.status_code)
            return response

        return audited


async def _record(request: Request, status: int) -> None:
    key: ApiKey | None = getattr(request.state, "key", None)
    if key is not None:
        path = request.scope["raw_path"].decode("latin-1")  # as it was sent: decoded, it may hold what no table can
        await run_in_threadpool(record_use, context_of(request).warehouse, key, request.method, path, status)
