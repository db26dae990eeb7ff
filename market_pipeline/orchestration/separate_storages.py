"""The three parts of Dagster's storage, each under its own name, for a dagster.yaml that names three.

Dagster's Helm chart writes such a file, and with them Dagster accepts no `storage:`.
"""

from collections.abc import Mapping
from typing import Any, Self

from market_pipeline.dagster_storage.internals import ConfigurableClassData, UserConfigSchema
from market_pipeline.orchestration.instance_storage import (
    MarketPipelineEventLogStorage,
    MarketPipelineRunStorage,
    MarketPipelineScheduleStorage,
    MarketPipelineStorage,
)


class StorageFromSettings:
    """Mixin that takes the database URL from the project's settings. List it before the storage class."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the fields of `config:` in dagster.yaml."""
        return MarketPipelineStorage.config_type()

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Return the part; make its database, with the tables of all parts, if they are missing.

        Raises:
            MarketPipelineError: the settings are wrong, or the database can't be reached or made.
        """
        storage = MarketPipelineStorage.from_config_value(None, config_value)
        part = cls(storage.event_log_storage.postgres_url)  # type: ignore[call-arg]
        part._inst_data = inst_data  # type: ignore[attr-defined]
        storage.dispose()
        return part


class SeparateRunStorage(StorageFromSettings, MarketPipelineRunStorage):
    """Runs, their tags, backfills and daemon heartbeats."""


class SeparateEventLogStorage(StorageFromSettings, MarketPipelineEventLogStorage):
    """Events, and the tables of assets and checks that follow from them."""


class SeparateScheduleStorage(StorageFromSettings, MarketPipelineScheduleStorage):
    """The state and ticks of schedules and sensors."""
