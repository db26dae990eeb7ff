"""Recording of materialized partitions and check results in bulk, from within a step.

A Dagster expert expects the step to yield a result for each asset. Dagster would make, log and serialize an event for
every partition of the run, also for those that were not loaded, and an output with type checks for every check.
Measured: docs/performance.md, section 3.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, EventLogEntry

from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import (
    RUNLESS_JOB_NAME,
    RUNLESS_RUN_ID,
    StepMaterializationData,
)
from market_pipeline.dagster_storage.partition_events import Repeated

Context = dg.OpExecutionContext | dg.AssetExecutionContext

ONE_ROW: Mapping[str, Any] = {"dagster/partition_row_count": 1}
NO_ROW: Mapping[str, Any] = {"dagster/partition_row_count": 0}


@dataclass(frozen=True)
class Materialized:
    """Partitions, at least one, with the metadata that their materializations share."""

    partitions: Sequence[str]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class MaterializedAsset:
    """An asset's partitions in groups, at least one, and the metadata of the last partition of the last group alone.

    The UI shows that partition as the newest.
    """

    key: dg.AssetKey
    groups: Sequence[Materialized]
    of_the_last: Mapping[str, Any]

    def split(self) -> tuple[list[Materialized], dg.AssetMaterialization]:
        """Return the groups without the last partition, and its materialization."""
        *others, last = self.groups
        *before, newest = last.partitions
        groups = [group for group in (*others, replace(last, partitions=before)) if group.partitions]
        metadata = {**last.metadata, **self.of_the_last}
        return groups, dg.AssetMaterialization(self.key, partition=newest, metadata=metadata)


def record_materializations(context: Context, assets: Sequence[MaterializedAsset]) -> None:
    """Record in the run's event log that partitions of assets were materialized, as `context.log_event` would."""
    storage = context.instance.event_log_storage
    if isinstance(storage, BulkPostgresEventLogStorage):
        storage.store_materializations([_build_entries(context, asset) for asset in assets])
        return
    for asset in assets:
        groups, finally_ = asset.split()
        for group in groups:
            for partition in group.partitions:
                context.log_event(dg.AssetMaterialization(asset.key, partition=partition, metadata=group.metadata))
        context.log_event(finally_)


def _build_entries(context: Context, asset: MaterializedAsset) -> tuple[list[Repeated], EventLogEntry]:
    groups, finally_ = asset.split()
    templates = [
        dg.AssetMaterialization(asset.key, partition=group.partitions[-1], metadata=group.metadata) for group in groups
    ]
    repeated: list[Repeated] = [
        (_build_materialization_entry(context, template), group.partitions)
        for template, group in zip(templates, groups, strict=True)
    ]
    return repeated, _build_materialization_entry(context, finally_)


def report_materializations(instance: dg.DagsterInstance, key: dg.AssetKey, groups: Sequence[Materialized]) -> None:
    """Report partitions as materialized outside of any run, as `report_runless_asset_event` does for one.

    Args:
        instance: of Dagster.
        key: of the asset.
        groups: at least one.
    """
    storage = instance.event_log_storage
    if isinstance(storage, BulkPostgresEventLogStorage):
        templates = [dg.AssetMaterialization(key, partition=g.partitions[-1], metadata=g.metadata) for g in groups]
        *others, last = [
            (_build_runless_entry(event), group.partitions) for event, group in zip(templates, groups, strict=True)
        ]
        before = [(last[0], last[1][:-1])] if len(last[1]) > 1 else []
        storage.store_materializations([([*others, *before], last[0])])
        return
    for group in groups:
        for partition in group.partitions:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=partition, metadata=group.metadata)
            )


def _build_runless_entry(materialization: dg.AssetMaterialization) -> EventLogEntry:
    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value,
        RUNLESS_JOB_NAME,
        event_specific_data=StepMaterializationData(materialization),
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.INFO,
        user_message="",
        run_id=RUNLESS_RUN_ID,
        timestamp=time.time(),
        job_name=RUNLESS_JOB_NAME,
        dagster_event=event,
    )


def _build_materialization_entry(context: Context, materialization: dg.AssetMaterialization) -> EventLogEntry:
    """Return the entry that `context.log_event` would store."""
    message = f"Materialized value {materialization.label}."
    data = StepMaterializationData(materialization)
    return _build_entry(context, DagsterEventType.ASSET_MATERIALIZATION, data, message)


def _build_entry(context: Context, kind: DagsterEventType, data: Any, message: str) -> EventLogEntry:
    """Return the entry that Dagster would store for an event of the step."""
    step = context.get_step_execution_context()
    event = DagsterEvent(
        kind.value,
        step.job_name,
        step_handle=step.step.handle,
        node_handle=step.step.node_handle,
        step_kind_value=step.step.kind.value,
        logging_tags=step.event_tags,
        event_specific_data=data,
        message=message,
        pid=os.getpid(),
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message=message,
        run_id=step.run_id,
        timestamp=time.time(),
        step_key=step.step.key,
        job_name=step.job_name,
        dagster_event=event,
    )


def record_check_results(context: dg.AssetExecutionContext, results: Sequence[dg.AssetCheckEvaluation]) -> None:
    """Record the results of checks in the run's event log, as yielding an `AssetCheckResult` each would."""
    # No check yields an output, and Dagster would log at the end of the step that all of them are missing.
    context.log.addFilter(lambda record: "did not yield or return expected outputs" not in record.getMessage())
    kind, storage = DagsterEventType.ASSET_CHECK_EVALUATION, context.instance.event_log_storage
    if isinstance(storage, BulkPostgresEventLogStorage):
        storage.store_event_batch([_build_entry(context, kind, result, _describe(result)) for result in results])
        return
    step = context.get_step_execution_context()
    for result in results:
        DagsterEvent.from_step(kind, step, result, _describe(result))


def _describe(result: dg.AssetCheckEvaluation) -> str:
    verdict = "passed" if result.passed else "did not pass"
    return f"Asset check '{result.check_name}' {verdict}. {result.description}"
