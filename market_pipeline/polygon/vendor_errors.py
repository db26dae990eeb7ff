"""What can go wrong at the vendor, one type for each thing a user would do about it.

Only the types, and the choice of one for an answer that is no success. Reading answers is `answers`' business, asking
again is `http`'s.
"""

from market_pipeline.core.errors import MarketPipelineError

LONGEST_QUOTE = 200
"""Characters of the vendor's own words that a message repeats at most."""


class PolygonError(MarketPipelineError):
    """The vendor gave no usable answer. `requests` says how many HTTP requests that took.

    `waited_seconds` says how long they waited for the rate limit.
    """

    requests: int = 0
    waited_seconds: float = 0.0


class MissingKeyError(PolygonError):
    """There is no API key, so that the vendor isn't asked at all."""

    def __init__(self) -> None:
        super().__init__(
            "POLYGON_API_KEY not set: set it in .env (POLYGON_API_KEY=your_key), "
            "or start `market-pipeline sandbox` and set POLYGON_BASE_URL to its address"
        )


class BadKeyError(PolygonError):
    """The vendor doesn't know the API key, or no key can look like this one."""


class PlanError(PolygonError):
    """The account's plan doesn't cover what was asked: dates too old or in the future, or the endpoint itself."""


class NotYetAvailableError(PolygonError):
    """The session's bar can't be had yet: the plan gives it after the end of the day. No failure of anything."""


class UnknownTickerError(PolygonError):
    """The vendor has no such ticker."""


class UnknownEndpointError(PolygonError):
    """The vendor has no such endpoint."""


class BadRequestError(PolygonError):
    """The vendor can't use the request as it was made."""


class BadResponseError(PolygonError):
    """The answer is not what the vendor documents, so that nothing in it can be trusted."""


class TransientError(PolygonError):
    """Asking again may help. `retry_after` is the wait in seconds that the answer asked for, if it did."""

    retry_after: float | None = None


class RateLimitedError(TransientError):
    """More requests were made within a minute than the plan allows."""


class VendorDownError(TransientError):
    """The vendor can't be reached, or fails on its side."""


class CutShortError(BadResponseError, TransientError):
    """The answer ended in the middle."""


_REFUSALS: dict[int, tuple[type[PolygonError], str]] = {
    400: (BadRequestError, "Check the symbol and dates asked for"),
    401: (BadKeyError, "Check POLYGON_API_KEY in .env"),
    403: (PlanError, "Ask for dates and data that your plan covers, or change the plan"),
    404: (UnknownTickerError, "Check the ticker; tickers are case-sensitive"),
    408: (VendorDownError, "Try again later"),
    429: (RateLimitedError, "Lower POLYGON_REQUESTS_PER_MINUTE, or stop what else uses the key"),
}
_BY_WORDS: dict[str, tuple[type[PolygonError], str]] = {
    "before end of day": (NotYetAvailableError, "Ask again after midnight New York, or change the plan"),
    "exceeded the maximum requests": _REFUSALS[429],
    "page not found": (UnknownEndpointError, "Check POLYGON_BASE_URL and POLYGON_GATEWAY_URL"),
}
"""Where the status doesn't tell cases apart, the vendor's words do."""


def refusal(status: int, words: str, about: str) -> PolygonError:
    """The typed error for an answer that is no success.

    Args:
        status: the HTTP status.
        words: the vendor's own message, or "".
        about: what was asked, e.g. `AAPL 2024-01-02 to 2024-03-28`.
    """
    kind, advice = _kind_of(status, words)
    said = f' "{quoted(words)}"' if words.strip() else ""
    return kind(f"{about}: the vendor answered {status}{said}. {advice}")


def _kind_of(status: int, words: str) -> tuple[type[PolygonError], str]:
    for phrase, found in _BY_WORDS.items():
        if phrase in words:
            return found
    if status >= 500:
        return VendorDownError, "Try again later"
    if status < 400:
        return BadResponseError, "Check that POLYGON_BASE_URL is the vendor's address or a sandbox's"
    return _REFUSALS.get(status, _REFUSALS[400])


def quoted(words: str) -> str:
    """Somebody else's words made safe to repeat: one line, printable, not too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in words)
    line = " ".join(line.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[:LONGEST_QUOTE]}..."
