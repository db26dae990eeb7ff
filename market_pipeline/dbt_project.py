"""The dbt project that makes the analysts' tables: where it is, what its environment is, and how it is run.

dbt runs as a child process that learns from its environment where the warehouse is; it writes below the data folder and
never into the checkout. What the tables are is said in `dbt/`, and when they are made is the orchestration's business.
"""

import getpass
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock
from sqlalchemy import URL, make_url

from market_pipeline.children import run_child
from market_pipeline.errors import MarketPipelineError
from market_pipeline.settings import Settings, project_dir
from market_pipeline.warehouse.database import database_url

TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding")
"""What a database's address may say of TLS; libpq takes each from an environment variable too."""


class DbtError(MarketPipelineError):
    """dbt has failed."""


def project_folder() -> Path:
    """The folder of the dbt project, which nothing writes to."""
    return project_dir() / "dbt"


def model_keys() -> dict[str, list[str]]:
    """The columns that tell the rows of each mart apart: its primary key, or what its tests hold to be unique."""
    keys: dict[str, list[str]] = {}
    for file in sorted((project_folder() / "models" / "marts").glob("*.yml")):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models") or ():
            if key := _key(model):
                keys[model["name"]] = key
    return keys


def _key(model: Mapping[str, Any]) -> list[str] | None:
    stated = [rule["columns"] for rule in model.get("constraints") or () if rule["type"] == "primary_key"]
    tests = [test for test in model.get("data_tests") or () if isinstance(test, dict)]
    tested = [test["key"]["arguments"]["columns"] for test in tests if "key" in test]
    unique = [[column["name"]] for column in model.get("columns") or () if "unique" in (column.get("data_tests") or ())]
    return next(iter([*stated, *tested, *unique]), None)


def output_folder(settings: Settings) -> Path:
    """Where dbt keeps what it makes: `target` with its artifacts, and `logs`."""
    return settings.market_pipeline_data_dir / "dbt"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that dbt takes from the settings, the password among them.

    Starts the embedded server if it is the warehouse and isn't running.

    Raises:
        EmbeddedServerError: the embedded server can't be started.
    """
    project, output = project_folder(), output_folder(settings)
    return {
        **_connection(make_url(database_url(settings).get_secret_value())),
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(output / "target"),
        "DBT_LOG_PATH": str(output / "logs"),
        # Of a dbt that was told to stop it would still complain of what that left behind.
        "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",
    }


def run_dbt(settings: Settings, *arguments: str) -> None:
    """Run dbt with these arguments, e.g. `build --select daily_bars+`, and wait for its end.

    It writes to this process's standard output as it goes, and in full to `logs/dbt.log`.

    Raises:
        DbtError: dbt failed, or one of its models or tests did; the message says where to read on.
    """
    command = [sys.executable, "-P", "-c", "from dbt.cli.main import cli; cli()", *arguments]
    environment = {**os.environ, **dbt_environment(settings)}
    if run_child(command, env=environment, cwd=project_folder()).returncode != 0:
        log = output_folder(settings) / "logs" / "dbt.log"
        raise DbtError(f"`dbt {' '.join(arguments)}` failed: see what it says above, or {log}")


def _connection(url: URL) -> dict[str, str]:
    return {
        "MARKET_PIPELINE_DBT_HOST": url.host or _in_query(url, "host") or "localhost",
        "MARKET_PIPELINE_DBT_PORT": str(url.port or 5432),
        "MARKET_PIPELINE_DBT_USER": url.username or getpass.getuser(),
        "DBT_ENV_SECRET_MARKET_PIPELINE_PASSWORD": url.password or "",
        "MARKET_PIPELINE_DBT_DATABASE": url.database or "",
        "PGOPTIONS": "-c timezone=UTC -c work_mem=64MB",
        **dict(_tls(url)),
    }


def _tls(url: URL) -> Iterator[tuple[str, str]]:
    for name in TLS:
        if value := _in_query(url, name):
            yield f"PG{name.replace('_', '').upper()}", value


def _in_query(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if value is None or isinstance(value, str) else value[0]


def manifest(settings: Settings) -> Path:
    """What dbt makes of the project: every model, test and column, as JSON. Made anew only where the project changed.

    Raises:
        DbtError: it can't be read; the message says where to read on.
    """
    folder = output_folder(settings) / "manifests"
    path = folder / f"{_fingerprint(settings)}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # of several processes that need it at once, one makes it
        if not path.is_file():
            run_dbt(settings, "--quiet", "parse", "--target-path", str(folder / "target"))
            (folder / "target" / "manifest.json").replace(path)
    return path


def _fingerprint(settings: Settings) -> str:
    """Of the project's files, dbt's version and the database, which the manifest names."""
    digest = hashlib.sha256(
        f"{version('dbt-core')} {make_url(database_url(settings).get_secret_value()).database}".encode()
    )
    for file in sorted(project_folder().rglob("*")):
        if file.suffix in (".yml", ".sql", ".md"):
            digest.update(file.relative_to(project_folder()).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
