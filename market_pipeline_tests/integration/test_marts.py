"""The dbt project, built night after night, and its assumptions on the warehouse."""

import json
import runpy
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine, insert, text

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dbt_project import (
    BUILD,
    NIGHTLY,
    NIGHTLY_BUILD,
    BuildScope,
    DbtError,
    dbt_environment,
    find_output_folder,
    find_project_folder,
    run_dbt,
)
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tables import reconciliations
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.mart_cases import (
    LOADED_AT,
    add_bars,
    add_dividends,
    add_splits,
    database,
    dbt,
    read,
    set_today,
    settings_of,
    track,
)

AAA, BBB, CCC, BTC = (
    Symbol.of(*symbol) for symbol in (("AAA", "stock"), ("BBB", "stock"), ("CCC", "etf"), ("BTC", "crypto"))
)
FIRST, FRIDAY, TUESDAY = date(2024, 1, 2), date(2024, 3, 29), date(2024, 4, 2)
MISSING = date(2024, 2, 14)
START = {AAA: 50.0, BBB: 80.0, CCC: 20.0, BTC: 40_000.0}

MARTS = {
    "daily_bars": "symbol, date",
    "daily_bars_adjusted": "symbol, date",
    "daily_returns": "symbol, date",
    "weekly_bars": "symbol, week",
    "monthly_bars": "symbol, month",
    "symbol_coverage": "symbol",
    "corporate_actions": "action_id",
    "latest_bars": "symbol",
    "missing_sessions": "symbol, date",
    "reconciliation": "file, symbol, field, first_session",
    "data_quality_daily": "asset_class, date",
}

COMPARED = {
    "file": "closes.csv", "symbol": "AAA", "field": "close", "first_session": FIRST, "last_session": FRIDAY,
    "sessions": 60, "found_in": "both", "adjustment": "none", "tolerance": 0.0005, "explanation": "unexplained",
    "explained": False, "lowest_ratio": 0.9, "highest_ratio": 1.1, "made_at": LOADED_AT,
}  # fmt: skip
"""A result of `market-pipeline reconcile`."""

NIGHT = """
    SELECT open_load('run-2', 'sandbox');
    -- the vendor corrects a bar, the rules flag another, and a third is deleted
    UPDATE market_data SET close = open, updated_at = now()
    WHERE symbol = 'BTC' AND date = '2024-01-10';
    UPDATE market_data SET flags = '{volume_outlier}', validated = false, volume_anomaly = true, quality_score = 0.5
    WHERE symbol = 'BTC' AND date = '2024-02-03';
    DELETE FROM market_data WHERE symbol = 'CCC' AND date = '2024-03-05';
    -- a dividend is withdrawn
    DELETE FROM dividends WHERE symbol = 'BBB' AND ex_dividend_date = '2024-03-01';
"""


OTHER_CHANGES = """
    SELECT open_load('run-2', 'sandbox');
    -- a symbol is renamed; the splits of another are no longer known
    DELETE FROM corporate_action_inquiries WHERE symbol = 'CCC' AND kind = 'splits';
    -- of one symbol a bar is corrected, one deleted and a late one added, so that its number of bars stays
    UPDATE market_data SET close = open WHERE symbol = 'AAA' AND date = '2024-01-03';
    DELETE FROM market_data WHERE symbol = 'AAA' AND date = '2024-01-10';
    INSERT INTO market_data (symbol, date, time, open, high, low, close, volume, source, fetched_at, run_id, updated_at)
    SELECT symbol, '2024-02-14', time, open, high, low, close, volume, source, now(), 'late', now()
    FROM market_data
    WHERE symbol = 'AAA' AND date = '2024-02-13';
"""


def bars(sessions: Sequence[date], start: float) -> pd.DataFrame:
    """Return bars of a price that wanders, the same for a session in any range of sessions."""
    close = np.array([round(start + 5 * np.sin(day.toordinal()), 2) for day in sessions])
    volume = 1000.0 + np.arange(len(sessions))
    return pd.DataFrame(
        {"date": sessions, "open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": volume}
    )


