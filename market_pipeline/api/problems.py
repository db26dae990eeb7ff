"""Errors as the API answers with them: RFC 9457's problem+json, with a reason for every field that is wrong."""

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

MEDIA_TYPE = "application/problem+json"

CLIENT_GONE = 499
"""Status recorded for a request whose client left before the response; nginx's number."""


STATUSES = (
    (UntrackedSymbolError, HTTPStatus.NOT_FOUND),
    (UnknownKeyError, HTTPStatus.NOT_FOUND),
    (NameTakenError, HTTPStatus.CONFLICT),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (MarketPipelineError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""What the project's errors are answered with; the first that fits."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one parameter, or with one field of the body."""

    parameter: str
    reason: str


class Problem(BaseModel):
    """What is wrong, as in RFC 9457, and what to do."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault]


class ProblemError(Exception):
    """A request that can't be answered as it stands: the status, and in words why and what to do."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, faults, headers


def wrong_parameters(faults: Sequence[Fault]) -> ProblemError:
    """The problem of a request with these parameters wrong."""
    told = "; ".join(f"{fault.parameter}: {fault.reason}" for fault in faults)
    return ProblemError(HTTPStatus.BAD_REQUEST, told, faults)


def database_away() -> ProblemError:
    """The problem of a database that can't be reached. It says nothing of where it is: anyone may read it."""
    detail = "the database can't be reached, or has too much to do: ask again in a while"
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "5"})


def as_problem(error: BaseException) -> ProblemError:  # noqa: PLR0911 - one for each kind of error
    """What a client is told of an error. Of one that nobody has thought of, no more than that it happened."""
    match error:
        case asyncio.CancelledError():
            return ProblemError(CLIENT_GONE, "the client has closed the connection")
        case ProblemError():
            return error
        case RequestValidationError():
            faults = [_fault(found) for found in error.errors()]
            told = "; ".join(f"{fault.parameter}: {fault.reason}" for fault in faults)
            return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, told, faults)
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return ProblemError(error.status_code, "there is no such path: /docs lists those there are")
        case HTTPException():
            return ProblemError(error.status_code, str(error.detail), headers=error.headers)
        case DataError():
            return ProblemError(HTTPStatus.BAD_REQUEST, "a value is one that the database can't hold")
        case OperationalError() | InterfaceError() | DatabaseUnavailableError():
            return database_away()
        case MarketPipelineError():
            return ProblemError(next(status for kind, status in STATUSES if isinstance(error, kind)), str(error))
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the server's log says what")


def _methods(request: Request) -> list[str]:
    """The methods that the path of a request takes. A route knows only its own, and a path may have several."""
    paths = request.app.state.openapi()["paths"]
    taken = [methods for path, methods in paths.items() if compile_path(path)[0].match(request.scope["path"])]
    return sorted({method.upper() for methods in taken for method in methods}) or ["GET"]


def _fault(found: Mapping[str, object]) -> Fault:
    place = found["loc"]
    assert isinstance(place, tuple)  # noqa: S101 - as pydantic has it
    return Fault(".".join(map(str, place[1:])) or str(place[0]), str(found["msg"]))


async def respond_with_problem(request: Request, error: Exception) -> Response:
    """The answer to a request that has met an error."""
    problem = as_problem(error)
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = ProblemError(problem.status, problem.detail, headers={"Allow": ", ".join(_methods(request))})
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logging.getLogger(__name__).error("%s %s", request.method, request.scope["path"], exc_info=error)
    return problem_response(problem, request.scope["path"])


def problem_response(problem: ProblemError, path: str) -> Response:
    """The answer to a request that has met a problem."""
    told = Problem.model_construct(  # unchecked: what is wrong may be a text that is none
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        instance=path,
        errors=list(problem.faults),
    )
    headers = {"cache-control": "no-store", **(problem.headers or {})}
    return Response(json.dumps(told.model_dump()), problem.status, headers, MEDIA_TYPE)
