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
from market_pipeline.dagster_storage.internals import UnresolvedAssetJobDefinition
from market_pipeline.dbt_project import prepare_manifest
from market_pipeline.orchestration.dbt_specs import (
    OWNERS,
    build_dbt_check_specs,
    build_model_specs,
    build_table_metadata,
)

Job = UnresolvedAssetJobDefinition
JOB = "marts_job"

UPSTREAM = {
    "bars": [],  # of all symbols' and markets' assets
    "market_data": [],  # the same
    "market_data_revisions": ["market_data"],
    "backfill_history": ["market_data"],
    "session_states": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "coverage": ["market_data", "backfill_history", "sessions", "tracked_symbols"],
    "sessions": [],
    "tracked_symbols": [],
    "symbol_identities": ["bars", "tracked_symbols"],
    "security_tickers": ["bars", "tracked_symbols"],
    "market_sessions": ["bars", "sessions"],
    "market_listings": ["bars"],
    "listings": ["market_listings", "symbol_identities", "security_tickers"],
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


def build_marts(settings: Settings, loaders: Sequence[dg.AssetKey]) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Build the models' assets, and those of the warehouse's tables that they read, given the assets that load bars.

    Raises:
        DbtError: the dbt project can't be read.
    """
    project = json.loads(prepare_manifest(settings).read_text(encoding="utf-8"))

    @dg.multi_asset(
        name="marts",
        specs=list(build_model_specs(project)),
        check_specs=list(build_dbt_check_specs(project)),
        can_subset=True,
        op_tags={"dagster_dbt/select": "fqn:*"},
        allow_arbitrary_check_specs=True,
    )
    def marts(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from market_pipeline.orchestration.mart_build import build_selected_models

        yield from build_selected_models(context, settings)

    return [marts, *_build_table_specs(project, loaders)]


def _build_table_specs(project: Mapping[str, Any], loaders: Sequence[dg.AssetKey]) -> Iterator[dg.AssetSpec]:
    for source in project["sources"].values():
        name = source["name"]
        if name in UPSTREAM:
            upstream = loaders if name in ("bars", "market_data") else UPSTREAM[name]
            yield dg.AssetSpec(
                name,
                deps=upstream,
                description=source["description"],
                group_name="warehouse",
                kinds={"postgres"},
                owners=OWNERS,
                metadata=build_table_metadata(source),
            )


def build_marts_job() -> Job:
    """Return the job that builds all models and runs all their tests."""
    return dg.define_asset_job(JOB, selection=dg.AssetSelection.groups("analytics", "analytics_staging"))
