"""`coverage`, `gaps` and `backfill --missing`: reported gaps, filled by one command."""

import json
from typing import Any

import pytest

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.end_to_end.conftest import Run


@pytest.fixture
def with_a_gap(run: Run) -> Run:
    """AAPL with a gap from 11 to 15 March 2024, and IBM without one."""
    for name in ("AAPL", "IBM"):
        run("market-pipeline", "symbols", "add", name)
    run("market-pipeline", "backfill", "--symbols", "AAPL,IBM", "--start", "2024-03-01", "--end", "2024-03-08")
    run("market-pipeline", "backfill", "--symbols", "IBM", "--start", "2024-03-11", "--end", "2024-03-15")
    run("market-pipeline", "backfill", "--symbols", "AAPL,IBM", "--start", "2024-03-18", "--end", "2024-03-28")
    return run


def gaps_in_march(run: Run) -> list[dict[str, Any]]:
    found = json.loads(run("market-pipeline", "gaps", "--json").stdout)["gaps"]
    return [gap for gap in found if gap["last_session"] < "2024-04-01"]


def test_stored_and_missing_sessions_are_reported_and_filled_by_one_command(with_a_gap: Run) -> None:
    run = with_a_gap
    assert gaps_in_march(run) == [
        {
            "symbol": "AAPL", "first_session": "2024-03-11", "last_session": "2024-03-15", "sessions": 5,
            "state": "never_asked", "reason": None,
        }
    ]  # fmt: skip
    shown = run("market-pipeline", "gaps")
    assert "| AAPL   | 2024-03-11 | 2024-03-15 | never_asked |" in shown.stdout
    assert "`market-pipeline backfill --missing`" in shown.stdout
    coverage_counts_stored_bars(run)

    filling = run("market-pipeline", "backfill", "--missing", "--end", "2024-03-28", "--json")
    assert filling.returncode == 0, filling.stderr
    [record] = json.loads(filling.stdout)["symbols"]
    assert (record["symbol"], record["loaded"], record["requests"]) == ("AAPL", 5, 1)
    assert (record["sessions"], record["answered"], record["refused"]) == (5, 5, 0)
    assert gaps_in_march(run) == []
    assert run("market-pipeline", "backfill", "--missing", "--end", "2024-03-28").stdout == "Nothing is missing.\n"


def coverage_counts_stored_bars(run: Run) -> None:
    result = json.loads(run("market-pipeline", "coverage", "--json").stdout)["symbols"]
    assert [(row["symbol"], row["loaded"], row["first_session"], row["last_session"]) for row in result] == [
        ("AAPL", 15, "2024-03-01", "2024-03-28"),
        ("IBM", 20, "2024-03-01", "2024-03-28"),
    ]
    for row in result:
        states = ("loaded", "rejected", "empty", "not_yet_available", "not_in_plan", "failed", "never_asked")
        assert row["sessions"] == sum(row[name] for name in states)
    shown = run("market-pipeline", "coverage", "--symbols", "IBM").stdout
    assert "| IBM    | 2024-03-01 | 2024-03-28 |" in shown
    assert "AAPL" not in shown


def test_a_failure_shows_with_its_reason_until_it_is_fixed(run: Run) -> None:
    run("market-pipeline", "symbols", "add", "AAPL")
    month = ("--symbols", "AAPL", "--start", "2024-03-01", "--end", "2024-03-28")
    with running_sandbox(SandboxConfig(faults=("unknown_key",))) as rejecting:
        assert run("market-pipeline", "backfill", *month, POLYGON_BASE_URL=rejecting).returncode == 1
    [gap] = gaps_in_march(run)
    assert (gap["state"], gap["sessions"]) == ("failed", 20)
    assert "POLYGON_API_KEY" in gap["reason"]
    assert run("market-pipeline", "backfill", "--missing", "--end", "2024-03-28").returncode == 0
    assert gaps_in_march(run) == []


def test_a_symbol_that_was_never_loaded_is_reported_with_the_command_that_loads_it(run: Run) -> None:
    run("market-pipeline", "symbols", "add", "AAPL")
    command = "`market-pipeline backfill --symbols AAPL`"
    assert run("market-pipeline", "gaps").stdout == f"Never loaded yet: load with {command}.\n"
    assert json.loads(run("market-pipeline", "gaps", "--json").stdout) == {"gaps": [], "never_loaded": ["AAPL"]}
    assert command in run("market-pipeline", "backfill", "--missing").stderr


@pytest.mark.parametrize("command", ["gaps", "coverage"])
def test_a_symbol_that_is_not_tracked_is_rejected_with_the_command_that_adds_it(run: Run, command: str) -> None:
    done = run("market-pipeline", command, "--symbols", "NVDA")
    assert done.returncode == 2
    assert "market-pipeline symbols add NVDA" in done.stderr
