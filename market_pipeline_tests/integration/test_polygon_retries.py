"""Retries: their conditions, their number and their waits."""

import gzip
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.polygon_cases import (
    AAPL,
    APRIL_1,
    APRIL_4,
    BARS,
    HURRY,
    body,
    client_of,
    error_reply,
    failure,
)
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(b"<html>502 Bad Gateway</html>", 502),
        Reply(b"", 503),
        Reply(b"", 408),
        Reply(b"", 429),
        error_reply(429, "You've exceeded the maximum requests per minute, please wait"),
        Reply({"status": "ERROR", "error": "You've exceeded the maximum requests per minute, please wait"}),
        Reply(body(BARS), cut_after=40),
        Reply(body(BARS), chunked=True, cut_after=40),
        Reply(body(BARS), chunked=True, cut_after=57),
        Reply(b'{"status": "OK", "ticker": "AA'),
        Reply(gzip.compress(b'{"status": "OK", "ticker": "AAPL"}')[:-20], headers={"Content-Encoding": "gzip"}),
        Reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}),
        Reply(b""),
    ],
)
def test_transient_errors_are_retried_and_every_request_is_counted(trouble: Reply) -> None:
    limiter = CountingLimiter()
    replies = [trouble, trouble, Reply(body(BARS))]
    with scripted_vendor(*replies) as vendor, client_of(vendor, limiter=limiter) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert len(frame_of(fetched)) == 2
    assert fetched.requests == len(vendor.requests) == limiter.acquired == 3


class CountingLimiter:
    """A limiter that counts requests and never waits."""

    acquired = 0

    def acquire(self) -> float:
        self.acquired += 1
        return 0.0


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b"", 500), vendor_errors.VendorDownError),
        (Reply(b"", 429), vendor_errors.RateLimitedError),
        (Reply(b'{"status"'), vendor_errors.CutShortError),
    ],
)
def test_a_lasting_error_ends_after_the_last_attempt(reply: Reply, kind: type[vendor_errors.PolygonError]) -> None:
    error, vendor = failure(*[reply] * 9)
    assert type(error) is kind
    assert len(vendor.requests) == error.requests == HURRY.attempts


def test_an_unreachable_address_is_an_error_of_the_vendor() -> None:
    with scripted_vendor() as vendor:
        pass
    with client_of(vendor) as client, pytest.raises(vendor_errors.VendorDownError, match="no response") as caught:
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert caught.value.requests == HURRY.attempts


def test_an_unreachable_sandbox_is_named_as_one() -> None:
    with scripted_vendor() as vendor:
        pass
    with (
        client_of(vendor, source="sandbox") as client,
        pytest.raises(vendor_errors.VendorDownError, match="Is `market-pipeline sandbox` running"),
    ):
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_never_ends_times_out_at_the_deadline(chunked: bool) -> None:
    policy = RetryPolicy(connect=2, read=2, whole_response=0.2, attempts=1)
    error, _ = failure(Reply(body(BARS), drip_seconds=0.02, chunked=chunked), retry_policy=policy)
    assert isinstance(error, vendor_errors.VendorDownError)
    assert "DeadlineError" in str(error)


def waits_after(reply: Reply, **options: Any) -> list[tuple[float, str]]:
    waits: list[tuple[float, str]] = []
    with (
        scripted_vendor(reply, Reply(body(BARS))) as vendor,
        client_of(vendor, on_wait=lambda seconds, reason: waits.append((seconds, reason)), **options) as client,
    ):
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    return waits


def test_the_wait_that_the_vendor_demands_is_kept() -> None:
    assert waits_after(Reply(b"", 429, {"Retry-After": "0"})) == [(0.0, "retry")]
    assert waits_after(Reply(b"", 503, {"Retry-After": "1"})) == [(1.0, "retry")]


def test_the_wait_may_be_a_date() -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    assert waits_after(Reply(b"", 429, {"Retry-After": past})) == [(0.0, "retry")]


def test_a_rate_limit_without_a_wait_is_waited_out_for_a_window() -> None:
    assert waits_after(Reply(b"", 429)) == [(HURRY.rate_limit_wait, "retry")]
    assert waits_after(Reply(b"", 429, {"Retry-After": "soon"})) == [(HURRY.rate_limit_wait, "retry")]


def test_a_wait_of_an_hour_is_an_error() -> None:
    error, vendor = failure(Reply(b"", 429, {"Retry-After": "3600"}))
    assert type(error) is vendor_errors.RateLimitedError
    assert len(vendor.requests) == 1


def test_retries_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "market_pipeline.polygon"):
        waits_after(Reply(b"", 503))
    [record] = caplog.records
    assert "AAPL 2005-04-01 to 2005-04-04: the vendor returned 503" in record.getMessage()
