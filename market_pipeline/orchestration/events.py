"""Recording materializations of some of a run's partitions, in bulk.

Dagster batches the events of a result that covers the whole run; those that a step logs itself it writes one by one.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id


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
