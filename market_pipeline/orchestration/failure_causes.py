"""Causes of failures, each in one line, from the errors in Dagster's events."""

from dagster import DagsterEvent

from market_pipeline.dagster_storage.internals import JobFailureData, SerializableErrorInfo


def describe_failure(event: DagsterEvent) -> str:
    """Return the cause of a run's failure from its failure event, in one line."""
    data = event.event_specific_data
    step = data.first_step_failure_event if isinstance(data, JobFailureData) else None
    errors = [getattr(each, "error", None) for each in (data, step and step.event_specific_data)]
    causes = (describe_root_cause(error) for error in errors if error)
    return next(causes, event.message or "see the run's page in the Dagster UI")


def describe_root_cause(error: SerializableErrorInfo) -> str:
    """Return the first line of the error at the start of the chain of causes."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip().splitlines()[0]
