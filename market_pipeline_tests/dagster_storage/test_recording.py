"""Bulk records of a step equal those that Dagster would have made one by one."""

from pathlib import Path

import dagster as dg
from dagster import DagsterInstance, EventLogEntry

from market_pipeline.dagster_storage.recording import Materialized, MaterializedAsset, record_materializations
from market_pipeline_tests.dagster_storage.event_log_cases import bulk_storage, open_instance

KEY = dg.AssetKey(["market_data", "AAPL"])
OTHER = dg.AssetKey(["market_data", "MSFT"])
RUN = "11111111-1111-4111-8111-111111111111"


@dg.op
def recording(context: dg.OpExecutionContext) -> None:
    """Record two groups of partitions, of which the last has metadata of the run too."""
    empty = Materialized(["2024-01-04"], {"rows": 0})
    full = Materialized(["2024-01-02", "2024-01-03", "2024-01-05"], {"rows": 1})
    other = Materialized([f"2024-02-{day:02}" for day in range(1, 25)], {"rows": 1})
    record_materializations(
        context,
        [
            MaterializedAsset(KEY, [empty, full], {"requests": 7}),
            MaterializedAsset(OTHER, [other], {"requests": 1}),
        ],
    )


@dg.job
def records() -> None:
    """One step that records."""
    recording()


def recorded(instance: DagsterInstance) -> list[EventLogEntry]:
    assert records.execute_in_process(instance=instance, run_id=RUN).success
    found = instance.get_records_for_run(RUN, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    return [record.event_log_entry._replace(timestamp=0) for record in found]


def test_partitions_recorded_in_bulk_are_those_that_dagster_would_have_logged(url: str, tmp_path: Path) -> None:
    with open_instance(tmp_path, bulk_storage(url)) as ours:
        in_bulk = recorded(ours)
    with DagsterInstance.ephemeral() as shipped:
        assert in_bulk == recorded(shipped)
    materializations = [found for entry in in_bulk if (found := entry.asset_materialization) is not None]
    assert [
        (one.partition, {name: value.value for name, value in one.metadata.items()})
        for one in materializations
        if one.asset_key == KEY
    ] == [
        ("2024-01-04", {"rows": 0}),
        ("2024-01-02", {"rows": 1}),
        ("2024-01-03", {"rows": 1}),
        ("2024-01-05", {"rows": 1, "requests": 7}),
    ]
