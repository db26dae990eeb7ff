"""Marts in Dagster: lineage from every symbol, one build after the loads, tests as checks."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from sqlalchemy import Engine

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import copy_record
from market_pipeline.dbt_project import BuildScope, find_project_folder, prepare_manifest
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_definitions
from market_pipeline.orchestration.mart_assets import JOB, build_marts
from market_pipeline.orchestration.mart_scope import choose_scope, request_run
from market_pipeline.orchestration.run_launch import launch_job
from market_pipeline.warehouse.tracked_markets import track_market
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dagster_internals import RepositorySnap, SensorExecutionData
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

pytestmark = pytest.mark.usefixtures("dbt_manifest")

ADJUSTED = dg.AssetKey(["analytics", "daily_bars_adjusted"])


def names_of_tests(settings: Settings) -> set[str]:
    """Return the names of the dbt project's data tests."""
    nodes = json.loads(prepare_manifest(settings).read_text(encoding="utf-8"))["nodes"].values()
    return {node["name"] for node in nodes if node["resource_type"] == "test"}


def test_every_mart_is_downstream_of_every_symbol_and_every_table_is_explained(
    settings: Settings, warehouse: Engine
) -> None:
    symbols = [AAPL, Symbol.of("SPY", "etf"), Symbol.of("BTC", "crypto")]
    add_symbols(warehouse, symbols)
    track_market(warehouse, MARKETS["us_stocks"])
    loaders = {*map(build_asset_key, symbols), dg.AssetKey(["market", "us_stocks"])}
    graph = build_definitions(settings).get_repository_def().asset_graph
    marts = [key for key in graph.get_all_asset_keys() if key.path[0] == "analytics"]
    assert {key.path[1] for key in marts} == {
        file.stem for file in (find_project_folder() / "models/marts").glob("*.sql")
    }
    for mart in marts:
        assert loaders <= graph.get_ancestor_asset_keys(mart), mart
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description, key
        assert graph.get(key).group_name != "default", key


def test_every_test_of_the_project_is_a_check(settings: Settings, warehouse: Engine) -> None:
    graph = build_definitions(settings).get_repository_def().asset_graph
    checks = {check.name for check in graph.asset_check_keys if check.asset_key.path[0].startswith("analytics")}
    assert checks == names_of_tests(settings)


def shown_by_ui(assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return the specs of models and tests as the UI shows them, without dagster-dbt's internal metadata."""
    private = {"dagster_dbt/manifest", "dagster_dbt/dagster_dbt_translator"}
    snap = RepositorySnap.from_def(dg.Definitions(assets=assets).get_repository_def())
    models = {
        node.asset_key: copy_record(
            node,
            metadata={name: value for name, value in node.metadata.items() if name not in private},
            parent_edges=sorted(node.parent_edges, key=str),
        )
        for node in snap.asset_nodes
    }
    checks = {
        (check.asset_key, check.name): copy_record(check, additional_asset_keys=sorted(check.additional_asset_keys))
        for check in snap.asset_check_nodes or ()
    }
    return models, checks


def test_models_and_tests_are_declared_as_dagster_dbt_would(settings: Settings, warehouse: Engine) -> None:
    from market_pipeline.orchestration.mart_build import declare_with_dagster_dbt  # dbt, which takes 2 s to import

    declared, checks = shown_by_ui(build_marts(settings, [])[:1])
    by_dagster_dbt, its_checks = shown_by_ui([declare_with_dagster_dbt(settings)])
    assert declared == by_dagster_dbt
    assert checks == its_checks
    assert len(checks) == len(names_of_tests(settings))


def test_a_build_makes_every_table_downstream_of_the_symbols_and_checks_it(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 10, 1), date(2012, 10, 31)))
    definitions = build_definitions(settings)
    graph = definitions.get_repository_def().asset_graph

    ended = launch_job(definitions, JOB, instance, warehouse)
    assert ended.success, ended.error
    tables = query(warehouse, "SELECT count(*) AS bars, min(adj_close) AS least FROM analytics.daily_bars_adjusted")
    assert tables[0]["bars"] == 21
    event = instance.get_latest_materialization_event(ADJUSTED)
    assert event is not None
    assert event.run_id == ended.run_id
    checks = instance.event_log_storage.get_asset_check_summary_records(list(graph.asset_check_keys))
    ran = [record.last_check_execution_record for record in checks.values() if record.last_check_execution_record]
    built = [record for record in ran if record.run_id == ended.run_id]
    assert len(built) == len(names_of_tests(settings))
    assert {record.status.value for record in built} == {"SUCCEEDED"}

    # A night builds its own rows, and materializes every mart.
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 11, 1), date(2012, 11, 2)), run_id="run-2")
    request = request_run(settings, warehouse, "run-2")
    night = definitions.get_repository_def().get_job(JOB).get_subset(
        asset_selection=set(request.asset_selection or ()), asset_check_selection=set(request.asset_check_keys or ())
    )  # fmt: skip
    result = night.execute_in_process(instance=instance, tags=request.tags)
    materialized = {event.asset_key for event in result.get_asset_materialization_events()}
    assert materialized == {key for key in graph.get_all_asset_keys() if key.path[0].startswith("analytics")}
    evaluated = {evaluation.asset_check_key for evaluation in result.get_asset_check_evaluations()}
    assert evaluated == set(request.asset_check_keys or ())
    assert dg.AssetCheckKey(dg.AssetKey(["analytics", "daily_returns"]), "every_bar_has_its_return") in evaluated
    assert len(evaluated) < len(built)
    assert query(warehouse, "SELECT count(*) AS returns FROM analytics.daily_returns")[0]["returns"] == 23

    # Everything is built again once a week, where a mart is gone, and by another version of the project.
    with warehouse.connect() as connection:
        assert choose_scope(settings, connection) is BuildScope.CHANGES
    for change in (
        "DROP VIEW analytics.latest_bars",
        "UPDATE analytics_staging.complete_builds SET settled_at = now() - interval '8 days'",
        "UPDATE analytics_staging.complete_builds SET project = 'another'",
        "DROP TABLE analytics_staging.complete_builds",
    ):
        with warehouse.connect() as connection:
            connection.exec_driver_sql(change)
            assert choose_scope(settings, connection) is BuildScope.EVERYTHING, change


