"""Events serialized by templates are the text that Dagster's serdes makes of each."""

from dagster import DagsterEvent, EventLogEntry, EventLogRecord

from market_pipeline.dagster_storage.serialization import EventSerializer, serialize_record
from market_pipeline_tests.dagster_storage.event_log_cases import (
    check_result,
    materialized,
    observed,
    planned,
    planned_check,
    planned_for,
    with_metadata,
)
from market_pipeline_tests.dagster_storage.internals import NodeHandle, StepHandle, serialize_value

ASSETS = ("A", 'B "quoted" \\ 100 %s', "Ünïcode", "<message of this event>")


def variants(asset: str, run_id: str) -> list[EventLogEntry]:
    """Return events of all kinds that are written in bulk."""
    days = ["2024-01-01", "2024-01-02"]
    return [
        planned(asset, days[0], run_id),
        planned_for(asset, days, run_id),
        planned_check(asset, run_id, days),
        materialized(asset, days[0], run_id),
        with_metadata(materialized(asset, days[1], run_id), {"rows": 3}),
        observed(asset, days[0], run_id),
        check_result(asset, run_id=run_id, partition=days[1], passed=False),
        check_result(asset, run_id=run_id),
    ]


def in_step(entry: EventLogEntry, **tags: str) -> EventLogEntry:
    """Return the entry as a step has it, with handles, tags and messages."""
    handle = NodeHandle("step", None)
    event: DagsterEvent = entry.get_dagster_event()
    message = f'100 % of {event.event_type_value} \n "{tags}"'
    stepped = event._replace(
        step_handle=StepHandle(handle), node_handle=handle, step_kind_value="COMPUTE", logging_tags=tags,
        message=message, pid=7, step_key="step",
    )  # fmt: skip
    return entry._replace(user_message=message, step_key="step", timestamp=1.0e-7, dagster_event=stepped)


def test_each_event_is_the_text_of_dagsters_serdes() -> None:
    serializer = EventSerializer()
    entries = [entry for run_id in ("one", "two") for asset in ASSETS for entry in variants(asset, run_id)]
    entries += [in_step(entry, **tags) for entry in entries for tags in ({}, {"key": "100 %"}, {"key": "b"})]
    assert [serializer.serialize(entry) for entry in entries] == [serialize_value(entry) for entry in entries]


def test_a_text_that_stands_for_a_value_in_templates_can_be_in_an_event() -> None:
    entry = in_step(materialized("A", "2024-01-01"), key="<message of this event>", other="<timestamp of this entry>")
    assert EventSerializer().serialize(entry) == serialize_value(entry)


def test_a_record_is_the_text_of_dagsters_serdes() -> None:
    entry = with_metadata(materialized("A", "2024-01-01"), {"rows": 3})
    assert serialize_record(17, serialize_value(entry)) == serialize_value(EventLogRecord(17, entry))
