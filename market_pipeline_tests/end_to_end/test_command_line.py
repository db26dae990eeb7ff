"""The command line: typed commands, their output, and the database afterwards."""

import json
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from market_pipeline.warehouse.tables import backfill_history, tracked_symbols
from market_pipeline_tests.end_to_end.conftest import CHECKOUT, Run
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

MARCH = ("--start", "2024-03-01", "--end", "2024-03-31")


def test_the_runbooks_two_scripts_and_two_queries_work_as_written(run: Run, warehouse: Engine) -> None:
    scripts = CHECKOUT / "scripts"
    first = run("python", str(scripts / "init_symbols.py"))
    assert first.returncode == 0, first.stderr
    assert "Inserted: 65  Skipped: 0  Total: 65" in first.stdout
    assert "Inserted: 0  Skipped: 65  Total: 65" in run("python", str(scripts / "init_symbols.py")).stdout
    loaded = run("python", str(scripts / "backfill.py"), "--symbols", "AAPL,MSFT,GOOGL", *MARCH)
    assert loaded.returncode == 0, loaded.stderr
    rows = """
      SELECT
        'market_data' as table_name,
        COUNT(*) as rows
      FROM market_data
      UNION ALL
      SELECT
        'tracked_symbols',
        COUNT(*)
      FROM tracked_symbols;
    """
    latest = """
      SELECT
        symbol,
        MAX(time) as latest_date,
        COUNT(*) as records
      FROM market_data
      GROUP BY symbol
      ORDER BY symbol;
    """
    history = """
      SELECT
        symbol,
        backfill_timestamp,
        records_imported,
        success,
        error_details
      FROM backfill_history
      ORDER BY backfill_timestamp DESC
      LIMIT 20;
    """
    with warehouse.connect() as connection:
        assert dict(connection.execute(text(rows)).all()) == {"market_data": 60, "tracked_symbols": 65}
        found = [(row.symbol, str(row.latest_date), row.records) for row in connection.execute(text(latest))]
        assert found == [(name, "2024-03-28 04:00:00+00:00", 20) for name in ("AAPL", "GOOGL", "MSFT")]
        result = {(row.symbol, row.records_imported, row.success) for row in connection.execute(text(history))}
        assert result == {("AAPL", 20, True), ("GOOGL", 20, True), ("MSFT", 20, True)}


def test_a_backfill_again_reports_that_nothing_changed(run: Run) -> None:
    run("market-pipeline", "symbols", "add", "AAPL")
    first = json.loads(run("market-pipeline", "backfill", "--symbols", "AAPL", *MARCH, "--json").stdout)
    again = json.loads(run("market-pipeline", "backfill", "--symbols", "AAPL", *MARCH, "--json").stdout)
    [before], [after] = first["symbols"], again["symbols"]
    assert (before["fetched"], before["loaded"], before["unchanged"]) == (20, 20, 0)
    assert (after["fetched"], after["loaded"], after["revised"], after["unchanged"]) == (20, 0, 0, 20)
    assert before["run_id"] != after["run_id"]


def test_stocks_and_crypto_together_become_a_run_each(run: Run, warehouse: Engine) -> None:
    run("market-pipeline", "symbols", "add", "AAPL")
    run("market-pipeline", "symbols", "add", "BTC", "--asset-class", "crypto")
    done = run("market-pipeline", "backfill", "--symbols", "*", *MARCH)
    assert done.returncode == 0, done.stderr
    assert "Backfilling AAPL: 2024-03-01 to 2024-03-28" in done.stderr
    with warehouse.connect() as connection:
        rows = connection.execute(select(backfill_history)).all()
    assert {(row.symbol, row.loaded) for row in rows} == {("AAPL", 20), ("BTC", 31)}
    assert len({row.run_id for row in rows}) == 2


def test_a_symbol_that_fails_leaves_the_others_loaded_and_is_reported(run: Run, warehouse: Engine) -> None:
    for name in ("AAPL", "NOSUCH", "MSFT"):
        run("market-pipeline", "symbols", "add", name, "--no-check")
    done = run("market-pipeline", "backfill", "--symbols", "AAPL,NOSUCH,MSFT", *MARCH)
    assert done.returncode == 3
    assert "failed: NOSUCH: No data returned for symbol (" in done.stdout
    with warehouse.connect() as connection:
        rows = connection.execute(select(backfill_history)).all()
    assert {(row.symbol, row.loaded, row.success) for row in rows} == {
        ("AAPL", 20, True), ("MSFT", 20, True), ("NOSUCH", 0, False),
    }  # fmt: skip
    assert run("market-pipeline", "backfill", "--symbols", "NOSUCH", *MARCH).returncode == 1


