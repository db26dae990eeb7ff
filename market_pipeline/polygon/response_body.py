"""Reading of response bodies: from an HTTP response to its JSON body, or to a typed error.

The same for every endpoint; `results` is read by `parsing` and `reference`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import orjson

from market_pipeline.core.outbound_http import HttpResponse
from market_pipeline.core.settings import Source
from market_pipeline.polygon.vendor_errors import (
    BadResponseError,
    CutShortError,
    PolygonError,
    TransientError,
    UnknownEndpointError,
    build_status_error,
    quote_text,
)

SANDBOX_HEADER = "X-Market-Pipeline-Sandbox"
"""Header of every response of a sandbox, and of none of the vendor's."""

Body = dict[str, Any]

_SUCCESS = ("OK", "DELAYED")
# The vendor has been seen to send errors with HTTP 200; the body's status then has the kind.
_STATUS_IN_BODY = {"NOT_AUTHORIZED": 403, "NOT_FOUND": 404, "ERROR": 400}


class _NotANumberError(ValueError):
    """NaN or Infinity, which JSON doesn't have."""


def read_body(response: HttpResponse, source: Source, about: str) -> Body:
    """Return the JSON body of a successful response.

    Args:
        response: the HTTP response.
        source: the expected sender: the vendor or a sandbox.
        about: the request's subject, for messages.

    Raises:
        PolygonError: of the subclass that fits; nothing else.
    """
    if response.status < 500:
        _check_source(response, source, about)
    if response.status != 200:
        raise _build_error(response, about)
    body = _decode(response.content, about)
    status = body.get("status")
    if status in _SUCCESS:
        return body
    if status in _STATUS_IN_BODY:
        raise build_status_error(_STATUS_IN_BODY[status], _read_message(body), about)
    raise BadResponseError(f"{about}: the body's status is {quote_text(repr(status))}, not OK or DELAYED. Report it")


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the wait in seconds of a `Retry-After` header, a number or a date; None if there is none."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _check_source(response: HttpResponse, source: Source, about: str) -> None:
    """Reject a sandbox's response from the vendor's URL and the reverse, so that their bars are never mixed up."""
    from_sandbox = SANDBOX_HEADER in response.headers
    if from_sandbox and source == "polygon":
        raise BadResponseError(
            f"{about}: the response is a sandbox's, not the vendor's. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    if source == "sandbox" and not from_sandbox:
        raise BadResponseError(
            f"{about}: POLYGON_BASE_URL is neither the vendor nor a sandbox, so its responses can't be used. Set it to "
            "https://api.massive.com or to the address that `market-pipeline sandbox` prints; a gateway to the vendor "
            "is declared by POLYGON_GATEWAY_URL"
        )


def _build_error(response: HttpResponse, about: str) -> PolygonError:
    try:
        message = _read_message(_decode(response.content, about))
    except BadResponseError:
        message = ""  # a proxy's HTML page, or an empty body
    if response.status == 404 and not message:
        return UnknownEndpointError(
            f"{about}: the vendor has no such endpoint. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    error = build_status_error(response.status, message, about)
    if isinstance(error, TransientError):
        error.retry_after = read_retry_after(response.headers, datetime.now(UTC))
    return error


def _read_message(body: Body) -> str:
    """Return the vendor's message: `error` if the status is ERROR, otherwise `message`."""
    message = body.get("error") or body.get("message")
    return message if isinstance(message, str) else ""


def _decode(content: bytes, about: str) -> Body:
    try:
        body = _load_json(content)
    except _NotANumberError as problem:
        raise BadResponseError(f"{about}: the response has {problem}, which is not JSON. Report it") from None
    except (ValueError, RecursionError):
        raise _build_not_json_error(content, about) from None
    if not isinstance(body, dict):
        raise BadResponseError(
            f"{about}: the response is JSON but not an object. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    return body


def _load_json(content: bytes) -> Any:
    try:
        return orjson.loads(content)  # three times as fast, and stricter
    except orjson.JSONDecodeError:  # json reads NaN, of which the error can name the constant
        return json.loads(content, parse_constant=_reject_constant)


def _reject_constant(name: str) -> NoReturn:
    raise _NotANumberError(name)


def _build_not_json_error(content: bytes, about: str) -> BadResponseError:
    start = content.lstrip()[:1]
    if start in (b"", b"{"):
        return CutShortError(f"{about}: the response is cut off. Try again later")
    return BadResponseError(
        f"{about}: the response is not JSON. Check POLYGON_BASE_URL, POLYGON_GATEWAY_URL and the network's proxy"
    )
