"""Dagster's own tools on the project: materializing from the command line, the UI's backfills, the nightly schedule."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, func, select

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.sockets import find_free_port
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.tables import backfill_history, corporate_action_inquiries
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.conftest import CHECKOUT, Run
from market_pipeline_tests.processes import until

AAPL, MSFT, FB, BTC = (
    Symbol.of("AAPL", "stock"),
    Symbol.of("MSFT", "stock"),
    Symbol.of("FB", "stock"),
    Symbol.of("BTC", "crypto"),
)
READY_SECONDS = 300

Query = Callable[..., dict[str, Any]]


def bars_held(warehouse: Engine) -> dict[str, int]:
    query = select(market_data.c.symbol, func.count().label("bars")).group_by(market_data.c.symbol)
    with warehouse.connect() as connection:
        return {row.symbol: row.bars for row in connection.execute(query)}


def test_dg_checks_and_lists_the_definitions_and_launches_a_range(run: Run, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, MSFT])
    checked = run("dg", "check", "defs")
    assert checked.returncode == 0, checked.stdout
    listed = run("dg", "list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    assets = {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]}
    assert {"market_data/AAPL", "market_data/MSFT", "splits", "analytics/daily_bars"} <= assets
    done = run("dg", "launch", "--assets", "key:market_data/AAPL", "--partition-range", "2012-10-26...2012-11-02")
    assert done.returncode == 0, done.stderr
    assert bars_held(warehouse) == {"AAPL": 4}
    with warehouse.connect() as connection:
        assert connection.execute(select(backfill_history.c.trigger)).scalar_one() == "manual"


def test_a_code_location_without_its_database_shows_the_error_and_drops_no_asset(run: Run) -> None:
    down = "postgresql://user:hunter2@127.0.0.1:1/nowhere"
    done = run("dagster", "asset", "list", "-m", "market_pipeline.definitions", DATABASE_URL=down)
    assert done.returncode != 0
    assert "the database at 127.0.0.1:1/nowhere can't be used" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


@pytest.fixture
def ui(environment: dict[str, str], dbt_manifest: None, sandbox: str, warehouse: Engine) -> Iterator[Query]:
    """Function that queries a `dagster dev` on this test's database, with AAPL, MSFT, FB and BTC tracked."""
    add_symbols(warehouse, [AAPL, MSFT, FB, BTC])
    port = find_free_port()
    server = subprocess.Popen(
        [Path(sys.executable).with_name("dagster"), "dev", "--host", "127.0.0.1", "--port", str(port)],
        env={**environment, "POLYGON_BASE_URL": sandbox},
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/graphql"

    def query_graphql(query: str, **variables: Any) -> dict[str, Any]:
        response = requests.post(address, json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in response, response
        return dict(response["data"])

    try:
        until(lambda: is_loaded(address), "the UI's start")
        yield query_graphql
    finally:
        server.terminate()
        try:
            server.wait(READY_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def is_loaded(address: str) -> bool:
    try:
        query = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
        response = requests.post(address, json={"query": query}, timeout=5).json()
        entries = response["data"]["workspaceOrError"]["locationEntries"]
        return [entry["locationOrLoadError"]["__typename"] for entry in entries] == ["RepositoryLocation"]
    except (requests.ConnectionError, requests.Timeout, TypeError):
        return False


LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
ASSET = """
query ($path: [String!]!) {
  assetNodeOrError(assetKey: {path: $path}) {
    ... on AssetNode {
      groupName kinds
      owners { ... on TeamAssetOwner { team } }
      partitionStats { numMaterialized numFailed numMaterializing numPartitions }
      metadataEntries { label }
      assetMaterializations(limit: 1) { partition metadataEntries { label ... on IntMetadataEntry { intValue } } }
    }
  }
}
"""
RUNS = """
query ($id: String!) {
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) { ... on Runs { results { status } } }
}
"""
REPOSITORY = {"repositoryLocationName": "market_pipeline.definitions", "repositoryName": "__repository__"}
SENSOR = """
query ($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor { id } } }
"""
STOP_SENSOR = """
mutation ($id: String!) {
  stopSensor(id: $id) { ... on StopSensorMutationResult { instigationState { status } } }
}
"""
SCHEDULES = """
query ($repository: RepositorySelector!) {
  schedulesOrError(repositorySelector: $repository) {
    ... on Schedules { results { name cronSchedule executionTimezone scheduleState { status } } }
  }
}
"""
TICK = """
mutation ($selector: ScheduleSelector!, $timestamp: Float!) {
  scheduleDryRun(selectorData: $selector, timestamp: $timestamp) {
    ... on DryRunInstigationTick { evaluationResult { error { message } runRequests { tags { key value } } } }
    ... on PythonError { message }
  }
}
"""


def stop_marts_sensor(address: str) -> None:
    """Stop building the marts after loads, which takes 17 s of the processor, once the UI has the definitions."""
    until(lambda: is_loaded(address), "the definitions")

    def query_graphql(query: str, **variables: Any) -> Any:
        return requests.post(address, json={"query": query, "variables": variables}, timeout=30).json()["data"]

    found = query_graphql(SENSOR, selector={**REPOSITORY, "sensorName": "marts_after_loads"})["sensorOrError"]
    stopped = query_graphql(STOP_SENSOR, id=found["id"])["stopSensor"]
    assert stopped["instigationState"]["status"] == "STOPPED", stopped


def test_the_ui_shows_assets_backfills_ranges_and_schedules(ui: Query, warehouse: Engine) -> None:
    sessions = [day.isoformat() for day in list_sessions("XNYS", date(2012, 5, 1), date(2012, 6, 29))]
    launched = ui(
        LAUNCH,
        params={
            "assetSelection": [{"path": ["market_data", name]} for name in ("AAPL", "MSFT")],
            "partitionNames": sessions,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def status() -> str:
        return str(ui(BACKFILL_STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"])

    until(lambda: status() not in ("REQUESTED", "IN_PROGRESS"), "the backfill")
    assert status() == "COMPLETED_SUCCESS"
    assert len(ui(RUNS, id=launched["backfillId"])["runsOrError"]["results"]) == 1
    assert bars_held(warehouse) == {"AAPL": len(sessions), "MSFT": len(sessions)}
    with warehouse.connect() as connection:
        assert set(connection.execute(select(backfill_history.c.trigger)).scalars()) == {"backfill"}
        requested = select(corporate_action_inquiries.c.kind, corporate_action_inquiries.c.symbol)
        assert {tuple(row) for row in connection.execute(requested)} == {
            (kind, symbol) for kind in ("splits", "dividends") for symbol in ("AAPL", "MSFT")
        }

    asset = ui(ASSET, path=["market_data", "AAPL"])["assetNodeOrError"]
    assert asset["groupName"] == "stocks"
    assert set(asset["kinds"]) == {"python", "postgres"}
    assert asset["partitionStats"]["numMaterialized"] == len(sessions)
    assert asset["partitionStats"]["numFailed"] == 0
    assert {"dagster/table_name", "dagster/column_schema"} <= {entry["label"] for entry in asset["metadataEntries"]}
    [newest] = asset["assetMaterializations"]
    result = {entry["label"]: entry.get("intValue") for entry in newest["metadataEntries"]}
    assert newest["partition"] == sessions[-1]
    assert (result["loaded"], result["unchanged"], result["rejected"], result["requests"]) == (len(sessions), 0, 0, 1)
    assert result["dagster/partition_row_count"] == 1

    schedules = ui(SCHEDULES, repository=REPOSITORY)["schedulesOrError"]["results"]
    assert [schedule["name"] for schedule in schedules] == [
        "nightly_corporate_actions",
        "nightly_crypto",
        "nightly_equities",
    ]
    assert {(s["cronSchedule"], s["executionTimezone"], s["scheduleState"]["status"]) for s in schedules} == {
        ("0 2 * * *", "UTC", "RUNNING")
    }
    night = datetime(2012, 7, 10, 2, tzinfo=UTC).timestamp()
    tick = ui(TICK, selector={**REPOSITORY, "scheduleName": "nightly_equities"}, timestamp=night)["scheduleDryRun"]
    assert tick["evaluationResult"]["error"] is None, tick
    tags = [
        {tag["key"]: tag["value"] for tag in request["tags"]} for request in tick["evaluationResult"]["runRequests"]
    ]
    ranges = [tuple(given[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")) for given in tags]
    # AAPL and MSFT end on 29 June: sessions missed since, and the last ones again. FB was never requested.
    assert ranges == [("2012-06-26", "2012-07-09"), ("2011-06-28", "2012-07-09")]
