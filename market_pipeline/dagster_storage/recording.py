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
    DagsterEventBatchMetadata,
    StepMaterializationData,
    generate_event_batch_id,
)

Context = dg.OpExecutionContext | dg.AssetExecutionContext

ONE_ROW, NO_ROW = {"dagster/partition_row_count": 1}, {"dagster/partition_row_count": 0}


@dataclass(frozen=True)
class Materialized:
    """Partitions, at least one, with the metadata that their materializations share."""

    partitions: Sequence[str]
    metadata: Mapping[str, Any]


def record_materializations(
    context: Context, key: dg.AssetKey, groups: Sequence[Materialized], of_the_last: Mapping[str, Any]
) -> None:
    """Record in the run's event log that partitions of an asset were materialized, as `context.log_event` would.

    Args:
        context: of the step.
        key: of the asset.
        groups: at least one; the UI shows the last partition of the last group as the newest.
        of_the_last: metadata of that partition alone.
    """
    *others, last = groups
    *before, newest = last.partitions
    groups = [group for group in (*others, replace(last, partitions=before)) if group.partitions]
    finally_ = dg.AssetMaterialization(key, partition=newest, metadata={**last.metadata, **of_the_last})
    storage = context.instance.event_log_storage
    if isinstance(storage, BulkPostgresEventLogStorage):
        entries = [
            (_entry(context, dg.AssetMaterialization(key, partition=newest, metadata=group.metadata)), group.partitions)
            for group in groups
        ]
        storage.store_materializations(entries, _entry(context, finally_))
        return
    for group in groups:
        for partition in group.partitions:
            context.log_event(dg.AssetMaterialization(key, partition=partition, metadata=group.metadata))
    context.log_event(finally_)


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
        *others, last = [(_runless(event), group.partitions) for event, group in zip(templates, groups, strict=True)]
        before = [(last[0], last[1][:-1])] if len(last[1]) > 1 else []
        storage.store_materializations([*others, *before], last[0])
        return
    for group in groups:
        for partition in group.partitions:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=partition, metadata=group.metadata)
            )


def _runless(materialization: dg.AssetMaterialization) -> EventLogEntry:
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


def _entry(context: Context, materialization: dg.AssetMaterialization) -> EventLogEntry:
    """Return the entry that `context.log_event` would store."""
    step = context.get_step_execution_context()
    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value,
        step.job_name,
        step_handle=step.step.handle,
        node_handle=step.step.node_handle,
        step_kind_value=step.step.kind.value,
        logging_tags=step.event_tags,
        event_specific_data=StepMaterializationData(materialization),
        message=f"Materialized value {materialization.label}.",
        pid=os.getpid(),
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message=event.message,
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
    batch = generate_event_batch_id()  # type: ignore[no-untyped-call]
    step = context.get_step_execution_context()
    for number, result in enumerate(results, start=1):
        verdict = "passed" if result.passed else "did not pass"
        DagsterEvent.from_step(
            DagsterEventType.ASSET_CHECK_EVALUATION,
            step,
            result,
            f"Asset check '{result.check_name}' {verdict}. {result.description}",
            DagsterEventBatchMetadata(batch, number == len(results)),
        )
