"""The vendor's dialect beyond the vendor: instants, dividends, whole markets, keys, and prices that aren't known.

Values are by hand. CAFE closes at 100 for three sessions; a dividend of 2 dollars and a split of 1 to 3 follow.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from uuid import uuid4

import pandas as pd
import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from massive import RESTClient
from massive.exceptions import BadResponse
from starlette.requests import Request

from market_pipeline.api.access_log import hide_keys
from market_pipeline.api.vendor_dialect.dialect_request import is_from_this_machine
from market_pipeline.api.vendor_dialect.stored_rows import build_go_number
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.market_list import refresh_list
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.vendor_format.encoding import encode_cursor, format_go_number
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.ticker_list import ListedTicker, store_ticker_list
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import Api, serving
from market_pipeline_tests.integration.market_cases import STOCKS, Bar, load_market, session_of
from market_pipeline_tests.integration.mart_cases import (
    add_bars,
    add_dividends,
    add_splits,
    database,
    refresh_all_factors,
    track,
)
from market_pipeline_tests.integration.stored_bars import query

CAFE, NEWS = Symbol.of("CAFE", "stock"), Symbol.of("NEWS", "stock")
DEAR = Symbol.of("DEAR", "crypto")
DAYS = list_sessions("XNYS", date(2024, 2, 26), date(2024, 3, 15))
EX_DATE, EXECUTION = DAYS[3], DAYS[5]
RANGE = f"/v2/aggs/ticker/CAFE/range/1/day/{DAYS[0]}/{DAYS[6]}"
CLOSES = [100.0, 100.0, 100.0, 98.0, 99.0, 33.0, 34.0]


def bars(closes: list[float]) -> pd.DataFrame:
    """Return bars from the first session on."""
    rows = [
        {"date": day, "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 3e6 + 1}
        for day, close in zip(DAYS, closes, strict=False)
    ]
    return pd.DataFrame(rows).assign(date=lambda frame: pd.to_datetime(frame["date"]))


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over a stock with actions, one whose dividends are unknown, and a market of some days."""
    with serving(server, tmp_path_factory.mktemp("dialect"), api_vendor_dialect=True) as api:
        track(api.warehouse, [CAFE], first=DAYS[0], last=DAYS[6])
        add_splits(api.warehouse, [("CAFE", EXECUTION, 1, 3)])
        add_dividends(api.warehouse, [("CAFE", EX_DATE, 2.0, "recurring")])
        add_bars(api.warehouse, CAFE, bars(CLOSES))
        add_symbols(api.warehouse, [NEWS, DEAR])
        add_bars(api.warehouse, NEWS, bars([10.0, 11.0]))
        add_bars(api.warehouse, DEAR, bars([999_999.0, 1_500_000.5]))
        refresh_all_factors(api.warehouse)
        market = {"AA": Bar(28.0), "KIMpL": Bar(22.0), "SIVB": Bar(0.9), "ZZ": Bar(7.0), "CAFE": Bar(35.0)}
        load_market(api.warehouse, *(session_of(day, market) for day in DAYS[7:9]), accept_small=True)
        yield api


def rows(api: Api, **parameters: str) -> list[dict[str, Any]]:
    """Return the bars of CAFE's first sessions."""
    response = api.get(RANGE, list(parameters.items()))
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def error(response: requests.Response, status: int) -> str:
    """Check that a response is an error in the vendor's form, and return its text."""
    body = response.json()
    assert response.status_code == status, response.text
    assert body["status"] in ("ERROR", "NOT_FOUND", "NOT_AUTHORIZED")
    assert response.headers["x-request-id"] == body["request_id"]
    text: str = body["error"] if body["status"] == "ERROR" else body["message"]
    return text