def sessions_of(symbol: Symbol, first: date = FIRST, last: date = FRIDAY) -> list[date]:
    return list_sessions(symbol.calendar, first, last)


@pytest.fixture(scope="module")
def quarter(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the name of a database with a quarter's bars and the marts built of them on its last Friday."""
    with database(server, "marts_of_a_quarter") as warehouse:
        load_quarter(warehouse)
        dbt(settings_of(warehouse, tmp_path_factory.mktemp("quarter")), *BUILD, today=FRIDAY)
        warehouse.dispose()  # no session may use a database that is copied
        yield "marts_of_a_quarter"


@pytest.fixture
def built(server: embedded.Server, quarter: str) -> Iterator[Engine]:
    """Yield a copy of that database, of this test's own."""
    with database(server, f"{quarter}_copy", template=quarter) as warehouse:
        set_today(warehouse, FRIDAY)  # which is no part of a database that is copied
        yield warehouse


def load_quarter(warehouse: Engine) -> None:
    track(warehouse, [AAA, BBB, CCC, BTC], first=FIRST, last=FRIDAY)
    for symbol, start in START.items():
        days = [day for day in sessions_of(symbol) if (symbol, day) != (AAA, MISSING)]
        add_bars(warehouse, symbol, bars(days, start))
    add_splits(warehouse, [("BBB", date(2024, 2, 1), 1, 2), ("AAA", TUESDAY, 1, 2)])
    add_dividends(
        warehouse, [("AAA", date(2024, 2, 9), 0.25, "recurring"), ("BBB", date(2024, 3, 1), 0.10, "recurring")]
    )
    add_dividends(warehouse, [("CCC", date(2024, 2, 20), 0.30, "recurring")], currency="EUR")
    with warehouse.begin() as connection:
        connection.execute(insert(reconciliations), COMPARED)


def change_a_night(warehouse: Engine) -> None:
    """Make every change that a night can bring: new bars, a late one, a new dividend, and those in NIGHT."""
    for symbol, start in START.items():
        add_bars(warehouse, symbol, bars(sessions_of(symbol, date(2024, 3, 30), TUESDAY), start))
    add_bars(warehouse, AAA, bars([MISSING], START[AAA]))
    add_dividends(warehouse, [("BBB", date(2024, 3, 20), 0.5, "special")])
    with warehouse.begin() as connection:
        connection.execute(text(NIGHT))


@pytest.mark.parametrize(
    ("command", "scope"),
    [(NIGHTLY_BUILD, BuildScope.CHANGES), (BUILD, BuildScope.EVERYTHING)],
    ids=["nightly", "by hand"],
)
def test_a_build_equals_a_full_one_and_writes_only_changed_rows(
    built: Engine, tmp_path: Path, command: Sequence[str], scope: BuildScope
) -> None:
    settings = settings_of(built, tmp_path)
    with built.begin() as connection:
        connection.execute(text("CREATE VIEW of_an_analyst AS SELECT * FROM analytics.daily_bars_adjusted"))
        connection.execute(text("CREATE VIEW of_another AS SELECT * FROM analytics.daily_returns"))
    before = read_versions(built)
    adjusted = read(built, "SELECT * FROM analytics.daily_bars_adjusted WHERE symbol = 'AAA' ORDER BY date")
    assert (adjusted["split_factor"] == 1).all()  # Tuesday's split is only announced

    change_a_night(built)
    dbt(settings, *command, today=TUESDAY, scope=scope)

    if scope is BuildScope.CHANGES:
        examined = read(built, "SELECT symbol, date FROM analytics_staging.changed_bars")
        assert set(examined.itertuples(index=False, name=None)) == changed_bars()
    nightly = {mart: contents(built, mart) for mart in MARTS}
    changed = {row for row, version in read_versions(built).items() if before.get(row) != version}
    gone = before.keys() - read_versions(built).keys()
    assert changed == expected_changes()
    assert gone == {("CCC", date(2024, 3, 5))}
    again = read(built, "SELECT * FROM of_an_analyst WHERE symbol = 'AAA' AND date <= '2024-03-28' ORDER BY date")
    assert (again["split_factor"] == 0.5).all()
    assert len(read(built, "SELECT * FROM of_another")) == len(nightly["daily_returns"])

    dbt(settings, "run", today=TUESDAY, full=True)
    for mart, found in nightly.items():
        pd.testing.assert_frame_equal(found, contents(built, mart), obj=mart)


def test_a_nightly_build_follows_renames_sessions_and_known_splits_and_tests_changed_rows(
    built: Engine, tmp_path: Path
) -> None:
    settings = settings_of(built, tmp_path)
    with rename_symbol(built, "BTC", "BTC-USD"):
        pass
    execute(built, OTHER_CHANGES)
    dbt(settings, *NIGHTLY_BUILD, today=FRIDAY, scope=BuildScope.CHANGES)
    nightly = {mart: contents(built, mart) for mart in MARTS}
    assert set(nightly["daily_returns"]["symbol"]) == {"AAA", "BBB", "CCC", "BTC-USD"}
    of_splits = read(built, "SELECT count(split_factor) AS known FROM analytics.daily_returns WHERE symbol = 'CCC'")
    assert of_splits["known"].item() == 0

    execute(built, "UPDATE analytics.daily_returns SET simple_return = -2 WHERE symbol = 'AAA' AND date = '2024-01-03'")
    with pytest.raises(AssertionError, match="daily_returns_rows_are_valid"):
        dbt(settings, "test", *NIGHTLY, today=FRIDAY, scope=BuildScope.CHANGES)

    dbt(settings, "run", today=FRIDAY, full=True)
    for mart, found in nightly.items():
        pd.testing.assert_frame_equal(found, contents(built, mart), obj=mart)


def execute(warehouse: Engine, statement: str) -> None:
    with warehouse.begin() as connection:
        connection.execute(text(statement))


def test_a_split_dated_today_changes_adjusted_history_and_nothing_stored(built: Engine, tmp_path: Path) -> None:
    adjusted = (
        "SELECT date, close, volume, adj_close FROM analytics.daily_bars_adjusted WHERE symbol = 'AAA' ORDER BY 1"
    )
    before, stored, rows = read(built, adjusted).set_index("date"), everything_stored(built), read_versions(built)
    dbt(settings_of(built, tmp_path), "run", today=TUESDAY)
    after = read(built, adjusted).set_index("date")
    pd.testing.assert_frame_equal(after, before * [0.5, 2, 0.5])
    assert everything_stored(built) == stored
    assert read_versions(built) == rows  # a return is of two neighbours, and compares them whatever comes later


def everything_stored(warehouse: Engine) -> dict[str, str]:
    """Return a hash of each of the warehouse's own tables but for factors, which follow from others, and loads."""
    names = (
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN "
        "('adjustment_factors', 'adjustment_factors_revisions', 'loads', 'settled')"
    )
    tables = read(warehouse, names)["tablename"]
    content = "SELECT md5(coalesce(string_agg(line::text, ' ' ORDER BY line::text), '')) AS hash FROM {} AS line"
    return {table: read(warehouse, content.format(table))["hash"].item() for table in tables}


def read_versions(warehouse: Engine) -> dict[tuple[str, date], str]:
    """Return the transaction that wrote each row of daily_returns last."""
    rows = read(warehouse, "SELECT symbol, date, xmin::text AS version FROM analytics.daily_returns")
    return dict(zip(zip(rows["symbol"], rows["date"], strict=True), rows["version"], strict=True))


def new_bars() -> set[tuple[str, date]]:
    return {(symbol.name, day) for symbol in START for day in sessions_of(symbol, date(2024, 3, 30), TUESDAY)}


def changed_bars() -> set[tuple[str, date]]:
    """Return the bars that a_night adds, corrects, flags or removes."""
    corrected, flagged, removed = ("BTC", date(2024, 1, 10)), ("BTC", date(2024, 2, 3)), ("CCC", date(2024, 3, 5))
    return new_bars() | {("AAA", MISSING), corrected, flagged, removed}


def expected_changes() -> set[tuple[str, date]]:
    """Return the returns that change with it."""
    new = new_bars()
    late = {("AAA", MISSING), ("AAA", date(2024, 2, 15))}
    corrected = {("BTC", date(2024, 1, 10)), ("BTC", date(2024, 1, 11))}
    dividends = {("BBB", date(2024, 3, 1)), ("BBB", date(2024, 3, 20))}
    return new | late | corrected | dividends | {("CCC", date(2024, 3, 6))}


def contents(warehouse: Engine, mart: str) -> pd.DataFrame:
    return read(warehouse, f"SELECT * FROM analytics.{mart} ORDER BY {MARTS[mart]}")


def test_unknown_values_are_null(built: Engine) -> None:
    # A dividend in euros: adjusted prices before it are unknown, later ones are known.
    query = "SELECT date, close, adj_close FROM analytics.daily_bars_adjusted WHERE symbol = 'CCC' ORDER BY date"
    etf = read(built, query).set_index("date")
    assert etf["close"].notna().all()
    assert list(etf["adj_close"].notna()) == [day >= date(2024, 2, 20) for day in etf.index]
    why = read(built, "SELECT not_applied_because FROM analytics.corporate_actions WHERE symbol = 'CCC'")
    assert why["not_applied_because"].item() == "not in US dollars"

    # The session without a bar, and the return over it.
    query = "SELECT * FROM analytics.daily_returns WHERE symbol = 'AAA' AND date BETWEEN '2024-02-13' AND '2024-02-15'"
    around = read(built, f"{query} ORDER BY date")
    assert list(around["date"]) == [date(2024, 2, 13), date(2024, 2, 15)]
    assert list(around["sessions_spanned"]) == [1, 2]

    # Partial weeks and months; crypto's go on over the weekend.
    query = "SELECT symbol FROM analytics.weekly_bars WHERE week = '2024-02-12' AND NOT is_complete"
    assert list(read(built, query)["symbol"]) == ["AAA"]
    query = "SELECT symbol FROM analytics.monthly_bars WHERE month = '2024-03-01' AND is_complete ORDER BY symbol"
    assert list(read(built, query)["symbol"]) == ["AAA", "BBB", "CCC"]

    # A split that is announced does nothing yet.
    query = "SELECT in_effect, not_applied_because AS why FROM analytics.corporate_actions WHERE ex_date = '2024-04-02'"
    assert read(built, query).to_dict("records") == [{"in_effect": False, "why": "announced"}]


def test_coverage_equals_the_warehouses(built: Engine) -> None:
    counts = (
        "symbol, first_session, last_session, loaded, rejected, empty, not_yet_available, not_in_plan, failed, "
        "never_asked, flagged, missing, fetchable, behind, health, health_reason"
    )
    ours = read(built, f"SELECT {counts}, expected FROM analytics.symbol_coverage ORDER BY symbol")
    theirs = read(built, f"SELECT {counts}, sessions AS expected FROM coverage ORDER BY symbol")
    pd.testing.assert_frame_equal(ours, theirs)
    missing = read(built, "SELECT symbol, date FROM analytics.missing_sessions WHERE state = 'empty'")
    assert missing.to_dict("records") == [{"symbol": "AAA", "date": MISSING}]
    quality = read(built, "SELECT sum(expected) AS expected, sum(missing) AS missing FROM analytics.data_quality_daily")
    assert quality["expected"].item() == ours["expected"].sum()


def test_the_results_of_reconciliation_are_shown(built: Engine) -> None:
    [row] = read(built, "SELECT * FROM analytics.reconciliation").to_dict("records")
    assert {name: row[name] for name in COMPARED} == COMPARED
    assert row["detail"] is None


def test_the_staging_models_match_the_warehouse(warehouse: Engine) -> None:
    written = runpy.run_path(str(find_project_folder() / "write_staging.py"))["build_files"]
    folder = find_project_folder() / "models" / "staging"
    with warehouse.connect() as connection:
        expected = written(connection)
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    assert found == expected, "run `python dbt/write_staging.py`"


def test_dbt_writes_nothing_into_the_checkout_and_never_shows_the_password(
    settings: Settings, server: embedded.Server, capfd: pytest.CaptureFixture[str]
) -> None:
    before = files(find_project_folder())
    wrong = settings.model_copy(update={"database_url": with_password(settings, "not-the-password")})
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught:
        run_dbt(wrong, "debug")
    assert "not-the-password" not in str(caught.value)
    with pytest.raises(DbtError, match=r"`dbt .*` failed: .*dbt\.log"):
        run_dbt(settings, "--debug", "show", "--inline", "nonsense")
    printed = capfd.readouterr()
    log = (find_output_folder(settings) / "logs" / "dbt.log").read_text(encoding="utf-8")
    assert "syntax error" in printed.out
    assert server.password.get_secret_value() not in printed.out + printed.err + log
    assert files(find_project_folder()) == before


def files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if "__pycache__" not in file.parts}


