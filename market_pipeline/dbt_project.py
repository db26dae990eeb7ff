"""The dbt project that builds the marts: its folder, its environment, and running it.

dbt runs as a child process that learns from its environment where the warehouse is; it writes below the data folder and
never into the checkout. The orchestration decides when the marts are built.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from filelock import FileLock
from sqlalchemy import Connection, text

from market_pipeline.core.child_processes import run_child
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings, find_project_dir
from market_pipeline.warehouse.backup.client_programs import build_client_environment
from market_pipeline.warehouse.backup.dump import open_connection
from market_pipeline.warehouse.connections import ENCODING, SETTINGS, build_session_statement, find_address_in_use
from market_pipeline.warehouse.database import find_database_url

BUILD = ["build", "--exclude-resource-type", "unit_test"]
"""dbt's command: models and data tests. Unit tests check the code alone, which a night does not change."""

NIGHTLY = ["--indirect-selection=empty", "--select=config.materialized:incremental,resource_type:model tag:nightly"]
NIGHTLY_BUILD = [*BUILD, *NIGHTLY]
"""dbt's command for a night, whose scope is `changes`: the models that are tables, and the tests tagged `nightly`."""

BUILD_RECORDS = ["changed_bars", "complete_builds"]
"""Tables in analytics_staging that dbt's macros make: the last complete build, and the bars that have changed since."""

DBT_SETTINGS = {**SETTINGS, "work_mem": "64MB"}
"""Settings of dbt's sessions. The marts sort and hash all bars, which the default of 4 MB spills to disk."""

PARSED = "partial_parse.msgpack"
"""File of the parsed project, which dbt reads in its target folder instead of parsing unchanged files."""

DBT = "from market_pipeline.core.gc_tuning import collect_rarely; collect_rarely(); from dbt.cli.main import cli; cli()"
"""dbt's program, which takes an eighth less time if it collects garbage rarely."""


class DbtError(MarketPipelineError):
    """dbt has failed."""


class BuildScope(StrEnum):
    """Rows that a build of the marts reads: all, or what has changed since the last complete build."""

    EVERYTHING = "everything"
    CHANGES = "changes"


def find_project_folder() -> Path:
    """Return the folder of the dbt project, which nothing writes to."""
    return find_project_dir() / "dbt"


def list_models() -> list[str]:
    """Return the names of all models, which are those of their tables and views."""
    return sorted(file.stem for file in (find_project_folder() / "models").rglob("*.sql"))


def list_relations() -> list[str]:
    """Return the names of all tables and views that dbt makes: the models, and the records of builds."""
    return sorted([*list_models(), *BUILD_RECORDS])


def read_model_keys() -> dict[str, list[str]]:
    """Return each mart's key: its primary key, or the columns that its tests hold to be unique."""
    keys: dict[str, list[str]] = {}
    for file in sorted((find_project_folder() / "models" / "marts").glob("*.yml")):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models") or ():
            if key := _find_key(model):
                keys[model["name"]] = key
    return keys


def _find_key(model: Mapping[str, Any]) -> list[str] | None:
    declared = [rule["columns"] for rule in model.get("constraints") or () if rule["type"] == "primary_key"]
    tests = [test for test in model.get("data_tests") or () if isinstance(test, dict)]
    tested = [test["valid_rows"]["arguments"]["key"] for test in tests if "key" in test["valid_rows"]["arguments"]]
    return next(iter([*declared, *tested]), None)


def find_output_folder(settings: Settings) -> Path:
    """Return the folder of dbt's output: `target` with its artifacts, and `logs`."""
    return settings.market_pipeline_data_dir / "dbt"