def test_prices_are_as_traded_adjusted_for_splits_or_for_dividends_too(api: Api) -> None:
    assert [row["c"] for row in rows(api, adjusted="false")] == CLOSES
    split = [33.3333, 33.3333, 33.3333, 32.6667, 33, 33, 34]
    assert [row["c"] for row in rows(api)] == split
    # 1 - 2 / 100 before the ex-date
    assert [row["c"] for row in rows(api, adjusted="all")] == [32.6667, 32.6667, 32.6667, *split[3:]]
    assert {row["v"] for row in rows(api)} == {9_000_003, 3_000_001}
    assert '"v":9.000003e+06,' in api.get(RANGE).text
    assert all({"vw", "n"}.isdisjoint(row) for row in rows(api))  # not known
    assert "true, false, all" in error(api.get(RANGE, [("adjusted", "dividends")]), 400)


def test_prices_from_a_million_on_have_the_vendors_form(api: Api) -> None:
    path = RANGE.replace("CAFE", "X:DEARUSD")
    first, second = api.get(path, [("adjusted", "false")]).text.split("},{")
    assert '"v":3.000001e+06,"o":999999,"c":999999,"h":1e+06,"l":999998,' in first
    assert '"v":3.000001e+06,"o":1.5000005e+06,"c":1.5000005e+06,"h":1.5000015e+06,"l":1.4999995e+06,' in second


# From 2^53 on, where floats leave whole numbers out, PostgreSQL's shortest form may have a digit more.
@given(st.lists(st.floats(0, 2**53) | st.floats(1e5, 1e9) | st.integers(10**5, 2**53).map(float)))
@example([0.0, 1e-5, 0.0001, 999_999.5, 1e6, 1_000_001.25, 999_999_999_999_999.9, 1e15, 1e22])
def test_postgresql_writes_every_number_as_the_sandbox_does(api: Api, values: list[float]) -> None:
    statement = f"SELECT {build_go_number('v')} AS text FROM unnest(cast(:values AS float8[])) AS v"
    assert [row["text"] for row in query(api.warehouse, statement, values=values)] == [*map(format_go_number, values)]


def test_the_clients_pages_keep_the_adjustment_and_the_instant(api: Api) -> None:
    client = RESTClient("any", base=api.url)
    [[point]] = api.sql("SELECT settle()")
    api.execute(f"UPDATE market_data SET close = 97.5 WHERE symbol = 'CAFE' AND date = '{DAYS[3]}'")
    try:
        for adjusted, changed in (("false", 97.5), ("all", 32.5)):
            past, present = (
                [
                    bar.close
                    for bar in client.list_aggs("CAFE", 1, "day", DAYS[0], DAYS[6], adjusted, limit=2, params=more)
                ]
                for more in ({"as_of": point.isoformat()}, None)
            )
            assert len(past) == len(present) == 7
            assert [new for old, new in zip(past, present, strict=True) if old != new] == [changed]
        assert "in the future" in error(api.get(RANGE, [("as_of", "2999-01-01T00:00:00Z")]), 400)
        assert "an instant such as" in error(api.get(RANGE, [("as_of", "then")]), 400)
        assert "date" in error(api.get("/v3/reference/tickers", [("as_of", point.isoformat())]), 400)
    finally:
        api.execute(f"UPDATE market_data SET close = 98 WHERE symbol = 'CAFE' AND date = '{DAYS[3]}'")


def test_prices_whose_adjustment_is_not_known_are_an_explained_error(api: Api) -> None:
    path = f"/v2/aggs/ticker/NEWS/range/1/day/{DAYS[0]}/{DAYS[1]}"
    text = error(api.get(path), 409)
    assert "the adjusted prices of NEWS are not known" in text
    assert "never requested" in text
    assert "adjusted=false gives prices as traded" in text
    assert api.get(path, [("adjusted", "false")]).json()["resultsCount"] == 2


def test_actions_have_the_factors_of_the_days_before_them(api: Api) -> None:
    client = RESTClient("any", base=api.url)
    [split] = client.list_stocks_splits("CAFE")
    assert (split.adjustment_type, split.historical_adjustment_factor) == ("forward_split", 0.333333)
    [dividend] = client.list_stocks_dividends("CAFE")
    assert (dividend.distribution_type, dividend.historical_adjustment_factor) == ("recurring", 0.98)
    assert dividend.split_adjusted_cash_amount == 0.666667
    assert [each.dividend_type for each in client.list_dividends("CAFE", dividend_type="CD")] == ["CD"]