def with_password(settings: Settings, password: str) -> SecretStr:
    assert settings.database_url is not None
    address = settings.database_url.get_secret_value()
    user, _, rest = address.removeprefix("postgresql://").partition(":")
    return SecretStr(f"postgresql://{user}:{password}@{rest.partition('@')[2]}")


def test_the_environment_is_made_of_the_settings_and_names_the_server_that_was_found(
    settings: Settings, server: embedded.Server
) -> None:
    assert settings.database_url is not None
    known = DatabaseAddress.parse(settings.database_url)
    nobody_is_there = {"host": f"127.0.0.1,{server.host}", "port": f"1,{server.port}", "sslmode": "prefer"}
    address = DatabaseAddress.from_parameters({**known.parameters, **nobody_is_there, "options": "-c jit=off"})
    with dbt_environment(settings.model_copy(update={"database_url": address.url()})) as environment:
        assert environment["MARKET_PIPELINE_DBT_HOST"] == server.host
        assert environment["MARKET_PIPELINE_DBT_PORT"] == str(server.port)
        assert environment["MARKET_PIPELINE_DBT_USER"] == server.user
        assert environment["MARKET_PIPELINE_DBT_DATABASE"] == known.database
        assert (environment["PGSSLMODE"], environment["PGOPTIONS"]) == ("prefer", "-c jit=off")
        assert Path(environment["DBT_TARGET_PATH"]).is_relative_to(settings.market_pipeline_data_dir)
        passwords = Path(environment["PGPASSFILE"])
        assert passwords.read_text() == f"*:*:*:*:{server.password.get_secret_value()}\n"
        assert passwords.stat().st_mode & 0o777 == 0o600
        assert "PGPASSWORD" not in environment
    assert not passwords.exists()


