"""The feed of changes: a copy that follows it by any interface equals a full read."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from market_pipeline.cli.commands import app
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import FIRST, LAST, Api, faults, load_autumn, problem, serving
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

CHANGES = "/api/v1/changes"
GUIDE = Path(__file__).parents[2] / "docs" / "changes.md"
WEEK = recorded("AAPL", date(2000, 9, 11), date(2000, 9, 15))
CORRECTION = "UPDATE market_data SET close = close + 1 WHERE symbol = 'IBM' AND date = '2000-09-11'"


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars."""
    with serving(server, tmp_path_factory.mktemp("changes")) as api:
        load_autumn(api.warehouse)
        add_symbols(api.warehouse, [Symbol.of("BTC", "crypto")])
        yield api


def make_consumer(api: Api) -> Any:
    """Return the consumer that the guide describes."""
    [code] = re.findall(r"<!-- consumer -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["Copy"](api.url)


def full_read(api: Api, source: str, key: Sequence[str], *left_out: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = [row for (row,) in api.sql(f"SELECT row_to_json(r) FROM {source} AS r")]
    return {tuple(row[name] for name in key): {name: row[name] for name in row if name not in left_out} for row in rows}


def check_equal(api: Api, consumer: Any, as_of: str = "") -> None:
    """Check that a copy equals full reads, of now or of an instant."""

    def source(name: str) -> str:
        return f"{name}_as_of('{as_of}')" if as_of else name

    assert consumer.bars() == full_read(api, source("market_data"), ("symbol", "date"))
    rows = {kind: held for kind, held in consumer.rows.items() if held}
    tables = {
        "symbol": ("symbol_identities", "symbol_id"), "split": ("splits", "symbol", "execution_date"),
        "dividend": ("dividends", "id"), "factor": ("adjustment_factors", "symbol", "from_date"),
        "security": ("securities", "id"), "ticker": ("security_tickers", "id"),
    }  # fmt: skip
    for kind, (name, *key) in tables.items():
        assert rows.get(kind, {}) == full_read(api, source(name), key, "load_id", "checked_at"), kind


def pages(api: Api, path: str) -> list[dict[str, Any]]:
    """Request a page and those after it."""
    found = [api.get(path).json()]
    while found[-1]["truncated"]:
        found.append(api.get(found[-1]["next"]).json())
    return found


def test_the_guides_consumer_ends_equal_to_a_full_read(api: Api) -> None:
    consumer = make_consumer(api)
    consumer.catch_up()
    check_equal(api, consumer)
    first = consumer.settled
    load_frame(api.warehouse, AAPL, WEEK.assign(close=WEEK["close"] + 0.5, high=1000.0), run_id="run-2")
    api.execute(
        "DELETE FROM market_data WHERE symbol = 'IBM' AND date = '2000-10-10'",
        "UPDATE market_data SET flags = '{by hand}' WHERE symbol = 'MSFT' AND date = '2000-10-10'",
        "DELETE FROM splits WHERE execution_date = '2005-02-28'",
        "INSERT INTO securities (id, name) VALUES (1000, 'One'), (1001, 'Two')",
        "UPDATE securities SET name = 'Three' WHERE id = 1000",
        "INSERT INTO security_tickers (id, security_id, ticker, source, certain) SELECT 99, 1000, 'X', 'manual', true",
    )
    with rename_symbol(api.warehouse, "BTC", "BTC-USD"):
        pass
    late = make_consumer(api)
    late.next = late.next.replace("10000", "7")
    late.catch_up()
    consumer.catch_up()
    check_equal(api, consumer)
    check_equal(api, late)
    assert consumer.rows == late.rows
    assert consumer.settled == late.settled > first
    check_equal(api, consumer, as_of=consumer.settled)


def test_changes_come_once_in_order_with_their_kind(api: Api) -> None:
    since = pages(api, CHANGES)[-1]["next"]
    assert api.get(since).json()["data"] == []
    api.execute(CORRECTION)
    api.execute(CORRECTION)
    api.execute("DELETE FROM market_data WHERE symbol = 'IBM' AND date = '2000-09-11'")
    load_frame(api.warehouse, Symbol.of("IBM", "stock"), recorded("IBM", FIRST, LAST), run_id="run-3")
    [page] = pages(api, since)
    bars = [change for change in page["data"] if change["kind"] == "bar" and change["key"]["date"] == "2000-09-11"]
    assert [change["change"] for change in bars] == ["changed", "changed", "went", "came"]
    [before] = recorded("IBM", FIRST, FIRST)["close"]
    assert [change["values"]["close"] for change in bars] == [before + 1, before + 2, before + 2, before]
    assert [bars[3]["values"][name] for name in ("symbol", "run_id")] == ["IBM", "run-3"]
    points = [change["point"] for change in page["data"]]
    assert points == sorted(points)
    assert points[-1] <= page["settled"]
    small = [change for part in pages(api, since + "&limit=1") for change in part["data"]]
    assert small == page["data"]


def test_kinds_and_symbols_can_be_chosen(api: Api) -> None:
    [page] = pages(api, f"{CHANGES}?kind=split,dividend&limit=10000")
    assert {change["kind"] for change in page["data"]} == {"split", "dividend"}
    [page] = pages(api, f"{CHANGES}?symbol=AAPL&limit=10000")
    assert {change["kind"] for change in page["data"]} == {"symbol", "security", "ticker", "bar", "split", "factor"}
    assert {change["values"].get("symbol", "AAPL") for change in page["data"]} == {"AAPL"}
    assert {change["values"]["ticker"] for change in page["data"] if change["kind"] == "ticker"} == {"AAPL"}
    assert "AAPL" in page["next"]


def test_as_lines_the_last_one_has_the_rest_of_the_page(api: Api) -> None:
    response = api.get(CHANGES, [("limit", "3")], accept="application/x-ndjson")
    assert response.headers["content-type"].startswith("application/x-ndjson")
    *data, rest = map(json.loads, response.text.splitlines())
    page = api.get(CHANGES, [("limit", "3")]).json()
    assert {**rest, "data": data} == page
    assert page["truncated"]
    assert response.links["next"]["url"] == page["next"]


@pytest.mark.parametrize(
    ("parameter", "value", "reason"),
    [
        ("since", "yesterday", "is not an instant with a time zone"),
        ("since", "2026-03-01T12:00:00", "is not an instant with a time zone"),
        ("kind", "bars", "is not one of symbol, security"),
        ("limit", "0", "is not a number from 1 to 10000"),
        ("cursor", "WzFd", "is not a cursor of this feed: follow `next`"),
        ("cursor", "Wzk5OTk5OTksNCwxLCIiLCIyMDI0LTAxLTAyIl0", "is not one of this database: begin again with `since`"),
        ("from", "1", "there is no such parameter, only since"),
    ],
)
def test_a_wrong_parameter_is_named_with_the_next_step(api: Api, parameter: str, value: str, reason: str) -> None:
    response = api.get(CHANGES, [(parameter, value)])
    assert faults(response) == [parameter]
    assert reason in response.json()["detail"]


def test_a_point_in_the_future_is_rejected(api: Api) -> None:
    detail = problem(api.get(CHANGES, [("since", "2999-01-01T00:00:00Z")]), 400)["detail"]
    assert detail == "since: 2999-01-01T00:00:00+00:00 is in the future: use an instant in the past"


def test_a_symbol_that_is_not_tracked_is_not_found(api: Api) -> None:
    assert "ZZZ is not tracked" in problem(api.get(CHANGES, [("symbol", "ZZZ")]), 404)["detail"]


def run_command(api: Api, *arguments: str) -> Any:
    """Run `market-pipeline changes` on the API's warehouse."""
    address, folder = api.settings.database_url, api.settings.market_pipeline_data_dir
    assert address is not None
    environment = {"DATABASE_URL": address.get_secret_value(), "MARKET_PIPELINE_DATA_DIR": str(folder)}
    return CliRunner().invoke(app, ["changes", *arguments], env=environment)


def test_the_command_prints_lines_and_the_point_to_continue_from(api: Api) -> None:
    *lines, last = run_command(api).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [c for part in pages(api, CHANGES) for c in part["data"]]
    settled = json.loads(last)["settled"]
    assert run_command(api, "--since", settled).stdout.splitlines() == [last]
    api.execute("UPDATE splits SET split_to = 3 WHERE execution_date = '2000-06-21'")
    change, _ = run_command(api, "--since", settled, "--kind", "split").stdout.splitlines()
    assert json.loads(change)["values"]["split_to"] == 3
    failed = run_command(api, "--kind", "bars")
    assert "'bars' is not one of symbol" in str(failed.exception) + failed.output
    assert "ZZZ" in str(run_command(api, "--symbol", "ZZZ").exception)


def test_in_sql_the_following_page_begins_after_a_place(api: Api) -> None:
    everything = api.sql("SELECT place FROM changes(only_kinds => '{bar}')")
    first = api.sql("SELECT place FROM changes(most => 5, only_kinds => '{bar}')")
    rest = api.sql("SELECT place FROM changes(after => CAST(:place AS jsonb), only_kinds => '{bar}')",
                   place=json.dumps(first[-1][0]))  # fmt: skip
    assert first + rest == everything


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("NULL", "since is NULL"),
        ("only_kinds => '{bar, bars}'", "only_kinds {bar,bars} has a kind that there is not"),
        ("only_kinds => '{}'", "only_kinds {} has a kind that there is not, or none"),
        ("only_symbol => 'ibm'", "only_symbol ibm is no symbol here"),
        ("after => '{}'", "{} is no place in the feed of changes"),
        ("after => '[1, 2]'", "[1, 2] is no place in the feed of changes"),
    ],
)
def test_changes_by_sql_explain_a_wrong_argument(api: Api, arguments: str, message: str) -> None:
    with pytest.raises(DBAPIError, match=re.escape(message)):
        api.sql(f"SELECT * FROM changes({arguments})")
