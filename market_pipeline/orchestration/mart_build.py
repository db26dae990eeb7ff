"""Build of the marts: run dbt, and pass its results on to Dagster by dagster-dbt.

Importing this takes more than a second, so it is imported only when a build runs.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from packaging.version import Version

from market_pipeline.core.child_processes import terminate_with_us
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import (
    BUILD,
    DBT,
    BuildScope,
    dbt_environment,
    find_output_folder,
    find_project_folder,
    prepare_manifest,
)
from market_pipeline.orchestration.dbt_specs import OWNERS, build_node_key
from market_pipeline.orchestration.mart_scope import SCOPE_TAG, choose_scope, list_nightly_models
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.locks import AdvisoryLock, hold_lock


def build_selected_models(context: dg.AssetExecutionContext, settings: Settings) -> Iterator[Any]:
    """Build the models selected in a step, run their tests, and yield the events for Dagster."""
    # Two builds at once would undo each other's tables.
    lock = AdvisoryLock.MART_BUILD
    with warehouse_of(settings) as warehouse, hold_lock(warehouse, lock):
        scope = BuildScope.EVERYTHING
        if context.run.tags.get(SCOPE_TAG) == BuildScope.CHANGES:
            with warehouse.connect() as connection:
                scope = choose_scope(settings, connection)
        selected = _Context(context, settings, scope)
        with _dbt_environment(settings, scope):
            build = _build_dbt_resource().cli(
                BUILD, context=selected, target_path=find_output_folder(settings) / "target"
            )
            with terminate_with_us(build.process.pid):
                views = context.selected_asset_keys - selected.selected_asset_keys
                yield from _add_views(build.stream(), views, context)


def _add_views(
    events: Iterable[Any], views: AbstractSet[dg.AssetKey], context: dg.AssetExecutionContext
) -> Iterator[Any]:
    """Yield a build's events and those of unchanged views, each before the models that are made of it."""
    parents, due = context.assets_def.asset_deps, set(views)

    def materialize(key: dg.AssetKey) -> Iterator[dg.MaterializeResult[Any]]:
        for parent in sorted(parents.get(key, ())):
            yield from materialize(parent)
        if key in due:
            due.remove(key)
            yield dg.MaterializeResult(asset_key=key, metadata={"view": "unchanged, on tables of this build"})

    for event in events:
        if isinstance(event, dg.Output):
            yield from materialize(context.asset_key_for_output(event.output_name))
        yield event
    for view in sorted(views):
        yield from materialize(view)


def declare_with_dagster_dbt(settings: Settings) -> dg.AssetsDefinition:
    """Return all models and tests as dagster-dbt declares them."""

    @dbt_assets(manifest=prepare_manifest(settings), dagster_dbt_translator=_Translator(), name="marts")
    def marts() -> Iterator[Any]:
        yield from ()  # build_selected_models builds them

    return marts


class _Context(dg.AssetExecutionContext):
    """A step's context whose assets are declared by dagster-dbt, which reads dbt's nodes from their metadata."""

    def __init__(self, context: dg.AssetExecutionContext, settings: Settings, scope: BuildScope) -> None:
        super().__init__(context.op_execution_context)
        models, checks = set(context.selected_asset_keys), set(context.selected_asset_check_keys)
        if scope is BuildScope.CHANGES:
            models &= list_nightly_models(settings)
        self._by_dagster_dbt = declare_with_dagster_dbt(settings).subset_for(models, checks)

    @property
    def assets_def(self) -> dg.AssetsDefinition:
        return self._by_dagster_dbt

    @property
    def selected_asset_keys(self) -> AbstractSet[dg.AssetKey]:
        return self._by_dagster_dbt.keys

    @property
    def selected_asset_check_keys(self) -> AbstractSet[dg.AssetCheckKey]:
        return set(self._by_dagster_dbt.check_keys)


class _Translator(DagsterDbtTranslator):
    """Names models by schema and table, and sources as the assets that load them."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return build_node_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["schema"])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        return super().get_asset_spec(manifest, unique_id, project).replace_attributes(owners=OWNERS)


class _InstalledDbt(DbtCliResource):
    """dbt as installed beside us, whose version is known: `dbt --version`, which is run otherwise, takes 2.3 s."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))


def _build_dbt_resource() -> DbtCliResource:
    folder = str(find_project_folder())
    return _InstalledDbt(
        project_dir=folder, profiles_dir=folder, dbt_executable=sys.executable, global_config_flags=["-P", "-c", DBT]
    )


@contextmanager
def _dbt_environment(settings: Settings, scope: BuildScope) -> Iterator[None]:
    """Set dbt's environment variables in this process: DbtCliResource passes on no others."""
    before = dict(os.environ)
    with dbt_environment(settings, scope) as environment:
        os.environ.update(environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
