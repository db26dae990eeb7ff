"""The vendor's dialect: responses equal to those that the warehouse was filled from, by the vendor's own client.

The first warehouse is filled from a sandbox. The official client then sends the same requests to both.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
import requests
from massive import RESTClient
from massive.exceptions import BadResponse
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.corporate_action_requests import refresh_actions
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.reference import TickerChange
from market_pipeline.polygon.vendor_errors import BadResponseError
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.vendor_format import reference_bodies
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, plan_refresh
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import Api, serving
from market_pipeline_tests.integration.mart_cases import database
from market_pipeline_tests.integration.stored_bars import query
from market_pipeline_tests.integration.test_securities import NOW, load

AAPL, IBM, META, GONECO, BTC = (
    Symbol.of(name, kind)
    for name, kind in (("AAPL", "stock"), ("IBM", "stock"), ("META", "stock"), ("GONECO", "stock"), ("BTC", "crypto"))
)
SPRING = list_sessions("XNYS", date(2013, 1, 2), date(2013, 6, 28))
AROUND_META = list_sessions("XNYS", date(2022, 5, 2), date(2022, 7, 29))
COINS = list_sessions("24/7", date(2022, 5, 2), date(2022, 7, 29))
NEWEST = list_sessions("XNYS", date(2025, 5, 27), date(2025, 5, 30))
KEY = "any-key"


@dataclass(frozen=True)
class Stage:
    """A sandbox, a warehouse that was filled from it, and the vendor's client of each."""

    sandbox: str
    api: Api
    theirs: RESTClient
    ours: RESTClient

    def both(self, call: Callable[[RESTClient], Any]) -> tuple[Any, Any]:
        """Return what the client returns from the sandbox and from the warehouse."""
        theirs, ours = call(self.theirs), call(self.ours)
        if isinstance(theirs, Iterator):
            return list(theirs), list(ours)
        return theirs, ours


def fill(client: PolygonClient, warehouse: Engine) -> None:
    """Fill a warehouse as runs do."""
    symbols = [AAPL, IBM, META, GONECO]
    add_symbols(warehouse, [*symbols, BTC])
    for sessions in (SPRING, AROUND_META):
        load(client, warehouse, symbols if sessions is SPRING else [AAPL, IBM, META], sessions)
    load(client, warehouse, [BTC], COINS)
    load(client, warehouse, [AAPL, IBM, META], NEWEST)
    load(client, warehouse, [BTC], list_sessions("24/7", NEWEST[0], date(2025, 6, 1)))
    for symbol in [*symbols, BTC]:
        refresh_reference(client, warehouse, symbol, read_securities(warehouse, [symbol])[symbol].history)
    for actions in (SPLITS, DIVIDENDS):
        plan = plan_refresh(warehouse, actions, symbols, NOW)
        refresh_actions(client, warehouse, actions, plan, symbols, run_id="run-1")


@pytest.fixture(scope="module")
def stage(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        pytest.MonkeyPatch.context() as clock,
        running_sandbox(SandboxConfig(now=NOW)) as url,
        PolygonClient(url, None, source="sandbox", limiter=LocalLimiter(100_000)) as client,
        serving(server, tmp_path_factory.mktemp("dialect"), api_vendor_dialect=True) as api,
    ):
        clock.setattr(DialectRequest, "now", NOW)
        fill(client, api.warehouse)
        yield Stage(url, api, RESTClient(KEY, base=url), RESTClient(KEY, base=api.url))


