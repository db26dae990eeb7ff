"""The client's bars over real HTTP: its requests, and the frames of good responses."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from market_pipeline.polygon import vendor_errors
from market_pipeline_tests.bar_frames import frame_of, has_types_of_bars
from market_pipeline_tests.integration.polygon_cases import (
    AAPL,
    APRIL_1,
    APRIL_4,
    BARS,
    BTC,
    KEY,
    body,
    client_of,
    failure,
)
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor


def test_bars_arrive_with_their_sessions_values_and_payloads() -> None:
    with scripted_vendor(Reply(body(BARS))) as vendor, client_of(vendor) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert [str(day.date()) for day in frame_of(fetched)["date"]] == ["2005-04-01", "2005-04-04"]
    assert [time.hour for time in frame_of(fetched)["time"]] == [5, 4]  # daylight saving began between them
    assert list(frame_of(fetched)["high"]) == [1.5064, 2.0]
    assert list(frame_of(fetched)["volume"]) == [642646390.0, 578172308.25]
    assert has_types_of_bars(fetched)
    assert list(fetched.payloads) == BARS
    assert fetched.requests == 1


def test_as_traded_bars_are_requested_by_date_with_the_key_in_the_header_only() -> None:
    with scripted_vendor(Reply(body(BARS))) as vendor, client_of(vendor) as client:
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    [request] = vendor.requests
    assert request.path == "/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04?adjusted=false&sort=asc&limit=50000"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["Accept-Encoding"] == "gzip"


def test_crypto_days_are_utc_days() -> None:
    bar = {**BARS[0], "t": 1640995200000}
    with scripted_vendor(Reply({**body([bar]), "ticker": "X:BTCUSD"})) as vendor, client_of(vendor) as client:
        fetched = client.fetch_daily_bars(BTC, date(2022, 1, 1), date(2022, 1, 1))
    assert str(frame_of(fetched)["date"][0]) == "2022-01-01 00:00:00"
    assert vendor.paths[0].startswith("/v2/aggs/ticker/X:BTCUSD/range/1/day/")


@pytest.mark.parametrize("chunked", [True, False])
def test_a_compressed_response_is_read(chunked: bool) -> None:
    content = gzip.compress(json.dumps(body(BARS)).encode())
    packed = Reply(content, headers={"Content-Encoding": "gzip"}, chunked=chunked)
    with scripted_vendor(packed) as vendor, client_of(vendor) as client:
        assert len(frame_of(client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4))) == 2


def test_a_delayed_response_is_a_success() -> None:
    with scripted_vendor(Reply(body(BARS, status="DELAYED"))) as vendor, client_of(vendor) as client:
        assert len(frame_of(client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4))) == 2


def test_threads_can_share_a_client() -> None:
    with (
        scripted_vendor(*[Reply(body(BARS))] * 16) as vendor,
        client_of(vendor) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        responses = list(pool.map(lambda _: client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4), range(16)))
    assert [(len(frame_of(fetched)), fetched.requests) for fetched in responses] == [(2, 1)] * 16


# --- pages


def test_later_pages_are_requested_as_traded_at_our_own_url_and_end_with_an_empty_one() -> None:
    link = (
        "https://api.polygon.io:443:443/v2/aggs/ticker/AAPL/range/1/day/1112418000000/2005-04-04?cursor=bGlt&apiKey=x"
    )
    last = "https://api.massive.com/v2/aggs/ticker/AAPL/range/1/day/1112587200001/2005-04-04?cursor=c29y"
    replies = [Reply(body(BARS[:1], next_url=link)), Reply(body(BARS[1:], next_url=last)), Reply(body())]
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert vendor.paths[1:] == [
        "/v2/aggs/ticker/AAPL/range/1/day/1112418000000/2005-04-04?adjusted=false&cursor=bGlt",
        "/v2/aggs/ticker/AAPL/range/1/day/1112587200001/2005-04-04?adjusted=false&cursor=c29y",
    ]
    assert len(frame_of(fetched)) == 2
    assert fetched.requests == 3


def test_the_key_is_never_sent_to_a_foreign_address() -> None:
    with scripted_vendor() as foreign:
        error, _ = failure(Reply(body(BARS, next_url=f"{foreign.base_url.replace('127.0.0.1', 'localhost')}/v2/x")))
        assert not foreign.requests
    assert isinstance(error, vendor_errors.BadResponseError)
    assert "is not at the vendor's address" in str(error)


@pytest.mark.parametrize("link", ["https://[", "mailto:api.polygon.io", 7, {"url": 1}])
def test_a_link_that_is_no_address_is_rejected(link: Any) -> None:
    error, vendor = failure(Reply(body(BARS, next_url=link)))
    assert isinstance(error, vendor_errors.BadResponseError)
    assert len(vendor.requests) == 1


def test_a_page_that_links_to_itself_ends_with_an_error() -> None:
    page = Reply(body(BARS, next_url="https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/1/2?cursor=a"))
    error, vendor = failure(*[page] * 9)
    assert isinstance(error, vendor_errors.BadResponseError)
    assert "pages don't end" in str(error)
    assert len(vendor.requests) == error.requests == 2


def test_an_adjusted_second_page_makes_the_response_an_error() -> None:
    first = body(BARS[:1], next_url="https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/1/2?cursor=a")
    error, _ = failure(Reply(first), Reply(body(BARS[1:], adjusted=True)))
    assert isinstance(error, vendor_errors.BadResponseError)
    assert "adjusted" in str(error)
    assert error.requests == 2


# --- no bars


@pytest.mark.parametrize("empty", [body(), body([]), {**body(), "results": None, "resultsCount": 0}])
def test_an_empty_response_for_sessions_is_requested_twice_before_it_is_accepted(empty: dict[str, Any]) -> None:
    with scripted_vendor(Reply(empty), Reply(empty)) as vendor, client_of(vendor) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert frame_of(fetched).empty
    assert has_types_of_bars(fetched)
    assert fetched.requests == 2


def test_an_empty_response_is_requested_again() -> None:
    with scripted_vendor(Reply(body()), Reply(body(BARS))) as vendor, client_of(vendor) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert len(frame_of(fetched)) == 2
    assert fetched.requests == 2


def test_an_empty_response_for_a_weekend_is_accepted_at_once() -> None:
    with scripted_vendor(Reply(body())) as vendor, client_of(vendor) as client:
        assert client.fetch_daily_bars(AAPL, date(2005, 4, 2), date(2005, 4, 3)).requests == 1
