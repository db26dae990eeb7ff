"""Errors of the vendor: one type for each next step of a user, chosen by HTTP status.

Bodies are read in `response_body`; retries are in `sending`.
"""

from market_pipeline.core.errors import MarketPipelineError

LONGEST_QUOTE = 200
"""The most characters of the vendor's text that a message repeats."""


class PolygonError(MarketPipelineError):
    """There is no usable response. `requests` is the number of HTTP requests made.

    `waited_seconds` is the time that they waited for the rate limit.
    """

    requests: int = 0
    waited_seconds: float = 0.0


class MissingKeyError(PolygonError):
    """There is no vendor key, so no request is sent."""

    def __init__(self) -> None:
        super().__init__(
            "POLYGON_API_KEY not set: set it in .env (POLYGON_API_KEY=your_key), "
            "or start `market-pipeline sandbox` and set POLYGON_BASE_URL to its address"
        )


class BadKeyError(PolygonError):
    """The vendor doesn't know the key, or the key has characters that no key has."""


class PlanError(PolygonError):
    """The plan doesn't cover the request: its dates are too old or in the future, or the endpoint is excluded."""


class NotYetAvailableError(PolygonError):
    """The session's bar isn't available yet: the plan serves it after the end of the day. This is no failure."""


class MissingFileError(PolygonError):
    """There is no such flat file for this account: not published yet, not in the plan, or no such session.

    The vendor's response is the same for each of them.
    """


class UnknownTickerError(PolygonError):
    """The vendor has no such ticker."""


class UnknownEndpointError(PolygonError):
    """The vendor has no such endpoint."""


class BadRequestError(PolygonError):
    """The vendor rejects the request as malformed."""


class BadResponseError(PolygonError):
    """The response is not as the vendor documents it, so nothing of it is used."""


class TransientError(PolygonError):
    """A retry may succeed. `retry_after` is the response's `Retry-After` in seconds, if it has one."""

    retry_after: float | None = None


class RateLimitedError(TransientError):
    """More requests were made within a minute than the plan allows."""


class VendorDownError(TransientError):
    """The vendor can't be reached, or has an internal error."""


class CutShortError(BadResponseError, TransientError):
    """The response is cut off."""


_BY_STATUS: dict[int, tuple[type[PolygonError], str]] = {
    400: (BadRequestError, "Check the symbol and the dates"),
    401: (BadKeyError, "Check POLYGON_API_KEY in .env"),
    403: (PlanError, "Request dates and data that your plan covers, or change the plan"),
    404: (UnknownTickerError, "Check the ticker; tickers are case-sensitive"),
    408: (VendorDownError, "Try again later"),
    429: (RateLimitedError, "Lower POLYGON_REQUESTS_PER_MINUTE, or stop what else uses the key"),
}
_BY_MESSAGE: dict[str, tuple[type[PolygonError], str]] = {
    "before end of day": (NotYetAvailableError, "Try again after midnight in New York, or change the plan"),
    "exceeded the maximum requests": _BY_STATUS[429],
    "page not found": (UnknownEndpointError, "Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"),
}
"""Phrases of the vendor's message; they take precedence over the status."""


def build_status_error(status: int, message: str, about: str) -> PolygonError:
    """Create the typed error for an unsuccessful response.

    Args:
        status: the HTTP status.
        message: the vendor's message, or "".
        about: the request's subject, e.g. `AAPL 2024-01-02 to 2024-03-28`.
    """
    kind, advice = _choose_kind_and_advice(status, message)
    quote = f' "{quote_text(message)}"' if message.strip() else ""
    return kind(f"{about}: the vendor returned {status}{quote}. {advice}")


def _choose_kind_and_advice(status: int, message: str) -> tuple[type[PolygonError], str]:
    for phrase, kind_and_advice in _BY_MESSAGE.items():
        if phrase in message:
            return kind_and_advice
    if status >= 500:
        return VendorDownError, "Try again later"
    if status < 400:
        return BadResponseError, "Check that POLYGON_BASE_URL is the URL of the vendor or of a sandbox"
    return _BY_STATUS.get(status, _BY_STATUS[400])


def quote_text(text: str) -> str:
    """Make text from outside safe to repeat in a message: one line, printable, at most LONGEST_QUOTE characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(line.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}..."
