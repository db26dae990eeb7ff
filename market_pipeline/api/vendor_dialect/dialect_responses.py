"""Responses in the vendor's dialect: bodies as JSON with its headers, and errors in its form."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from secrets import token_hex

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market_pipeline.api.generated.responses import BytesResponse
from market_pipeline.api.problems import ProblemError, to_problem
from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest, read_request
from market_pipeline.vendor_format.encoding import to_json
from market_pipeline.vendor_format.error_bodies import TOO_MANY, UNKNOWN_PATH, Body, ErrorBody, RejectedRequestError

DialectBody = Body | Sequence[Mapping[str, str]]
DialectEndpoint = Callable[[DialectRequest], Awaitable[DialectBody]]
RawHeaders = Sequence[tuple[bytes, bytes]]
HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]

SANDBOX_HEADER = (b"x-market-pipeline-sandbox", b"1")
"""Header of a warehouse that holds a sandbox's data, so that these are never taken for the market's."""


def create_dialect_handler(
    endpoint: DialectEndpoint, is_sandboxed: Callable[[], Awaitable[bool]]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of an endpoint, whose errors are in the vendor's form."""

    async def handle(request: Request) -> Response:
        source: RawHeaders = ()
        try:
            if await is_sandboxed():
                source = [SANDBOX_HEADER]
            dialect_request = await read_request(request)
            return _to_response(200, await endpoint(dialect_request), dialect_request.request_id, source)
        except RejectedRequestError as error:
            return _build_error_response(error.body, source)
        except Exception as error:
            problem = to_problem(error)
            if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                logging.getLogger(__name__).exception("%s %s", request.method, request.scope["path"])
            return build_dialect_problem(problem)

    return handle


class UnknownPathEndpoint:
    """Responds to paths and methods that the dialect doesn't have as the vendor does."""

    def __init__(self, is_sandboxed: Callable[[], Awaitable[bool]]) -> None:
        self._is_sandboxed = is_sandboxed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request of any method."""
        try:
            name, value = (text.decode() for text in SANDBOX_HEADER)
            headers = {name: value} if await self._is_sandboxed() else {}
            response = Response(UNKNOWN_PATH, HTTPStatus.NOT_FOUND, headers, "text/plain")
        except Exception as error:
            response = build_dialect_problem(to_problem(error))
        await response(scope, receive, send)


def build_dialect_problem(problem: ProblemError) -> Response:
    """Return the response for a problem in the vendor's form."""
    text = TOO_MANY.text if problem.status == TOO_MANY.http else problem.detail
    status = "NOT_FOUND" if problem.status == HTTPStatus.NOT_FOUND else "ERROR"
    headers = [(name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()]
    return _build_error_response(ErrorBody(problem.status, status, text), headers)


def _build_error_response(error: ErrorBody, headers: RawHeaders) -> Response:
    """Return the response with an error of the vendor's form."""
    request_id = token_hex(16)
    return _to_response(error.http, error.to_body(request_id), request_id, headers)


def _to_response(status: int, body: object, request_id: str, headers: RawHeaders) -> Response:
    content = to_json(body).encode()
    sent = [
        *HEADERS,
        (b"x-request-id", request_id.encode()),
        (b"content-length", b"%d" % len(content)),
        *headers,
    ]
    return BytesResponse(status, sent, content)
