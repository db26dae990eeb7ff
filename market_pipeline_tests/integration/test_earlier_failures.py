"""Failures of the earlier service without a test elsewhere; docs/earlier-failures.md lists all of them."""

import multiprocessing
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pandas as pd
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.symbols import Symbol, list_starting_symbols
from market_pipeline.dagster_storage.internals import schedule_execution_time_iterator
from market_pipeline.ingest import Run, ingest
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.schedules import plan_night
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, open_warehouse, warehouse_of
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.loading import claim_source
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.polygon_cases import client_of
from market_pipeline_tests.integration.stored_bars import flags, load_frame, query, recorded
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

AAPL, MSFT, SHIB = Symbol.of("AAPL", "stock"), Symbol.of("MSFT", "stock"), Symbol.of("SHIB", "crypto")
CRASH = date(2000, 9, 29)
AUTUMN = recorded("AAPL", date(2000, 9, 1), date(2000, 10, 31))
WEEK = list_sessions("XNYS", date(2024, 3, 7), date(2024, 3, 13))  # daylight saving began in New York on the 10th
DECADE = list_sessions("XNYS", date(2003, 1, 2), date(2012, 12, 31))
PROCESSES = 4


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, MSFT, SHIB])


@pytest.fixture(params=["America/New_York", "Asia/Tokyo"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A time zone for this process and PostgreSQL's client library."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", request.param)
        changed.setenv("PGTZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.fixture
def ordinary(server: embedded.Server) -> Iterator[SecretStr]:
    """URL of a new database for the role that owns it and has no other rights."""
    name = f"ordinary_{uuid4().hex}"
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
        yield SecretStr(f"postgresql://{name}:hunter2@{server.host}:{server.port}/{name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"DROP ROLE {name}")


def record(symbol: Symbol, session: date, **changes: Any) -> dict[str, Any]:
    """Return an ordinary bar of a session as the vendor sends it, with some values changed."""
    [start] = compute_session_starts(symbol.calendar, pd.DatetimeIndex([session]).as_unit("ms")).asi8.tolist()
    return {"t": start, "o": 100, "h": 102, "l": 99, "c": 101, "v": 1000 + start % 997, "vw": 100.5, "n": 7, **changes}


def ingest_records(warehouse: Engine, symbol: Symbol, sessions: Sequence[date], *records: dict[str, Any]) -> LoadResult:
    """Run these sessions with these records as the vendor's response, and return the load result."""
    response = {"status": "OK", "ticker": symbol.vendor_ticker, "adjusted": False, "results": list(records)}
    with scripted_vendor(Reply(response)) as vendor, client_of(vendor) as client:
        return only(ingest(
            [symbol],
            sessions,
            vendor=Fetcher(client, [symbol], sessions, datetime.now(UTC)),
            fetch_reference=partial(refresh_reference, client, warehouse),
            delisted={},
            warehouse=warehouse,
            run=Run("run-1", "manual"),
        ))  # fmt: skip


def only(results: Iterator[list[LoadResult]]) -> LoadResult:
    [[result]] = results
    return result


@pytest.mark.parametrize(("symbol", "day"), [(AAPL, date(2005, 2, 28)), (MSFT, date(2003, 2, 18))])
def test_a_jump_on_a_monday_or_after_a_holiday_is_flagged_like_any_other(
    warehouse: Engine, symbol: Symbol, day: date
) -> None:
    assert (day - list_sessions("XNYS", date(2000, 1, 3), day)[-2]).days > 2
    load_frame(
        warehouse, symbol, recorded(symbol.name, day.replace(day=1), day)
    )  # a split of 2 for 1 that is not known
    assert flags(warehouse, symbol)[day] == ("unlisted_split",)


def test_the_bar_of_an_unfinished_session_is_stored_once_it_is_over_and_replaced_when_corrected(
    warehouse: Engine,
) -> None:
    start, today = date(2024, 11, 27), date(2024, 12, 2)
    unfinished, finished, corrected = (record(AAPL, today, v=volume) for volume in (5, 1_000, 1_001))
    [run] = plan_range_runs([AAPL], start, today, datetime(2024, 12, 2, 20, tzinfo=UTC))  # an hour before the close
    early = ingest_records(warehouse, AAPL, run.sessions, *(record(AAPL, day) for day in run.sessions), unfinished)
    assert (early.last_session, early.loaded, early.rejected) == (date(2024, 11, 29), 2, 1)
    [run] = plan_range_runs([AAPL], start, today, datetime(2024, 12, 3, 2, tzinfo=UTC))
    late = ingest_records(warehouse, AAPL, run.sessions, *(record(AAPL, day) for day in run.sessions[:-1]), finished)
    assert (late.last_session, late.loaded, late.unchanged, late.rejected) == (today, 1, 2, 0)
    assert ingest_records(warehouse, AAPL, [today], corrected).revised == 1
    assert query(warehouse, "SELECT volume FROM market_data WHERE date = :day", day=today) == [{"volume": 1_001.0}]


def test_times_are_the_vendors_instants_in_any_time_zone(warehouse: Engine, elsewhere: str) -> None:
    with warehouse.begin() as connection:
        name: str = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET timezone = '{elsewhere}'"))
    warehouse.dispose()
    records = [record(AAPL, day) for day in WEEK]
    ingest_records(warehouse, AAPL, WEEK, *records)
    stored = query(warehouse, "SELECT date, extract(epoch FROM time) * 1000 AS ms FROM market_data ORDER BY date")
    assert [(row["date"], int(row["ms"])) for row in stored] == [
        (day, sent["t"]) for day, sent in zip(WEEK, records, strict=True)
    ]
    read = read_bars(warehouse, ["AAPL"], WEEK[0], WEEK[-1])
    assert [instant.tz_convert("UTC").hour for instant in read["time"]] == [5, 5, 4, 4, 4]
    assert ingest_records(warehouse, AAPL, WEEK, *records).unchanged == len(WEEK)


@pytest.mark.parametrize("changed_fields", [{"v": -1}, {"v": None}, {"l": -1}, {"o": 0}, {"c": 1e6}], ids=str)
def test_an_impossible_bar_is_rejected_alone_and_no_bar_is_compared_with_it(
    warehouse: Engine, changed_fields: dict[str, Any]
) -> None:
    records = [record(AAPL, day) for day in WEEK]
    records[2] |= changed_fields
    result = ingest_records(warehouse, AAPL, WEEK, *records)
    assert (result.loaded, result.rejected, result.flagged, result.error) == (4, 1, 0, None)
    [rejected_bar] = query(warehouse, "SELECT date, payload FROM rejected_bars")
    assert rejected_bar == {"date": WEEK[2], "payload": records[2]}
    [load_record] = query(warehouse, "SELECT fetched, loaded, rejected, missing, success FROM backfill_history")
    assert load_record == {"fetched": 5, "loaded": 4, "rejected": 1, "missing": 1, "success": True}


def test_a_window_that_begins_with_a_flagged_bar_leaves_its_flags(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, AUTUMN)
    before = flags(warehouse, AAPL)
    assert "unexplained_move" in before[CRASH]
    window = AUTUMN[AUTUMN["date"] >= pd.Timestamp(CRASH)].reset_index(drop=True)
    assert load_frame(warehouse, AAPL, window, run_id="run-2").unchanged == len(window)
    assert flags(warehouse, AAPL) == before
    window["volume"] = window["volume"] + (window.index == 0)
    assert load_frame(warehouse, AAPL, window, run_id="run-3").revised == 1
    assert flags(warehouse, AAPL) == before


def test_fractions_of_a_coin_and_prices_of_a_millionth_of_a_cent_are_kept_exactly(warehouse: Engine) -> None:
    day = date(2024, 3, 10)
    sent = {"o": 1e-8, "h": 1.23456789e-8, "l": 9.87654321e-9, "c": 1.1e-8, "vw": 1.0987654321e-8, "n": 12_345,
            "v": 123_456_789_012.12346}  # fmt: skip
    assert ingest_records(warehouse, SHIB, [day], record(SHIB, day, **sent)).loaded == 1
    [held] = query(warehouse, "SELECT open, high, low, close, vwap, transactions, volume FROM market_data")
    assert list(held.values()) == list(sent.values())


def test_a_role_needs_no_more_than_a_database_of_its_own(settings: Settings, ordinary: SecretStr) -> None:
    with warehouse_of(settings.model_copy(update={"database_url": ordinary})) as warehouse:
        add_symbols(warehouse, [AAPL])
        assert ingest_records(warehouse, AAPL, WEEK, *(record(AAPL, day) for day in WEEK)).loaded == len(WEEK)


def rejection(settings: Settings) -> str:
    """Return the message of the error if the database can't be used."""
    assert settings.database_url is not None
    engine = create_warehouse_engine(settings.database_url)
    with pytest.raises(MarketPipelineError) as opened:
        open_warehouse(settings)
    with pytest.raises(MarketPipelineError) as migrated:
        migrate(engine)
    engine.dispose()
    result = [str(opened.value), str(migrated.value)]
    assert all(message.isprintable() and "hunter2" not in message for message in result)
    return result[-1]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (
            "market_data (id bigserial, symbol varchar(20), time timestamptz, UNIQUE (symbol, time))",
            "(1, 'AAPL', now())",
        ),
        ("alembic_version (version_num varchar(32) PRIMARY KEY)", "('ae1027a6acf')"),
    ],
    ids=["market_data", "alembic_version"],
)
def test_a_database_with_tables_of_another_application_is_rejected_and_not_changed(
    settings: Settings, ordinary: SecretStr, table: str, values: str
) -> None:
    name = table.split(maxsplit=1)[0]
    with psycopg.connect(ordinary.get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table}")
        connection.execute(f"INSERT INTO {name} VALUES {values}")
        held = connection.execute(f"SELECT * FROM {name}").fetchall()
        assert "another database" in rejection(settings.model_copy(update={"database_url": ordinary}))
        assert connection.execute(f"SELECT * FROM {name}").fetchall() == held
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [(name,)]


def test_a_role_without_rights_on_the_tables_gets_an_error_in_one_line(
    settings: Settings, warehouse: Engine, ordinary: SecretStr
) -> None:
    name = warehouse.url.database
    address = SecretStr(f"{ordinary.get_secret_value().rsplit('/', 1)[0]}/{name}")
    assert "permission denied" in rejection(settings.model_copy(update={"database_url": address}))


def load_decade(address: str, base_url: str, started: Any) -> None:
    engine = create_warehouse_engine(SecretStr(address))
    limiter = SharedLimiter(engine, 60_000, window_seconds=WINDOW_SECONDS)
    symbols = [AAPL, MSFT]
    with PolygonClient(base_url, None, source="sandbox", limiter=limiter) as client:
        fetcher = Fetcher(client, symbols, DECADE, datetime.now(UTC))
        find = partial(refresh_reference, client, engine)
        run = Run(f"run-{multiprocessing.current_process().name}", "cli")
        started.wait(timeout=120)
        results = list(
            ingest(
                symbols, DECADE, vendor=fetcher, fetch_reference=find, delisted={}, warehouse=engine, run=run, at_once=2
            )
        )
    engine.dispose()
    assert [result.error for together in results for result in together] == [None, None]


def test_processes_that_load_the_same_at_once_store_it_once_with_a_load_record_each(
    warehouse: Engine, database_url: SecretStr
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # once, rather than once a process
    started = context.Barrier(PROCESSES)
    with warehouse.begin() as connection:
        claim_source(connection, "sandbox")  # which would make the first loads wait for each other
    with running_sandbox(SandboxConfig()) as base_url:
        arguments = (database_url.get_secret_value(), base_url, started)
        children = [context.Process(target=load_decade, args=arguments) for _ in range(PROCESSES)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0] * PROCESSES
    result = query(
        warehouse,
        "SELECT symbol, count(*) AS runs, sum(loaded) AS loaded, sum(unchanged) AS unchanged, sum(revised) AS revised "
        "FROM backfill_history GROUP BY symbol ORDER BY symbol",
    )
    bars_each = len(DECADE)
    once = {"runs": PROCESSES, "loaded": bars_each, "unchanged": bars_each * (PROCESSES - 1), "revised": 0}
    assert result == [{"symbol": name, **once} for name in ("AAPL", "MSFT")]
    assert query(warehouse, "SELECT count(*) AS bars FROM market_data") == [{"bars": 2 * bars_each}]


def test_the_night_begins_at_the_hour_and_minute_of_the_environment_in_utc_wherever_the_machine_is(
    environment: dict[str, str], elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKFILL_SCHEDULE_HOUR", "3")
    monkeypatch.setenv("BACKFILL_SCHEDULE_MINUTE", "30")
    schedule = build_loading(load_settings()).get_repository_def().get_schedule_def("nightly_equities")
    monday, tuesday = datetime(2024, 12, 2, 12, tzinfo=UTC), datetime(2024, 12, 3, 3, 30, tzinfo=UTC)
    night = next(
        schedule_execution_time_iterator(monday.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
    )
    assert night == tuesday
    with dg.instance_for_test() as instance:
        tick = schedule.evaluate_tick(dg.build_schedule_context(instance=instance, scheduled_execution_time=night))
    [request] = tick.run_requests or []
    assert request.tags["dagster/asset_partition_range_end"] == "2024-12-02"


def test_one_night_reaches_back_over_an_outage_of_half_a_year(settings: Settings, warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 1, 3), date(2012, 5, 31)))
    [night] = plan_night(settings, [AAPL], date(2012, 11, 30))
    assert night.sessions[0] < date(2012, 6, 1)
    assert night.sessions[-1] == date(2012, 11, 30)


STORED = (
    "SELECT relname, oid, relfilenode FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY relname"
)
CONTENT = [f"SELECT *, xmin::text FROM {table} ORDER BY 1, 2" for table in ("bars", "tracked_symbols", "sessions")]


def test_migrating_again_four_times_at_once_and_the_starting_set_again_touch_no_row(warehouse: Engine) -> None:
    add_symbols(warehouse, list_starting_symbols())
    load_frame(warehouse, AAPL, AUTUMN)
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET name = 'Mine' WHERE symbol = 'MSFT'"))
    before = [query(warehouse, statement) for statement in (STORED, *CONTENT)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(migrate, [warehouse] * PROCESSES))
    assert add_symbols(warehouse, list_starting_symbols()) == []
    assert [query(warehouse, statement) for statement in (STORED, *CONTENT)] == before


def test_a_dump_restored_elsewhere_is_the_same_warehouse(
    warehouse: Engine, database_url: SecretStr, settings: Settings, ordinary: SecretStr, tmp_path: Path
) -> None:
    load_frame(warehouse, AAPL, AUTUMN)
    dump = tmp_path / "warehouse.dump"
    source, target = database_url.get_secret_value(), ordinary.get_secret_value()
    saving = ["pg_dump", "--format=custom", "--no-owner", "--file", str(dump), "--dbname", source]
    restoring = ["pg_restore", "--no-owner", "--exit-on-error", "--dbname", target, str(dump)]
    for program, *arguments in (saving, restoring):
        subprocess.run([embedded.find_binary(program), *arguments], check=True)
    with warehouse_of(settings.model_copy(update={"database_url": ordinary})) as restored:
        for view in ("market_data", "backfill_history", "session_states", "market_data_as_of(settled_point())"):
            everything = f"SELECT * FROM {view} ORDER BY 1, 2, 3"
            assert query(restored, everything) == query(warehouse, everything), view
        assert load_frame(restored, AAPL, AUTUMN, run_id="run-2").unchanged == len(AUTUMN)