def test_a_session_of_a_kept_market_is_whole_or_an_error(api: Api) -> None:
    client = RESTClient("any", base=api.url)
    grouped = client.get_grouped_daily_aggs(DAYS[7], adjusted=False)
    assert [(bar.ticker, bar.close, bar.vwap) for bar in grouped] == [
        ("AA", 28, 9.9), ("CAFE", 35, 9.9), ("KIMpL", 22, 9.9), ("SIVB", 0.9, 9.9), ("ZZ", 7, 9.9),
    ]  # fmt: skip
    # 16:00 in New York, before the change to summer time on 2024-03-10
    assert {bar.timestamp for bar in grouped} == {int(pd.Timestamp(f"{DAYS[7]}T21:00Z").timestamp() * 1000)}
    with pytest.raises(
        BadResponse, match=r"4 of the 5 tickers of 2024-03-06 are not known, such as AA.*adjusted=false"
    ):
        client.get_grouped_daily_aggs(DAYS[7])
    with pytest.raises(BadResponse, match=r"no universe of us-stocks on 2024-03-08.*market backfill"):
        client.get_grouped_daily_aggs(DAYS[9], adjusted=False)
    assert client.get_grouped_daily_aggs("2024-03-09") == []  # a Saturday
    assert client.get_daily_open_close_agg("SIVB", DAYS[8], adjusted=False).close == 0.9
    assert [ticker.ticker for ticker in client.list_tickers(date="2024-03-07", limit=2)] == [
        "AA", "CAFE", "KIMpL", "NEWS", "SIVB", "X:DEARUSD", "ZZ"
    ]  # fmt: skip


def test_a_day_that_is_not_over_and_one_not_stored_at_an_instant_are_named_as_such(api: Api) -> None:
    grouped = "/v2/aggs/grouped/locale/us/market/stocks"
    text = error(api.get(f"{grouped}/9999-12-31"), 403)
    assert text == "9999-12-31 is not over: its bars were requested before end of day."
    before = [("as_of", "2024-03-01T00:00:00Z"), ("adjusted", "false")]
    text = error(api.get(f"{grouped}/{DAYS[7]}", before), 404)
    assert text == f"{DAYS[7]} was not over at 2024-03-01T00:00:00+00:00: as_of is before its end."
    after = [("as_of", "2024-04-01T00:00:00Z"), ("adjusted", "false")]  # the bars were stored later
    assert str(DAYS[7]) in error(api.get(f"{grouped}/{DAYS[7]}", after), 404)
    for path in (f"{grouped}/2024-03-06", "/v2/aggs/ticker/CAFE/prev", "/v1/open-close/CAFE/2024-03-06", RANGE):
        assert api.get(path, [("as_of", "0001-01-01T00:00:00Z")]).status_code in (200, 404)
    for path in ("/v1/marketstatus/now", "/v1/marketstatus/upcoming"):
        assert api.get(path, [("as_of", "0001-01-01T00:00:00Z")]).status_code == 200


def test_keys_are_hidden_in_the_access_log_however_their_name_is_written() -> None:
    for name in ("apiKey", "apikey", "api%4Bey", "%61piKey", "api%6Bey"):
        assert hide_keys(f"/v2/x?a=1&{name}=SECRET&b=2") == f"/v2/x?a=1&{name}=***&b=2"
    assert hide_keys("/v2/x?a=apiKey&b=2") == "/v2/x?a=apiKey&b=2"
    assert hide_keys("/v2/x") == "/v2/x"


