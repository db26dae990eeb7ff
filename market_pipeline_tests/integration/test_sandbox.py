"""The sandbox's endpoints over a real socket: bodies, keys, times and headers as the vendor has them."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
from bokeh_sampledata import stocks
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox

NOW = datetime(2024, 6, 4, 2, tzinfo=UTC)  # Monday evening in New York
GROUPED = "/v2/aggs/grouped/locale/us/market/stocks"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_sandbox(SandboxConfig(now=NOW)) as address:
        yield address


def get(url: str, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": "Bearer any", **options.pop("headers", {})}
    return requests.get(url + path, headers=headers, timeout=20, **options)


def bars(url: str, ticker: str, first: object, last: object, **params: Any) -> dict[str, Any]:
    response = get(url, f"/v2/aggs/ticker/{ticker}/range/1/day/{first}/{last}", params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_recorded_bars_arrive_as_recorded_with_new_yorks_midnights(url: str) -> None:
    body = bars(url, "AAPL", "2005-04-01", "2005-04-04", adjusted="false")
    place = stocks.AAPL["date"].index("2005-04-01")
    assert [bar["t"] for bar in body["results"]] == [1112331600000, 1112587200000]  # daylight saving began between
    for column, name in (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume")):
        recorded: list[float] = stocks.AAPL[name]  # type: ignore[literal-required]
        assert [bar[column] for bar in body["results"]] == recorded[place : place + 2]


def test_a_body_is_written_like_the_vendors(url: str) -> None:
    response = get(url, "/v2/aggs/ticker/IBM/range/1/day/2013-02-25/2013-03-05?adjusted=false&limit=6")
    shown = re.sub(r'"(request_id)":"[0-9a-f]{32}"', r'"\1":"id"', response.text)
    assert shown.startswith('{"ticker":"IBM","queryCount":6,"resultsCount":6,"adjusted":false,"results":[{"v":')
    assert re.search(r'\{"v":[\d.]+e\+06,"o":[\d.]+,"c":[\d.]+,"h":[\d.]+,"l":[\d.]+,"t":\d+\}', shown)  # recorded
    assert re.search(r'\{"v":[\d.e+]+,"vw":[\d.]+,"o":[\d.]+,"c":[\d.]+,"h":[\d.]+,"l":[\d.]+,"t":\d+,"n":\d+\}', shown)
    tail = r'\],"status":"OK","request_id":"id","count":6,"next_url":"http://127.0.0.1:\d+/v2/.*\?cursor=[\w-]+"\}'
    assert re.search(tail + "$", shown)


def test_every_response_names_the_sandbox_and_the_source_of_its_bars(url: str) -> None:
    labels = {
        "/v2/aggs/ticker/AAPL/range/1/day/2013-02-25/2013-03-01": "recorded",
        "/v2/aggs/ticker/AAPL/range/1/day/2013-02-25/2013-03-04": "generated",
        "/v2/aggs/ticker/SPY/range/1/day/2013-02-25/2013-03-01": "generated",
        "/v2/aggs/ticker/NOSUCH/range/1/day/2013-02-25/2013-03-01": None,
        "/v3/reference/splits?ticker=AAPL": "recorded",
        "/v3/reference/tickers/NOSUCH": None,
        "/nothing": None,
        "/_sandbox/stats": None,
    }
    for path, label in labels.items():
        response = get(url, path)
        assert response.headers["X-Market-Pipeline-Sandbox"] == "1", path
        assert response.headers.get("X-Sandbox-Data") == label, path
    assert requests.post(url + GROUPED, timeout=20).headers["X-Market-Pipeline-Sandbox"] == "1"


def test_the_request_id_is_in_the_header_too_and_gzip_is_used_only_if_accepted(url: str) -> None:
    path = "/v2/aggs/ticker/AAPL/range/1/day/2013-01-01/2013-03-01"
    small, plain = (get(url, path, headers={"Accept-Encoding": accepted}) for accepted in ("gzip", "identity"))
    assert (small.headers["Content-Encoding"], plain.headers.get("Content-Encoding")) == ("gzip", None)
    assert int(small.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert small.json()["results"] == plain.json()["results"]
    assert small.headers["X-Request-Id"] == small.json()["request_id"] != plain.json()["request_id"]


@pytest.mark.parametrize(
    ("ticker", "first", "last"),
    [
        ("NOSUCH", "2024-01-02", "2024-01-05"),
        ("aapl", "2024-01-02", "2024-01-05"),
        ("SPY", "2024-06-01", "2024-06-02"),  # a weekend
        ("GOOG", "2004-08-01", "2004-08-18"),  # before its first session
        ("SPY", "2024-06-04", "2024-06-30"),  # the future
    ],
)
def test_a_response_without_bars_has_no_results(url: str, ticker: str, first: str, last: str) -> None:
    body = bars(url, ticker, first, last)
    assert list(body) == ["ticker", "queryCount", "resultsCount", "adjusted", "status", "request_id"]
    assert (body["queryCount"], body["resultsCount"], body["status"]) == (0, 0, "OK")


def test_times_in_milliseconds_are_snapped_to_the_bar_they_fall_in(url: str) -> None:
    midnight_utc = int(datetime(2024, 1, 3, tzinfo=UTC).timestamp() * 1000)  # still 2 January in New York
    for ticker, day in (("SPY", date(2024, 1, 2)), ("X:BTCUSD", date(2024, 1, 3))):
        first, *_ = bars(url, ticker, midnight_utc, "2024-01-05")["results"]
        (only,) = bars(url, ticker, day, day)["results"]
        assert first == only
        assert bars(url, ticker, "2024-01-01", midnight_utc)["results"][-1] == only


def test_a_crypto_day_begins_at_midnight_utc_and_has_no_weekend(url: str) -> None:
    found = bars(url, "X%3ABTCUSD", "2024-03-08", "2024-03-12")
    assert found["ticker"] == "X:BTCUSD"
    starts = [datetime.fromtimestamp(bar["t"] / 1000, UTC) for bar in found["results"]]
    assert starts == [datetime(2024, 3, day, tzinfo=UTC) for day in range(8, 13)]


@settings(max_examples=25)
@given(st.sampled_from(["MSFT", "SPY", "X:ETHUSD"]), st.integers(1, 40), st.booleans(), st.booleans())
def test_pages_of_any_size_hold_the_same_bars_as_one_page(
    url: str, ticker: str, limit: int, descending: bool, adjusted: bool
) -> None:
    params = {"adjusted": str(adjusted).lower(), "sort": "desc" if descending else "asc"}
    whole = bars(url, ticker, "2020-02-20", "2020-03-30", **params)
    assert "next_url" not in whole
    page = bars(url, ticker, "2020-02-20", "2020-03-30", limit=limit, **params)
    collected = page["results"]
    while "next_url" in page:
        assert page["resultsCount"] == page["count"] == limit
        page = requests.get(
            page["next_url"],
            headers={"Authorization": "Bearer any"},
            params={"adjusted": params["adjusted"]},
            timeout=20,
        ).json()
        collected += page["results"]
    assert collected == whole["results"]
    times = [bar["t"] for bar in collected]
    assert times == sorted(times, reverse=descending)


def test_the_next_page_is_addressed_as_recorded_without_adjusted_and_the_key(url: str) -> None:
    path = "/v2/aggs/ticker/SPY/range/1/day/2020-01-02/2020-01-10"
    link = requests.get(f"{url}{path}?adjusted=false&sort=asc&limit=2&apiKey=sesame", timeout=20).json()["next_url"]
    # The second bar is 1578027600000, of 2020-01-03.
    expected = "/v2/aggs/ticker/SPY/range/1/day/1578114000000/2020-01-10?cursor=bGltaXQ9MiZzb3J0PWFzYw"
    assert link == url + expected
    assert get(url, expected).json()["adjusted"] is True


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "AAPL/range/1/day/2024-1-2/2024-01-03",
            "Could not parse the time parameter: 'from'. Use YYYY-MM-DD or Unix MS",
        ),
        ("AAPL/range/1/day/2024-01-02/soon", "Could not parse the time parameter: 'to'"),
        ("AAPL/range/1/day/2024-01-03/2024-01-02", "The parameter 'to' cannot be a time that occurs before 'from'"),
        ("AAPL/range/1/hour/2024-01-02/2024-01-03", "There are daily bars only"),
        ("AAPL/range/0/day/2024-01-02/2024-01-03", "multiplier"),
        ("AAPL/range/1/day/2024-01-02/2024-01-03?limit=many", "limit"),
        ("AAPL/range/1/day/2024-01-02/2024-01-03?cursor=!", "cursor"),
    ],
)
def test_a_malformed_request_is_rejected_with_the_vendors_message(url: str, path: str, words: str) -> None:
    response = get(url, f"/v2/aggs/ticker/{path}")
    assert response.status_code == 400
    assert response.json()["status"] == "ERROR"
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "calendar", "ends"),
    [
        (f"{GROUPED}/2024-05-31", "XNYS", 1717185600000),  # 16:00 in New York
        ("/v2/aggs/grouped/locale/global/market/crypto/2024-06-01", "24/7", 1717286399999),
    ],
)
def test_grouped_bars_are_the_ranges_but_for_their_time(url: str, path: str, calendar: str, ends: int) -> None:
    body = get(url, f"{path}?adjusted=false&include_otc=false&locale=us").json()
    assert list(body) == ["queryCount", "resultsCount", "adjusted", "results", "status", "request_id", "count"]
    assert body["count"] == len(body["results"]) == len({bar["T"] for bar in body["results"]})
    assert {bar["t"] for bar in body["results"]} == {ends}
    tickers = [bar["T"] for bar in body["results"]]
    assert tickers != sorted(tickers)
    day = path[-10:]
    for bar in body["results"]:
        (alone,) = bars(url, bar["T"], day, day, adjusted="false")["results"]
        assert {**alone, "T": bar["T"], "t": ends} == bar


def test_grouped_has_nothing_on_a_day_without_session_and_rejects_the_future(url: str) -> None:
    holiday = get(url, f"{GROUPED}/2024-05-27").json()
    assert list(holiday) == ["queryCount", "resultsCount", "adjusted", "status", "request_id"]
    future = get(url, f"{GROUPED}/2024-06-05")
    assert future.status_code == 403
    assert future.json()["message"].startswith("Your plan doesn't include this data timeframe")


def test_the_markets_responses_hold_every_ticker_whose_bars_were_requested() -> None:
    with running_sandbox(SandboxConfig(now=NOW, also_listed=frozenset({"ALSO"}))) as url:
        before = {bar["T"] for bar in get(url, f"{GROUPED}/2024-06-03").json()["results"]}
        bars(url, "NEWONE", "2024-06-03", "2024-06-03")
        get(url, "/stocks/v1/splits?ticker.any_of=OTHER,NEWONE")  # may come between a run's requests for its sessions
        after = {bar["T"] for bar in get(url, f"{GROUPED}/2024-06-03").json()["results"]}
    assert "ALSO" in before
    assert after - before == {"NEWONE"}


def test_the_previous_day_is_the_last_session_before_today(url: str) -> None:
    (stock,) = get(url, "/v2/aggs/ticker/SPY/prev").json()["results"]
    assert (stock["T"], stock["t"]) == ("SPY", 1717185600000)  # Friday 31 May, 16:00 in New York
    (crypto,) = get(url, "/v2/aggs/ticker/X:BTCUSD/prev").json()["results"]
    assert crypto["t"] == 1717459199999  # 3 June, 23:59:59.999 UTC
    assert "results" not in get(url, "/v2/aggs/ticker/NOSUCH/prev").json()


def test_open_and_close_of_a_day_or_not_found(url: str) -> None:
    place = stocks.IBM["date"].index("2012-11-20")
    body = get(url, "/v1/open-close/IBM/2012-11-20?adjusted=false").json()
    assert list(body) == ["status", "from", "symbol", "open", "high", "low", "close", "volume"]
    for name in ("open", "high", "low", "close", "volume"):
        assert body[name] == stocks.IBM[name][place]
    crypto = get(url, "/v1/open-close/crypto/BTC/USD/2020-10-09").json()
    assert (crypto["symbol"], crypto["day"]) == ("BTC-USD", "2020-10-09T00:00:00.000Z")
    for nothing in ("IBM/2012-11-18", "NOSUCH/2012-11-20"):
        response = get(url, f"/v1/open-close/{nothing}")
        assert response.status_code == 404
        assert response.json()["message"] == "Data not found."


def test_recorded_splits_are_the_three_that_were_recorded(url: str) -> None:
    recorded = [
        (row["ticker"], row["execution_date"], row["split_from"], row["split_to"], row["historical_adjustment_factor"])
        for ticker in ("AAPL", "FB", "GOOG", "IBM", "MSFT")
        for row in get(url, f"/stocks/v1/splits?ticker={ticker}").json()["results"]
    ]
    assert recorded == [
        ("AAPL", "2005-02-28", 1, 2, 0.5),
        ("AAPL", "2000-06-21", 1, 2, 0.25),
        ("MSFT", "2003-02-18", 1, 2, 0.5),
    ]


def test_adjusted_bars_are_the_traded_ones_times_the_splits_factor(url: str) -> None:
    factor = get(url, "/stocks/v1/splits?ticker=AAPL&execution_date.gt=2000-06-20&sort=execution_date.asc").json()
    first = factor["results"][0]["historical_adjustment_factor"]
    traded, adjusted = (
        bars(url, "AAPL", "2000-06-20", "2000-06-20", adjusted=flag)["results"][0] for flag in ("false", "true")
    )
    assert adjusted["c"] == pytest.approx(traded["c"] * first, abs=1e-4)
    assert adjusted["v"] == pytest.approx(traded["v"] / first)


@pytest.mark.parametrize(
    "path",
    [
        "/v3/reference/splits?limit=2",
        "/stocks/v1/splits?limit=2&sort=ticker.asc,execution_date.desc",
        "/v3/reference/dividends?limit=100&ex_dividend_date.gte=2020-01-01",
        "/stocks/v1/dividends?limit=900",
        "/v3/reference/tickers?limit=9&order=desc",
    ],
)
def test_lists_come_in_pages_that_hold_everything_once(url: str, path: str) -> None:
    small, sizes = [], []
    page = get(url, path).json()
    while True:
        small += page["results"]
        sizes.append(len(page["results"]))
        if "next_url" not in page:
            break
        page = get(url, page["next_url"].removeprefix(url)).json()
    assert len(sizes) > 1
    whole = get(url, re.sub(r"limit=\d+", "limit=5000", path)).json()
    assert small == whole["results"]
    assert len({str(row) for row in small}) == len(small)


def test_lists_are_filtered_and_sorted_as_requested(url: str) -> None:
    def dates(path: str, field: str) -> list[str]:
        return [row[field] for row in get(url, path).json()["results"]]

    newest_first = dates("/v3/reference/splits?limit=1000", "execution_date")
    assert newest_first == sorted(newest_first, reverse=True)
    assert dates("/v3/reference/splits?limit=1000&order=asc", "execution_date") == newest_first[::-1]
    recent = dates("/stocks/v1/splits?execution_date.gte=2018-05-14&execution_date.lt=2023-01-01", "execution_date")
    assert recent == [day for day in newest_first if "2018-05-14" <= day < "2023-01-01"] != []
    some = dates("/stocks/v1/splits?ticker.any_of=AAPL,MSFT", "ticker")
    assert sorted(some) == ["AAPL", "AAPL", "MSFT"]
    reverse = get(url, "/v3/reference/splits?reverse_split=true").json()["results"]
    assert reverse
    assert all(row["split_from"] > row["split_to"] for row in reverse)
    assert get(url, "/stocks/v1/splits?ticker=IBM").json()["results"] == []
    wrong = get(url, "/stocks/v1/splits?execution_date.gte=soon")
    assert (wrong.status_code, wrong.json()["status"]) == (400, "ERROR")


def test_only_announced_splits_and_dividends_are_listed(url: str) -> None:
    horizon = "2024-07-03"
    for path, field in (
        ("/stocks/v1/splits?limit=5000", "execution_date"),
        ("/stocks/v1/dividends", "ex_dividend_date"),
    ):
        separator = "&" if "?" in path else "?"
        assert get(url, f"{path}{separator}{field}.gt={horizon}").json()["results"] == []


def test_both_generations_list_the_same_dividends(url: str) -> None:
    older = get(url, "/v3/reference/dividends?ticker=NVDA&limit=1000").json()["results"]
    newer = get(url, "/stocks/v1/dividends?ticker=NVDA&sort=ex_dividend_date.desc&limit=5000").json()["results"]
    assert [(row["id"], row["cash_amount"]) for row in older] == [(row["id"], row["cash_amount"]) for row in newer]
    assert older[0]["dividend_type"] == "CD"
    assert newer[0]["distribution_type"] == "recurring"


def test_a_recorded_dividend_has_only_recorded_fields(url: str) -> None:
    response = get(url, "/stocks/v1/dividends?ticker=MSFT&ex_dividend_date=2004-11-15&sort=cash_amount.asc")
    regular, special = response.json()["results"]
    assert (regular["distribution_type"], regular["cash_amount"]) == ("recurring", 0.08)
    assert (special["distribution_type"], special["cash_amount"]) == ("special", 3.0)
    assert not {"declaration_date", "record_date", "pay_date", "frequency"} & set(special)


def test_tickers_are_listed_by_whether_they_trade_on_a_date(url: str) -> None:
    def listed(query: str) -> dict[str, dict[str, Any]]:
        rows = get(url, f"/v3/reference/tickers?limit=1000&{query}").json()["results"]
        return {row["ticker"]: row for row in rows}

    now, gone = listed(""), listed("active=false")
    assert {"AAPL", "NEWCO", "X:BTCUSD"} <= set(now)
    assert not {"OLDCO", "GONECO"} & set(now)
    assert {ticker: row["delisted_utc"][:10] for ticker, row in gone.items()} == {
        "OLDCO": "2018-04-30", "GONECO": "2020-03-31", "FB": "2022-06-08", "META": "2022-01-30",
        "QQQ": "2004-11-30", "QQQQ": "2011-03-22", "REUSED": "2008-06-30", "SECONDCO": "2014-12-31",
        "SPLITCO": "2020-12-10",
    }  # fmt: skip
    then = listed("date=2017-06-01")
    assert {"OLDCO", "GONECO"} <= set(then)
    assert "NEWCO" not in then
    assert "GOOG" not in listed("date=2004-08-18")
    assert "GOOG" in listed("date=2004-08-19")
    assert set(listed("search=btc&market=crypto")) == {"X:BTCUSD"}
    assert set(listed("ticker=ANY")) == {"ANY"}
    assert set(listed("type=ETF&exchange=XNYS")) == set()


def test_a_tickers_details_and_former_names_or_not_found(url: str) -> None:
    assert get(url, "/v3/reference/tickers/AAPL").json()["results"]["primary_exchange"] == "XNAS"
    events = get(url, "/vX/reference/tickers/NEWCO/events?types=ticker_change").json()["results"]["events"]
    assert [(event["ticker_change"]["ticker"], event["date"]) for event in events] == [
        ("NEWCO", "2018-05-01"),
        ("OLDCO", "2003-09-10"),
    ]
    assert bars(url, "OLDCO", "2018-04-01", "2018-06-01")["results"][-1]["t"] < 1525132800000  # its last is 30 April
    assert bars(url, "NEWCO", "2018-04-01", "2018-06-01")["results"][0]["t"] > 1525132800000  # its first is 1 May
    for nothing in (
        "/v3/reference/tickers/NOSUCH",
        "/v3/reference/tickers/OLDCO",
        "/v3/reference/tickers/GOOG?date=2004-01-01",
        "/vX/reference/tickers/OLDCO/events",
    ):
        response = get(url, nothing)
        assert (response.status_code, response.json()["message"]) == (404, "Ticker not found.")


def test_the_holidays_ahead_are_the_exchanges(url: str) -> None:
    rows = get(url, "/v1/marketstatus/upcoming").json()
    nyse = {row["date"]: row for row in rows if row["exchange"] == "NYSE"}
    closed = [day for day, row in nyse.items() if row["status"] == "closed"]
    assert closed[:4] == ["2024-06-19", "2024-07-04", "2024-09-02", "2024-11-28"]
    assert not any(list_sessions("XNYS", date.fromisoformat(day), date.fromisoformat(day)) for day in closed)
    assert nyse["2024-11-29"] == {
        "exchange": "NYSE",
        "name": "Thanksgiving",
        "date": "2024-11-29",
        "status": "early-close",
        "open": "2024-11-29T14:30:00.000Z",
        "close": "2024-11-29T18:00:00.000Z",
    }
    assert len(rows) == 3 * len(nyse)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("2024-06-03 12:00", "extended-hours"),
        ("2024-06-03 15:00", "open"),
        ("2024-06-03 21:00", "extended-hours"),
        ("2024-06-02 15:00", "closed"),
        ("2024-11-29 18:30", "extended-hours"),  # after an early close
    ],
)
def test_the_markets_status_follows_its_hours(now: str, state: str) -> None:
    clock = datetime.fromisoformat(now).replace(tzinfo=UTC)
    with running_sandbox(SandboxConfig(now=clock)) as url:
        body = get(url, "/v1/marketstatus/now").json()
    assert (body["market"], body["exchanges"]["nyse"]) == (state, state)


def test_any_key_is_accepted_by_header_or_query(url: str) -> None:
    path = f"{url}{GROUPED}/2024-06-03"
    none = requests.get(path, timeout=20)
    assert (none.status_code, none.json()["error"]) == (401, "API Key was not provided")
    assert list(none.json()) == ["status", "request_id", "error"]
    assert requests.get(path, params={"apiKey": "any"}, timeout=20).status_code == 200
    assert requests.get(path, headers={"Authorization": "Bearer any"}, timeout=20).status_code == 200


def test_with_keys_set_no_other_is_accepted() -> None:
    with running_sandbox(SandboxConfig(now=NOW, keys=(SecretStr("one"), SecretStr("two")))) as url:
        responses = {
            key: get(url, f"{GROUPED}/2024-06-03", headers={"Authorization": f"Bearer {key}"})
            for key in ("two", "three")
        }
    assert responses["two"].status_code == 200
    assert (responses["three"].status_code, responses["three"].json()["error"]) == (401, "Unknown API Key")


def test_an_unknown_path_is_not_found_before_any_key_is_checked(url: str) -> None:
    response = requests.get(f"{url}/v9/nothing", timeout=20)
    assert (response.status_code, response.text) == (404, "404 page not found")


def test_requests_are_counted_until_a_reset() -> None:
    with running_sandbox(SandboxConfig(now=NOW, faults=("500@MSFT",))) as url:
        bars(url, "AAPL", "2024-06-03", "2024-06-03")
        get(url, "/v2/aggs/ticker/MSFT/prev")
        requests.get(f"{url}/nothing", timeout=20)
        counted = requests.get(f"{url}/_sandbox/stats", timeout=20).json()
        assert requests.post(f"{url}/_sandbox/reset", timeout=20).status_code == 200
        zeroed = requests.get(f"{url}/_sandbox/stats", timeout=20).json()
    assert counted["requests"] == 3
    assert counted["by_path_kind"] == {"range": 1, "previous_day": 1, "unknown": 1}
    assert counted["faults"] == {"500": 1}
    assert len(counted["timestamps"]) == 3
    assert counted["timestamps"] == sorted(counted["timestamps"])
    assert (zeroed["requests"], zeroed["timestamps"]) == (0, [])