def test_sessions_of_dbt_have_our_settings_with_any_role_and_password(
    settings: Settings, server: embedded.Server
) -> None:
    known = DatabaseAddress.parse(server.url("postgres"))
    role, password = f"2{uuid4().hex}", "a:b\\c 'x' 100%/@"
    contrary = {"search_path": "nowhere", "timezone": "Asia/Tokyo", "statement_timeout": "30s",
                "default_transaction_isolation": "serializable"}  # fmt: skip
    with psycopg.connect(known.url().get_secret_value(), autocommit=True) as connection:
        quoted = sql.Literal(password).as_string()
        connection.execute(f'CREATE ROLE "{role}" LOGIN PASSWORD {quoted}'.encode())
        for name, value in contrary.items():
            connection.execute(f"ALTER ROLE \"{role}\" SET {name} = '{value}'".encode())
        names = [*contrary, "transaction_isolation", "work_mem", "role"]
        shown = ", ".join(f"current_setting('{name}') AS {name}" for name in names)
        assert settings.database_url is not None
        address = DatabaseAddress.parse(settings.database_url).for_role(role, password)
        own = settings.model_copy(update={"database_url": address.url()})
        printed = run_forked_dbt(own, "--quiet", "show", "--output", "json", "--inline", f"SELECT {shown}")
        connection.execute(f'DROP ROLE "{role}"'.encode())
    assert json.loads(printed)["show"] == [{
        "search_path": "public", "timezone": "UTC", "statement_timeout": "0",
        "default_transaction_isolation": "read committed", "transaction_isolation": "read committed",
        "work_mem": "64MB", "role": role,
    }]  # fmt: skip