@contextmanager
def dbt_environment(settings: Settings, scope: BuildScope = BuildScope.EVERYTHING) -> Iterator[dict[str, str]]:
    """Yield the environment variables that dbt takes from the settings, for as long as it runs.

    They name a file with the password, which is deleted on leaving: dbt rewrites its own output wherever a secret's
    characters occur in it. Starts the embedded server if it is the warehouse and isn't running.

    Raises:
        EmbeddedServerError: the embedded server can't be started.
        DatabaseUnavailableError: the database can't be reached.
    """
    project, output = find_project_folder(), find_output_folder(settings)
    with open_connection(find_database_url(settings)) as connection:
        address, session = find_address_in_use(connection), _build_session_options(connection)
    place = address.parameters
    with TemporaryDirectory(prefix="market-pipeline-dbt-") as folder:
        environment = build_client_environment(address.without_password.url())
        yield environment | {
            "MARKET_PIPELINE_DBT_HOST": place["host"],
            "MARKET_PIPELINE_DBT_PORT": place["port"],
            "MARKET_PIPELINE_DBT_USER": place["user"],
            "MARKET_PIPELINE_DBT_DATABASE": address.database,
            "MARKET_PIPELINE_DBT_SESSION": session,
            "MARKET_PIPELINE_DBT_SCOPE": scope,
            # Each night's manifest is the same, and takes 0.5 s to write.
            "DBT_WRITE_JSON": str(scope is BuildScope.EVERYTHING),
            "MARKET_PIPELINE_DBT_PROJECT": compute_project_hash(settings),
            "PGPASSFILE": str(_write_password_file(Path(folder), place.get("password", ""))),
            "PGCLIENTENCODING": ENCODING,
            "DBT_PROJECT_DIR": str(project),
            "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": str(output / "target"),
            "DBT_LOG_PATH": str(output / "logs"),
            # A stopped dbt would still warn of the resources it left.
            "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
        }


def run_dbt(settings: Settings, *arguments: str, scope: BuildScope = BuildScope.EVERYTHING) -> None:
    """Run dbt with these arguments, e.g. `build --select daily_bars+`, and wait for its end.

    Raises:
        DbtError: dbt failed, or one of its models or tests did; the message names the output to read.
    """
    command = [sys.executable, "-P", "-c", DBT, *arguments]
    with dbt_environment(settings, scope) as environment:
        result = run_child(command, env=environment, cwd=find_project_folder())
    if result.returncode != 0:
        log = find_output_folder(settings) / "logs" / "dbt.log"
        raise DbtError(f"`dbt {' '.join(arguments)}` failed: see its output above, or {log}")


def _build_session_options(connection: Connection) -> str:
    """Return our session settings as SQL to follow SET ROLE, the one statement that dbt opens a connection with.

    Its first transaction has begun by then.
    """
    role: str = connection.execute(text("SELECT quote_ident(current_user)")).scalar_one()
    session: Any = connection.connection.driver_connection
    settings = build_session_statement(DBT_SETTINGS, session.info.server_version)
    return f"{role}; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; {settings}"


def _write_password_file(folder: Path, password: str) -> Path:
    """Write a password file as libpq reads it: https://www.postgresql.org/docs/current/libpq-pgpass.html."""
    file = folder / "password"
    file.touch(mode=0o600)
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
    return file


def prepare_manifest(settings: Settings) -> Path:
    """Return the file of dbt's manifest: all models, tests and columns as JSON.

    dbt writes it only if the project has changed.

    Raises:
        DbtError: it can't be read; the message names the output to read.
    """
    path = find_manifest_file(settings)
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # of several processes that need it at once, one writes it
        if not path.is_file():
            run_dbt(settings, "--quiet", "parse", "--target-path", str(folder / "target"))
            (folder / "target" / "manifest.json").replace(path)
            target = find_output_folder(settings) / "target"
            target.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # dbt may be told to keep none
                (folder / "target" / PARSED).replace(target / PARSED)  # spares the first build 4 s of parsing
    return path


def find_manifest_file(settings: Settings) -> Path:
    """Return the file of the manifest, whether it is there or not: its name changes with what the manifest says."""
    return find_output_folder(settings) / "manifests" / f"{compute_project_hash(settings)}.json"


def compute_project_hash(settings: Settings) -> str:
    """Return a hash of the project's files, dbt's version and the database, which the manifest names."""
    digest = hashlib.sha256(
        f"{version('dbt-core')} {DatabaseAddress.parse(find_database_url(settings)).database}".encode()
    )
    for file in sorted(find_project_folder().rglob("*")):
        if file.suffix in (".yml", ".sql", ".md"):
            digest.update(file.relative_to(find_project_folder()).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
