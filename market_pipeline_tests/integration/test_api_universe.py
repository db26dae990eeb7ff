"""`/api/v1/universe`: the tickers that traded on a session, its filters, formats and pages, and rejected dates."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
import requests
from pyarrow import parquet
from sqlalchemy import text

from market_pipeline.api.generated.universe_params import COLUMNS
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.snapshots import create_snapshot
from market_pipeline.warehouse.tracked_markets import untrack_market
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.api_cases import Api, environment_of, faults, problem, serving
from market_pipeline_tests.integration.market_cases import STOCKS, Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import query

UNIVERSE = "/api/v1/universe"
DAYS = list_sessions("XNYS", date(2024, 2, 26), date(2024, 3, 15))
GONE_AFTER = DAYS[2]
PAGE = ("AA", "BRK.B", "KIMpL", "SIVB", "SPY")
NAMES = {"AA": ("Alcoa Corp", "CS"), "SPY": ("SPDR S&P 500", "ETF")}
EARLY = datetime(2020, 1, 1, tzinfo=UTC).isoformat()


def bars_of(day: date) -> dict[str, Bar]:
    """Return the bars of a session: SIVB is gone after some, and AA's volume grows from day to day."""
    number = DAYS.index(day)
    bars = {
        "AA": Bar(28.0, 1_000.0 * (number + 1)), "BRK.B": Bar(410.0, 9_000.0), "KIMpL": Bar(22.0, 10.0),
        "SIVB": Bar(0.9, 5_000.0), "SPY": Bar(515.0, 80_000.0),
    }  # fmt: skip
    return {ticker: bar for ticker, bar in bars.items() if ticker != "SIVB" or day <= GONE_AFTER}


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over three weeks of five tickers, of which one has gone and one is tracked."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        add_symbols(api.warehouse, [Symbol.of("SPY", "etf")])
        load_market(api.warehouse, *(session_of(day, bars_of(day)) for day in DAYS[:-1]))
        rows = "".join(
            "INSERT INTO reference_tickers (market, ticker, name, type, primary_exchange, fetched_at) "
            f"VALUES ('us_stocks', '{ticker}', '{name}', '{kind}', 'XNYS', now());"
            for ticker, (name, kind) in NAMES.items()
        )
        api.execute(rows)
        yield api


def get(api: Api, **parameters: object) -> requests.Response:
    """Request a universe."""
    return api.get(UNIVERSE, [(name, str(value)) for name, value in parameters.items()])


def tickers(api: Api, **parameters: object) -> list[str]:
    """Return the tickers of a universe."""
    response = get(api, **parameters)
    assert response.status_code == 200, response.text
    return [row["ticker"] for row in response.json()["data"]]


def test_a_universe_has_every_ticker_that_traded_also_those_gone_since(api: Api) -> None:
    response = get(api, date=GONE_AFTER).json()
    envelope = {name: value for name, value in response.items() if name != "data"}
    assert envelope == {
        "market": "us_stocks", "date": "2024-02-28", "note": None, "count": 5, "truncated": False, "next": None,
    }  # fmt: skip
    assert [row["ticker"] for row in response["data"]] == list(PAGE)
    found = {row["ticker"]: row for row in response["data"]}
    assert list(found["AA"]) == [column.name for column in COLUMNS]
    assert (found["SIVB"]["first_session"], found["SIVB"]["last_session"]) == ("2024-02-26", "2024-02-28")
    assert (found["AA"]["name"], found["AA"]["type"], found["SIVB"]["type"]) == ("Alcoa Corp", "CS", None)
    assert (found["AA"]["price"], found["AA"]["volume"], found["AA"]["dollar_volume"]) == (28, 3_000, 84_000)
    assert found["AA"]["median_dollar_volume"] is None
    assert tickers(api, date=DAYS[-2]) == ["AA", "BRK.B", "KIMpL", "SPY"]


def test_it_has_the_columns_of_the_function_in_sql(api: Api) -> None:
    with api.warehouse.connect() as connection:
        result = connection.execute(text("SELECT * FROM universe('2024-02-28')"))
        assert [column.name for column in COLUMNS] == list(result.keys())
        rows = sorted(tuple(row) for row in result)
    response = get(api, date=GONE_AFTER).json()["data"]
    assert [tuple(row[column.name] for column in COLUMNS) for row in response] == [
        tuple(value.isoformat() if isinstance(value, date) else value for value in row) for row in rows
    ]
    nullable = {column.name for column in COLUMNS if column.nullable}
    assert {name for row in response for name, value in row.items() if value is None} <= nullable


