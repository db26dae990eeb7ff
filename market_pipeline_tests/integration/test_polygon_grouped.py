"""Grouped requests over real HTTP."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from market_pipeline.core.bars import BAR_COLUMNS
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.sessions import UnknownCalendarError
from market_pipeline.polygon import vendor_errors
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.polygon_cases import client_of
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

SESSION = date(2023, 1, 9)
TTMI = {
    "T": "TTMI", "v": 394280, "vw": 16.1078, "o": 15.96, "c": 16.08, "h": 16.335, "l": 15.96,
    "t": 1673298000000, "n": 5416,
}  # fmt: skip


def grouped(*records: dict[str, Any], **fields: Any) -> Reply:
    return Reply({"status": "OK", "adjusted": False, **({"results": records} if records else {}), **fields})


def test_one_request_brings_a_session_of_every_ticker() -> None:
    with scripted_vendor(grouped(TTMI, {**TTMI, "T": "AAPL"})) as vendor, client_of(vendor) as client:
        market = client.fetch_grouped_bars("XNYS", SESSION)
    assert vendor.paths == ["/v2/aggs/grouped/locale/us/market/stocks/2023-01-09?adjusted=false"]
    assert set(market) == {"TTMI", "AAPL"}
    assert market.requests == 1
    assert list(frame_of(market["TTMI"])["time"]) == [pd.Timestamp("2023-01-09 05:00", tz="UTC")]


def test_crypto_has_a_market_of_its_own() -> None:
    with scripted_vendor(grouped({**TTMI, "T": "X:BTCUSD"})) as vendor, client_of(vendor) as client:
        assert "X:BTCUSD" in client.fetch_grouped_bars("24/7", SESSION)
    assert vendor.paths == ["/v2/aggs/grouped/locale/global/market/crypto/2023-01-09?adjusted=false"]


def test_a_markets_session_is_arrays_of_the_same_bars() -> None:
    unusual: list[dict[str, Any]] = [
        {**TTMI, "T": "KIMpL", "v": 1.5e7, "n": None}, {**TTMI, "T": 7}, {**TTMI, "T": "LATE", "t": 1673384400000},
        {"T": "BARE"}, TTMI,
    ]  # fmt: skip
    replies = [grouped(TTMI, *unusual), grouped(TTMI, *unusual)]
    with scripted_vendor(*replies) as vendor, client_of(vendor) as client:
        session = client.fetch_market_session(MARKETS["us_stocks"], SESSION)
        market = client.fetch_grouped_bars("XNYS", SESSION)
    assert vendor.paths[0] == vendor.paths[1]
    assert list(session.tickers) == ["TTMI", "KIMpL", "", "LATE", "BARE", "TTMI"]
    assert [session.payload(row) for row in range(6)] == [TTMI, *unusual]
    assert (session.session, str(session.origin), session.version, session.requests) == (SESSION, "grouped", None, 1)
    assert np.isnat(session.columns["date"]).tolist() == [False, False, False, True, True, False]
    assert [session.columns[name].dtype.str for name in BAR_COLUMNS[:3]] == ["<M8[D]", "<M8[us]", "<f8"]
    for ticker in ("TTMI", "KIMpL", "LATE", "BARE"):
        rows = session.tickers == ticker
        for name, values in market[ticker].columns.items():
            np.testing.assert_array_equal(session.columns[name][rows], values)


def test_a_response_with_the_bars_of_another_session_is_an_error_that_names_it() -> None:
    message = r"^US stocks on 2023-01-09: the response has the bars of 2023-01-10\. Report it$"
    with (
        scripted_vendor(grouped({**TTMI, "t": 1673384400000})) as vendor,
        client_of(vendor) as client,
        pytest.raises(vendor_errors.BadResponseError, match=message),
    ):
        client.fetch_market_session(MARKETS["us_stocks"], SESSION)


def test_an_empty_market_is_requested_twice_on_a_session_and_once_on_a_sunday() -> None:
    with scripted_vendor(grouped(), grouped(), grouped()) as vendor, client_of(vendor) as client:
        assert client.fetch_grouped_bars("XNYS", SESSION).requests == 2
        sunday = client.fetch_grouped_bars("XNYS", date(2023, 1, 8))
    assert len(sunday) == 0
    assert sunday.requests == 1


def test_an_adjusted_market_is_rejected() -> None:
    with (
        scripted_vendor(grouped(TTMI, adjusted=True)) as vendor,
        client_of(vendor) as client,
        pytest.raises(
            vendor_errors.BadResponseError, match="all of XNYS on 2023-01-09: the response has adjusted bars"
        ),
    ):
        client.fetch_grouped_bars("XNYS", SESSION)


def test_an_unknown_calendar_is_not_requested() -> None:
    with scripted_vendor() as vendor, client_of(vendor) as client, pytest.raises(UnknownCalendarError):
        client.fetch_grouped_bars("XLON", SESSION)
    assert not vendor.requests
