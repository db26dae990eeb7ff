"""The analysts' tables in Dagster: dbt's models as assets, its tests as their checks, downstream of every symbol.

Between the two are the warehouse's tables, which the loads write and the models read. All models are built together,
once what feeds them has changed. What they are is in `dbt/`, how dbt is run in dbt_project.py. Concept:
https://docs.dagster.io/integrations/libraries/dbt
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets
from sqlalchemy import Engine, text

from market_pipeline.dbt_project import dbt_environment, manifest, output_folder, project_folder
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.settings import Settings
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.database import warehouse_of

Job = UnresolvedAssetJobDefinition
JOB = "marts_job"
OWNERS = ["team:market-data"]

MADE_OF = {
    "market_data": [],  # of all symbols' assets
    "market_data_revisions": ["market_data"],
    "backfill_history": ["market_data"],
    "session_states": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "sessions": [],
    "tracked_symbols": [],
    "corporate_action_inquiries": ["splits", "dividends"],
}
"""The warehouse's tables that the models read, and what each is written with. The others are assets of their own."""

BUILD = ["build", "--exclude-resource-type", "unit_test"]
"""Models and the tests of their content. Unit tests are of the code alone, which a night doesn't change."""

_BUILD_LOCK = 7_310_533  # any constant that nobody else locks


def build_marts(settings: Settings, symbols: Sequence[Symbol]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The models as assets, and the warehouse's tables that they read.

    Raises:
        NoDbtProjectError: the package was installed without a checkout.
        DbtError: the dbt project can't be read.
    """
    project = manifest(settings)

    @dbt_assets(manifest=project, dagster_dbt_translator=_Translator(), name="marts")
    def marts(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with warehouse_of(settings) as warehouse, _alone(warehouse), _environment(settings):
            build = _dbt().cli(BUILD, context=context, target_path=output_folder(settings) / "target")
            yield from build.stream()

    return [marts, *_tables(json.loads(project.read_text(encoding="utf-8")), symbols)]


def _tables(project: Mapping[str, Any], symbols: Sequence[Symbol]) -> Iterator[dg.AssetSpec]:
    for source in project["sources"].values():
        name = source["name"]
        if name in MADE_OF:
            made_of = [asset_key(symbol) for symbol in symbols] if name == "market_data" else MADE_OF[name]
            yield dg.AssetSpec(
                name,
                deps=made_of,
                description=source["description"],
                group_name="warehouse",
                kinds={"postgres"},
                owners=OWNERS,
                metadata=_Translator().get_metadata(source),
            )


def marts_job() -> Job:
    """The job that builds all models and runs all their tests."""
    return dg.define_asset_job(JOB, selection=dg.AssetSelection.groups("analytics", "analytics_staging"))


class _Translator(DagsterDbtTranslator):
    """Names models by schema and table, and sources as the assets that load them."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        name = dbt_resource_props["name"]
        is_source = dbt_resource_props["resource_type"] == "source"
        return dg.AssetKey([name]) if is_source else dg.AssetKey([dbt_resource_props["schema"], name])

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
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _BUILD_LOCK})
        connection.commit()
        yield


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Set for this process what dbt, its child, finds in its environment: there is no other way to hand it over."""
    before = dict(os.environ)
    os.environ.update(dbt_environment(settings))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