def test_unknown_paths_and_methods_are_the_vendors_404(api: Api) -> None:
    for method, path in (
        ("GET", "/v2/last/trade/AAPL"), ("GET", "/v3/snapshot"), ("GET", "/vX/"), ("GET", "/stocks/v1/no"),
        ("POST", RANGE), ("DELETE", "/v3/reference/splits"), ("PATCH", "/v1/marketstatus/now"),
    ):  # fmt: skip
        response = requests.request(method, api.url + path, timeout=30)
        assert (response.status_code, response.text) == (404, "404 page not found"), (method, path)
        assert response.headers["content-type"].startswith("text/plain")
        assert response.headers["x-market-pipeline-sandbox"] == "1"


def test_types_are_those_of_stocks_alone(api: Api) -> None:
    path = "/v3/reference/tickers/types"
    assert api.get(path).json() == {**api.get(path, [("asset_class", "stocks")]).json(), "request_id": ANY}
    for name, value in (("asset_class", "options"), ("locale", "global")):
        body = api.get(path, [(name, value)]).json()
        assert (body["results"], body["count"], body["status"]) == ([], 0, "OK")


LISTED = [
    ListedTicker("AKN", None, "Akoustik", "CS", "XNYS", "BBG000AKN001"),
    ListedTicker("GONE", date(2024, 3, 12), "Gone Inc.", "CS", None, None),  # four days after its last bar
    ListedTicker("OLD", date(2010, 6, 1), "Older Old", None, "XNAS", None),  # of another company than the bars
    ListedTicker("OLD", date(2024, 3, 8), "Old", "ETF", "ARCX", "BBG000OLD002"),
    ListedTicker("NOBAR", None, "Never Traded", "WARRANT", "XNAS", None),
    *(ListedTicker(name, None, f"{name} Inc.", "CS", "XNYS", f"BBG000{name}9999") for name in ("BUSY", "KIMpL")),
]
REFERENCE = """
    SELECT market, ticker, delisted_on, name, type, primary_exchange, composite_figi FROM reference_tickers
    ORDER BY ticker, delisted_on
"""


def test_the_vendors_list_goes_before_ends_that_are_inferred(server: embedded.Server, tmp_path: Path) -> None:
    days = list_sessions("XNYS", date(2024, 3, 7), date(2024, 4, 5))
    always = {name: Bar(20.0) for name in ("BUSY", "KIMpL")}
    ended = {name: Bar(5.0) for name in ("AKN", "GONE", "OLD", "UNSAID")}
    with serving(server, tmp_path, api_vendor_dialect=True) as api:
        sessions = [session_of(day, always | (ended if day < date(2024, 3, 9) else {})) for day in days]
        load_market(api.warehouse, *sessions, accept_small=True)
        store_ticker_list(api.warehouse, STOCKS, LISTED)
        client = RESTClient("any", base=api.url)

        def find(ticker: str) -> dict[bool, list[str | None]]:
            return {
                active: [each.delisted_utc for each in client.list_tickers(ticker, active=active)]
                for active in (True, False)
            }

        assert find("AKN") == {True: [None], False: []}
        assert find("GONE") == {True: [], False: ["2024-03-12T00:00:00Z"]}
        assert sorted(map(str, find("OLD")[False])) == ["2010-06-01T00:00:00Z", "2024-03-08T00:00:00Z"]
        assert find("UNSAID") == {True: [], False: [None]}  # inferred from its bars alone
        listed = {each.ticker: each for each in client.list_tickers(active=True)}
        assert list(listed) == ["AKN", "BUSY", "KIMpL", "NOBAR"]
        for name, row in listed.items():
            details = client.get_ticker_details(name)
            assert (details.composite_figi, details.name) == (row.composite_figi, row.name)
            assert row.last_updated_utc
        assert listed["AKN"].composite_figi == "BBG000AKN001"
        with (
            database(server, f"second_{uuid4().hex}") as second,
            PolygonClient(api.url, None, source="sandbox", limiter=LocalLimiter(100_000)) as own,
        ):
            refresh_list(own, second, STOCKS)
            assert query(second, REFERENCE) == query(api.warehouse, REFERENCE)
            assert len(query(second, REFERENCE)) == len(LISTED)


