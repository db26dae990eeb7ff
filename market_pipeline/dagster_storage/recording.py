"""Recording what a step has to say of its assets in bulk: materializations of partitions, and results of checks.

Dagster makes, logs and serializes an event for every partition of a result, writes those of some partitions only one
by one, and yields an output, with its type checks and events, for every check.
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
    """Partitions, at least one, that were materialized with the same metadata."""

    partitions: Sequence[str]
    metadata: Mapping[str, Any]


def record_materializations(
    context: Context, key: dg.AssetKey, groups: Sequence[Materialized], of_the_last: Mapping[str, Any]
) -> None:
    """Record in the run's event log that partitions of an asset were materialized, as `context.log_event` would.

    Args:
        context: the step's.
        key: the asset's.
        groups: at least one; the last partition of the last one is the newest that the UI shows.
        of_the_last: metadata that only that one has.
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
    """Report partitions of an asset as materialized outside of any run.

    As `DagsterInstance.report_runless_asset_event` does for one partition.

    Args:
        instance: Dagster's.
        key: the asset's.
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
    """What `context.log_event` would have the instance store."""
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
    # As none is yielded, Dagster would log at the step's end that the outputs of all checks are missing.
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