BODIES = (
    "/v2/aggs/ticker/AAPL/range/1/day/2013-01-02/2013-06-28?adjusted=false&limit=50000",
    "/v2/aggs/ticker/AAPL/range/1/day/2013-01-02/2013-06-28",
    "/v2/aggs/ticker/AAPL/range/1/day/2013-01-02/2013-06-28?sort=desc&limit=5",
    "/v2/aggs/ticker/AAPL/range/1/day/1357102800000/2013-06-28?adjusted=false",
    "/v2/aggs/ticker/AAPL/range/1/week/2013-01-10/2013-05-01?adjusted=false",
    "/v2/aggs/ticker/AAPL/range/2/month/2013-01-10/2013-04-30",
    "/v2/aggs/ticker/IBM/range/1/quarter/2013-01-10/2013-06-28?adjusted=true",
    "/v2/aggs/ticker/FB/range/1/day/2022-05-02/2022-07-29?adjusted=false",
    "/v2/aggs/ticker/META/range/1/day/2022-05-02/2022-07-29?adjusted=false",
    "/v2/aggs/ticker/GONECO/range/1/day/2013-01-02/2013-06-28",
    "/v2/aggs/ticker/X:BTCUSD/range/1/day/2022-05-02/2022-07-29",
    "/v2/aggs/ticker/X:BTCUSD/range/1/week/2022-05-10/2022-07-20",
    "/v2/aggs/ticker/NOSUCH/range/1/day/2013-01-02/2013-06-28",
    "/v2/aggs/ticker/AAPL/range/1/day/2013-06-22/2013-06-23",
    "/v2/aggs/ticker/AAPL/prev",
    "/v2/aggs/ticker/X:BTCUSD/prev?adjusted=false",
    "/v2/aggs/ticker/NOSUCH/prev",
    "/v1/open-close/AAPL/2013-02-20?adjusted=false",
    "/v1/open-close/AAPL/2013-02-20",
    "/v1/open-close/AAPL/2013-02-23",
    "/v1/open-close/crypto/BTC/USD/2022-06-01",
    "/v2/aggs/grouped/locale/us/market/stocks/2013-02-23",
    "/v3/reference/splits?ticker=AAPL",
    "/v3/reference/splits?ticker=AAPL&order=asc&limit=2",
    "/v3/reference/splits?ticker=AAPL&execution_date.gte=2005-01-01&reverse_split=false",
    "/stocks/v1/splits?ticker.any_of=AAPL,IBM",
    "/v3/reference/dividends?ticker=IBM&limit=3",
    "/v3/reference/dividends?ticker=AAPL&cash_amount.gt=2.5&dividend_type=CD&sort=cash_amount&order=asc",
    "/stocks/v1/dividends?ticker=META&sort=ex_dividend_date.asc",
    "/stocks/v1/dividends?ticker.any_of=AAPL,META&ex_dividend_date.gt=2013-01-02&limit=1000",
    "/v3/reference/tickers/types",
    "/v1/marketstatus/upcoming",
    "/v1/marketstatus/now",
    "/v2/aggs/ticker/AAPL/range/1/minute/2013-01-02/2013-06-28",
    "/v2/aggs/ticker/AAPL/range/1/day/yesterday/2013-06-28",
    "/v2/aggs/ticker/AAPL/range/1/day/2013-06-28/2013-06-01",
    "/v3/reference/tickers/NOSUCH",
    "/v3/reference/splits?execution_date.gte=soon",
    "/v3/reference/splits?order=down",
    "/stocks/v1/dividends?sort=ticker.down",
    "/v3/reference/tickers?active=perhaps",
    "/v2/aggs/ticker/AAPL/range/1/day/2013-01-02/2013-06-28?sort=down",
    "/vX/reference/tickers/META/events",
)


