"""The endpoints about the market's hours: its current status, and the upcoming holidays."""

from market_pipeline.core.sessions import find_calendar
from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.market_hours import build_holidays_body, build_status_body


def read_holidays(request: ApiRequest) -> EndpointResponse:
    """Return the next year's holidays and early closes."""
    return EndpointResponse(build_holidays_body(request.market.find_today(find_calendar("XNYS"))))


def read_status(request: ApiRequest) -> EndpointResponse:
    """Return the status of the markets at this instant."""
    return EndpointResponse(build_status_body(request.market.config.read_clock()))
