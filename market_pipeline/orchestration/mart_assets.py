"""The analysts' tables in Dagster: dbt's models as assets, its tests as their checks, downstream of every symbol.

Between the two are the warehouse's tables, which the loads write and the models read. All models are built together,
once what feeds them has changed. What they are is in `dbt/`, how they are built in marts_build.py. Concept:
https://docs.dagster.io/integrations/libraries/dbt
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import UnresolvedAssetJobDefinition
from market_pipeline.dbt_project import manifest
from market_pipeline.orchestration.assets import asset_key
from market_pipeline.orchestration.dbt_specs import OWNERS, check_specs, model_specs, table_metadata

Job = UnresolvedAssetJobDefinition
JOB = "marts_job"

MADE_OF = {
    "market_data": [],  # of all symbols' assets
    "market_data_revisions": ["market_data"],
    "backfill_history": ["market_data"],
    "session_states": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "coverage": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "sessions": [],
    "tracked_symbols": [],
    "corporate_action_inquiries": ["splits", "dividends"],
}
"""The warehouse's tables that the models read, and what each is written with. The others are assets of their own."""


def build_marts(settings: Settings, symbols: Sequence[Symbol]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The models as assets, and the warehouse's tables that they read.

    Raises:
        DbtError: the dbt project can't be read.
    """
    project = json.loads(manifest(settings).read_text(encoding="utf-8"))

    @dg.multi_asset(
        name="marts",
        specs=list(model_specs(project)),
        check_specs=list(check_specs(project)),
        can_subset=True,
        op_tags={"dagster_dbt/select": "fqn:*"},
        allow_arbitrary_check_specs=True,
    )
    def marts(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from market_pipeline.orchestration.mart_build import built

        yield from built(context, settings)

    return [marts, *_tables(project, symbols)]


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
                metadata=table_metadata(source),
            )


def marts_job() -> Job:
    """The job that builds all models and runs all their tests."""
    return dg.define_asset_job(JOB, selection=dg.AssetSelection.groups("analytics", "analytics_staging"))
