"""Shared fixtures: one embedded PostgreSQL for each process, and databases copied from templates for each test."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.gc_tuning import collect_rarely
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import find_manifest_file, prepare_manifest
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database import find_database_url as database_url_of
from market_pipeline.warehouse.schema import migrate
from market_pipeline_tests.cluster_folders import make_cluster_folder

# The duration of an example depends on the machine, not on the code. Examples share the fixtures of their test.
hypothesis_settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("untimed")

Command = Callable[..., tuple[int, str, str]]

TEMPLATE = "template_warehouse"
AS_FILES = "STRATEGY file_copy"
"""Option of CREATE DATABASE that takes two thirds of the CPU of copying block by block through the WAL."""

LONGEST_FIRST = (
    "test_runbook.py", "test_demo.py", "test_up.py", "test_benchmarks.py", "test_workers.py", "test_api_schema.py",
    "test_marts_in_dagster.py", "test_marts.py", "test_dagster_tools.py", "test_interrupts.py", "test_page.py",
    "test_page_tables.py", "test_wheel.py", "test_new_symbol.py", "test_backfill_status.py",
    "test_backups.py", "test_embedded.py", "test_fault_campaign.py", "test_containers.py", "test_nightly.py",
    "test_api_status.py", "test_flags.py", "test_bad_vendor.py", "test_chosen_partitions.py", "test_command_line.py",
    "test_own_servers.py", "test_api_formats.py", "test_export.py", "test_api_command.py", "test_api_admin.py",
)  # fmt: skip
"""The files that take longest, in order: a worker takes a file at a time, and so all workers end together."""


def pytest_configure() -> None:
    """Have this process and its child processes keep compiled modules, and this one collect garbage rarely.

    Where the environment has Python keep none, as in many containers, each worker would rewrite and compile all tests,
    and each child process the project. Both together take 12 of the 20 s of CPU in which a worker collects the tests.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    collect_rarely()


