"""Check of the vendor key and of the clock, by one request. For bars, see `client`."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from urllib3.exceptions import HTTPError

from market_pipeline.core.outbound_http import open_session, send
from market_pipeline.core.settings import Settings
from market_pipeline.polygon.key import BearerAuth, prepare_key, remove_key
from market_pipeline.polygon.limiter import Limiter
from market_pipeline.polygon.response_body import read_body
from market_pipeline.polygon.vendor_errors import PolygonError, VendorDownError

PATH = "/v3/reference/tickers/AAPL"
"""In every plan, with a short response: https://massive.com/docs/rest/stocks/tickers/ticker-overview"""
SECONDS = 10.0
MAX_BYTES = 1_000_000


def check_key(settings: Settings, limiter: Limiter) -> float | None:
    """Send one request with the key and return how far this machine's clock is ahead of the vendor's, in seconds.

    Returns:
        None if the response has no date.

    Raises:
        MissingKeyError: there is no key for the vendor.
        BadKeyError: the vendor doesn't know the key.
        PolygonError: there is no usable response.
    """
    key = prepare_key(settings.vendor_key, settings.source)
    limiter.acquire()
    try:
        with open_session() as session:
            url, auth = f"{settings.vendor_url}{PATH}", BearerAuth(key)
            response = send(session, "GET", url, seconds=SECONDS, most_bytes=MAX_BYTES, auth=auth, timeout=SECONDS)
    except (OSError, HTTPError, ValueError) as problem:  # their messages could show the request with the key
        raise VendorDownError(
            f"no response from {settings.vendor_url} ({type(problem).__name__}). Check POLYGON_BASE_URL, "
            "POLYGON_GATEWAY_URL and the network"
        ) from None
    now = datetime.now(UTC)
    try:
        read_body(response, settings.source, "the key")
    except PolygonError as error:
        error.args = (remove_key(str(error), key),)
        raise
    date = response.headers.get("Date")
    return (now - parsedate_to_datetime(date)).total_seconds() if date else None
