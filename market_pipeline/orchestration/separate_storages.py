"""The three parts of whole.py's storage, each under a name of its own, for a dagster.yaml that names three.

Dagster's Helm chart writes such a file, and beside them Dagster takes no `storage:`.
"""

from collections.abc import Mapping
from typing import Any, Self

from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import ConfigurableClassData, UserConfigSchema
from market_pipeline.orchestration.instance_storage import (
    MarketPipelineStorage,
    PooledRunStorage,
    PooledScheduleStorage,
)


class StorageFromSettings:
    """Mixin, to stand before a part of the storage: where its database is, the settings say."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """The keys under `config:` in dagster.yaml."""
        return MarketPipelineStorage.config_type()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """The part, in a database that is made with all its tables where it is missing.

        Raises:
            MarketPipelineError: the settings are wrong, or the database can't be reached or made.
        """
        whole = MarketPipelineStorage.from_config_value(None, config_value)
        part = cls(whole.event_log_storage.postgres_url)  # type: ignore[call-arg]
        part._inst_data = inst_data  # type: ignore[attr-defined]
        for opened in (whole.run_storage, whole.event_log_storage, whole.schedule_storage):
            opened.dispose()
        return part


class SeparateRunStorage(StorageFromSettings, PooledRunStorage):
    """Runs, their tags, backfills and daemon heartbeats."""


class SeparateEventLogStorage(StorageFromSettings, BulkPostgresEventLogStorage):
    """Events, and what is derived from them about assets and checks."""


class SeparateScheduleStorage(StorageFromSettings, PooledScheduleStorage):
    """The state and ticks of schedules and sensors."""
