"""Runs and events to record in the shipped event log and in ours, and reads of them."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, EventLogEntry
from sqlalchemy import create_engine, text

from market_pipeline.dagster_storage.internals import (
    AssetCheckEvaluationPlanned,
    AssetMaterializationPlannedData,
    InstanceRef,
    StepMaterializationData,
)
from market_pipeline_tests.dagster_storage.internals import (
    DATA_VERSION_TAG,
    AssetCheckEvaluationTargetMaterializationData,
    AssetObservationData,
    LoadableTargetOrigin,
    execute_dagster_graphql,
    in_process_test_workspace,
)

BULK = {"module": "market_pipeline.dagster_storage.storage", "class": "BulkPostgresStorage"}
PARTITIONS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
SPECS = [dg.AssetSpec(["market_data", name], skippable=True) for name in ("AAPL", "MSFT", "TSLA")]
KILLED = 9
FIRST_RUN, SECOND_RUN, THIRD_RUN = (str(UUID(int=number)) for number in (1, 2, 3))
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.multi_asset(
    specs=SPECS,
    partitions_def=PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    can_subset=True,
    check_specs=[dg.AssetCheckSpec("sane", asset=spec.key) for spec in SPECS],
)
def bars(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Yield the assets' results; a run's tag `fails` names one that fails, `dies` one that ends the process."""
    for spec in SPECS:
        name = spec.key.path[-1]
        if name == context.run.tags.get("dies"):
            os._exit(KILLED)
        if name != context.run.tags.get("fails"):
            check = dg.AssetCheckResult(check_name="sane", asset_key=spec.key, passed=True)
            yield dg.MaterializeResult(asset_key=spec.key, metadata={"rows": 1}, check_results=[check])
    if "fails" in context.run.tags:
        raise dg.Failure("one failed", allow_retries=False)


defs = dg.Definitions(assets=[bars], executor=dg.in_process_executor)


def bulk_storage(url: str) -> dict[str, Any]:
    """Return the entry `storage:` of a dagster.yaml that names the bulk storage."""
    return {"custom": {**BULK, "config": {"postgres_url": url}}}


@contextmanager
def open_instance(home: Path, storage: Mapping[str, Any]) -> Iterator[DagsterInstance]:
    """Yield an instance whose dagster.yaml has this storage."""
    overrides = {
        "storage": storage,
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
            "config": {},
        },
    }
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides)) as instance:
        yield instance


def run_range(instance: DagsterInstance, run_id: str, first: str, last: str, **tags: str) -> bool:
    """Materialize all assets from `first` to `last` in one run, and return True if it succeeded."""
    keys = [spec.key for spec in SPECS]
    job = defs.get_repository_def().get_implicit_job_def_for_assets(keys)
    assert job is not None
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return job.execute_in_process(
        run_id=run_id, instance=instance, tags={**span, **tags}, run_config=QUIET, raise_on_error=False
    ).success


def run_and_die(home: Path, storage: Mapping[str, Any], run_id: str, first: str, last: str) -> None:
    """Begin a range run that ends this process at its second asset. For a process of its own."""
    with open_instance(home, storage) as instance:
        run_range(instance, run_id, first, last, dies="MSFT")


PARTITION_QUERY = """
{ assetNodes {
    assetKey { path }
    partitionStats { numMaterialized numFailed numMaterializing numPartitions }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } }
    latestRunForPartition(partition: "2024-01-02") { runId }
    assetMaterializations(limit: 2) { partition runId tags { key value } }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status runId } } } }
} }
"""


def query_ui(instance: DagsterInstance) -> dict[str, Any]:
    """Return the UI's GraphQL response about each asset's partitions, by the asset's name."""
    origin = LoadableTargetOrigin(module_name=__name__, attribute="defs")
    with in_process_test_workspace(instance, origin) as context:
        nodes = execute_dagster_graphql(context, PARTITION_QUERY).data["assetNodes"]
    return {node["assetKey"]["path"][-1]: node for node in nodes}


