"""The client's errors: rejected requests, unusable responses, other senders; and the secrecy of the key."""

import logging
import traceback
from typing import Any

import pytest
from pydantic import SecretStr

from market_pipeline.core.settings import Settings
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.polygon_cases import (
    AAPL,
    APRIL_1,
    APRIL_4,
    BARS,
    KEY,
    body,
    client_of,
    error_reply,
    failure,
)
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

TIMEFRAME = "Your plan doesn't include this data timeframe. Please upgrade your plan at https://polygon.io/pricing"
TODAY = "Attempted to request today's data before end of day. Please upgrade your plan at https://polygon.io/pricing"


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (
            400,
            "Could not parse the time parameter: 'from'. Use YYYY-MM-DD or Unix MS Timestamps",
            vendor_errors.BadRequestError,
        ),
        (401, "Unknown API Key", vendor_errors.BadKeyError),
        (403, TIMEFRAME, vendor_errors.PlanError),
        (403, "You are not entitled to this data. Please upgrade", vendor_errors.PlanError),
        (403, TODAY, vendor_errors.NotYetAvailableError),
        (404, "Ticker not found.", vendor_errors.UnknownTickerError),
    ],
)
def test_a_rejected_request_is_not_retried_and_its_error_names_symbol_dates_and_the_vendors_message(
    status: int, text: str, kind: type[vendor_errors.PolygonError]
) -> None:
    error, vendor = failure(error_reply(status, text))
    assert type(error) is kind
    assert "AAPL 2005-04-01 to 2005-04-04" in str(error)
    assert text in str(error)
    assert len(vendor.requests) == error.requests == 1


def test_an_error_with_http_200_is_an_error() -> None:
    error, _ = failure(Reply({"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}))
    assert type(error) is vendor_errors.PlanError


def test_the_vendors_message_is_quoted_in_one_short_printable_line() -> None:
    error, _ = failure(error_reply(400, "first\nsecond\x1b[31m " + "x" * 5_000))
    assert "first second [31m xxx" in str(error)
    assert len(str(error)) < 400
    assert str(error).isprintable()


def test_an_unknown_endpoint_is_named_as_such() -> None:
    error, _ = failure(Reply(b"404 page not found", 404))
    assert type(error) is vendor_errors.UnknownEndpointError


def test_a_redirect_is_not_followed() -> None:
    with scripted_vendor() as elsewhere:
        error, _ = failure(Reply(b"", 302, {"Location": f"{elsewhere.base_url}/"}))
        assert not elsewhere.requests
    assert type(error) is vendor_errors.BadResponseError


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Welcome to the airport</html>",
        b"[]",
        b'"OK"',
        b'{"ticker": "AAPL", "adjusted": false, "results": []}',
        b'{"status": "PERHAPS", "ticker": "AAPL", "adjusted": false}',
        b'{"status": "OK", "ticker": "MSFT", "adjusted": false}',
        b'{"status": "OK", "ticker": "AAPL", "adjusted": true}',
        b'{"status": "OK", "ticker": "AAPL"}',
        b'{"status": "OK", "ticker": "AAPL", "adjusted": false, "results": {"c": 1}}',
        b'{"status": "OK", "ticker": "AAPL", "adjusted": false, "results": [[1]]}',
        b'{"status": "OK", "ticker": "AAPL", "adjusted": false, "results": [{"c": NaN}]}',
    ],
)
def test_a_response_of_another_shape_is_rejected_and_not_retried(content: bytes) -> None:
    error, vendor = failure(Reply(content))
    assert type(error) is vendor_errors.BadResponseError
    assert len(vendor.requests) == 1


# --- the sender of a response


def test_a_sandbox_needs_no_key_and_is_recognized_by_its_header() -> None:
    reply = Reply(body(BARS), headers={"X-Market-Pipeline-Sandbox": "1"})
    with (
        scripted_vendor(reply) as vendor,
        PolygonClient(vendor.base_url, None, source="sandbox", limiter=LocalLimiter(9)) as client,
    ):
        assert len(frame_of(client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4))) == 2
    assert vendor.requests[0].headers["Authorization"] == "Bearer sandbox"


@pytest.mark.parametrize("reply", [Reply(body(BARS)), Reply(b"404 page not found", 404)])
def test_an_address_that_is_neither_vendor_nor_sandbox_is_rejected(reply: Reply) -> None:
    error, vendor = failure(reply, source="sandbox")
    assert type(error) is vendor_errors.BadResponseError
    assert "POLYGON_BASE_URL is neither the vendor nor a sandbox" in str(error)
    assert len(vendor.requests) == 1


def test_a_sandbox_in_the_vendors_place_is_rejected() -> None:
    error, _ = failure(Reply(body(BARS), headers={"X-Market-Pipeline-Sandbox": "1"}))
    assert type(error) is vendor_errors.BadResponseError
    assert "the response is a sandbox's, not the vendor's" in str(error)


# --- the key


@pytest.mark.parametrize("key", [None, SecretStr(""), SecretStr("  ")])
def test_without_a_key_no_request_is_sent(key: SecretStr | None) -> None:
    with scripted_vendor() as vendor:
        with pytest.raises(vendor_errors.MissingKeyError, match=r"^POLYGON_API_KEY not set: set it in \.env"):
            PolygonClient(vendor.base_url, key, source="polygon", limiter=LocalLimiter(9))
        assert not vendor.requests


def test_the_settings_key_and_address_are_used() -> None:
    reply = Reply(body(BARS), headers={"X-Market-Pipeline-Sandbox": "1"})
    with scripted_vendor(reply) as vendor:
        settings = Settings(_env_file=None, polygon_base_url=vendor.base_url, polygon_api_key=SecretStr(KEY))
        with PolygonClient.from_settings(settings, LocalLimiter(9)) as client:
            client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert vendor.requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", [f"{KEY}\nX-Evil: 1", f"{KEY} {KEY}", f"{KEY}é"])
def test_a_key_that_no_header_can_hold_is_rejected_without_being_shown(key: str) -> None:
    with pytest.raises(vendor_errors.BadKeyError) as caught:
        PolygonClient("http://127.0.0.1:1", SecretStr(key), source="polygon", limiter=LocalLimiter(9))
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "reply",
    [
        error_reply(401, f"Unknown API Key {KEY}"),
        Reply({"status": "NOT_AUTHORIZED", "message": f"not for {KEY}"}),
        Reply(body(BARS, next_url=f"https://example.com/?apiKey={KEY}")),
        Reply({"status": KEY}),
        Reply(b"", 503),
        Reply(body(BARS), cut_after=5),
    ],
)
def test_the_key_is_in_no_error_and_no_log(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        error, vendor = failure(*[reply] * 3)
    assert vendor.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error) + caplog.text


def test_netrc_and_a_proxy_from_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with scripted_vendor() as proxy, scripted_vendor(Reply(body(BARS))) as vendor, client_of(vendor) as client:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("http_proxy", proxy.base_url)
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
        assert not proxy.requests
    assert vendor.requests[0].headers["Authorization"] == f"Bearer {KEY}"