def read(url: str, path: str) -> tuple[int, str]:
    """Return status and body of a response, without what differs between two servers."""
    response = requests.get(url + path, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
    body = re.sub(r'"request_id":"[0-9a-f]{32}"', '"request_id":"..."', response.text)
    return response.status_code, body.replace(url, "")


@pytest.mark.parametrize("path", BODIES)
def test_a_body_is_the_vendors_byte_for_byte(stage: Stage, path: str) -> None:
    assert read(stage.api.url, path) == read(stage.sandbox, path)


FIRST, LAST = ("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31")
DATED = (
    "/v2/aggs/grouped/locale/us/market/stocks/{}", "/v2/aggs/grouped/locale/global/market/crypto/{}",
    "/v1/open-close/AAPL/{}", "/v1/open-close/crypto/BTC/USD/{}", "/v3/reference/tickers?date={}&limit=2",
    "/v3/reference/tickers/AAPL?date={}", "/vX/reference/tickers/AAPL/events?date={}",
    "/v3/reference/splits?execution_date={}", "/stocks/v1/splits?execution_date.gte={}",
    "/v3/reference/dividends?pay_date={}", "/stocks/v1/dividends?ex_dividend_date.lte={}",
)  # fmt: skip


@pytest.mark.parametrize("path", DATED)
def test_the_first_and_the_last_dates_have_a_response(stage: Stage, path: str) -> None:
    for day in FIRST + LAST:
        for url in (stage.sandbox, stage.api.url):
            status, body = read(url, path.format(day))
            assert status in (200, 403, 404), (url, day, body)
            assert '"status":' in body


@pytest.mark.parametrize("unit", ["day", "week", "month", "quarter", "year"])
def test_windows_of_the_first_and_the_last_dates_have_a_response(stage: Stage, unit: str) -> None:
    for multiplier in (1, 7, 50_000):
        for ticker in ("AAPL", "X:BTCUSD"):
            for first, last in (FIRST, LAST):
                path = f"/v2/aggs/ticker/{ticker}/range/{multiplier}/{unit}/{first}/{last}"
                status, body = read(stage.api.url, path)
                assert (status, '"status":"OK"' in body) == (200, True), body
                # 400: a window of more daily bars than a page has
                assert read(stage.sandbox, path)[0] in (200, 400, 403)
    status, body = read(stage.api.url, f"/v2/aggs/ticker/AAPL/range/1/{unit}/0001-01-01/9999-12-31?adjusted=false")
    assert status == 200, body
    assert "results" in body
    status, _ = read(stage.api.url, f"/v2/aggs/ticker/AAPL/range/{'9' * 5_000}/{unit}/2013-01-02/2013-01-03")
    assert status == 400


TICKERS: tuple[Callable[[RESTClient], Any], ...] = (
    lambda client: [client.get_ticker_details("AAPL")],
    lambda client: [client.get_ticker_details("X:BTCUSD")],
    lambda client: [client.get_ticker_details("FB", date="2022-06-08")],
    lambda client: [client.get_ticker_details("META")],
    lambda client: client.list_tickers("META"),
    lambda client: client.list_tickers("FB", active=False),
    lambda client: client.list_tickers("GONECO", active=False),
    lambda client: client.list_tickers("GONECO", date="2013-01-02"),
    lambda client: client.list_tickers("GONECO"),
    lambda client: client.list_tickers("META", date="2022-06-09"),
    lambda client: client.list_tickers("FB", date="2012-05-17"),
    lambda client: client.list_tickers("X:BTCUSD", market="crypto"),
    lambda client: client.list_tickers(search="ibm", market="stocks"),
)


@pytest.mark.parametrize("call", TICKERS)
def test_a_ticker_is_as_the_vendor_describes_it(stage: Stage, call: Callable[[RESTClient], Any]) -> None:
    for theirs, ours in zip(*stage.both(call), strict=True):
        # A former ticker has the identifier of its security, which the sandbox leaves out, and not its former exchange.
        left_out = ["last_updated_utc", *(["composite_figi", "primary_exchange"] if theirs.ticker == "FB" else [])]
        assert known(theirs, left_out) == known(ours, left_out)


LISTS = {
    "/v3/reference/tickers": reference_bodies.TICKERS,
    "/v3/reference/splits": reference_bodies.OLDER_SPLITS,
    "/stocks/v1/splits": reference_bodies.NEWER_SPLITS,
    "/v3/reference/dividends": reference_bodies.OLDER_DIVIDENDS,
    "/stocks/v1/dividends": reference_bodies.NEWER_DIVIDENDS,
}
LEFT_OUT = ("last_updated_utc", "composite_figi", "share_class_figi", "id", "historical_adjustment_factor")


@pytest.mark.parametrize("endpoint", LISTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_is_sorted_by_any_of_its_fields_as_the_vendors(stage: Stage, endpoint: str, order: str) -> None:
    older = endpoint.startswith("/v3/")
    for field in LISTS[endpoint].fields:
        path = f"{endpoint}?ticker.any_of=AAPL,IBM,META,X:BTCUSD&limit=1000&sort={field}"
        path += f"&order={order}" if older else f".{order}"
        found = [json.loads(read(url, path)[1]).get("results") for url in (stage.sandbox, stage.api.url)]
        theirs, ours = ([row.get(field) for row in rows or ()] for rows in found)
        assert ours, (path, found)
        assert len(ours) == len(theirs)
        if field not in LEFT_OUT:  # these are of each server's own bars and lookups
            assert ours == theirs, path
        unknown = [value is None for value in ours]
        assert unknown == sorted(unknown, reverse=order == "asc"), path


def known(model: Any, left_out: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a model that are known."""
    return {name: value for name, value in vars(model).items() if value is not None and name not in left_out}


CALLS: Mapping[str, Callable[[RESTClient], Any]] = {
    "list_aggs": lambda c: c.list_aggs("AAPL", 1, "day", "2013-01-02", "2013-06-28", adjusted=False, limit=50),
    "list_aggs, adjusted": lambda c: c.list_aggs("AAPL", 1, "day", date(2013, 1, 2), date(2013, 6, 28), limit=50),
    "list_aggs, falling": lambda c: c.list_aggs(
        "AAPL", 1, "day", datetime(2013, 1, 2, 12, tzinfo=UTC), datetime(2013, 6, 28, 12, tzinfo=UTC), sort="desc",
        limit=50, adjusted=False,
    ),
    "list_aggs, weeks": lambda c: c.list_aggs("IBM", 1, "week", "2013-01-09", "2013-06-19", adjusted=False, limit=20),
    "get_aggs": lambda c: c.get_aggs("META", 3, "day", "2022-05-02", "2022-06-30"),
    "get_daily_open_close_agg": lambda c: [c.get_daily_open_close_agg("IBM", "2013-02-20")],
    "get_previous_close_agg": lambda c: c.get_previous_close_agg("IBM", adjusted=False),
    "list_splits": lambda c: c.list_splits("AAPL", execution_date_gt="2001-01-01", order="asc", limit=1),
    "list_dividends": lambda c: c.list_dividends("IBM", ex_dividend_date_lte="2012-12-31", limit=2),
    "list_stocks_splits": lambda c: c.list_stocks_splits(ticker_any_of="AAPL,IBM", sort="ticker.asc"),
    "list_stocks_dividends": lambda c: c.list_stocks_dividends("IBM", ex_dividend_date_gte="2013-01-03", limit=1),
    "get_market_holidays": lambda c: c.get_market_holidays(),
    "get_market_status": lambda c: [c.get_market_status()],
    "get_ticker_events": lambda c: [vars(c.get_ticker_events("META"))],
    "get_ticker_types": lambda c: c.get_ticker_types(),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_vendors_client_returns_the_same(stage: Stage, name: str) -> None:
    theirs, ours = stage.both(CALLS[name])
    assert theirs
    assert theirs == ours


def test_grouped_bars_are_those_of_the_tracked_symbols_while_no_market_is_kept(stage: Stage) -> None:
    theirs, ours = stage.both(lambda client: client.get_grouped_daily_aggs("2013-02-20", adjusted=False))
    assert [bar.ticker for bar in ours] == ["AAPL", "FB", "GONECO", "IBM"]
    assert ours == sorted(
        (bar for bar in theirs if bar.ticker in {"AAPL", "FB", "GONECO", "IBM"}), key=lambda b: b.ticker
    )
    coins, ours = stage.both(
        lambda client: client.get_grouped_daily_aggs("2022-06-01", locale="global", market_type="crypto")
    )
    assert ours == [bar for bar in coins if bar.ticker == "X:BTCUSD"]
    for day, word in (("2013-08-01", "No bar of 2013-08-01 is stored"), ("2025-06-02", "before end of day")):
        with pytest.raises(BadResponse, match=word):
            stage.ours.get_grouped_daily_aggs(day)


def test_a_date_that_is_not_known_is_left_out(stage: Stage) -> None:
    stored = query(stage.api.warehouse, "SELECT first_day, source FROM security_tickers WHERE ticker = 'AAPL'")
    assert stored == [{"first_day": None, "source": "vendor events"}]
    event = {"ticker_change": {"ticker": "AAPL"}, "type": "ticker_change"}
    assert vars(stage.ours.get_ticker_events("AAPL"))["events"] == [event]
    with PolygonClient(stage.api.url, None, source="sandbox", limiter=LocalLimiter(100_000)) as client:
        assert client.fetch_ticker_events(AAPL).changes == (TickerChange("AAPL", date.min),)
        assert client.fetch_list_date(AAPL) is None


SAME = """
    SELECT symbol, date, time, open, high, low, close, volume, vwap, transactions, source, quality_score, flags
    FROM market_data ORDER BY symbol, date
""", """
    SELECT symbol, execution_date, split_from, split_to, vendor_id, source FROM splits ORDER BY 1, 2
""", """
    SELECT symbol, ex_dividend_date, cash_amount, currency, dividend_type, frequency, declaration_date, record_date,
        pay_date, vendor_id, source
    FROM dividends ORDER BY symbol, ex_dividend_date, cash_amount
""", """
    SELECT symbol, from_date, to_date, split_factor, dividend_factor FROM adjustment_factors ORDER BY 1, 2
""", """
    SELECT symbol, name, vendor_type, listed, delisted_on, renamed_to FROM tracked_symbols ORDER BY 1
""", """
    SELECT tracked.symbol, period.ticker, period.first_day, period.last_day, period.source, period.certain
    FROM security_tickers AS period JOIN tracked_symbols AS tracked ON tracked.security_id = period.security_id
    ORDER BY 1, 3
"""  # fmt: skip


def test_a_second_warehouse_filled_from_the_first_ends_equal(stage: Stage, server: embedded.Server) -> None:
    with (
        database(server, f"second_{uuid4().hex}") as second,
        PolygonClient(stage.api.url, None, source="sandbox", limiter=LocalLimiter(100_000)) as client,
    ):
        fill(client, second)
        for statement in SAME:
            expected, found = (
                [tuple(row.values()) for row in query(warehouse, statement)]
                for warehouse in (stage.api.warehouse, second)
            )
            assert expected
            assert found == expected


def test_a_warehouse_of_the_markets_data_is_no_sandbox(stage: Stage) -> None:
    # The project's own client takes a sandbox's data only from a sandbox, and the vendor's only from the vendor.
    with (
        PolygonClient(stage.api.url, SecretStr(KEY), source="polygon", limiter=LocalLimiter(100_000)) as client,
        pytest.raises(BadResponseError, match="sandbox's"),
    ):
        client.fetch_daily_bars(AAPL, SPRING[0], SPRING[-1])
