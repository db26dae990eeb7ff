"""Scope of a build of the marts: everything once a week, what has changed each night.

A night's build leaves out the views, which are as they were, and the tests that can't find anything new: those of
tables that PostgreSQL itself keeps. Its models and tests look at what has changed since the last complete build.
"""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
from sqlalchemy import Connection, Engine, text

from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import BuildScope, compute_project_hash, list_models, prepare_manifest
from market_pipeline.orchestration.dbt_specs import build_dbt_check_specs, build_node_key

SCOPE_TAG = "market_pipeline/marts"
"""Tag of runs that build the marts: the scope that was requested. Without it, everything is built."""

UNIQUE_ID = "dagster_dbt/unique_id"

_STORED = text("""
    SELECT count(*)
    FROM pg_class
    WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('analytics', 'analytics_staging'))
        AND relname = ANY(:models)
""")
_RECORDED = text("SELECT to_regclass('analytics_staging.complete_builds') IS NOT NULL")
_COMPLETE = text("""
    SELECT EXISTS (
        SELECT FROM analytics_staging.complete_builds
        WHERE is_complete AND project = :project AND settled_at > now() - interval '7 days'
    )
""")


def choose_scope(settings: Settings, connection: Connection) -> BuildScope:
    """Return `changes` if the last complete build is less than a week old and of this very project, else `everything`.

    Everything is built too if any model's table or view is gone.
    """
    models = list_models()
    complete: bool = (
        connection.execute(_RECORDED).scalar_one()
        and connection.execute(_COMPLETE, {"project": compute_project_hash(settings)}).scalar_one()
        and connection.execute(_STORED, {"models": models}).scalar_one() == len(models)
    )
    return BuildScope.CHANGES if complete else BuildScope.EVERYTHING


def list_nightly_models(settings: Settings) -> set[dg.AssetKey]:
    """Return the asset keys of the models that have a table of their own."""
    nodes = _read_manifest(settings)["nodes"].values()
    models = (node for node in nodes if node["resource_type"] == "model")
    return {build_node_key(node) for node in models if node["config"]["materialized"] != "view"}


def request_run(settings: Settings, warehouse: Engine, run_key: str) -> dg.RunRequest:
    """Return the request for a run of all models, with all checks or only those whose tests are tagged `nightly`."""
    with warehouse.connect() as connection:
        scope = choose_scope(settings, connection)
    tags = {SCOPE_TAG: scope.value}
    if scope is BuildScope.EVERYTHING:
        return dg.RunRequest(run_key=run_key, tags=tags)
    project = _read_manifest(settings)
    nodes = project["nodes"]
    models = [build_node_key(node) for node in nodes.values() if node["resource_type"] == "model"]
    checks = [
        spec.key for spec in build_dbt_check_specs(project) if "nightly" in nodes[spec.metadata[UNIQUE_ID]]["tags"]
    ]
    return dg.RunRequest(run_key=run_key, tags=tags, asset_selection=models, asset_check_keys=checks)


def _read_manifest(settings: Settings) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(prepare_manifest(settings).read_text(encoding="utf-8"))
    return content