EVENTS = "SELECT run_id, dagster_event_type, asset_key, partition, step_key FROM event_logs ORDER BY run_id, id"
ASSETS = """
SELECT a.asset_key, last_run_id, last_materialization_timestamp IS NOT NULL, e.run_id, e.partition
FROM asset_keys a LEFT JOIN event_logs e ON e.id = (last_materialization::json->>'storage_id')::bigint
ORDER BY a.asset_key
"""
TAGS = """
SELECT t.asset_key, t.key, t.value, e.run_id, e.partition, t.event_timestamp = e.timestamp
FROM asset_event_tags t JOIN event_logs e ON e.id = t.event_id ORDER BY t.id
"""
CHECKS = """
SELECT c.asset_key, check_name, c.partition, c.run_id, execution_status, e.dagster_event_type
FROM asset_check_executions c JOIN event_logs e ON e.id = evaluation_event_storage_id
ORDER BY c.run_id, c.asset_key, c.partition
"""
WITHOUT_TIMES_AND_IDS = {"events": EVENTS, "assets": ASSETS, "tags": TAGS, "checks": CHECKS}
WHOLE_TABLES = (
    "SELECT * FROM event_logs ORDER BY id",
    "SELECT asset_key, last_materialization, last_run_id, last_materialization_timestamp FROM asset_keys ORDER BY 1",
    "SELECT event_id, asset_key, key, value, event_timestamp FROM asset_event_tags ORDER BY event_id, key",
    """SELECT asset_key, check_name, partition, run_id, execution_status, evaluation_event, evaluation_event_timestamp,
    evaluation_event_storage_id, materialization_event_storage_id
    FROM asset_check_executions ORDER BY evaluation_event_storage_id, partition""",
)

# Makes PostgreSQL reject each write of several assets, after it has stored their events.
REJECT_BATCHES = """
CREATE FUNCTION reject_batch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM written) > 1 THEN RAISE 'not more than one at a time'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reject_batch AFTER INSERT ON asset_keys REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION reject_batch()
"""


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a database."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def _entry(kind: DagsterEventType, data: Any, run_id: str) -> EventLogEntry:
    event = DagsterEvent(kind.value, "job", step_key="bars", event_specific_data=data)
    return EventLogEntry(  # type: ignore[no-untyped-call]
        None, 10, "", run_id, time.time(), step_key="bars", job_name="job", dagster_event=event
    )


def materialized(asset: str, partition: str, run_id: str = "run") -> EventLogEntry:
    tags = {DATA_VERSION_TAG: f"version-{partition}", "unindexed": "x"}
    data = StepMaterializationData(dg.AssetMaterialization(asset, partition=partition, tags=tags))
    return _entry(DagsterEventType.ASSET_MATERIALIZATION, data, run_id)


def observed(asset: str, partition: str, run_id: str = "run") -> EventLogEntry:
    data = AssetObservationData(dg.AssetObservation(asset, partition=partition, tags={DATA_VERSION_TAG: "seen"}))
    return _entry(DagsterEventType.ASSET_OBSERVATION, data, run_id)


def planned(asset: str, partition: str, run_id: str = "run") -> EventLogEntry:
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=partition)
    return _entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, run_id)


def planned_for(asset: str, partitions: Sequence[str], run_id: str = "run") -> EventLogEntry:
    """Return the planned event of an asset's partitions together, as Dagster gives it to such a storage."""
    subset = PARTITIONS.empty_subset().with_partition_keys(partitions).to_serializable_subset()
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), partitions_subset=subset)
    return _entry(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, run_id)


def with_metadata(event: EventLogEntry, metadata: Mapping[str, int]) -> EventLogEntry:
    """Return the materialization with metadata."""
    dagster_event = event.get_dagster_event()
    data = dagster_event.step_materialization_data
    changed = data.materialization.with_metadata(metadata)
    own = dagster_event._replace(event_specific_data=data._replace(materialization=changed))
    return event._replace(dagster_event=own)


def planned_check(asset: str, run_id: str = "run", partitions: Sequence[str] = ()) -> EventLogEntry:
    subset = PARTITIONS.empty_subset().with_partition_keys(partitions).to_serializable_subset() if partitions else None
    data = AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(asset), check_name="sane", partitions_subset=subset)
    return _entry(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, data, run_id)


def check_result(
    asset: str, run_id: str = "run", *, passed: bool = True, partition: str | None = None, of_event: int | None = None
) -> EventLogEntry:
    target = None
    if of_event is not None:
        target = AssetCheckEvaluationTargetMaterializationData(storage_id=of_event, run_id="run", timestamp=1.0)
    data = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset), check_name="sane", passed=passed, partition=partition, metadata={},
        target_materialization_data=target,
    )  # fmt: skip
    return _entry(DagsterEventType.ASSET_CHECK_EVALUATION, data, run_id)
