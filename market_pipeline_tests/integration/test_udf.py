"""`/udf`: TradingView's datafeed protocol, held to its documentation, with values of bars by hand."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import Api, load_autumn, serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.mart_cases import add_bars, refresh_all_factors
from market_pipeline_tests.integration.stored_bars import recorded

MARKET_DAYS = [date(2000, 10, 9), date(2000, 10, 10)]
NAMES = (
    "UPDATE tracked_symbols SET name = 'Apple Inc.', primary_exchange = 'XNAS' WHERE symbol = 'AAPL'",
    "INSERT INTO reference_tickers (market, ticker, name, type, primary_exchange, fetched_at) "
    "VALUES ('us_stocks', 'SPY', 'SPDR S&P 500', 'ETF', 'ARCX', now())",
    "UPDATE tracked_symbols SET active = false WHERE symbol IN ('WFUND', 'WCOIN')",
)


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over three stocks' bars of an autumn, a coin without bars, and two sessions of a market."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        add_symbols(api.warehouse, [Symbol.of("BTC", "crypto"), Symbol.of("QQQ", "etf")])
        bars = {"SPY": Bar(140.0, 80_000.0), "AAA": Bar(0.5), **{f"W{number:04}": Bar(1.0) for number in range(1_001)}}
        load_market(api.warehouse, *(session_of(day, bars) for day in MARKET_DAYS), accept_small=True, source="polygon")
        add_symbols(api.warehouse, [Symbol.of("WFUND", "etf"), Symbol.of("WCOIN", "crypto")])
        api.execute(*NAMES)
        refresh_all_factors(api.warehouse)
        yield api


def call(api: Api, path: str, **parameters: object) -> requests.Response:
    return api.get(f"/udf/{path}", [(name.rstrip("_"), str(value)) for name, value in parameters.items()])


def get(api: Api, path: str, **parameters: object) -> Any:
    response = call(api, path, **parameters)
    assert response.status_code == 200, response.text
    return response.json()


def seconds(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


def days(bars: dict[str, list[Any]]) -> list[str]:
    return [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in bars["t"]]


def test_the_configuration_names_what_the_datafeed_has(api: Api) -> None:
    found = get(api, "config")
    assert found["supported_resolutions"] == ["1D", "1W", "1M"]
    assert (found["supports_search"], found["supports_group_request"], found["supports_time"]) == (True, False, True)
    assert [exchange["value"] for exchange in found["exchanges"]] == ["", "US", "CRYPTO"]
    response = call(api, "time")
    assert abs(int(response.text) - time.time()) < 60


def test_a_symbol_has_the_hours_and_the_holidays_of_its_calendar(api: Api) -> None:
    found = get(api, "symbols", symbol="AAPL")
    assert (found["name"], found["description"], found["type"]) == ("AAPL", "Apple Inc.", "stock")
    assert (found["exchange"], found["listed_exchange"]) == ("US", "XNAS")
    assert (found["session"], found["timezone"], found["data_status"]) == ("0930-1600", "America/New_York", "endofday")
    holidays = found["session_holidays"].split(",")
    # Independence Day, Thanksgiving and the first three of the four days after the attacks of 2001.
    assert {"20000704", "20001123", "20010911", "20010912", "20010913"} < set(holidays)
    assert f"{datetime.now(UTC).year + 1}1225" in holidays or date(datetime.now(UTC).year + 1, 12, 25).weekday() > 4
    assert found["pricescale"] == 100
    assert get(api, "symbols", symbol="XNAS:AAPL") == found
    coin = get(api, "symbols", symbol="BTC")
    assert (coin["exchange"], coin["session"], coin["timezone"], coin["session_holidays"]) == (
        "CRYPTO", "24x7", "Etc/UTC", "",
    )  # fmt: skip


def test_the_price_scale_fits_the_prices_as_traded(server: embedded.Server, tmp_path: Path) -> None:
    scales = {"TEN": (67_123.456, 1_000), "TINY": (1.2345e-05, 10**9), "DUST": (3e-12, 10**10)}
    with serving(server, tmp_path) as api:
        for name, (close, scale) in scales.items():
            coin = Symbol.of(name, "crypto")
            add_symbols(api.warehouse, [coin])
            prices = dict.fromkeys(("open", "high", "low", "close"), close)
            frame = pd.DataFrame([{"date": pd.Timestamp(2022, 10, 9), **prices, "volume": 1.0}])
            add_bars(api.warehouse, coin, frame)
            assert get(api, "symbols", symbol=name)["pricescale"] == scale


def test_a_markets_symbol_is_found_too(api: Api) -> None:
    fund = get(api, "symbols", symbol="SPY")
    assert (fund["type"], fund["description"], fund["listed_exchange"]) == ("stock", "SPDR S&P 500", "ARCX")
    assert get(api, "symbols", symbol="AAA")["pricescale"] == 10_000  # 0.5000
    assert get(api, "history", symbol="SPY", to=seconds(2000, 10, 11), countback=1)["c"] == [140]


def test_a_search_finds_tickers_and_names_of_tracked_symbols_and_of_markets(api: Api) -> None:
    def search(**parameters: object) -> list[str]:
        return [found["symbol"] for found in get(api, "search", **parameters)]

    assert search(query="a") == ["AAPL", "AAA"]  # tracked symbols before a market's others
    assert search(query="aapl") == ["AAPL"]
    assert search(query="apple inc") == ["AAPL"]
    assert search(query="spdr") == ["SPY"]
    assert search(query="", type="fund") == ["QQQ"]
    assert search(query="", exchange="CRYPTO") == ["BTC"]
    assert len(search(query="", type="", exchange="", limit=2)) == 2
    # Those that are no longer fetched come after a thousand others.
    assert (search(query="w", type="fund"), search(query="w", exchange="CRYPTO")) == (["WFUND"], ["WCOIN"])
    assert search(query="w", type="stock", exchange="CRYPTO") == []
    assert len(search(query="w", limit=1_000_000)) == 1_000
    [found] = get(api, "search", query="SPY", type="", exchange="US", limit=30)
    assert found == {
        "symbol": "SPY", "full_name": "US:SPY", "ticker": "SPY", "description": "SPDR S&P 500", "exchange": "US",
        "type": "stock",
    }  # fmt: skip


def test_days_are_adjusted_for_splits_at_midnight_of_their_session(api: Api) -> None:
    # A week of AAPL as published. Of two splits of 1 to 2 one came later: 2005.
    found = get(api, "history", symbol="AAPL", resolution="D", from_=seconds(2000, 9, 25), to=seconds(2000, 9, 30))
    assert found["s"] == "ok"
    assert days(found) == [f"2000-09-{day} 00:00" for day in (25, 26, 27, 28, 29)]
    assert found["c"] == [26.75, 25.72, 24.47, 26.75, 12.875]
    assert (found["o"][-1], found["h"][-1], found["l"][-1]) == (14.095, 14.5, 12.685)
    traded = get(
        api, "history", symbol="AAPL", resolution="1D", from_=seconds(2000, 9, 29), to=seconds(2000, 9, 30),
        adjustment="none",
    )  # fmt: skip
    assert traded["c"] == [25.75]
    assert traded["v"] == [found["v"][-1] / 2]
    assert get(api, "none/history", symbol="AAPL", from_=seconds(2000, 9, 29), to=seconds(2000, 9, 30)) == traded


def test_the_first_time_is_included_and_the_last_is_not(api: Api) -> None:
    def found(start: int, end: int) -> list[str]:
        return [day[8:10] for day in days(get(api, "history", symbol="IBM", from_=start, to=end))]

    assert found(seconds(2000, 9, 25), seconds(2000, 9, 27)) == ["25", "26"]
    assert found(seconds(2000, 9, 25) + 1, seconds(2000, 9, 27) + 1) == ["26", "27"]


def test_weeks_and_months_begin_at_their_first_session(api: Api) -> None:
    bars = recorded("IBM", date(2000, 9, 11), date(2000, 10, 10)).set_index("date")
    weeks = get(api, "none/history", symbol="IBM", resolution="1W", to=seconds(2000, 10, 12), countback=3)
    assert days(weeks) == ["2000-09-25 00:00", "2000-10-02 00:00", "2000-10-09 00:00"]
    week = bars.loc["2000-10-02":"2000-10-06"]  # type: ignore[misc]
    assert [weeks[name][1] for name in "ohlcv"] == [
        week["open"].iloc[0], week["high"].max(), week["low"].min(), week["close"].iloc[-1], week["volume"].sum(),
    ]  # fmt: skip
    months = get(api, "none/history", symbol="IBM", resolution="M", from_=0, to=seconds(2000, 10, 12))
    assert days(months) == ["2000-09-11 00:00", "2000-10-02 00:00"]  # the first stored one, and a Monday
    september = bars.loc["2000-09-11":"2000-09-29"]  # type: ignore[misc]
    assert (months["h"][0], months["c"][0]) == (september["high"].max(), september["close"].iloc[-1])
    # A range that ends within a week has that week as a whole, as it has the week's first session.
    [same] = [get(api, "none/history", symbol="IBM", resolution="W", to=seconds(2000, 10, 4), countback=1)]
    assert [same[name][0] for name in "thlc"] == [weeks[name][1] for name in "thlc"]


def test_countback_takes_precedence_over_from(api: Api) -> None:
    found = get(
        api, "history", symbol="MSFT", resolution="1D", from_=seconds(2000, 10, 5), to=seconds(2000, 10, 6), countback=4
    )
    assert days(found) == [f"2000-{day} 00:00" for day in ("10-02", "10-03", "10-04", "10-05")]
    assert len(get(api, "history", symbol="MSFT", to=seconds(2000, 10, 11), countback=100)["t"]) == 22


def test_without_bars_there_is_the_time_of_the_newest_one_before(api: Api) -> None:
    weekend = get(api, "history", symbol="AAPL", from_=seconds(2000, 9, 30), to=seconds(2000, 10, 2))
    assert weekend == {"s": "no_data", "nextTime": seconds(2000, 9, 29) * 1000}  # Friday, in milliseconds
    assert get(api, "history", symbol="AAPL", from_=0, to=seconds(2000, 9, 11)) == {"s": "no_data"}
    assert get(api, "history", symbol="AAPL", to=seconds(2000, 9, 11), countback=5) == {"s": "no_data"}
    assert get(api, "history", symbol="AAPL", from_=-(10**12), to=0) == {"s": "no_data"}
    assert get(api, "history", symbol="BTC", to=seconds(2020, 1, 1), countback=5) == {"s": "no_data"}


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("history?symbol=NOPE&resolution=1D&from=0&to=1", 404, "NOPE is not tracked: /udf/search finds symbols"),
        ("symbols?symbol=NOPE", 404, "NOPE is not tracked: /udf/search finds symbols"),
        ("symbols", 400, "symbol: is missing"),
        ("history?symbol=AAPL&resolution=60&to=1", 400, "resolution: '60' is not one of 1D, 1W, 1M"),
        ("history?symbol=AAPL&resolution=H&to=1", 400, "resolution: 'H' is not one of 1D, 1W, 1M"),
        ("history?symbol=AAPL&from=a&to=1e9", 400, "from: 'a' is not a whole number; to: '1e9' is not a whole number"),
        ("history?symbol=AAPL&to=99999999999999999999", 400, "to: '99999999999999999999' is not a whole number"),
        ("history?symbol=AAPL&countback=0", 400, "countback: '0' is not a number from 1 on"),
        ("history?symbol=SPY&adjustment=all", 409, "the adjusted prices of SPY are not known: splits and dividends"),
        ("raw/config", 404, "there is no such call"),
        ("quotes?symbols=AAPL", 404, "there is no such call"),
    ],
)  # fmt: skip
def test_errors_have_the_form_of_the_protocol(api: Api, path: str, status: int, message: str) -> None:
    response = api.get(f"/udf/{path}")
    assert (response.status_code, response.json()["s"]) == (status, "error")
    assert response.json()["errmsg"].startswith(message)


def test_parameters_that_clients_add_have_no_effect(api: Api) -> None:
    request = {"symbol": "AAPL", "to": seconds(2000, 10, 11), "countback": 1}
    assert get(api, "history", **request, currencyCode="USD", unitId="") == get(api, "history", **request)
