"""When the analysts' tables were last built, as Dagster's event log has it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from dagster import AssetKey, DagsterInstance

SCHEMA = "analytics"


def last_built(instance: DagsterInstance, marts: Iterable[str]) -> dict[str, datetime]:
    """The time of each mart's newest materialization; those never built by Dagster are left out."""
    records = instance.get_asset_records([AssetKey([SCHEMA, name]) for name in marts])
    events = [(record.asset_entry.asset_key, record.asset_entry.last_materialization_record) for record in records]
    return {key.path[-1]: datetime.fromtimestamp(event.timestamp, UTC) for key, event in events if event is not None}
