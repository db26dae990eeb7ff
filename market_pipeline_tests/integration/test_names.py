"""Names: every form of the consolidated tape from sandbox to reader, and a coin and a fund of one name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from market_pipeline.cli.main import main
from market_pipeline.client import Client
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import AssetClass, Symbol, list_starting_symbols
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.run_launch import launch_range_run, open_instance
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.bar_tables import REVISIONS, market_data
from market_pipeline.warehouse.load_history import record_failure
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tables import backfill_history, metadata, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import (
    NameTakenError,
    NotTrackedError,
    add_symbols,
    list_active_symbols,
    remove_symbol,
)
from market_pipeline_tests.integration.api_cases import HISTORICAL, Api, environment_of, problem, serving
from market_pipeline_tests.integration.stored_bars import load_frame, recorded, request_for
from market_pipeline_tests.unit.test_symbols import names_of

COIN, PAIR, FUND = Symbol.of("BTC", "crypto"), Symbol.of("BTC-USD", "crypto"), Symbol.of("BTC", "etf")
TAPE = ["GM.WS.B", "BF.Aw", "ABCpA.WD", "XYZ.A.CL", "KIMpL", "SPCE.U", "ABCr", "ABCrw", "NEWw", "KW", "Kw"]
BESIDE = [*(Symbol.of(name, "stock") for name in TAPE), FUND, PAIR]
FIRST, LAST = date(2024, 3, 1), date(2024, 3, 8)  # a Friday to a Friday: 6 sessions, 8 days
SESSIONS = {"XNYS": 6, "24/7": 8}
ADMIN = "/api/v1/admin/symbols"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    listed = frozenset(symbol.vendor_ticker for symbol in BESIDE)  # in its market days from the start
    with running_sandbox(SandboxConfig(also_listed=listed)) as base_url:
        yield base_url


@contextmanager
def opened(settings: Settings) -> Iterator[DagsterInstance]:
    with environment_of(settings), open_instance(settings) as instance:
        yield instance


def load(settings: Settings, sandbox: str, warehouse: Engine, symbols: list[Symbol]) -> None:
    """Track these symbols and load their bars by Dagster's runs."""
    add_symbols(warehouse, symbols)
    on_sandbox = settings.model_copy(update={"polygon_base_url": sandbox})
    with opened(settings) as instance:
        for run in plan_range_runs(symbols, FIRST, LAST, datetime.now(UTC)):
            assert launch_range_run(build_loading(on_sandbox), run, instance, warehouse).success


def green(settings: Settings, name: str) -> set[str]:
    with opened(settings) as instance:
        return instance.get_materialized_partitions(AssetKey(["market_data", name]))