def test_a_plan_sends_no_request(run: Run, warehouse: Engine) -> None:
    run("market-pipeline", "symbols", "init")
    done = run(
        "market-pipeline", "backfill", "--symbols", "*", *MARCH, "--dry-run", "--json", POLYGON_REQUESTS_PER_MINUTE="5"
    )
    plan = json.loads(done.stdout)
    assert [(run["calendar"], len(run["symbols"]), run["sessions"]) for run in plan["runs"]] == [
        ("24/7", 20, 31),
        ("XNYS", 45, 20),
    ]
    # 31 days of 20 pairs are fewest by pair, 20 sessions of 45 equities by session; 2 are for splits and dividends.
    assert [run["requests"] for run in plan["runs"]] == [20, 22]
    assert (plan["requests"], plan["requests_per_minute"], plan["estimated_seconds"]) == (42, 5, 8 * 61)
    with warehouse.connect() as connection:
        assert connection.execute(select(backfill_history)).all() == []


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (["backfill", "--symbols", "NVDA"], "market-pipeline symbols add NVDA"),
        (["backfill", "--symbols", "*"], "symbols init"),
        (["backfill", "--symbols", "NVDA", "--start", "01/02/2024"], "YYYY-MM-DD"),
        (["backfill", "--nonsense"], "No such option"),
        (["symbols", "add", "aapl"], "did you mean AAPL?"),
        (["symbols", "add", "../../X?A="], "not a stock ticker"),
        (["symbols", "remove", "AAPL"], "not tracked"),
    ],
)
def test_a_wrong_command_exits_with_2_and_names_the_next_step(run: Run, arguments: list[str], result: str) -> None:
    done = run("market-pipeline", *arguments)
    assert done.returncode == 2
    assert result in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_key_no_request_is_sent(run: Run) -> None:
    run("market-pipeline", "symbols", "add", "AAPL")
    done = run("market-pipeline", "backfill", "--symbols", "AAPL", *MARCH, POLYGON_BASE_URL="https://api.massive.com")
    assert done.returncode == 1
    assert "POLYGON_API_KEY not set" in done.stderr
    assert "market-pipeline sandbox" in done.stderr


def test_a_database_that_is_down_is_one_line_and_no_success(run: Run) -> None:
    down = "postgresql://user:hunter2@127.0.0.1:1/nowhere"
    done = run("market-pipeline", "backfill", "--symbols", "AAPL", *MARCH, DATABASE_URL=down)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: the database at 127.0.0.1:1/nowhere can't be used")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_a_database_of_sandbox_bars_rejects_market_bars(run: Run, warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("INSERT INTO bar_source (source) VALUES ('polygon')"))
    run("market-pipeline", "symbols", "add", "AAPL")
    done = run("market-pipeline", "backfill", "--symbols", "AAPL", *MARCH)
    assert done.returncode == 1
    assert "this database holds polygon bars and accepts no sandbox ones" in done.stdout


def test_symbols_are_listed_added_removed_and_added_again(run: Run) -> None:
    assert "Tracking BTC (crypto)" in run("market-pipeline", "symbols", "add", "BTC", "--asset-class", "crypto").stdout
    assert "tracked already" in run("market-pipeline", "symbols", "add", "BTC", "--asset-class", "crypto").stdout
    clash = run("market-pipeline", "symbols", "add", "BTC")
    assert (clash.returncode, "tracked as crypto" in clash.stderr) == (2, True)
    listed = json.loads(run("market-pipeline", "symbols", "list", "--json").stdout)
    assert listed == [{"symbol": "BTC", "asset_class": "crypto", "vendor_ticker": "X:BTCUSD", "calendar": "24/7"}]
    assert run("market-pipeline", "symbols", "remove", "BTC").returncode == 0
    assert json.loads(run("market-pipeline", "symbols", "list", "--json").stdout) == []
    assert "Tracking BTC" in run("market-pipeline", "symbols", "add", "BTC", "--asset-class", "crypto").stdout