def test_the_command_and_the_api_agree(api: Api, command: Command) -> None:
    conditions = {"type": "CS,ETF", "min_price": 1, "min_dollar_volume": 56_000}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in conditions.items()]
    with environment_of(api.settings):
        code, output, _ = command("universe", "--date", GONE_AFTER, *options, "--format", "json")
        assert code == 0
        assert json.loads(output)["tickers"] == get(api, date=GONE_AFTER, **conditions).json()["data"]
        code, _, error = command("universe", "--date", "2024-03-16")
    assert code == 1
    assert problem(get(api, date="2024-03-16"), 404)["detail"] in " ".join(error.split())


def test_filters_are_of_types_prices_and_the_median_dollar_volume(api: Api) -> None:
    on = {"date": GONE_AFTER}
    assert tickers(api, **on, type="CS") == ["AA"]
    assert tickers(api, **on, type="CS,ETF") == ["AA", "SPY"]
    assert tickers(api, **on, min_price=1) == ["AA", "BRK.B", "KIMpL", "SPY"]
    # AA's three days have 28,000, 56,000 and 84,000 dollars.
    assert tickers(api, **on, min_dollar_volume=56_000) == ["AA", "BRK.B", "SPY"]
    assert tickers(api, **on, min_dollar_volume=56_001, market="us_stocks") == ["BRK.B", "SPY"]
    [row] = get(api, **on, min_dollar_volume=1, type="CS").json()["data"]
    assert row["median_dollar_volume"] == 56_000
    assert get(api, **on, min_price=1e6).json()["data"] == []


def test_a_filter_by_type_reports_the_tickers_that_it_leaves_out(api: Api, command: Command) -> None:
    [listed_at] = query(api.warehouse, "SELECT max(fetched_at) AS at FROM reference_tickers")
    unknown = (
        "3 of the 5 tickers of 2024-02-28 have no known type and are left out; the vendor's list of "
        f"{listed_at['at']:%Y-%m-%d} has none of them; "
        "`market-pipeline market refresh-list us-stocks` fetches it again."
    )
    absent = "No ticker of 2024-02-28 is known to have the type NOPE; the types there are CS, ETF."
    assert get(api, date=GONE_AFTER, type="CS").json()["note"] == unknown
    assert get(api, date=GONE_AFTER, type="CS,NOPE", min_price=1).json()["note"] == f"{absent} {unknown}"
    assert get(api, date=GONE_AFTER, min_price=1).json()["note"] is None
    with environment_of(api.settings):
        code, output, error = command("universe", "--date", GONE_AFTER, "--type", "CS", "--format", "csv")
        assert (code, len(output.splitlines()), error) == (0, 2, f"{unknown}\n")
        code, output, error = command("universe", "--date", GONE_AFTER, "--type", "NOPE", "--format", "csv")
    assert (code, len(output.splitlines()), error) == (0, 1, f"{absent}\n{unknown}\n")


def test_every_format_has_the_same_rows(api: Api) -> None:
    expected = get(api, date=GONE_AFTER).json()["data"]
    lines = list(csv.DictReader(io.StringIO(get(api, date=GONE_AFTER, format="csv").text)))
    assert [(line["ticker"], float(line["price"])) for line in lines] == [
        (row["ticker"], row["price"]) for row in expected
    ]
    for name, read in (("arrow", lambda body: pa.ipc.open_stream(body).read_all()), ("parquet", parquet.read_table)):
        table = read(io.BytesIO(get(api, date=GONE_AFTER, format=name).content))
        assert table.column("ticker").to_pylist() == list(PAGE)
        assert table.schema.field("date").type == pa.date32()


@pytest.mark.parametrize(
    ("order", "expected"), [("ticker", PAGE), ("dollar_volume", ("SPY", "BRK.B", "AA", "SIVB", "KIMpL"))]
)
def test_pages_follow_each_other(api: Api, order: str, expected: tuple[str, ...]) -> None:
    found: list[str] = []
    path, parameters = UNIVERSE, [("date", str(GONE_AFTER)), ("limit", "2"), ("order", order)]
    while path:
        page = api.get(path, parameters).json()
        found += [row["ticker"] for row in page["data"]]
        path, parameters = page["next"], []
    assert found == list(expected)


