"""Why something failed, in one line, by what Dagster's events tell of it."""

from dagster import DagsterEvent

from market_pipeline.dagster_storage.internals import JobFailureData, SerializableErrorInfo


def cause_of(event: DagsterEvent) -> str:
    """Why a run failed, in one line, by the event that says that it did."""
    data = event.event_specific_data
    step = data.first_step_failure_event if isinstance(data, JobFailureData) else None
    errors = [getattr(told, "error", None) for told in (data, step and step.event_specific_data)]
    return next((innermost(error) for error in errors if error), event.message or "its page says why")


def innermost(error: SerializableErrorInfo) -> str:
    """The first reason there was, without all that it led to."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip().splitlines()[0]
