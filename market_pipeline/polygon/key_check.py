"""One request to the vendor that says whether the key is good and what time it is there. For bars, see `client`."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from urllib3.exceptions import HTTPError

from market_pipeline.core.outbound_http import open_session, send
from market_pipeline.core.settings import Settings
from market_pipeline.polygon.key import BearerAuth, usable_key, without_key
from market_pipeline.polygon.rate_limit import Limiter
from market_pipeline.polygon.response_body import VendorResponse, read_body
from market_pipeline.polygon.vendor_errors import PolygonError, VendorDownError

PATH = "/v3/reference/tickers/AAPL"
"""Every plan has it, and its answer is short: https://massive.com/docs/rest/stocks/tickers/ticker-overview"""
SECONDS = 10.0
MOST_BYTES = 1_000_000


def check_key(settings: Settings, limiter: Limiter) -> float | None:
    """Ask the vendor once, with the key.

    Returns:
        By how many seconds this machine's clock is ahead of the vendor's; None where the answer has no date.

    Raises:
        MissingKeyError: there is no key for the vendor.
        BadKeyError: the vendor doesn't know the key.
        PolygonError: there is no usable answer.
    """
    key = usable_key(settings.vendor_key, settings.source)
    limiter.acquire()
    try:
        with open_session() as session:
            url, auth = f"{settings.vendor_url}{PATH}", BearerAuth(key)
            response = send(session, "GET", url, seconds=SECONDS, most_bytes=MOST_BYTES, auth=auth, timeout=SECONDS)
        answer = VendorResponse(response.status, response.headers, response.content)
    except (OSError, HTTPError, ValueError) as problem:  # the message of either could show the request, key and all
        raise VendorDownError(
            f"no answer from {settings.vendor_url} ({type(problem).__name__}). Check POLYGON_BASE_URL, "
            "POLYGON_GATEWAY_URL and the network"
        ) from None
    now = datetime.now(UTC)
    try:
        read_body(answer, settings.source, "the key")
    except PolygonError as refused:
        refused.args = (without_key(str(refused), key),)
        raise
    date = answer.headers.get("Date")
    return (now - parsedate_to_datetime(date)).total_seconds() if date else None