def pytest_collection_finish() -> None:
    """Exempt the modules and tests, millions of objects, from garbage collection."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see neither the developer's environment nor the developer's database."""
    for name in [*(field.upper() for field in Settings.model_fields), "DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_reaches_children() -> None:
    """Make child processes of the tests receive Ctrl-C, which a shell's background jobs ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server() -> Iterator[embedded.Server]:
    """A PostgreSQL of this test process, with a migrated database `template_warehouse`.

    It does not wait for the disk: a test may crash the server's clients, and never the machine.
    """
    folder = make_cluster_folder("tests")
    started = embedded.ensure_running(folder / "data")
    for setting in ("fsync = off", "full_page_writes = off", "synchronous_commit = off", "max_wal_size = '128MB'"):
        _execute(started, f"ALTER SYSTEM SET {setting}")
    _execute(started, "SELECT pg_reload_conf()")
    # Thousands of connections check the password, which takes 5 ms of CPU each after PostgreSQL's 4,096 iterations.
    password = started.password.get_secret_value()
    _execute(started, f"SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD '{password}'")
    _execute(started, f"CREATE DATABASE {TEMPLATE}")
    engine = create_warehouse_engine(started.url(TEMPLATE))
    migrate(engine)
    engine.dispose()
    yield started
    embedded.destroy(folder / "data")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dagster_template(server: embedded.Server) -> str:
    """Name of a database with Dagster's empty tables, created once: creating them takes a second."""
    from market_pipeline.orchestration.instance_storage import open_storage  # Dagster, which few tests need

    settings = Settings(_env_file=None, database_url=server.url("template"), market_pipeline_data_dir=server.data_dir)
    _execute(server, "CREATE DATABASE template")
    open_storage(settings)
    _execute(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'template_dagster'")
    return "template_dagster"


@pytest.fixture(scope="session")
def postgres_url(server: embedded.Server) -> str:
    """The address of a PostgreSQL server, with a role that may create databases."""
    return server.url("postgres").get_secret_value()


@pytest.fixture(scope="session")
def administrator(server: embedded.Server) -> Iterator[psycopg.Connection]:
    """The session that creates and drops the tests' databases: opening one for each statement takes 6 ms of CPU."""
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_url(server: embedded.Server, administrator: psycopg.Connection) -> Iterator[SecretStr]:
    """URL of a migrated, empty warehouse that only this test uses."""
    name = f"test_{uuid4().hex}"
    administrator.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} {AS_FILES}")
    yield server.url(name)
    administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    administrator.execute(f"DROP DATABASE IF EXISTS {name}_dagster WITH (FORCE)")


@pytest.fixture
def dagster_database(administrator: psycopg.Connection, database_url: SecretStr, dagster_template: str) -> None:
    """Dagster's own database beside this test's warehouse; `database_url` drops it."""
    name = DatabaseAddress.parse(database_url).database
    administrator.execute(f"CREATE DATABASE {name}_dagster TEMPLATE {dagster_template} {AS_FILES}")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of files that one worker makes for all; it holds a lock meanwhile."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def parsed_project(server: embedded.Server, shared_folder: Path) -> Path:
    """Dbt's manifest of the project for the database `template_warehouse`, made once for all workers: dbt takes 5 s."""
    url = server.url(TEMPLATE)
    return prepare_manifest(
        Settings(_env_file=None, database_url=url, market_pipeline_data_dir=shared_folder / "parsed")
    )


@pytest.fixture
def dbt_manifest(settings: Settings, parsed_project: Path) -> None:
    """The same for this test's warehouse, as dbt would have made it, for tests of something else than dbt."""
    keep_manifest(settings, parsed_project)


def keep_manifest(settings: Settings, parsed_project: Path) -> None:
    """Put the manifest where the project looks for it before it has dbt read the models."""
    file = find_manifest_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    name = DatabaseAddress.parse(database_url_of(settings)).database
    file.write_text(parsed_project.read_text(encoding="utf-8").replace(TEMPLATE, name), encoding="utf-8")


@pytest.fixture
def warehouse(database_url: SecretStr) -> Iterator[Engine]:
    """An engine on this test's warehouse."""
    engine = create_warehouse_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database_url: SecretStr, tmp_path: Path) -> Settings:
    """Settings of this test's warehouse, with a vendor URL at which nothing responds."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        polygon_base_url="http://127.0.0.1:9",
        market_pipeline_data_dir=tmp_path / "data",
    )


@pytest.fixture
def environment(settings: Settings, dagster_database: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a child process on this test's warehouse; it is set in this process too."""
    assert settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(settings.market_pipeline_data_dir))
    return dict(os.environ)


@pytest.fixture
def command(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `market-pipeline` on this test's warehouse: exit code, standard output and error."""

    def _run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, *capsys.readouterr()

    return _run


@pytest.fixture
def kept_databases(server: embedded.Server, database_url: SecretStr) -> Iterator[None]:
    """Drop the databases that a restore keeps, when the test is over."""
    yield
    name = database_url.get_secret_value().rsplit("/", 1)[1]
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        for (kept,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{name}%before%"]):
            connection.execute(f'DROP DATABASE "{kept}" WITH (FORCE)')


def _execute(server: embedded.Server, statement: str) -> None:
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute(statement)


@dataclass(frozen=True)
class OwnCluster:
    """An embedded PostgreSQL of one test, which may stop it and start it again, and settings that name it."""

    folder: Path
    port: int
    settings: Settings

    def stop(self) -> None:
        """Stop the server."""
        embedded.stop(self.folder)

    def start(self) -> embedded.Server:
        """Start the server again."""
        return embedded.ensure_running(self.folder)


@pytest.fixture
def own_cluster(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnCluster]:
    """A new PostgreSQL of this test alone, which the environment names too."""
    above = make_cluster_folder("own-cluster")
    folder = above / "data"
    server = embedded.ensure_running(folder)
    monkeypatch.setenv("DATABASE_URL", server.url().get_secret_value())
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path))
    try:
        yield OwnCluster(folder, server.port, settings.model_copy(update={"database_url": server.url()}))
    finally:
        embedded.destroy(folder)
        above.rmdir()