def test_a_symbol_is_looked_up_before_it_is_added(run: Run, warehouse: Engine) -> None:
    added = run("market-pipeline", "symbols", "add", "AAPL")
    assert added.stdout.splitlines() == [
        "AAPL: AAPL (sandbox), CS, XNAS",
        "Tracking AAPL (stock). Load its history with `market-pipeline backfill --symbols AAPL`.",
    ]
    unknown = run("market-pipeline", "symbols", "add", "NOSUCH")
    assert (unknown.returncode, "the vendor knows no ticker NOSUCH" in unknown.stderr) == (2, True)
    fund = run("market-pipeline", "symbols", "add", "SPY")
    assert (fund.returncode, "Add it with --asset-class etf" in fund.stderr) == (2, True)
    with warehouse.connect() as connection:
        [row] = connection.execute(select(tracked_symbols)).all()
    assert (row.symbol, row.name, row.vendor_type, row.primary_exchange) == ("AAPL", "AAPL (sandbox)", "CS", "XNAS")
    assert (row.listed, row.delisted_on, row.checked_at is not None) == (True, None, True)


def test_several_symbols_are_added_and_a_bad_one_costs_the_others_nothing(run: Run) -> None:
    added = run("market-pipeline", "symbols", "add", "AAPL", "NOSUCH", "aapl", "IBM", "AAPL")
    assert added.returncode == 3
    assert [line.split(".")[0] for line in added.stdout.splitlines() if line.startswith("Tracking")] == [
        "Tracking AAPL (stock)",
        "Tracking IBM (stock)",
    ]
    assert "the vendor knows no ticker NOSUCH" in added.stderr
    assert "'aapl' is not a stock ticker" in added.stderr
    listed = json.loads(run("market-pipeline", "symbols", "list", "--json").stdout)
    assert [row["symbol"] for row in listed] == ["AAPL", "IBM"]
    assert run("market-pipeline", "symbols", "add", "MSFT", "IBM", "--no-check").returncode == 0
    assert run("market-pipeline", "symbols", "add", "NOSUCH", "aapl").returncode == 2


def test_without_a_key_a_symbol_can_be_added_unchecked(run: Run) -> None:
    market = {"POLYGON_BASE_URL": "https://api.massive.com"}
    rejected = run("market-pipeline", "symbols", "add", "AAPL", **market)
    assert rejected.returncode == 1
    assert "POLYGON_API_KEY not set" in rejected.stderr
    assert "or use --no-check" in rejected.stderr
    assert run("market-pipeline", "symbols", "add", "AAPL", "--no-check", **market).returncode == 0
    assert "AAPL" in run("market-pipeline", "symbols", "list").stdout


def test_a_vendor_that_is_down_is_an_error_that_names_the_option(run: Run) -> None:
    with scripted_vendor(*[Reply(b"", 503, {"Retry-After": "0"})] * 5) as down:
        done = run("market-pipeline", "symbols", "add", "AAPL", POLYGON_BASE_URL=down.base_url)
    assert done.returncode == 1
    assert "the vendor returned 503" in done.stderr
    assert "or use --no-check to track AAPL without looking it up" in done.stderr


def test_a_check_reports_delisted_and_unknown_symbols(run: Run, warehouse: Engine) -> None:
    for name in ("AAPL", "GONECO", "NOSUCH", "SPY"):
        run("market-pipeline", "symbols", "add", name, "--no-check")
    done = run("market-pipeline", "symbols", "check")
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "AAPL: AAPL (sandbox), CS, XNAS",
        "GONECO: GONECO (sandbox), CS; delisted on 2020-03-31",
        "the vendor knows no ticker NOSUCH. Check it; tickers are case-sensitive",
        "SPY: SPY (sandbox), ETF; tracked as stock",
    ]
    with warehouse.connect() as connection:
        checked = select(tracked_symbols.c.symbol).where(tracked_symbols.c.checked_at.is_not(None))
        assert set(connection.execute(checked).scalars()) == {"AAPL", "GONECO", "SPY"}
    one = run("market-pipeline", "symbols", "check", "AAPL")
    assert (one.returncode, one.stdout) == (0, "AAPL: AAPL (sandbox), CS, XNAS\n")
    assert run("market-pipeline", "symbols", "check", "MSFT").returncode == 2