@pytest.fixture(scope="module")
def api(server: embedded.Server, sandbox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(server, tmp_path_factory.mktemp("names")) as api:
        load(api.settings, sandbox, api.warehouse, BESIDE)
        yield api


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `market-pipeline` on the warehouse of these settings: exit code, standard output and error."""

    def _run(settings: Settings, *arguments: object) -> tuple[int, str, str]:
        with environment_of(settings), pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, *capsys.readouterr()

    return _run


# --- each name, from the sandbox to the reader


@pytest.mark.parametrize("symbol", BESIDE, ids=lambda symbol: f"{symbol.name} {symbol.asset_class}")
def test_every_form_is_loaded_recorded_and_served(api: Api, symbol: Symbol) -> None:
    sessions = list_sessions(symbol.calendar, FIRST, LAST)
    assert len(sessions) == SESSIONS[symbol.calendar]
    assert green(api.settings, symbol.name) == {session.isoformat() for session in sessions}
    bars = api.get(f"{HISTORICAL}/{symbol.name}", [("start", str(FIRST)), ("end", str(LAST))]).json()
    assert [bar["date"] for bar in bars["data"]] == [session.isoformat() for session in sessions]
    rows = api.rows("market_data", ("symbol", f"in.({symbol.name},NVDA)"))
    assert [row["date"] for row in rows] == [session.isoformat() for session in sessions]
    admin = {"X-API-Key": create_key(api.warehouse, "operations", Scope.ADMIN).get_secret_value()}
    shown = api.session.get(f"{api.url}{ADMIN}/{symbol.name}", headers=admin, timeout=10).json()
    assert (shown["symbol"], shown["stats"]["record_count"]) == (symbol.name, len(sessions))
    again = {"symbol": symbol.name, "asset_class": symbol.asset_class}
    response = api.session.post(f"{api.url}{ADMIN}", json=again, headers=admin, timeout=10)
    assert problem(response, 409)["detail"] == f"Symbol {symbol.name} already tracked"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_form_is_exported_and_listed(api: Api, kind: str, tmp_path: Path, command: Command) -> None:
    names = [symbol.name for symbol in BESIDE]
    file = tmp_path / f"{'+'.join(names)}.{kind}"
    code, _, error = command(api.settings, "export", "--symbols", ", ".join(names), "--format", kind, "--output", file)
    assert code == 0, error
    frame = pd.read_csv(file) if kind == "csv" else pd.read_parquet(file)
    assert frame.groupby("symbol").size().to_dict() == {s.name: SESSIONS[s.calendar] for s in BESIDE}
    code, listed, _ = command(api.settings, "symbols", "list")
    assert [line.split() for line in listed.splitlines()] == [
        [symbol.name, symbol.asset_class, symbol.vendor_ticker, symbol.calendar]
        for symbol in list_active_symbols(api.warehouse)
    ]
    _, covered, _ = command(api.settings, "coverage", "--symbols", ",".join(names))
    assert all(f" {name} " in covered for name in names)


def test_the_bars_of_a_coin_and_of_a_fund_of_its_name_are_their_own(api: Api) -> None:
    closes = dict(api.sql("SELECT symbol, min(close) FROM market_data WHERE symbol LIKE 'BTC%' GROUP BY symbol"))
    assert len(closes) == 2
    assert closes["BTC"] != closes["BTC-USD"]


def test_the_vendors_ticker_of_a_coin_stands_for_it_wherever_a_symbol_is_read(api: Api, command: Command) -> None:
    ticker, dates = PAIR.vendor_ticker, [("start", str(FIRST)), ("end", str(LAST))]
    expected = api.get(f"{HISTORICAL}/{PAIR.name}", dates).json()
    found = api.get(f"{HISTORICAL}/{ticker}", dates).json()
    assert (found["data"], found["note"]) == (expected["data"], f"{ticker} is tracked as {PAIR.name}")
    bars = Client(api.url).bars([ticker, FUND.name], FIRST, LAST).to_arrow().to_pylist()
    assert {row["symbol"] for row in bars} == {PAIR.name, FUND.name}
    for name in (ticker, f"CRYPTO:{ticker}", f"CRYPTO:{PAIR.name}"):
        assert api.get("/udf/symbols", [("symbol", name)]).json()["name"] == PAIR.name
        history = api.get("/udf/history", [("symbol", name), ("to", "4000000000"), ("countback", "3")]).json()
        assert history["c"] == [row["close"] for row in expected["data"][-3:]]
    changes = api.get("/api/v1/changes", [("kind", "bar"), ("symbol", ticker)]).json()["data"]
    assert {change["values"]["symbol"] for change in changes} == {PAIR.name}
    code, _, error = command(api.settings, "coverage", "--symbols", ticker)
    assert (code, "did you mean BTC or BTC-USD?" in error) == (2, True)
    unknown = api.get(f"{HISTORICAL}/X:NOSUCHUSD")
    assert problem(unknown, 404)["detail"] == "No data found for X:NOSUCHUSD: X:NOSUCHUSD is not tracked"


@hypothesis_settings(max_examples=5)
@given(
    named=st.lists(st.sampled_from(list(AssetClass)).flatmap(lambda k: names_of(k).map(lambda n: (n, k))), max_size=40)
)
def test_every_name_survives_the_database(warehouse: Engine, named: list[tuple[str, AssetClass]]) -> None:
    symbols = {Symbol.of(*pair).vendor_ticker: Symbol.of(*pair) for pair in named}
    wanted = {symbol.name: symbol for symbol in symbols.values()}
    with warehouse.begin() as connection:
        connection.execute(tracked_symbols.delete())
    add_symbols(warehouse, wanted.values())
    assert set(list_active_symbols(warehouse)) == set(wanted.values())


# --- renaming a coin for a fund of its name


def test_a_coin_is_renamed_with_all_that_is_stored_and_the_fund_begins_anew(
    settings: Settings, sandbox: str, warehouse: Engine, command: Command
) -> None:
    load(settings, sandbox, warehouse, [COIN])
    with warehouse.begin() as connection:  # as where the vendor has no bar of a session
        connection.execute(market_data.delete().where(market_data.c.date == FIRST))
    before = contents(warehouse, "BTC")
    code, message, _ = command(settings, "symbols", "rename", "BTC", "BTC-USD")
    assert (code, message.partition(".")[0]) == (0, "BTC is called BTC-USD, with 7 bars")
    assert contents(warehouse, "BTC-USD") == before
    assert not any(contents(warehouse, "BTC").values())
    assert len(green(settings, "BTC-USD")) == 8
    assert green(settings, "BTC") == set()

    assert command(settings, "symbols", "add", "BTC", "--asset-class", "etf", "--no-check")[0] == 0
    load(settings, sandbox, warehouse, [FUND])
    assert green(settings, "BTC") == {day.isoformat() for day in list_sessions("XNYS", FIRST, LAST)}
    assert contents(warehouse, "BTC-USD") == before
    assert set(list_active_symbols(warehouse)) == {FUND, PAIR}
    # The starting set has the coin as BTC, which is neither tracked a second time nor in the way of the others.
    command(settings, "symbols", "init")
    assert set(list_active_symbols(warehouse)) == {FUND, PAIR, *list_starting_symbols()} - {COIN}


def contents(warehouse: Engine, name: str) -> dict[str, int]:
    """Return the number of rows of a symbol in each table."""
    tables = [table for table in metadata.sorted_tables if "symbol" in table.c and table not in REVISIONS.values()]
    assert len(tables) >= 8
    with warehouse.connect() as connection:
        return {
            table.name: connection.execute(select(func.count()).where(table.c.symbol == name)).scalar_one()
            for table in tables
        }


@pytest.mark.parametrize(
    ("tracked", "wanted", "advice"),
    [
        (COIN, FUND, "BTC is tracked as crypto.*`market-pipeline symbols rename BTC BTC-USD`"),
        (FUND, COIN, "BTC is tracked as etf.*`market-pipeline symbols add BTC-USD --asset-class crypto`"),
        (COIN, PAIR, "the coin BTC-USD is tracked as BTC; `market-pipeline symbols rename BTC BTC-USD`"),
        (PAIR, COIN, "the coin BTC is tracked as BTC-USD; `market-pipeline symbols rename BTC-USD BTC`"),
        (
            Symbol.of("AAPL", "stock"),
            Symbol.of("AAPL", "etf"),
            "AAPL is tracked as stock; its bars can't become etf ones.*`market-pipeline symbols add "
            "AAPL --asset-class stock --no-check`$",
        ),
    ],
)
@pytest.mark.parametrize("removed", [False, True])
def test_a_taken_name_is_reported_with_the_command_that_frees_it(
    warehouse: Engine, tracked: Symbol, wanted: Symbol, advice: str, removed: bool
) -> None:
    add_symbols(warehouse, [tracked])
    if removed:
        remove_symbol(warehouse, tracked.name)
    with pytest.raises(NameTakenError, match=advice):
        add_symbols(warehouse, [Symbol.of("MSFT", "stock"), wanted])
    assert list_active_symbols(warehouse) == ([] if removed else [tracked])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("ETH", "ETH-USD"), "ETH is not tracked"),
        (("BTC", "XBT"), "XBT is not another name of BTC: BTC can become BTC-USD"),
        (("META", "FB"), "FB is not another name of META: META has no other name"),
    ],
)
def test_an_impossible_rename_is_one_line(
    settings: Settings, warehouse: Engine, command: Command, names: tuple[str, str], message: str
) -> None:
    add_symbols(warehouse, [COIN, Symbol.of("META", "stock")])
    code, _, error = command(settings, "symbols", "rename", *names)
    assert (code, error.count("\n")) == (2, 1)
    assert message in error


def test_a_taken_name_is_not_given_to_another_symbol(settings: Settings, warehouse: Engine, command: Command) -> None:
    add_symbols(warehouse, [FUND, PAIR])
    code, _, error = command(settings, "symbols", "rename", "BTC-USD", "BTC")
    assert (code, "BTC is tracked already, as etf" in error) == (2, True)


def test_a_rename_that_fails_half_way_changes_nothing(warehouse: Engine) -> None:
    add_symbols(warehouse, [COIN])
    with pytest.raises(RuntimeError), rename_symbol(warehouse, "BTC", "BTC-USD"):
        raise RuntimeError
    assert list_active_symbols(warehouse) == [COIN]


def test_a_coin_that_a_run_is_loading_is_not_renamed(settings: Settings, warehouse: Engine, command: Command) -> None:
    add_symbols(warehouse, [COIN])
    with opened(settings) as instance:
        definitions = build_loading(settings)
        job = definitions.get_repository_def().get_implicit_job_def_for_assets([build_asset_key(COIN)])
        assert job is not None
        run = instance.create_run_for_job(
            job, asset_selection=frozenset([build_asset_key(COIN)]), status=DagsterRunStatus.STARTED
        )
        code, _, error = command(settings, "symbols", "rename", "BTC", "BTC-USD")
        assert (code, f"the run {run.run_id} covers BTC" in error) == (1, True)
        assert list_active_symbols(warehouse) == [COIN]
        instance.report_run_failed(run)
    assert command(settings, "symbols", "rename", "BTC", "BTC-USD")[0] == 0


def test_a_run_for_a_coin_that_is_now_a_fund_stores_nothing(warehouse: Engine) -> None:
    add_symbols(warehouse, [FUND])
    days = list_sessions("24/7", FIRST, LAST)
    with pytest.raises(NotTrackedError, match="not tracked as crypto"):
        load_frame(warehouse, COIN, recorded("AAPL", FIRST, LAST)[:0], sessions=days)
    record_failure(warehouse, request_for(COIN, days), "not tracked as crypto")
    with warehouse.connect() as connection:
        assert connection.execute(select(func.count()).select_from(backfill_history)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(market_data)).scalar_one() == 0
        assert connection.execute(select(tracked_symbols.c.backfill_status)).scalar_one() == "pending"
