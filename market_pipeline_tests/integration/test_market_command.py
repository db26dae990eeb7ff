"""`market-pipeline market`: tracking, backfills with their summaries and exit codes, and the state of markets."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Engine

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.stored_bars import query

MARCH = list_sessions("XNYS", date(2024, 3, 4), date(2024, 3, 15))
IN_MARCH = ("--start", MARCH[0], "--end", MARCH[-1])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with running_sandbox(SandboxConfig(market_tickers=60)) as base_url:
        yield base_url


@pytest.fixture
def market(command: Command, sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `market-pipeline market` on a sandbox with a generated market."""
    monkeypatch.setenv("POLYGON_BASE_URL", sandbox)

    def _run(*arguments: object) -> tuple[int, str, str]:
        return command("market", *arguments)

    return _run


def test_a_market_is_tracked_loaded_reported_and_untracked(
    market: Command, command: Command, warehouse: Engine
) -> None:
    assert "No market is tracked: `market-pipeline market track us-stocks`" in market("status")[2]
    code, output, _ = market("track", "us-stocks")
    assert code == 0
    assert "Load its history with `market-pipeline market backfill us-stocks --start " in output
    assert "is tracked already" in market("track", "us-stocks")[1]
    code, output, error = market("backfill", "us-stocks", *IN_MARCH)
    assert (code, "Loaded us-stocks 2024-03-15, grouped: " in error) == (0, True)
    [stored] = query(warehouse, "SELECT count(*) AS bars, count(DISTINCT symbol_id) AS symbols FROM bars")
    assert re.search(rf"total +\| +\| +10 \| +{stored['bars']:,} \| +{stored['bars']:,} \|", output)
    assert re.search(r"2024-03-15 \| grouped \| +1 \|", output)
    [state] = json.loads(market("status", "--json")[1])["markets"]
    counts = {name: state[name] for name in ("loaded", "corrected", "failed", "symbols", "trading", "ended")}
    number = stored["symbols"]
    assert counts == {"loaded": 10, "corrected": 0, "failed": 0, "symbols": number, "trading": number, "ended": 0}
    output = market("status")[1]
    assert re.search(rf"us-stocks \| yes +\| 2024-03-04 \| 2024-03-15 \| +10 \| +0 \| .* {number} \|", output)
    assert "Fetch what is missing with `market-pipeline market backfill us-stocks --missing`." in output
    output = command("status")[1]
    assert re.search(r"last run +none of tracked symbols yet\n", output)
    assert re.search(r"market +us-stocks: 10 sessions, newest 2024-03-15, .* missing, last load \d{4}-", output)
    assert "Its bars are kept; `market-pipeline market track us-stocks`" in market("untrack", "us-stocks")[1]
    assert query(warehouse, "SELECT count(*) AS bars FROM bars") == [{"bars": stored["bars"]}]


def test_a_backfill_again_changes_nothing_and_missing_sessions_are_found(market: Command, warehouse: Engine) -> None:
    market("track", "us-stocks")
    market("backfill", "us-stocks", "--start", MARCH[0], "--end", MARCH[2], "--quiet")
    code, output, error = market("backfill", "us-stocks", "--start", MARCH[0], "--end", MARCH[2], "--json", "--quiet")
    found = json.loads(output)
    assert (code, error, found["market"], found["unreached"]) == (0, "", "us_stocks", [])
    assert [each["session"] for each in found["sessions"]] == list(map(str, MARCH[:3]))
    assert all(each["unchanged"] == each["fetched"] == each["tickers"] for each in found["sessions"])
    assert market("backfill", "us-stocks", "--missing", "--end", MARCH[2]) == (0, "Nothing is missing.\n", "")
    code, output, _ = market("backfill", "us-stocks", "--missing", "--end", MARCH[4], "--json", "--quiet")
    assert [each["session"] for each in json.loads(output)["sessions"]] == list(map(str, MARCH[3:5]))


