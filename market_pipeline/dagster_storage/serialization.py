"""Serialization of events: those that differ only in a few values share a serialized template of the rest.

Dagster's serdes walks through all objects of every event, 40 µs each, and a night of 500 symbols has 6,000 events.
"""

import json
from collections.abc import Mapping

from dagster import EventLogEntry

from market_pipeline.dagster_storage.internals import serialize_value

_OF_ENTRY = {name: f"<{name} of this entry>" for name in ("timestamp", "user_message")}
_OF_EVENT = {name: f"<{name} of this event>" for name in ("message", "event_specific_data")}
"""Fields that differ between the events of a batch, with what stands for their values in a template."""


class EventSerializer:
    """Serializes Dagster's events as its serdes does, with the newest template of each event type."""

    def __init__(self) -> None:
        self._templates: dict[str, tuple[EventLogEntry, str | None]] = {}

    def serialize(self, entry: EventLogEntry) -> str:
        """Return the JSON of an entry of the event log that has a Dagster event."""
        event = entry.get_dagster_event()
        rest = entry._replace(**_OF_ENTRY, dagster_event=event._replace(**_OF_EVENT))  # type: ignore[arg-type]
        known, template = self._templates.get(event.event_type_value, (None, None))
        if known != rest:
            template = _make_template(serialize_value(rest), {**_OF_ENTRY, **_OF_EVENT})
            self._templates[event.event_type_value] = rest, template
        if template is None:
            return serialize_value(entry)
        return template % {
            "timestamp": json.dumps(entry.timestamp),
            "user_message": json.dumps(entry.user_message),
            "message": json.dumps(event.message),
            "event_specific_data": serialize_value(event.event_specific_data),
        }


def serialize_record(storage_id: int, event: str) -> str:
    """Return the JSON of the `EventLogRecord` with this id, of an event with this JSON."""
    return f'{{"__class__": "EventLogRecord", "event_log_entry": {event}, "storage_id": {storage_id}}}'


def _make_template(serialized: str, values: Mapping[str, str]) -> str | None:
    """Return serialized JSON with a place for each of these values; None if one of them isn't there exactly once."""
    template = serialized.replace("%", "%%")
    for name, value in values.items():
        if template.count(json.dumps(value)) != 1:
            return None
        template = template.replace(json.dumps(value), f"%({name})s")
    return template
