"""From an HTTP answer to its JSON body, or to the typed error that says why there is none.

What is the same for every endpoint; what is inside `results` is read by `parsing` and `reference`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import orjson

from market_pipeline.core.settings import Source
from market_pipeline.polygon.vendor_errors import (
    BadResponseError,
    CutShortError,
    PolygonError,
    TransientError,
    UnknownEndpointError,
    quoted,
    refusal,
)

SANDBOX_HEADER = "X-Market-Pipeline-Sandbox"
"""Carried by each of a sandbox's answers and by none of the vendor's."""

Body = dict[str, Any]

_SUCCESS = ("OK", "DELAYED")
# The vendor has been seen refusing with HTTP 200; the body's status then says what was meant.
_MEANT = {"NOT_AUTHORIZED": 403, "NOT_FOUND": 404, "ERROR": 400}


@dataclass(frozen=True)
class VendorResponse:
    """An HTTP answer, its body read and decompressed."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class _NotANumberError(ValueError):
    """NaN or Infinity, which JSON doesn't have."""


def read_body(answer: VendorResponse, source: Source, about: str) -> Body:
    """The JSON body of a successful answer.

    Args:
        answer: what came back.
        source: what is expected to answer: the vendor or a sandbox.
        about: what was asked, for messages.

    Raises:
        PolygonError: of the kind that fits; nothing else.
    """
    if answer.status < 500:
        _check_source(answer, source, about)
    if answer.status != 200:
        raise _refused(answer, about)
    body = _decode(answer.content, about)
    status = body.get("status")
    if status in _SUCCESS:
        return body
    if status in _MEANT:
        raise refusal(_MEANT[status], _words(body), about)
    raise BadResponseError(f"{about}: the answer's status is {quoted(repr(status))}, not OK or DELAYED. Report it")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds to wait that a `Retry-After` header asks for, as a number or a date; None if there is none."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _check_source(answer: VendorResponse, source: Source, about: str) -> None:
    """A bar must never be taken for the market's if it isn't, nor the other way round."""
    from_sandbox = SANDBOX_HEADER in answer.headers
    if from_sandbox and source == "polygon":
        raise BadResponseError(
            f"{about}: a sandbox answered where the vendor should have. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    if source == "sandbox" and not from_sandbox:
        raise BadResponseError(
            f"{about}: POLYGON_BASE_URL is neither the vendor nor a sandbox, so its answers can't be used. Set it to "
            "https://api.massive.com or to the address that `market-pipeline sandbox` prints; a gateway to the vendor "
            "is declared by POLYGON_GATEWAY_URL"
        )


def _refused(answer: VendorResponse, about: str) -> PolygonError:
    try:
        words = _words(_decode(answer.content, about))
    except BadResponseError:
        words = ""  # a proxy's HTML page, or nothing at all
    if answer.status == 404 and not words:
        return UnknownEndpointError(
            f"{about}: the vendor has no such endpoint. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    error = refusal(answer.status, words, about)
    if isinstance(error, TransientError):
        error.retry_after = retry_after(answer.headers, datetime.now(UTC))
    return error


def _words(body: Body) -> str:
    """The vendor's message: in `error` where the status is ERROR, in `message` otherwise."""
    words = body.get("error") or body.get("message")
    return words if isinstance(words, str) else ""


def _decode(content: bytes, about: str) -> Body:
    try:
        body = _loaded(content)
    except _NotANumberError as problem:
        raise BadResponseError(f"{about}: the answer holds {problem}, which is no JSON. Report it") from None
    except (ValueError, RecursionError):
        raise _no_json(content, about) from None
    if not isinstance(body, dict):
        raise BadResponseError(
            f"{about}: the answer is JSON but no object. Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"
        )
    return body


def _loaded(content: bytes) -> Any:
    try:
        return orjson.loads(content)  # three times as fast, and stricter
    except orjson.JSONDecodeError:  # which the other may still read, or say better what is wrong
        return json.loads(content, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise _NotANumberError(name)


def _no_json(content: bytes, about: str) -> BadResponseError:
    start = content.lstrip()[:1]
    if start in (b"", b"{"):
        return CutShortError(f"{about}: the answer breaks off in the middle. Try again later")
    return BadResponseError(
        f"{about}: the answer is no JSON. Check POLYGON_BASE_URL, POLYGON_GATEWAY_URL and the network's proxy"
    )