def test_one_chosen_model_is_built_and_checked_alone_with_any_password(
    settings: Settings, instance: DagsterInstance, warehouse: Engine
) -> None:
    with warehouse.begin() as connection:  # dbt would blot out these characters in its own names of models and tests
        connection.exec_driver_sql("CREATE ROLE t LOGIN SUPERUSER PASSWORD 't'")
    address = DatabaseAddress.from_engine_url(warehouse.url).for_role("t", "t")
    repository = build_definitions(settings.model_copy(update={"database_url": address.url()})).get_repository_def()
    chosen = dg.AssetKey(["analytics_staging", "stg_sessions"])
    own = {key for key in repository.asset_graph.asset_check_keys if key.asset_key == chosen}
    result = (
        repository.get_job("__ASSET_JOB").get_subset(asset_selection={chosen}).execute_in_process(instance=instance)
    )
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [chosen]
    evaluations = result.get_asset_check_evaluations()
    assert {evaluation.asset_check_key for evaluation in evaluations if evaluation.passed} == own
    with warehouse.begin() as connection:
        connection.exec_driver_sql("REASSIGN OWNED BY t TO CURRENT_USER")
        connection.exec_driver_sql("DROP OWNED BY t")
        connection.exec_driver_sql("DROP ROLE t")


def test_the_marts_are_built_once_after_loads(settings: Settings, instance: DagsterInstance, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    repository = build_definitions(settings).get_repository_def()
    sensor = repository.get_sensor_def("marts_after_loads")

    def tick(cursor: str | None) -> SensorExecutionData:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
        return sensor.evaluate_tick(context)

    assert not tick(None).run_requests
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 10, 1), date(2012, 10, 31)))
    job = repository.get_implicit_job_def_for_assets([dg.AssetKey(["market_data", "AAPL"])])
    assert job is not None
    loading = instance.create_run_for_job(job, status=DagsterRunStatus.STARTED)
    waiting = tick(None)
    assert not waiting.run_requests
    assert "still under way" in (waiting.skip_message or "")
    instance.report_run_failed(loading)
    due = tick(None)
    assert len(due.run_requests or []) == 1
    assert not tick(due.cursor).run_requests
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 11, 1), date(2012, 11, 2)), run_id="run-2")
    assert len(tick(due.cursor).run_requests or []) == 1
