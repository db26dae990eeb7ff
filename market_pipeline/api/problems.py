"""Errors of the API as RFC 9457's problem+json, with a reason for every wrong field."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.warehouse.api_keys import UnknownKeyError
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError
from market_pipeline.warehouse.tracked_symbols import NameTakenError, UntrackedSymbolError
from market_pipeline.warehouse.universe import NoUniverseError

MEDIA_TYPE = "application/problem+json"

CLIENT_GONE = 499
"""Status recorded for a request whose client left before the response; nginx's number."""


STATUSES = (
    (UntrackedSymbolError, HTTPStatus.NOT_FOUND),
    (UnknownKeyError, HTTPStatus.NOT_FOUND),
    (NoUniverseError, HTTPStatus.NOT_FOUND),
    (NameTakenError, HTTPStatus.CONFLICT),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (MarketPipelineError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The status for each of the project's errors; the first that fits."""


@dataclass(frozen=True)
class Fault:
    """An error in one parameter, or in one field of the body."""

    parameter: str
    reason: str


class Problem(BaseModel):
    """An error and the next step, as in RFC 9457."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault]


class ProblemError(Exception):
    """A rejected request: the status, the reason and the next step."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, faults, headers


def build_parameter_problem(faults: Sequence[Fault]) -> ProblemError:
    """Return the problem of a request with wrong parameters."""
    return ProblemError(HTTPStatus.BAD_REQUEST, _join_faults(faults), faults)


def _join_faults(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.parameter}: {fault.reason}" for fault in faults)


def build_unavailable_problem() -> ProblemError:
    """Return the problem of an unreachable database. It has no address, since anyone may read it."""
    detail = "the database can't be reached, or is overloaded: try again in a while"
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})


def to_problem(error: BaseException) -> ProblemError:  # noqa: PLR0911 - one for each kind of error
    """Convert an error to the problem for the client. An unexpected error's problem has no details."""
    match error:
        case asyncio.CancelledError():
            return ProblemError(CLIENT_GONE, "the client has closed the connection")
        case ProblemError():
            return error
        case RequestValidationError():
            faults = [_build_fault(found) for found in error.errors()]
            return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, _join_faults(faults), faults)
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return ProblemError(error.status_code, "there is no such path: /docs lists all paths")
        case HTTPException():
            return ProblemError(error.status_code, str(error.detail), headers=error.headers)
        case DataError():
            return ProblemError(HTTPStatus.BAD_REQUEST, "the database can't store one of the values")
        case OperationalError() | InterfaceError() | DatabaseUnavailableError():
            return build_unavailable_problem()
        case MarketPipelineError():
            return ProblemError(next(status for kind, status in STATUSES if isinstance(error, kind)), str(error))
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error: the server's log has the details")


def _list_methods(request: Request) -> list[str]:
    """Return all methods of a request's path, which may have several routes."""
    paths = request.app.state.openapi()["paths"]
    taken = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.scope["path"])]
    methods = {method.upper() for methods in taken for method in methods} or {"GET"}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _build_fault(found: Mapping[str, object]) -> Fault:
    place = found["loc"]
    assert isinstance(place, tuple)  # noqa: S101 - as pydantic has it
    return Fault(".".join(map(str, place[1:])) or str(place[0]), str(found["msg"]))


async def respond_with_problem(request: Request, error: Exception) -> Response:
    """Return the response to a request that raised an error."""
    problem = to_problem(error)
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = ProblemError(problem.status, problem.detail, headers={"Allow": ", ".join(_list_methods(request))})
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logging.getLogger(__name__).error("%s %s", request.method, request.scope["path"], exc_info=error)
    return build_problem_response(problem, request.scope["path"])


def build_problem_response(problem: ProblemError, path: str) -> Response:
    """Return the response for a problem."""
    body = Problem.model_construct(  # unchecked: the wrong value may be invalid text
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        instance=path,
        errors=list(problem.faults),
    )
    headers = {"cache-control": "no-store", **(problem.headers or {})}
    return Response(json.dumps(body.model_dump()), problem.status, headers, MEDIA_TYPE)
