"""Fixtures of the client's tests: recorded bars, responses in the vendor's form, clients with short waits."""

from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor, scripted_vendor

KEY = "kEy0123456789abcdefTOPSECRET"
AAPL = Symbol.of("AAPL", "stock")
BTC = Symbol.of("BTC", "crypto")
APRIL_1, APRIL_4 = date(2005, 4, 1), date(2005, 4, 4)
HURRY = RetryPolicy(
    connect=2, read=2, whole_response=5, attempts=3, first_wait=0.001, longest_wait=5, rate_limit_wait=0.002
)
BARS = [
    {"v": 6.4264639e08, "vw": 1.46, "o": 1.5032, "c": 1.4604, "h": 1.5064, "l": 1.4489, "t": 1112331600000, "n": 82132},
    {"v": 578172308.25, "vw": 1.4589, "o": 1.5, "c": 1.4675, "h": 2, "l": 1.4343, "t": 1112587200000, "n": 65543},
]  # fmt: skip


def body(results: Any = None, **fields: Any) -> dict[str, Any]:
    """Build a range response for AAPL as the vendor does: without bars it has no `results`."""
    found = {} if results is None else {"results": results}
    return {"ticker": "AAPL", "adjusted": False, "status": "OK", "request_id": "1", **found, **fields}


def ok(results: Any, **fields: Any) -> Reply:
    """Build a reply of one of the vendor's lists."""
    return Reply({"status": "OK", "request_id": "1", "results": results, **fields})


def error_reply(status: int, text: str, **headers: str) -> Reply:
    kind = {403: "NOT_AUTHORIZED", 404: "NOT_FOUND"}.get(status, "ERROR")
    field = "error" if kind == "ERROR" else "message"
    return Reply({"status": kind, "request_id": "1", field: text}, status, headers)


def client_of(vendor: ScriptedVendor, **options: Any) -> PolygonClient:
    options = {"source": "polygon", "limiter": LocalLimiter(10_000), "retry_policy": HURRY, **options}
    return PolygonClient(vendor.base_url, SecretStr(KEY), **options)


def failure(*replies: Reply, **options: Any) -> tuple[vendor_errors.PolygonError, ScriptedVendor]:
    """Fetch AAPL's bars and return the error that is raised."""
    with scripted_vendor(*replies) as vendor, client_of(vendor, **options) as client:
        with pytest.raises(vendor_errors.PolygonError) as caught:
            client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
        return caught.value, vendor
