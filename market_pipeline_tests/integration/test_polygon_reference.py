"""Splits, dividends and tickers over real HTTP, with the vendor's recorded bodies."""

import logging
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.reference import Dividend, Split, TickerChange
from market_pipeline_tests.integration.polygon_cases import client_of, ok
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

AAPL, META, BTC = Symbol.of("AAPL", "stock"), Symbol.of("META", "stock"), Symbol.of("BTC", "crypto")
START, END = date(2005, 1, 1), date(2025, 12, 31)

SPLIT = {
    "execution_date": "2020-08-31", "split_from": 1, "split_to": 4, "ticker": "AAPL",
    "id": "E36416cce743c3964c5da63e1ef1626c0aece30fb47302eea5a49c0055c04e8d0",
}  # fmt: skip
DIVIDEND = {
    "cash_amount": 0.26, "currency": "USD", "declaration_date": "2025-07-31", "distribution_type": "recurring",
    "ex_dividend_date": "2025-08-11", "frequency": 4, "historical_adjustment_factor": 0.997899, "id": "Ed2c9da60",
    "pay_date": "2025-08-14", "record_date": "2025-08-11", "split_adjusted_cash_amount": 0.26, "ticker": "AAPL",
}  # fmt: skip
OLDER_DIVIDEND = {
    "cash_amount": 0.22, "currency": "USD", "dividend_type": "CD", "ex_dividend_date": "2021-11-05", "frequency": 4,
    "ticker": "AAPL",
}  # fmt: skip