def test_a_session_that_fails_is_named_with_the_next_step(market: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    market("track", "us-stocks")
    market("backfill", "us-stocks", "--start", MARCH[0], "--end", MARCH[4], "--quiet")
    with running_sandbox(SandboxConfig(market_tickers=60, faults=(f"wrong_adjusted@{MARCH[5]}",))) as base_url:
        monkeypatch.setenv("POLYGON_BASE_URL", base_url)
        code, output, _ = market("backfill", "us-stocks", "--start", MARCH[5], "--end", MARCH[6], "--quiet")
        assert code == 3
        assert f"failed: {MARCH[5]}: the response has adjusted bars" in output
        assert "Fetch them again with `market-pipeline market backfill us-stocks --missing`" in output
        assert market("backfill", "us-stocks", "--start", MARCH[5], "--end", MARCH[5], "--quiet")[0] == 1
    line = rf"us-stocks \| {MARCH[5]} \| {MARCH[5]} \| failed +\| +1 \| the response has"
    assert re.search(line, market("status")[1])


def test_the_universe_of_a_session_has_the_same_tickers_in_each_format(
    market: Command, command: Command, warehouse: Engine
) -> None:
    market("track", "us-stocks")
    market("backfill", "us-stocks", *IN_MARCH, "--quiet")
    [day] = query(warehouse, "SELECT count(*) AS bars FROM bars WHERE date = '2024-03-15'")
    code, output, error = command("universe", "--date", "2024-03-15", "--format", "csv")
    rows = list(csv.DictReader(output.splitlines()))
    assert (code, error, len(rows)) == (0, "", day["bars"])
    assert [row["ticker"] for row in rows] == sorted(row["ticker"] for row in rows)
    found = json.loads(command("universe", "--date", "2024-03-15", "--min-price", "20", "--format", "json")[1])
    dear = [row["ticker"] for row in rows if float(row["price"]) >= 20]
    assert 0 < len(dear) < len(rows)
    assert [row["ticker"] for row in found["tickers"]] == dear
    code, output, error = command("universe", "--date", "2024-03-15")
    assert (code, output.count("2024-03-04")) == (0, 50)
    assert f"{day['bars']} tickers traded" in error
    assert "The first 50 are printed: --format csv has all." in error
    code, output, error = command("universe", "--date", "2024-03-18")
    assert (code, output) == (1, "")
    assert "`market-pipeline market backfill us-stocks --start 2024-03-18 --end 2024-03-18`" in error


def test_the_help_shows_the_default_market_by_its_name(command: Command) -> None:
    code, output, _ = command("universe", "--help")
    assert (code, "[default: us-stocks]" in output, "Market(" in output) == (0, True, False)


def test_a_market_that_is_unknown_or_not_tracked_is_a_wrong_command(market: Command) -> None:
    code, _, error = market("track", "us-bonds")
    assert (code, error) == (2, "error: there is no market 'us-bonds': use one of us-stocks, crypto\n")
    code, _, error = market("backfill", "crypto")
    assert (code, error) == (
        2, "error: crypto is not tracked: track it with `market-pipeline market track crypto`\n",
    )  # fmt: skip


def test_a_dry_run_prints_the_requests_and_makes_none(
    market: Command, warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    market("track", "us-stocks")
    month = ("--start", "2024-03-01", "--end", "2024-03-31", "--dry-run")
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "5")
    output = market("backfill", "us-stocks", *month)[1]
    assert output == (
        "us-stocks: 20 sessions, 2024-03-01 to 2024-03-28, by 20 grouped requests. At 5 requests a minute the rate "
        "limit makes them wait 183 s. Nothing was requested or changed.\n"
    )
    monkeypatch.setenv("POLYGON_S3_ACCESS_KEY", "access")
    monkeypatch.setenv("POLYGON_S3_SECRET_KEY", "secret")
    plan = json.loads(market("backfill", "us-stocks", *month, "--json")[1])
    assert (plan["flat_files"], plan["grouped_requests"], plan["estimated_seconds"]) == (15, 5, 0)
    assert query(warehouse, "SELECT count(*) AS loads FROM market_loads") == [{"loads": 0}]
