"""What a build of the analysts' tables does: run dbt, and tell Dagster what dbt tells, by dagster-dbt.

Importing this takes more than a second; it is imported when a build runs.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from sqlalchemy import Engine, text

from market_pipeline.core.child_processes import terminate_with_us
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import dbt_environment, manifest, output_folder, project_folder
from market_pipeline.orchestration.dbt_specs import OWNERS, node_key
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.locks import AdvisoryLock

BUILD = ["build", "--exclude-resource-type", "unit_test"]
"""Models and the tests of their content. Unit tests are of the code alone, which a night doesn't change."""


def built(context: dg.AssetExecutionContext, settings: Settings) -> Iterator[Any]:
    """Build the models that a step has selected, and run their tests; what Dagster is to record."""
    with warehouse_of(settings) as warehouse, _alone(warehouse), _environment(settings):
        build = _dbt().cli(BUILD, context=_Context(context, settings), target_path=output_folder(settings) / "target")
        with terminate_with_us(build.process.pid):
            yield from build.stream()


def assets_by_dagster_dbt(settings: Settings) -> dg.AssetsDefinition:
    """All models and tests as dagster-dbt declares them."""

    @dbt_assets(manifest=manifest(settings), dagster_dbt_translator=_Translator(), name="marts")
    def marts() -> Iterator[Any]:
        yield from ()  # what they do is `built`

    return marts


class _Context(dg.AssetExecutionContext):
    """A step's context with the same assets as dagster-dbt declares them: it looks into their metadata for dbt's."""

    def __init__(self, context: dg.AssetExecutionContext, settings: Settings) -> None:
        super().__init__(context.op_execution_context)
        selected = context.assets_def
        self._by_dagster_dbt = assets_by_dagster_dbt(settings).subset_for(selected.keys, set(selected.check_keys))

    @property
    def assets_def(self) -> dg.AssetsDefinition:
        return self._by_dagster_dbt


class _Translator(DagsterDbtTranslator):
    """Names models by schema and table, and sources as the assets that load them."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return node_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["schema"])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        return super().get_asset_spec(manifest, unique_id, project).replace_attributes(owners=OWNERS)


def _dbt() -> DbtCliResource:
    folder = str(project_folder())
    executable = str(Path(sys.executable).with_name("dbt"))
    return DbtCliResource(project_dir=folder, profiles_dir=folder, dbt_executable=executable)


@contextmanager
def _alone(warehouse: Engine) -> Iterator[None]:
    """Wait for another build of the same tables to end, and keep others out: two at once would undo each other."""
    with warehouse.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": AdvisoryLock.MART_BUILD})
        connection.commit()
        yield


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Set for this process what dbt, its child, finds in its environment: there is no other way to hand it over."""
    before = dict(os.environ)
    with dbt_environment(settings) as environment:
        os.environ.update(environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
