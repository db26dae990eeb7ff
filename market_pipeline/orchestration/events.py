"""Recording what a step has to say of its assets in bulk: materializations of some partitions, results of checks.

Dagster batches the events of a result that covers the whole run; all others it writes one by one, and an output, with
its type checks and events, for every check.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, DagsterEventType, generate_event_batch_id


def record_materializations(
    context: dg.AssetExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Record these materializations in the run's event log, as `context.log_event` would, but in batches."""
    batch = generate_event_batch_id()  # type: ignore[no-untyped-call]
    step = context.get_step_execution_context()
    for number, materialization in enumerate(materializations, start=1):
        is_last = number == len(materializations)
        # Making the event records it.
        DagsterEvent.asset_materialization(step, materialization, DagsterEventBatchMetadata(batch, is_last))


def record_check_results(context: dg.AssetExecutionContext, results: Sequence[dg.AssetCheckEvaluation]) -> None:
    """Record the results of checks in the run's event log, as yielding an `AssetCheckResult` each would."""
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