NO_ENDPOINT = Reply(b"404 page not found", 404)
NOT_ENTITLED = Reply({"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}, 403)
NO_TICKER = Reply({"status": "NOT_FOUND", "message": "Ticker not found."}, 404)


def query(path: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(path).query))


# --- splits and dividends


def test_splits_are_requested_by_date_over_all_pages_and_each_is_returned_once() -> None:
    first = ok([SPLIT], next_url="https://api.massive.com/stocks/v1/splits?cursor=YWN0")
    later = {**SPLIT, "execution_date": "2022-06-22", "split_from": 2.5, "split_to": 1}
    with scripted_vendor(first, ok([SPLIT, later])) as vendor, client_of(vendor) as client:
        splits = client.fetch_splits(START, END, [AAPL]).events
    assert splits == [
        Split("AAPL", date(2020, 8, 31), 1.0, 4.0, str(SPLIT["id"])),
        Split("AAPL", date(2022, 6, 22), 2.5, 1.0, str(SPLIT["id"])),
    ]
    assert urlsplit(vendor.paths[0]).path == "/stocks/v1/splits"
    assert query(vendor.paths[0]) == {
        "execution_date.gte": "2005-01-01",
        "execution_date.lte": "2025-12-31",
        "ticker.any_of": "AAPL",
        "sort": "execution_date.asc",
        "limit": "5000",
    }
    assert vendor.paths[1] == "/stocks/v1/splits?cursor=YWN0"


def test_without_a_symbol_the_actions_of_the_market_are_requested() -> None:
    with scripted_vendor(ok([])) as vendor, client_of(vendor) as client:
        assert client.fetch_dividends(START, END).events == []
    assert query(vendor.paths[0]).keys() == {"ex_dividend_date.gte", "ex_dividend_date.lte", "sort", "limit"}


def test_many_symbols_share_requests_of_250_tickers() -> None:
    symbols = [Symbol.of(f"S{chr(65 + number // 26)}{chr(65 + number % 26)}", "stock") for number in range(251)]
    with scripted_vendor(ok([SPLIT]), ok([])) as vendor, client_of(vendor) as client:
        fetched = client.fetch_splits(START, END, [*symbols[:100], BTC, *symbols[100:]])
    named = [query(path)["ticker.any_of"] for path in vendor.paths]
    assert ",".join(named).split(",") == [symbol.name for symbol in symbols]
    assert (named[1], len(max(vendor.paths, key=len)) < 2_000) == (symbols[-1].name, True)
    assert (len(fetched.events), fetched.requests) == (1, 2)


def test_the_older_endpoints_take_a_request_for_each_symbol() -> None:
    with scripted_vendor(NO_ENDPOINT, ok([SPLIT]), ok([])) as vendor, client_of(vendor) as client:
        fetched = client.fetch_splits(START, END, [AAPL, META])
    assert [query(path).get("ticker") for path in vendor.paths] == [None, "AAPL", "META"]
    assert (len(fetched.events), fetched.requests) == (1, 3)


@pytest.mark.parametrize("unavailable", [NO_ENDPOINT, NOT_ENTITLED, NO_TICKER])
def test_without_the_newer_endpoints_the_older_ones_are_used_from_then_on(unavailable: Reply) -> None:
    without_id = {name: value for name, value in SPLIT.items() if name != "id"}
    with scripted_vendor(unavailable, ok([without_id]), ok([])) as vendor, client_of(vendor) as client:
        [split] = client.fetch_splits(START, END, [AAPL]).events
        client.fetch_dividends(START, END, [AAPL])
    assert split.vendor_id is None
    assert [urlsplit(path).path for path in vendor.paths] == [
        "/stocks/v1/splits",
        "/v3/reference/splits",
        "/v3/reference/dividends",
    ]
    assert query(vendor.paths[1])["sort"] == "execution_date"
    assert query(vendor.paths[1])["order"] == "asc"
    assert query(vendor.paths[1])["limit"] == "1000"


def test_without_either_generation_the_error_is_reported() -> None:
    with (
        scripted_vendor(NOT_ENTITLED, NOT_ENTITLED) as vendor,
        client_of(vendor) as client,
        pytest.raises(vendor_errors.PlanError, match="splits of AAPL 2005-01-01 to 2025-12-31") as caught,
    ):
        client.fetch_splits(START, END, [AAPL])
    assert caught.value.requests == 2


def test_dividends_of_both_generations_read_alike() -> None:
    with scripted_vendor(ok([DIVIDEND, OLDER_DIVIDEND])) as vendor, client_of(vendor) as client:
        newer, older = client.fetch_dividends(START, END, [AAPL]).events
    assert newer == Dividend(
        ticker="AAPL",
        ex_dividend_date=date(2025, 8, 11),
        cash_amount=0.26,
        currency="USD",
        dividend_type="recurring",
        frequency=4,
        declaration_date=date(2025, 7, 31),
        record_date=date(2025, 8, 11),
        pay_date=date(2025, 8, 14),
        vendor_id="Ed2c9da60",
    )
    assert isinstance(older, Dividend)
    assert older.dividend_type == "CD"
    assert {older.pay_date, older.record_date, older.declaration_date, older.vendor_id} == {None}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"split_to": "4"}, "'4' is no number"),
        ({"split_to": True}, "True is no number"),
        ({"split_to": None}, "None is no number"),
        ({"split_to": 10**400}, "int too large to convert to float"),
        ({"execution_date": "soon"}, "Invalid isoformat string: 'soon'"),
        ({"execution_date": None}, "None is no text"),
        ({"ticker": ""}, "'' is no text"),
        ({"ticker": 7}, "7 is no text"),
    ],
)
def test_a_split_that_can_not_be_read_is_returned_as_such_and_logged(
    wrong: dict[str, Any], problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_vendor(ok([{**SPLIT, **wrong}, SPLIT])) as vendor, client_of(vendor) as client:
        fetched = client.fetch_splits(START, END, [AAPL])
    [unreadable] = fetched.unreadable
    assert (len(fetched.events), fetched.tickers) == (1, ["AAPL"])
    assert unreadable.record == {**SPLIT, **wrong}
    assert (unreadable.ticker is None, unreadable.date is None) == ("ticker" in wrong, "execution_date" in wrong)
    assert unreadable.problem == problem
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("splits of AAPL 2005-01-01 to 2025-12-31: can't read")


def test_crypto_has_neither_and_no_request_is_sent() -> None:
    with scripted_vendor() as vendor, client_of(vendor) as client:
        assert client.fetch_splits(START, END, [BTC]).events == []
        assert client.fetch_dividends(START, END, [BTC]).events == []
    assert not vendor.requests


# --- tickers

AGILENT = {
    "ticker": "A", "name": "Agilent Technologies Inc.", "market": "stocks", "locale": "us", "primary_exchange": "XNYS",
    "type": "CS", "active": True, "currency_name": "usd", "last_updated_utc": "2022-04-27T00:00:00Z",
}  # fmt: skip


def test_a_ticker_is_described() -> None:
    with scripted_vendor(ok([AGILENT])) as vendor, client_of(vendor) as client:
        found = client.fetch_ticker(Symbol.of("A", "stock"))
    assert (found.ticker, found.name, found.kind) == ("A", "Agilent Technologies Inc.", "CS")
    assert (found.market, found.primary_exchange, found.active, found.delisted) == ("stocks", "XNYS", True, None)


def test_a_delisted_ticker_is_found_with_its_last_day() -> None:
    gone = [
        {"ticker": "ES", "active": False, "delisted_utc": "2012-04-10T00:00:00Z"},
        {"ticker": "ES", "active": False, "delisted_utc": "2015-02-18T05:00:00Z"},
        {"ticker": "ES", "active": False},
    ]
    with scripted_vendor(ok([]), ok(gone)) as vendor, client_of(vendor) as client:
        found = client.fetch_ticker(Symbol.of("ES", "stock"))
    assert not found.active
    assert found.delisted == date(2015, 2, 18)
    assert [query(path)["active"] for path in vendor.paths] == ["true", "false"]


def test_an_unknown_ticker_is_an_error_with_the_nearest_ones() -> None:
    replies = [ok([]), ok([]), ok([{"ticker": "AAPL"}, {"ticker": "APLE"}])]
    with (
        scripted_vendor(*replies) as vendor,
        client_of(vendor) as client,
        pytest.raises(
            vendor_errors.UnknownTickerError, match=r"knows no ticker APPL\. Did you mean one of AAPL, APLE\?"
        ) as caught,
    ):
        client.fetch_ticker(Symbol.of("APPL", "stock"))
    assert caught.value.requests == 3


@pytest.mark.parametrize(
    ("near", "advice"),
    [(["APPL"], "Check it; tickers are case-sensitive"), (["APPL", "AAPL"], r"Did you mean AAPL\?")],
)
def test_an_unknown_ticker_is_not_suggested_itself(near: list[str], advice: str) -> None:
    replies = [ok([]), ok([]), ok([{"ticker": ticker} for ticker in near])]
    with (
        scripted_vendor(*replies) as vendor,
        client_of(vendor) as client,
        pytest.raises(vendor_errors.UnknownTickerError, match=rf"knows no ticker APPL\. {advice}$"),
    ):
        client.fetch_ticker(Symbol.of("APPL", "stock"))


def test_the_list_of_a_markets_tickers_is_read_over_all_pages() -> None:
    old = {"ticker": "FB", "market": "stocks", "active": False, "delisted_utc": "2022-06-09T00:00:00Z"}
    first = ok([old, {"ticker": None}], next_url="https://api.massive.com/v3/reference/tickers?cursor=YWN0")
    with scripted_vendor(first, ok([{**old, "ticker": "TWTR"}])) as vendor, client_of(vendor) as client:
        delisted = client.fetch_ticker_list(MARKETS["us_stocks"], active=False)
    assert [(ticker.ticker, ticker.delisted) for ticker in delisted.tickers] == [
        ("FB", date(2022, 6, 9)), ("TWTR", date(2022, 6, 9)),
    ]  # fmt: skip
    assert delisted.requests == 2
    assert query(vendor.paths[0]) == {
        "market": "stocks", "active": "false", "sort": "ticker", "order": "asc", "limit": "1000",
    }  # fmt: skip
    with scripted_vendor(ok([])) as vendor, client_of(vendor) as client:
        assert client.fetch_ticker_list(MARKETS["crypto"], active=True).tickers == []
    assert query(vendor.paths[0])["market"] == "crypto"
    assert query(vendor.paths[0])["active"] == "true"


def test_a_search_is_for_active_tickers_of_the_asset_class() -> None:
    with scripted_vendor(ok([{"ticker": "X:BTCUSD", "market": "crypto"}])) as vendor, client_of(vendor) as client:
        [found] = client.search_tickers("bit coin", AssetClass.CRYPTO)
    assert found.ticker == "X:BTCUSD"
    assert query(vendor.paths[0]) == {"search": "bit coin", "market": "crypto", "active": "true", "limit": "10"}


def test_ticker_changes_come_oldest_first() -> None:
    events = [
        {"ticker_change": {"ticker": "META"}, "type": "ticker_change", "date": "2022-06-09"},
        {"ticker_change": {"ticker": "FB"}, "type": "ticker_change", "date": "2012-05-18"},
    ]
    with scripted_vendor(ok({"name": "Meta Platforms", "events": events})) as vendor, client_of(vendor) as client:
        changes = list(client.fetch_ticker_events(META).changes)
    assert changes == [TickerChange("FB", date(2012, 5, 18)), TickerChange("META", date(2022, 6, 9))]
    assert vendor.paths == ["/vX/reference/tickers/META/events?types=ticker_change"]


def test_ticker_changes_of_an_unknown_ticker_are_rejected_and_of_another_shape_too() -> None:
    with scripted_vendor(NO_TICKER, ok([])) as vendor, client_of(vendor) as client:
        with pytest.raises(vendor_errors.UnknownTickerError):
            client.fetch_ticker_events(META)
        with pytest.raises(vendor_errors.BadResponseError):
            client.fetch_ticker_events(META)
