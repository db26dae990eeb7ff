"""The mart `universe_daily`: what `universe` returns for each session, built night after night in its changed parts."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dbt_project import BUILD, NIGHTLY_BUILD, BuildScope
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.mart_cases import add_bars, database, read, settings_of
from market_pipeline_tests.integration.stored_bars import recorded

DAYS = list_sessions("XNYS", date(2012, 1, 3), date(2012, 3, 1))
BEFORE = list_sessions("XNYS", date(2011, 12, 1), date(2011, 12, 30))
GONE_AFTER = DAYS[10]
AAPL = Symbol.of("AAPL", "stock")

COMPARED = """
    SELECT count(*) FROM (
        (SELECT date, ticker, symbol, security_id, name, type, primary_exchange, first_session, last_session, price,
            volume, dollar_volume, median_dollar_volume FROM analytics.universe_daily)
        EXCEPT ALL
        (SELECT u.* FROM market_sessions AS s, universe(s.date, s.market, min_dollar_volume => 0) AS u)
    ) AS only_here
"""
NUMBERS = """
    SELECT (SELECT count(*) FROM analytics.universe_daily) AS held,
        (SELECT count(*) FROM market_sessions AS s, universe(s.date, s.market)) AS expected
"""
WRITTEN = """
    SELECT n_tup_ins + n_tup_upd + n_tup_del AS rows
    FROM pg_stat_user_tables WHERE relid = 'analytics_staging.int_universe'::regclass
"""


def bars_of(day: date) -> dict[str, Bar]:
    """Return a session's bars, with volumes that grow; GONE ends, and RARE trades each third session."""
    place = DAYS.index(day)
    bars = {
        "AAPL": Bar(400.0 + place, 1e6),
        "BBB": Bar(20.0, 100.0 + place),
        "GONE": Bar(5.0),
        "RARE": Bar(3.0, 7.0 + place),
    }
    return {
        ticker: bar
        for ticker, bar in bars.items()
        if (ticker != "GONE" or day <= GONE_AFTER) and (ticker != "RARE" or place % 3 == 0)
    }


@pytest.fixture(scope="module")
def built(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Settings]]:
    """A market of four tickers, one of them tracked with earlier bars of its own, and all marts."""
    folder: Path = tmp_path_factory.mktemp("built")
    with database(server, f"universe_{uuid4().hex}") as warehouse:
        add_symbols(warehouse, [AAPL])
        add_bars(warehouse, AAPL, recorded("AAPL", BEFORE[0], BEFORE[-1]))
        load_market(warehouse, *(session_of(day, bars_of(day)) for day in DAYS[:35]))
        settings = settings_of(warehouse, folder)
        run_forked_dbt(settings, *BUILD, "--quiet")
        yield warehouse, settings


def agree(warehouse: Engine) -> bool:
    """Return True if the mart's rows are those of the function, session by session."""
    [numbers] = read(warehouse, NUMBERS).to_dict("records")
    assert numbers["held"] == numbers["expected"] > 0
    with warehouse.connect() as connection:
        return connection.execute(text(COMPARED)).scalar_one() == 0


def count_written(warehouse: Engine) -> int:
    """Return the number of rows that were written so far."""
    with warehouse.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        return int(connection.execute(text(WRITTEN)).scalar_one())


def test_the_mart_is_the_universe_of_each_whole_session(built: tuple[Engine, Settings]) -> None:
    warehouse, _ = built
    assert agree(warehouse)
    found = read(warehouse, "SELECT min(date) AS first, max(date) AS last FROM analytics.universe_daily")
    assert (found["first"][0], found["last"][0]) == (DAYS[0], DAYS[34])  # AAPL's bars before are of no whole session
    # BBB's last 20 of 35 volumes are 115 to 134, at a price of 20.
    query = "SELECT median_dollar_volume AS median FROM analytics.universe_daily WHERE symbol = 'BBB' AND date = :day"
    assert read(warehouse, query, day=DAYS[34])["median"].tolist() == [2490.0]
    tracked = read(warehouse, "SELECT DISTINCT symbol FROM analytics.daily_bars")["symbol"].tolist()
    assert tracked == ["AAPL"]  # the other marts have tracked symbols only


def test_a_night_writes_only_changed_rows(built: tuple[Engine, Settings]) -> None:
    warehouse, settings = built
    before = count_written(warehouse)
    days = DAYS[33:37]  # two sessions again, and two new ones
    load_market(warehouse, *(session_of(day, bars_of(day)) for day in days), run_id="night")
    run_forked_dbt(settings, *NIGHTLY_BUILD, "--quiet", scope=BuildScope.CHANGES)
    assert agree(warehouse)
    assert count_written(warehouse) - before == sum(len(bars_of(day)) for day in days[2:])


def test_a_correction_reaches_the_medians_of_the_bars_after_it(built: tuple[Engine, Settings]) -> None:
    warehouse, settings = built
    run_forked_dbt(settings, *NIGHTLY_BUILD, "--quiet", scope=BuildScope.CHANGES)
    before = count_written(warehouse)
    corrected = {**bars_of(DAYS[2]), "BBB": Bar(20.0, 9_999.0), "LATE": Bar(1.0)}
    del corrected["GONE"]
    load_market(warehouse, session_of(DAYS[2], corrected), run_id="correction")
    run_forked_dbt(settings, *NIGHTLY_BUILD, "--quiet", scope=BuildScope.CHANGES)
    assert agree(warehouse)
    # BBB's 20 bars, each deleted and inserted, GONE's, of which one is gone, and LATE's only one.
    assert count_written(warehouse) - before <= 2 * 20 + 2 * 10 + 2
    run_forked_dbt(settings, *BUILD, "--quiet")
    assert agree(warehouse)


def test_removed_bars_and_symbols_that_a_market_takes_over_follow(built: tuple[Engine, Settings]) -> None:
    warehouse, settings = built
    with warehouse.begin() as connection:
        connection.exec_driver_sql("DELETE FROM market_data WHERE symbol = 'RARE' AND date < '2012-02-01'")
    load_market(
        warehouse, *(session_of(day, {**bars_of(DAYS[0]), "AAPL": Bar(380.0)}) for day in BEFORE[-2:]), run_id="older"
    )
    run_forked_dbt(settings, *NIGHTLY_BUILD, "--quiet", scope=BuildScope.CHANGES)
    assert agree(warehouse)
