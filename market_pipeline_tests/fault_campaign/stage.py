"""Stages of scenarios: a PostgreSQL and a sandbox each, databases copied from a template, and real commands.

Everything started here is ended here, by its own id.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import DEFAULT_BACKFILL, Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.cluster_folders import make_cluster_folder
from market_pipeline_tests.fault_campaign.scenarios import Command, Method

SYMBOLS = tuple(Symbol.of(name, "stock") for name in DEFAULT_BACKFILL)
VARIABLES = frozenset({*(name.upper() for name in Settings.model_fields), "DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE"})
"""Environment variables of this machine that must not reach the commands."""

COMMAND_SECONDS = 180
"""The most seconds of a command, disturbed or not."""

EMPTY = "template_empty"
_STOPPING_SECONDS = 30
_TO_POSTGRES = {Method.POSTGRES_KILLED: signal.SIGKILL, Method.POSTGRES_IMMEDIATE: signal.SIGQUIT}


class StageError(Exception):
    """The campaign itself can't continue."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code, or minus the signal that ended it, and its standard error."""

    code: int
    stderr: str


class Process(Protocol):
    """A process of a command, as `subprocess.Popen` has it."""

    def poll(self) -> int | None: ...
    def send_signal(self, sig: signal.Signals, /) -> None: ...
    def kill(self) -> None: ...
    def wait(self, seconds: float, /) -> int: ...


Start = Callable[[Sequence[str], Mapping[str, str], Path, Path], Process]
"""Function that starts `market-pipeline` with arguments, an environment, a folder, and a file for standard error."""


def start_program(arguments: Sequence[str], env: Mapping[str, str], folder: Path, log: Path) -> Process:
    """Start the installed program."""
    program = Path(sys.executable).with_name("market-pipeline")
    with log.open("wb") as stderr:
        return subprocess.Popen([program, *arguments], env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=stderr)


class Backfill:
    """A command under way, in a process of its own whose standard error is kept in a file."""

    def __init__(self, start: Start, command: Command, folder: Path, environment: Mapping[str, str]) -> None:
        self._log = Path(tempfile.mkstemp(suffix=".stderr", dir=folder)[1])
        self._process = start(command.arguments, environment, folder, self._log)

    @property
    def under_way(self) -> bool:
        """True until the command has ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send the command a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Kill the command if it has not ended."""
        self._process.kill()
        self._process.wait(COMMAND_SECONDS)

    def wait(self, seconds: float) -> Ended:
        """Wait for the end of the command, and return its result.

        Raises:
            subprocess.TimeoutExpired: the command has not ended within that time.
        """
        return Ended(self._process.wait(seconds), self._log.read_text(errors="replace"))


@dataclass(frozen=True)
class Stage:
    """One PostgreSQL, in `folder`, the address `calm` of a sandbox without faults, and how commands are started."""

    folder: Path
    calm: str
    start_command: Start = start_program

    @property
    def data(self) -> Path:
        """Data folder of PostgreSQL."""
        return self.folder / "data"

    @property
    def server(self) -> embedded.Server:
        """PostgreSQL of the stage, started again if it is down."""
        return embedded.ensure_running(self.data)

    def settings(self, database: str) -> Settings:
        """Return the settings of a warehouse on this stage."""
        return Settings(_env_file=None, database_url=self.server.url(database), market_pipeline_data_dir=self.folder)

    def create(self, database: str, template: str = EMPTY) -> None:
        """Copy a database, by default a warehouse that tracks the symbols and holds no bar."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._execute(statement.format(sql.Identifier(database), sql.Identifier(template)))
        # A copied sequence counts on without WAL, by the values that its original has logged ahead, until a checkpoint:
        # a crash before that would give out values twice. No database of a user's is a copy.
        self._execute(sql.Composed([sql.SQL("CHECKPOINT")]))

    def drop(self, database: str) -> None:
        """Drop a warehouse, and Dagster's database beside it."""
        for name in (database, f"{database}_dagster"):
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self, command: Command, database: str, vendor: str) -> Backfill:
        """Start a command on a warehouse."""
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        environment |= {
            "DATABASE_URL": self.server.url(database).get_secret_value(),
            "MARKET_PIPELINE_DATA_DIR": str(self.folder),
            "POLYGON_BASE_URL": vendor,
            "POLYGON_REQUESTS_PER_MINUTE": "60000",
        }
        return Backfill(self.start_command, command, self.folder, environment)

    def run(self, command: Command, database: str) -> Ended:
        """Run a command undisturbed to its end.

        Raises:
            subprocess.TimeoutExpired: it takes more than COMMAND_SECONDS.
        """
        backfill = self.start(command, database, self.calm)
        try:
            return backfill.wait(COMMAND_SECONDS)
        finally:
            backfill.end()

    def restart(self, method: Method) -> None:
        """Stop PostgreSQL by the given method and start it again.

        Raises:
            StageError: PostgreSQL doesn't stop.
        """
        if method in _TO_POSTGRES:
            os.kill(self.server.pid, _TO_POSTGRES[method])
            deadline = time.monotonic() + _STOPPING_SECONDS
            while embedded.find_running_server(self.data) is not None:
                if time.monotonic() > deadline:
                    raise StageError(f"PostgreSQL has not ended {_STOPPING_SECONDS} seconds after {method}")
                time.sleep(0.01)
        else:
            embedded.stop(self.data)
        embedded.ensure_running(self.data)

    def make_template(self) -> None:
        """Make the empty warehouse that `create` copies."""
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(EMPTY)))
        engine = create_warehouse_engine(self.server.url(EMPTY))
        migrate(engine)
        add_symbols(engine, list(SYMBOLS))
        engine.dispose()

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_stage(*, keep: bool = False, start_command: Start = start_program) -> Iterator[Stage]:
    """Open a stage, and remove it afterwards, or only stop it if `keep` is set."""
    folder = make_cluster_folder("campaign")
    try:
        with running_sandbox(SandboxConfig()) as calm:
            stage = Stage(folder, calm, start_command)
            stage.make_template()
            yield stage
    finally:
        if keep:
            embedded.stop(folder / "data")
        else:
            embedded.destroy(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)