def test_the_starting_set_is_looked_up_on_demand_only(run: Run) -> None:
    done = run("market-pipeline", "symbols", "init", POLYGON_REQUESTS_PER_MINUTE="5")
    assert "`market-pipeline symbols check` looks them up at the vendor" in done.stderr
    assert "about 25 minutes" in done.stderr


def test_a_backfill_after_a_delisting_succeeds_with_a_note(run: Run, warehouse: Engine) -> None:
    run("market-pipeline", "symbols", "add", "GONECO", "--no-check")
    for _ in range(2):  # the second time it is known
        done = run("market-pipeline", "backfill", "--symbols", "GONECO", *MARCH)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "note: GONECO: delisted on 2020-03-31" in done.stdout
        assert "WARNING - GONECO: delisted on 2020-03-31" in done.stderr
    with warehouse.connect() as connection:
        rows = connection.execute(select(backfill_history).order_by(backfill_history.c.id)).all()
    assert [(row.sessions, row.missing, row.requests > 0) for row in rows] == [(0, 0, False)] * 2  # looked up first


def test_help_names_every_command(run: Run) -> None:
    result = run("market-pipeline", "--help").stdout
    for name in ("backfill", "symbols", "db", "sandbox", "demo"):
        assert name in result


def test_the_command_is_installed_beside_python() -> None:
    assert Path(sys.executable).with_name("market-pipeline").exists()


def test_a_company_is_one_series_under_each_of_its_tickers(run: Run, warehouse: Engine) -> None:
    added = run("market-pipeline", "symbols", "add", "SQ")
    assert "SQ: SQ (sandbox), CS; XYZ since 2025-01-21" in added.stdout
    assert "FB (sandbox), CS, XNAS; META since 2022-06-09" in run("market-pipeline", "symbols", "add", "FB").stdout
    again = run("market-pipeline", "symbols", "add", "META")
    assert (again.returncode, again.stdout) == (0, "META is tracked as FB: META since 2022-06-09. Nothing was added.\n")
    run("market-pipeline", "symbols", "add", "QQQQ", "--asset-class", "etf", "--no-check")
    same = run("market-pipeline", "symbols", "add", "QQQ", "--asset-class", "etf")
    assert "It is tracked as QQQQ. Nothing was added." in same.stdout
    run("market-pipeline", "symbols", "remove", "QQQQ")
    listed = run("market-pipeline", "symbols", "list").stdout.splitlines()
    assert listed[1].split() == ["SQ", "stock", "XYZ", "XNYS", "XYZ", "since", "2025-01-21"]
    history = json.loads(run("market-pipeline", "symbols", "history", "META", "--json").stdout)
    assert [(held["ticker"], held["first_day"], held["certain"]) for held in history["tickers"]] == [
        ("FB", "2012-05-18", True), ("META", "2022-06-09", True),
    ]  # fmt: skip
    loaded = run("market-pipeline", "backfill", "--symbols", "XYZ", "--start", "2025-01-13", "--end", "2025-01-24")
    assert loaded.returncode == 0, loaded.stderr
    assert "XYZ is tracked as SQ" in loaded.stderr
    renamed = run("market-pipeline", "symbols", "rename", "SQ", "XYZ")
    assert "SQ is called XYZ, with 9 bars" in renamed.stdout, renamed.stderr
    with warehouse.connect() as connection:
        found = connection.execute(text("SELECT symbol, count(*) FROM market_data GROUP BY 1")).all()
    assert [tuple(row) for row in found] == [("XYZ", 9)]
    removed = run("market-pipeline", "symbols", "remove", "SQ")
    assert (removed.returncode, removed.stderr) == (0, "SQ is tracked as XYZ: XYZ since 2025-01-21\n")
    assert "XYZ is no longer fetched" in removed.stdout


def test_a_wrong_file_of_ticker_corrections_is_named_before_anything_is_requested(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("ticker,day\n", encoding="utf-8")
    done = run("market-pipeline", "backfill", TICKER_CORRECTIONS=str(file))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{file}: the first line is not the header security,asset_class,ticker" in done.stderr
