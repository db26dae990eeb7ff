"""Who may do what: the key that a request comes with, and the record of what it was used for.

Keys are made and kept by warehouse/api_keys.py; here they are asked for.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import SecretStr

from market_pipeline.api.context import Context, InContext, context_of
from market_pipeline.api.problems import ProblemError, as_problem
from market_pipeline.warehouse.api_keys import ApiKey, Scope, accepted_key, record_use

HEADER = "X-API-Key"
NO_NULL = r"^[^\x00]*$"
"""The pattern of a text that PostgreSQL can hold."""

_in_header = APIKeyHeader(
    name=HEADER, auto_error=False, description="Made with `market-pipeline keys create NAME --scope admin`."
)


def admin_key(request: Request, context: InContext, key: Annotated[str | None, Depends(_in_header)]) -> None:
    """Make sure that the request comes with the key of an administrator, and keep it for the audit trail.

    Raises:
        ProblemError: 401 without a key that is good, 403 with one that may only read.
    """
    accepted = _accepted(context, key)
    request.state.key = accepted
    if accepted.scope is not Scope.ADMIN:
        raise ProblemError(403, f"the key {accepted.id} may only read: this takes one of the scope admin")


async def check_reader(request: Request) -> Context:
    """The context of a request that may read, where reading takes a key.

    Raises:
        ProblemError: 401 without a key that is good.
    """
    context = context_of(request)
    if context.settings.api_key_required:
        await run_in_threadpool(_accepted, context, request.headers.get(HEADER))
    return context


def _accepted(context: Context, key: str | None) -> ApiKey:
    if not key:
        raise _unauthorized(f"Missing {HEADER} header")
    accepted = accepted_key(context.warehouse, SecretStr(key))
    if accepted is None:
        raise _unauthorized("Invalid or inactive API key")
    return accepted


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'})


class AuditedRoute(APIRoute):
    """A route whose requests are recorded in the audit trail of the key that they came with."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the recording behind it."""
        handle = super().get_route_handler()

        async def audited(request: Request) -> Response:
            try:
                response = await handle(request)
            except Exception as error:
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
