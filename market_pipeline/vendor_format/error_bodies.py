"""The vendor's errors: status, text and body. Source of the texts: its error bodies as recorded or observed."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

from market_pipeline.core.errors import MarketPipelineError

Body = dict[str, Any]


@dataclass(frozen=True)
class ErrorBody:
    """An error of the vendor: the HTTP status, the body's `status` and its text."""

    http: int
    status: str
    text: str
    media_type: ClassVar[str] = "application/json"

    def to_body(self, request_id: str) -> Body | str:
        """Return the body; its text is `error` if the status is ERROR, otherwise `message`."""
        key = "error" if self.status == "ERROR" else "message"
        return {"status": self.status, "request_id": request_id, key: self.text}


class RejectedRequestError(MarketPipelineError):
    """Ends the handling of a request with an error response."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(body.text)
        self.body = body


NO_KEY = ErrorBody(401, "ERROR", "API Key was not provided")
UNKNOWN_KEY = ErrorBody(401, "ERROR", "Unknown API Key")
TOO_MANY = ErrorBody(
    429,
    "ERROR",
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue.",
)
NOT_ENTITLED = ErrorBody(
    403, "NOT_AUTHORIZED", "You are not entitled to this data. Please upgrade your plan at https://massive.com/pricing"
)
OUTSIDE_TIMEFRAME = ErrorBody(
    403,
    "NOT_AUTHORIZED",
    "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing",
)
BEFORE_END_OF_DAY = ErrorBody(
    403,
    "NOT_AUTHORIZED",
    "Attempted to request today's data before end of day. Please upgrade your plan at https://polygon.io/pricing",
)
TO_BEFORE_FROM = ErrorBody(400, "ERROR", "The parameter 'to' cannot be a time that occurs before 'from'")
UNKNOWN_PATH = "404 page not found"
NO_SUCH_TICKER = ErrorBody(404, "NOT_FOUND", "Ticker not found.")
NO_DATA = ErrorBody(404, "NOT_FOUND", "Data not found.")


def describe_day_not_over(day: date, as_of: datetime | None) -> ErrorBody:
    """Return the error for bars of a day that isn't over, or wasn't `as_of` an instant. Its text is the project's own.

    The project's client recognizes it by "before end of day", and requests the bars again later.
    """
    if as_of is not None:
        return ErrorBody(404, "NOT_FOUND", f"{day} was not over at {as_of.isoformat()}: as_of is before its end.")
    return ErrorBody(403, "NOT_AUTHORIZED", f"{day} is not over: its bars were requested before end of day.")


def describe_bad_time(parameter: str) -> ErrorBody:
    """Return the error for a date or timestamp that can't be parsed."""
    return ErrorBody(
        400, "ERROR", f"Could not parse the time parameter: '{parameter}'. Use YYYY-MM-DD or Unix MS Timestamps"
    )


def describe_bad_parameter(parameter: str, expected: str) -> ErrorBody:
    """Return the error for a parameter that can't be used. Its text is the project's own."""
    return ErrorBody(400, "ERROR", f"Could not parse the parameter '{parameter}': expected {expected}")
