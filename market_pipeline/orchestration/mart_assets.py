"""Marts, the analysts' tables, in Dagster: dbt's models as assets, its tests as their checks.

They are downstream of the warehouse's tables, which are downstream of every symbol. All models are built together, once
their inputs have changed. `dbt/` defines them, mart_build.py builds them. Concept:
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
from market_pipeline.orchestration.dbt_specs import OWNERS, dbt_check_specs, dbt_model_specs, table_metadata

Job = UnresolvedAssetJobDefinition
JOB = "marts_job"

UPSTREAM = {
    "market_data": [],  # of all symbols' assets
    "market_data_revisions": ["market_data"],
    "backfill_history": ["market_data"],
    "session_states": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "coverage": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "sessions": [],
    "tracked_symbols": [],
    "rejected_corporate_actions": ["splits", "dividends"],
    "session_actions": [
        "market_data",
        "splits",
        "dividends",
        "rejected_corporate_actions",
        "sessions",
        "tracked_symbols",
    ],
    "adjustment_states": ["splits", "dividends", "rejected_corporate_actions", "tracked_symbols"],
    "adjustment_factors": ["session_actions", "adjustment_states"],
    "daily_bars_adjusted": ["market_data", "adjustment_factors"],
    "reconciliations": ["market_data"],
}
"""The warehouse's tables that the models read, and the assets that each is loaded from. Others have their own asset."""


def build_marts(settings: Settings, symbols: Sequence[Symbol]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Build the models' assets, and those of the warehouse's tables that they read.

    Raises:
        DbtError: the dbt project can't be read.
    """
    project = json.loads(manifest(settings).read_text(encoding="utf-8"))

    @dg.multi_asset(
        name="marts",
        specs=list(dbt_model_specs(project)),
        check_specs=list(dbt_check_specs(project)),
        can_subset=True,
        op_tags={"dagster_dbt/select": "fqn:*"},
        allow_arbitrary_check_specs=True,
    )
    def marts(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from market_pipeline.orchestration.mart_build import build_selected_models

        yield from build_selected_models(context, settings)

    return [marts, *_build_table_specs(project, symbols)]


def _build_table_specs(project: Mapping[str, Any], symbols: Sequence[Symbol]) -> Iterator[dg.AssetSpec]:
    for source in project["sources"].values():
        name = source["name"]
        if name in UPSTREAM:
            upstream = [asset_key(symbol) for symbol in symbols] if name == "market_data" else UPSTREAM[name]
            yield dg.AssetSpec(
                name,
                deps=upstream,
                description=source["description"],
                group_name="warehouse",
                kinds={"postgres"},
                owners=OWNERS,
                metadata=table_metadata(source),
            )


def marts_job() -> Job:
    """Return the job that builds all models and runs all their tests."""
    return dg.define_asset_job(JOB, selection=dg.AssetSelection.groups("analytics", "analytics_staging"))