def test_a_key_is_required_of_requests_from_beyond_this_machine(api: Api) -> None:
    key = create_key(api.warehouse, "notebook", Scope.READ).get_secret_value()
    elsewhere = {"X-Forwarded-For": "192.0.2.1"}

    def get(query: str = "", **headers: str) -> requests.Response:
        return requests.get(f"{api.url}{RANGE}?adjusted=false{query}", headers={**elsewhere, **headers}, timeout=30)

    assert error(get(), 401) == "API Key was not provided"
    assert error(get(Authorization="Bearer wrong"), 401) == "Unknown API Key"
    assert error(get("&apiKey=wrong"), 401) == "Unknown API Key"
    assert get(Authorization=f"Bearer {key}").status_code == 200
    page = get(f"&limit=2&apiKey={key}").json()["next_url"]
    assert key not in page
    assert requests.get(page, headers={**elsewhere, "X-API-Key": key}, timeout=30).json()["resultsCount"] == 2
    for host, headers, expected in (
        ("127.0.0.1", [], True),
        ("::1", [], True),
        ("10.1.2.3", [], False),
        ("127.0.0.1", [(b"via", b"1.1 proxy")], False),
        ("127.0.0.1", [(b"host", b"localhost:8000")], True),
        ("127.0.0.1", [(b"host", b"page.example:8000")], False),
    ):
        request = Request({"type": "http", "client": (host, 1), "headers": headers})
        assert is_from_this_machine(request) is expected


def test_a_wrong_or_missing_thing_is_an_error_in_the_vendors_form(api: Api) -> None:
    for path, status, words in (
        (RANGE.replace("day", "second"), 400, "daily bars only"),
        (f"{RANGE}?limit=x", 400, "limit"),
        ("/v1/open-close/CAFE/2024-03-09", 404, "Data not found."),
        ("/v3/reference/tickers/NOPE", 404, "Ticker not found."),
        ("/vX/reference/tickers/CAFE/events", 404, "Ticker not found."),  # no source states since when
        ("/v3/reference/tickers?sort=color", 400, "sort"),
        ("/v3/reference/tickers?active=perhaps", 400, "active"),
        ("/v3/reference/splits?ticker=%00", 400, "'ticker'"),
        ("/v3/reference/dividends?ticker.any_of=A%00", 400, "'ticker.any_of'"),
        ("/v3/reference/tickers?search=a%00b", 400, "'search'"),
        ("/v3/reference/tickers/A%00", 400, "'ticker'"),
        (f"/v3/reference/tickers?cursor={encode_cursor({'search': 'a' + chr(0)})}", 400, "'search'"),
        (f"/v3/reference/tickers?cursor={encode_cursor({'page_marker': 2**63})}", 400, "'cursor'"),
        (f"/stocks/v1/splits?cursor={encode_cursor({'page_marker': '9' * 5000})}", 400, "'cursor'"),
        ("/v3/reference/splits?order=down", 400, "'order': expected asc or desc"),
        ("/stocks/v1/splits?sort=ticker.down", 400, "'sort': expected asc or desc"),
        (f"{RANGE}?sort=down", 400, "'sort': expected asc or desc"),
        (RANGE.replace("/1/day", "/1/week") + "?sort=DESC", 400, "'sort': expected asc or desc"),
        (f"{RANGE}?adjusted=maybe", 400, "'adjusted'"),
        ("/v2/aggs/grouped/locale/us/market/stocks/2024-03-09?adjusted=maybe", 400, "'adjusted'"),  # a Saturday
        ("/v2/aggs/grouped/locale/global/market/crypto/9999-12-31?adjusted=maybe", 400, "'adjusted'"),
        (f"{RANGE}?snapshot=%00", 400, "there is no snapshot"),
        (f"{RANGE}?snapshot=nope", 400, "there is no snapshot 'nope'"),
    ):
        assert words in error(api.get(path), status)
    nameless = api.get("/v2/aggs/ticker/%F0%9F%8D%8E%00/range/1/day/2024-01-01/2024-02-01")
    assert "'ticker': expected text without a null character" in error(nameless, 400)
