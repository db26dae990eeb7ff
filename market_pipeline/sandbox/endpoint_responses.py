"""Results of the sandbox's endpoints: a response, or one with the vendor's error. Sending is in `transmission`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from market_pipeline.vendor_format.error_bodies import Body, ErrorBody

Data = Literal["recorded", "generated"]
"""Origin of the market data in a response: "recorded" if all of it is real, "generated" if any is made up."""


@dataclass(frozen=True)
class EndpointResponse:
    """A body with status and headers. It is encoded as JSON; a text or bytes are sent as they are."""

    body: Body | list[Any] | str | bytes
    data: Data | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


def build_error_response(error: ErrorBody, request_id: str, **headers: str) -> EndpointResponse:
    """Return the response with an error."""
    return EndpointResponse(error.to_body(request_id), status=error.http, headers=headers, media_type=error.media_type)