def test_an_unchanged_universe_is_not_sent_again(api: Api) -> None:
    first = get(api, date=GONE_AFTER)
    assert "+00:00" in first.headers["x-as-of"]
    again = api.get(UNIVERSE, [("date", str(GONE_AFTER))], if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"date": "2024-03-16"}, "it is no session of XNYS; the nearest ones are 2024-03-15 and 2024-03-18"),
        ({"date": "1990-01-02"}, "the first session of XNYS here is 2000-01-03"),
        ({"date": "2039-01-03"}, "the session is not over"),
        (
            {"date": "2024-03-15"},
            "not loaded; `market-pipeline market backfill us-stocks --start 2024-03-15 --end 2024-03-15` loads it",
        ),
        ({"date": "2024-02-23"}, "the session is not loaded"),
        ({"date": "2024-03-15", "market": "crypto"}, "`market-pipeline market track crypto`"),
        ({"date": "2024-02-28", "as_of": EARLY}, "as of 2020-01-01T00:00:00.000000+00:00: it was first loaded at "),
    ],
)
def test_a_date_without_a_universe_gives_the_reason(api: Api, parameters: dict[str, str], reason: str) -> None:
    assert reason in problem(get(api, **parameters), 404)["detail"]


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({}, ["date"]),
        ({"date": "yesterday"}, ["date"]),
        ({"date": "2024-02-28", "market": "moon", "min_price": "-1"}, ["market", "min_price"]),
        ({"date": "2024-02-28", "type": "C S", "min_dollar_volume": "much"}, ["type", "min_dollar_volume"]),
        ({"date": "2024-02-28", "limit": 20_001, "exchange": "XNYS"}, ["limit", "exchange"]),
        ({"date": "2024-02-28", "snapshot": "none"}, ["snapshot"]),
        ({"date": "2024-02-28", "cursor": "AAPL"}, ["cursor"]),
    ],
)
def test_wrong_parameters_are_named(api: Api, parameters: dict[str, Any], wrong: list[str]) -> None:
    assert faults(get(api, **parameters)) == wrong


def test_the_route_is_documented_and_listed(api: Api) -> None:
    operation = api.get("/openapi.json").json()["paths"][UNIVERSE]["get"]
    assert {each["name"] for each in operation["parameters"] if each["required"]} == {"date"}
    names = {
        "date",
        "market",
        "type",
        "min_price",
        "min_dollar_volume",
        "as_of",
        "snapshot",
        "order",
        "limit",
        "cursor",
        "format",
    }
    assert {each["name"] for each in operation["parameters"]} == names
    assert "universe" in api.get("/").json()["endpoints"]


def test_months_have_the_numbers_of_listed_and_gone_tickers(api: Api) -> None:
    rows = api.rows("listings_by_month")
    assert rows == [
        {"month": "2024-02-01", "sessions": 4, "listed": 5, "gone": 1, "market": "us_stocks", "source": "sandbox"},
        {"month": "2024-03-01", "sessions": 10, "listed": 4, "gone": 0, "market": "us_stocks", "source": "sandbox"},
    ]


def test_a_universe_as_of_an_instant_stays_as_it_was(api: Api) -> None:
    day = DAYS[-1]
    load_market(api.warehouse, session_of(day, bars_of(day)), run_id="run-2")
    create_snapshot(api.warehouse, "before")
    corrected = {**bars_of(day), "AA": Bar(29.0, 1.0), "NEW": Bar()}
    load_market(api.warehouse, session_of(day, corrected), run_id="run-3")
    [now] = get(api, date=day, type="CS").json()["data"]
    then = get(api, date=day, snapshot="before")
    assert now["price"] == 29
    assert then.json()["data"][0]["price"] == 28
    assert "NEW" not in {row["ticker"] for row in then.json()["data"]}
    assert then.content == get(api, date=day, as_of=then.headers["x-as-of"]).content


def test_a_suspicious_session_gives_its_reason_and_an_untracked_market_keeps_its_universes(api: Api) -> None:
    day = date(2024, 3, 18)
    load_market(api.warehouse, session_of(day, {"AA": Bar()}), run_id="run-4")
    detail = problem(get(api, date=day), 404)["detail"]
    assert "the session is not stored whole (suspicious: it has only 1 tickers" in detail
    untrack_market(api.warehouse, STOCKS)
    assert tickers(api, date=GONE_AFTER) == list(PAGE)
