"""Errors of S3, which serves the flat files: one type for each next step of a user.

It is chosen by S3's code, or by the status.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from datetime import UTC, datetime
from xml.etree import ElementTree

from market_pipeline.core.outbound_http import HttpResponse
from market_pipeline.core.settings import Source
from market_pipeline.polygon.response_body import SANDBOX_HEADER, read_retry_after
from market_pipeline.polygon.vendor_errors import (
    BadKeyError,
    BadRequestError,
    BadResponseError,
    MissingFileError,
    PolygonError,
    TransientError,
    UnknownEndpointError,
    VendorDownError,
    quote_text,
)

_CHECK_KEYS = (BadKeyError, "Check POLYGON_S3_ACCESS_KEY and POLYGON_S3_SECRET_KEY in .env")
_NO_FILE = (MissingFileError, "It isn't published yet, is not in your plan, or there is no such session")
_LATER = (VendorDownError, "Try again later")

_BY_CODE: dict[str, tuple[type[PolygonError], str]] = {
    "InvalidAccessKeyId": _CHECK_KEYS,
    "SignatureDoesNotMatch": _CHECK_KEYS,
    "AuthorizationHeaderMalformed": _CHECK_KEYS,
    "RequestTimeTooSkewed": (BadRequestError, "Set this machine's clock"),
    "NoSuchBucket": (UnknownEndpointError, "Check POLYGON_S3_ENDPOINT"),
    "SlowDown": _LATER,
    "RequestTimeout": _LATER,
}
"""Codes of S3; they take precedence over the status."""

_BY_STATUS: dict[int, tuple[type[PolygonError], str]] = {
    401: _CHECK_KEYS,
    403: _NO_FILE,
    404: _NO_FILE,
    408: _LATER,
    429: _LATER,
}


def check_sender(response: HttpResponse, source: Source, about: str) -> None:
    """Reject a sandbox's response from the vendor's URL and the reverse, so that their bars are never mixed up.

    Raises:
        BadResponseError: the response has another sender.
    """
    if response.status >= 500:  # a proxy's, perhaps
        return
    from_sandbox = SANDBOX_HEADER in response.headers
    if from_sandbox and source == "polygon":
        raise BadResponseError(f"{about}: the response is a sandbox's, not the vendor's. Check POLYGON_S3_ENDPOINT")
    if not from_sandbox and source == "sandbox":
        raise BadResponseError(
            f"{about}: POLYGON_S3_ENDPOINT is neither the vendor nor a sandbox, so its files can't be used. Set it to "
            "https://files.massive.com or to the address that `market-pipeline sandbox` prints"
        )


def build_response_error(response: HttpResponse, about: str) -> PolygonError:
    """Create the typed error for an unsuccessful response of S3.

    Args:
        response: the response; its body is S3's XML, or a proxy's page.
        about: the request's subject, e.g. `the flat file of US stocks on 2024-01-02`.
    """
    code = _read_code(response.content)
    kind, advice = _BY_CODE.get(code) or _BY_STATUS.get(response.status) or _choose_kind_of_other(response.status)
    error = kind(f"{about}: the vendor returned {response.status}{f' {quote_text(code)}' if code else ''}. {advice}")
    if isinstance(error, TransientError):
        error.retry_after = read_retry_after(response.headers, datetime.now(UTC))
    return error


def _choose_kind_of_other(status: int) -> tuple[type[PolygonError], str]:
    if status >= 500:
        return _LATER
    return (BadResponseError if status < 400 else BadRequestError), "Check POLYGON_S3_ENDPOINT"


def read_xml(content: bytes) -> ElementTree.Element | None:
    """Return the root of an XML document; None if it is none."""
    try:
        # Of limited size, and expat limits how far entities expand: https://docs.python.org/3/library/xml.html
        return ElementTree.fromstring(content)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):  # the latter two of an encoding that Python doesn't know
        return None


def _read_code(content: bytes) -> str:
    """Return S3's code; "" if there is none. S3's message is not read, since it may repeat keys."""
    root = read_xml(content)
    return "" if root is None else (root.findtext("{*}Code") or "").strip()
