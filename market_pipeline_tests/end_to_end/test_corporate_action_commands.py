"""`market-pipeline backfill` and `status` with splits and dividends that the vendor gives, or fails to give."""

import json

from sqlalchemy import Engine

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.corporate_action_refresh import NEXT_STEP
from market_pipeline_tests.end_to_end.conftest import Run
from market_pipeline_tests.integration.stored_bars import query

AROUND_THE_SPLIT = ("--start", "2005-02-25", "--end", "2005-03-01")  # AAPL, 2 for 1 on 2005-02-28
BACKFILL = ("market-pipeline", "backfill", "--symbols", "AAPL,MSFT", *AROUND_THE_SPLIT)


def test_a_backfill_brings_splits_and_dividends_in_the_requests_that_its_plan_names(
    run: Run, warehouse: Engine
) -> None:
    for name in ("AAPL", "MSFT"):
        run("market-pipeline", "symbols", "add", name, "--no-check")
    plan = json.loads(run(*BACKFILL, "--dry-run", "--json").stdout)
    assert (plan["requests"], plan["corporate_action_requests"]) == (6, 2)
    assert [each["lookup_requests"] for each in plan["runs"]] == [2]
    others = "2 for splits and dividends, 2 to look up who has had which ticker"
    assert f"in 6 requests ({others}), of AAPL, MSFT" in run(*BACKFILL, "--dry-run").stdout
    done = run(*BACKFILL, "--quiet")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "splits of 2 symbols: 1 request, 3 loaded, 0 revised, 0 unchanged, 0 rejected, 0 removed" in lines
    assert any(line.startswith("dividends of 2 symbols: 1 request, ") for line in lines)
    assert len(query(warehouse, "SELECT symbol FROM splits")) == 3
    again = run(*BACKFILL, "--json")
    assert json.loads(again.stdout)["corporate_actions"] == [], "they were requested today"
    assert json.loads(run(*BACKFILL, "--dry-run", "--json").stdout)["requests"] == 2


def test_dagsters_own_command_brings_them_too(run: Run, warehouse: Engine) -> None:
    run("market-pipeline", "symbols", "add", "AAPL", "--no-check")
    done = run(
        "dagster", "asset", "materialize", "--select", "key:market_data/AAPL", "--partition", "2005-02-28",
        "-m", "market_pipeline.definitions",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(query(warehouse, "SELECT symbol FROM splits")) == 2
    [bar] = query(warehouse, "SELECT split_factor, unknown_because FROM daily_bars_adjusted")
    assert bar["split_factor"] == 1


def test_a_failure_is_reported_with_exit_code_3_and_missing_fetches_them(run: Run, warehouse: Engine) -> None:
    for name in ("AAPL", "MSFT"):
        run("market-pipeline", "symbols", "add", name, "--no-check")
    with running_sandbox(SandboxConfig(faults=("plan403@dividends",))) as base_url:
        failed = run(*BACKFILL, "--quiet", POLYGON_BASE_URL=base_url)
        in_json = json.loads(run(*BACKFILL, "--quiet", "--json", POLYGON_BASE_URL=base_url).stdout)
    assert failed.returncode == 3
    [line] = [line for line in failed.stdout.splitlines() if line.startswith(("failed:", "note:"))]
    assert line.startswith("failed: the dividends of AAPL, MSFT could not be fetched (dividends of AAPL, MSFT ")
    assert line.endswith(NEXT_STEP)
    assert [(each["kind"], each["success"], each["loaded"]) for each in in_json["corporate_actions"]] == [
        ("dividends", False, None)
    ]
    assert {record["success"] for record in in_json["symbols"]} == {True}
    status = run("market-pipeline", "status", "--json", "--api-url", "http://127.0.0.1:9")
    assert [problem for problem in json.loads(status.stdout)["problems"] if "dividends" in problem]
    missing = ("market-pipeline", "backfill", "--missing", *AROUND_THE_SPLIT)
    plan = json.loads(run(*missing, "--dry-run", "--json").stdout)
    assert (plan["runs"], plan["requests"]) == ([], 2)
    fetched = run(*missing, "--quiet")
    assert fetched.returncode == 0, fetched.stderr
    assert "dividends of 2 symbols: 1 request, " in fetched.stdout
    status = run("market-pipeline", "status", "--json", "--api-url", "http://127.0.0.1:9")
    assert not [problem for problem in json.loads(status.stdout)["problems"] if "dividends" in problem]
    assert run(*missing, "--quiet").stdout == "Nothing is missing.\n"
