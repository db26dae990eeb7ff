"""The order of loads: what is read as of an instant never changes, and every version is kept."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.errors import CheckViolation, ExclusionViolation
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from benchmarks.campaigns.instants import STEPPED_CLOCK, attack, prepare
from benchmarks.campaigns.writers import SYMBOLS, change_at_random
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.corporate_action_refresh import SPLITS
from market_pipeline.warehouse.export_query import Adjustment, Selection, read_blocks
from market_pipeline.warehouse.loads import NoInstantError, UnsettledError, read_settled_point, settle
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

WEEK = recorded("AAPL", date(2012, 10, 22), date(2012, 10, 26))


@pytest.fixture
def week(warehouse: Engine) -> Engine:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, WEEK)
    return warehouse


def point(warehouse: Engine) -> datetime:
    with warehouse.connect() as connection:
        return read_settled_point(connection)


def execute(warehouse: Engine, *statements: str) -> None:
    with warehouse.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def stored_at(warehouse: Engine, instant: datetime) -> list[Any]:
    return [dict(row) for row in query(warehouse, "SELECT * FROM market_data_as_of(:at) ORDER BY 1, 2", at=instant)]


@pytest.mark.parametrize("stepped", [False, True], ids=["steady clock", "clock set back and forth"])
def test_no_result_changes_while_writers_revise_the_same_bars(warehouse: Engine, stepped: bool) -> None:
    prepare(warehouse, stepped=stepped)
    result = attack(warehouse, lambda done: len(done.answers) >= 60 and done.loads >= 20, writers=4, stepped=stepped)
    assert (result.changed, result.doubled) == ([], [])


def test_points_follow_each_other_even_if_the_clock_is_set_back(week: Engine) -> None:
    with week.begin() as connection:
        connection.exec_driver_sql(STEPPED_CLOCK)
    execute(week, "UPDATE clock_step SET step = '-1 hour'")
    before = stored_at(week, point(week))
    load_frame(week, AAPL, WEEK.assign(close=WEEK["close"] + 1, high=WEEK["high"] + 1), run_id="run-2")
    points = [row["point"] for row in query(week, "SELECT point FROM loads ORDER BY id")]
    assert points == sorted(set(points))
    assert points[-1] - points[-2] == timedelta(microseconds=1)
    assert stored_at(week, points[-2]) == before
    assert stored_at(week, points[-1]) != before


def test_the_current_bars_equal_those_as_of_the_settled_point(week: Engine) -> None:
    assert stored_at(week, point(week)) == query(week, "SELECT * FROM market_data ORDER BY 1, 2")


def test_an_instant_that_is_not_settled_is_an_error_that_names_the_settled_point(week: Engine) -> None:
    newest = point(week)
    with pytest.raises(DBAPIError, match=r"is not settled: the newest settled point is .*\n.*by settle\(\)"):
        query(week, "SELECT * FROM market_data_as_of(now())")
    settle(week, datetime.now(UTC))
    assert point(week) > newest
    with pytest.raises(NoInstantError, match="is in the future"):
        settle(week, datetime.now(UTC) + timedelta(days=1))


def test_while_a_load_is_held_up_at_its_end_an_instant_waits_and_then_is_an_error(
    week: Engine, database_url: SecretStr
) -> None:
    newest = point(week)
    execute(week, "ALTER FUNCTION settle(timestamptz) SET lock_timeout = '50ms'")
    with psycopg.connect(database_url.get_secret_value()) as holder:
        holder.execute("LOCK TABLE settled IN SHARE MODE")
        instant = datetime.now(UTC)
        with pytest.raises(UnsettledError, match=f"not committed yet: .* {newest.isoformat()[:19]}"):
            read_bars(week, ["AAPL"], date(2012, 1, 1), date(2012, 12, 31), as_of=instant)
        assert len(stored_at(week, newest)) == len(WEEK)
    settle(week, instant)


def test_a_correction_by_sql_is_a_load_of_its_own_and_keeps_the_earlier_bar(week: Engine) -> None:
    before, was = point(week), query(week, "SELECT * FROM market_data ORDER BY date")
    execute(week, "UPDATE market_data SET close = 612.25 WHERE date = '2012-10-24'")
    [kept] = query(week, "SELECT date, close, run_id, replaced_by_run_id FROM market_data_revisions")
    assert (kept["date"], kept["run_id"], kept["replaced_by_run_id"]) == (date(2012, 10, 24), "run-1", "manual")
    execute(week, "DELETE FROM market_data WHERE date = '2012-10-22'")
    assert len(query(week, "SELECT date FROM market_data")) == len(WEEK) - 1
    assert stored_at(week, before) == was


@pytest.mark.parametrize(
    ("begin", "end", "violated"),
    [("load_id - 1", "replaced_by + 5", ExclusionViolation), ("replaced_by", "load_id", CheckViolation)],
    ids=["two at one instant", "ended before it began"],
)
def test_impossible_versions_of_a_bar_are_rejected(
    week: Engine, begin: str, end: str, violated: type[psycopg.Error]
) -> None:
    execute(week, "UPDATE market_data SET close = 612.25 WHERE date = '2012-10-24'")
    copied = (
        f"INSERT INTO bars_revisions SELECT symbol_id, date, {begin}, transactions, open, high, low, close, volume, "
        f"vwap, {end} FROM bars_revisions"
    )
    with pytest.raises(IntegrityError) as caught:
        execute(week, copied)
    assert isinstance(caught.value.orig, violated)


def test_adjusted_prices_of_an_instant_have_its_splits(week: Engine) -> None:
    execute(
        week,
        "INSERT INTO corporate_action_inquiries (kind, symbol, asked_at, history_asked_at) "
        "SELECT kind, 'AAPL', now(), now() FROM unnest(ARRAY['splits', 'dividends']) AS kind",
        "UPDATE adjustment_factors SET split_factor = 1, dividend_factor = 1, unknown_because = NULL",
    )
    before = point(week)
    execute(
        week,
        f"INSERT INTO {SPLITS.name} (symbol, execution_date, split_from, split_to, source, fetched_at, run_id) "
        "VALUES ('AAPL', '2014-06-09', 1, 7, 'polygon', now(), 'run-2')",
        "UPDATE adjustment_factors SET split_factor = 1.0 / 7",
    )
    after = point(week)
    closes = "SELECT close FROM daily_bars_adjusted_as_of(:at) WHERE date = '2012-10-26'"
    traded = WEEK["close"].iloc[-1]
    assert query(week, closes, at=before) == [{"close": traded}]
    assert query(week, closes, at=after) == [{"close": pytest.approx(traded / 7)}]
    assert [len(query(week, "SELECT * FROM splits_as_of(:at)", at=at)) for at in (before, after)] == [0, 1]
    traded_line, adjusted_line = (exported(week, at) for at in (before, after))
    assert float(traded_line.split(b",")[5]) == traded
    assert float(adjusted_line.split(b",")[5]) == pytest.approx(traded / 7)


def exported(warehouse: Engine, at: datetime) -> bytes:
    """Return the last line of an export of split-adjusted bars as of an instant."""
    selection = Selection(symbols=["AAPL"], adjustment=Adjustment.SPLITS, as_of=at)
    with warehouse.connect() as connection:
        return [line for block in read_blocks(connection, selection, for_spreadsheets=False) for line in block][-1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("'2012-10-27', 1, 1, 1, 1, 1", "2012-10-27 is no session of AAPL"),
        ("'2012-10-19', 1, 2, 1, 3, 1", "can't be true"),
        ("'2012-10-19', 1, 1, 1, 1, -1", "can't be true"),
        ("'2012-10-19', 0, 1, 0, 1, 1", "can't be true"),
        ("'2012-10-19', 1, 'NaN', 1, 1, 1", "can't be true"),
    ],
)
def test_an_impossible_bar_is_rejected_by_sql(week: Engine, values: str, message: str) -> None:
    insert = "INSERT INTO market_data (symbol, date, open, high, low, close, volume, source, run_id) "
    with pytest.raises(IntegrityError, match=message):
        execute(week, f"{insert} VALUES ('AAPL', {values}, 'sandbox', 'run-1')")
    with pytest.raises(IntegrityError, match="can't be true"):
        execute(week, "UPDATE market_data SET close = high + 1")


def test_a_symbol_has_the_name_of_the_instant(warehouse: Engine) -> None:
    coin = Symbol.of("BTC", "crypto")
    add_symbols(warehouse, [coin])
    execute(
        warehouse,
        "INSERT INTO market_data (symbol, date, open, high, low, close, volume, source, run_id) "
        "VALUES ('BTC', '2024-01-01', 1, 1, 1, 1, 1, 'sandbox', 'run-1')",
    )
    before = point(warehouse)
    with rename_symbol(warehouse, "BTC", "BTC-USD"):
        pass
    assert [row["symbol"] for row in stored_at(warehouse, before)] == ["BTC"]
    assert [row["symbol"] for row in stored_at(warehouse, point(warehouse))] == ["BTC-USD"]


def test_an_instant_that_is_null_is_an_error(week: Engine) -> None:
    with pytest.raises(DBAPIError, match="the instant is NULL"):
        query(week, "SELECT * FROM market_data_as_of((SELECT point FROM snapshots WHERE name = 'mistyped'))")


def test_a_symbol_with_bars_is_not_deleted_by_sql(week: Engine) -> None:
    before = query(week, "SELECT * FROM market_data")
    with pytest.raises(IntegrityError, match=r"AAPL has bars(.|\n)*`market-pipeline symbols remove AAPL`"):
        execute(week, "DELETE FROM tracked_symbols")
    assert query(week, "SELECT * FROM market_data") == before
    execute(week, "DELETE FROM market_data", "DELETE FROM tracked_symbols")
    assert query(week, "SELECT symbol FROM symbol_identities") == []


def test_every_change_of_the_campaigns_writers_is_made(warehouse: Engine) -> None:
    add_symbols(warehouse, SYMBOLS)
    chance = random.Random(1)
    for _ in range(60):
        change_at_random(warehouse, chance)
    assert query(warehouse, "SELECT FROM bars_revisions WHERE reason LIKE 'another security%' LIMIT 1")
