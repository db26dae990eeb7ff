"""Dagster's storage: its database is named by the settings, created if permitted, and its password stays secret."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from dagster import DagsterInstance, serialize_value
from pydantic import SecretStr

from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings, find_project_dir
from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage
from market_pipeline.dagster_storage.internals import InstanceRef
from market_pipeline.orchestration.instance_storage import (
    DagsterDatabaseError,
    MarketPipelineEventLogStorage,
    find_dagster_database_url,
    open_storage,
)
from market_pipeline.orchestration.run_output import RunOutputManager
from market_pipeline.quality.symbol_health import CHECKS
from market_pipeline.warehouse import embedded

CLOUD = "postgres://user:p%40ss@db.example:6543/market?sslmode=require"


def settings_with(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.fixture
def dagster_database() -> None:
    """Give Dagster no database yet, as its creation is tested here."""


@pytest.mark.parametrize(
    ("database_url", "dagster_database_url_set", "expected"),
    [
        (CLOUD, None, "postgresql+psycopg2://user:p%40ss@db.example:6543/market_dagster?sslmode=require"),
        (CLOUD, "postgresql://me@elsewhere/runs", "postgresql+psycopg2://me@elsewhere/runs"),
        (None, "postgresql+psycopg://me@elsewhere/runs", "postgresql+psycopg2://me@elsewhere/runs"),
    ],
)
def test_the_address_follows_from_the_settings(
    database_url: str | None, dagster_database_url_set: str | None, expected: str
) -> None:
    settings = settings_with(database_url=database_url, dagster_database_url=dagster_database_url_set)
    assert find_dagster_database_url(settings).get_secret_value() == expected


def test_without_any_address_it_is_the_embedded_servers(server: embedded.Server) -> None:
    storage = open_storage(settings_with(market_pipeline_data_dir=server.data_dir))
    assert storage.event_log_storage.postgres_url == server.url("market_data_dagster").get_secret_value().replace(
        "postgresql://", "postgresql+psycopg2://"
    )


def test_the_projects_dagster_yaml_gives_a_working_instance_and_a_database_beside_the_warehouse(
    environment: dict[str, str], tmp_path: Path, server: embedded.Server
) -> None:
    with open_project_instance(tmp_path) as instance:
        assert instance.get_runs_count() == 0
        assert isinstance(instance.event_log_storage, BulkPostgresEventLogStorage)
        instance.run_storage.set_cursor_values({"key": "value"})
    with open_project_instance(tmp_path) as instance:  # the database is there now
        assert instance.run_storage.get_cursor_values({"key"}) == {"key": "value"}
    with psycopg.connect(environment["DATABASE_URL"] + "_dagster") as connection:
        assert connection.execute("SELECT value FROM kvs").fetchall() == [("value",)]


def test_events_are_written_in_batches_unless_the_environment_sets_another_size(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    with open_project_instance(tmp_path):
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "7"
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    with open_project_instance(tmp_path):
        assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "1000"


def test_dagsters_child_processes_get_no_secret(
    environment: dict[str, str], tmp_path: Path, server: embedded.Server
) -> None:
    with open_project_instance(tmp_path) as instance:
        handed_on = serialize_value(instance.get_ref()) + instance.info_str()
        assert "MarketPipelineStorage" in handed_on
        assert server.password.get_secret_value() not in handed_on
        with DagsterInstance.from_ref(instance.get_ref()) as in_a_child:
            assert in_a_child.get_runs_count() == 0


def open_project_instance(home: Path) -> DagsterInstance:
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(home), config_dir=str(find_project_dir())))


def test_the_tools_may_all_start_at_once_on_a_server_that_has_nothing_yet(database_url: SecretStr) -> None:
    settings = settings_with(database_url=database_url)
    with ThreadPoolExecutor(6) as pool:
        for storage in pool.map(lambda _: open_storage(settings), range(6)):
            assert storage.run_storage.get_runs_count() == 0


@pytest.fixture
def modest_role(server: embedded.Server) -> SecretStr:
    """URL of an empty database for a role that may not create databases."""
    name = f"modest_{uuid4().hex}"
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
        connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    return SecretStr(f"postgresql://{name}:hunter2@{server.host}:{server.port}/{name}")


def test_a_role_that_may_not_create_the_database_gets_the_next_step(modest_role: SecretStr) -> None:
    with pytest.raises(DagsterDatabaseError) as caught:
        open_storage(settings_with(database_url=modest_role))
    message = str(caught.value)
    assert "permission denied to create database" in message
    assert f'CREATE DATABASE "{modest_role.get_secret_value().rsplit("/")[-1]}_dagster"' in message
    assert "DAGSTER_DATABASE_URL" in message
    assert "hunter2" not in message
    assert "\n" not in message


@pytest.mark.parametrize("variable", ["database_url", "dagster_database_url"])
def test_a_server_that_is_not_there_is_named_without_its_password(variable: str) -> None:
    with pytest.raises(DagsterDatabaseError, match=r"the database at 127\.0\.0\.1:1/nowhere can't be used") as caught:
        open_storage(settings_with(**{variable: SecretStr("postgresql://user:hunter2@127.0.0.1:1/nowhere")}))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_warehouses_own_database_is_rejected(database_url: SecretStr) -> None:
    with pytest.raises(DagsterDatabaseError, match="another database"):
        open_storage(settings_with(database_url=database_url, dagster_database_url=database_url))


def test_prune_reports_its_numbers_and_rejects_days_in_which_runs_may_go_on(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["db", "prune"])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("deleted 0 events and 0 check results")
    with pytest.raises(SystemExit) as ended:
        main(["db", "prune", "--days", "1"])
    assert ended.value.code == 2
    assert "give 2 days or more" in capsys.readouterr().err


@pytest.mark.parametrize("whole", ["storage.whole", "storage"])
def test_a_dagster_yaml_of_an_earlier_release_gives_the_same_storage(
    environment: dict[str, str], tmp_path: Path, whole: str
) -> None:
    former = "market_pipeline.orchestration.storage"
    text = (find_project_dir() / "dagster.yaml").read_text(encoding="utf-8")
    for now, before in (("instance_storage", whole), ("run_output", "storage.run_output")):
        assert f"market_pipeline.orchestration.{now}\n" in text
        text = text.replace(f"orchestration.{now}\n", f"orchestration.{before}\n")
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        assert type(instance.event_log_storage) is MarketPipelineEventLogStorage
        assert type(instance.compute_log_manager) is RunOutputManager
    (tmp_path / "dagster.yaml").write_text(
        "".join(
            f"{part}_storage: {{module: {former}.parts, class: {name}, config: {{}}}}\n"
            for part, name in (
                ("run", "SeparateRunStorage"),
                ("event_log", "SeparateEventLogStorage"),
                ("schedule", "SeparateScheduleStorage"),
            )
        ),
        encoding="utf-8",
    )
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        assert isinstance(instance.event_log_storage, MarketPipelineEventLogStorage)
        assert instance.get_runs_count() == 0


def test_the_checks_of_a_symbol_alone_are_of_a_whole_asset(database_url: SecretStr) -> None:
    storage = open_storage(settings_with(database_url=database_url)).event_log_storage
    assert [storage.checks_whole_asset(name) for name in (*CHECKS, "a check of partitions")] == [True] * len(CHECKS) + [
        False
    ]
    storage.dispose()


def test_a_connection_that_the_server_has_closed_is_replaced(database_url: SecretStr) -> None:
    storage = open_storage(settings_with(database_url=database_url))
    storage.run_storage.set_cursor_values({"key": "value"})
    with storage.event_log_storage.index_connection() as connection:
        ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
        assert all(connection.scalars(sqlalchemy.text(ended + "datname = current_database()")))
    assert storage.run_storage.get_cursor_values({"key"}) == {"key": "value"}
    storage.dispose()
