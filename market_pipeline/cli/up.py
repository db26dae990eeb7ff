"""`market-pipeline up`: database, Dagster and API in one foreground command, until Ctrl-C."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock, Timeout
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core import logging_json, stop_signals
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.sockets import LOOPBACK, PortTakenError, find_free_port, listen
from market_pipeline.core.wording import format_count
from market_pipeline.operations.repeated_errors import RepeatedErrors
from market_pipeline.operations.supervisor import Service, Supervisor, end_leftovers
from market_pipeline.operations.up_database import UpDatabase, open_up_database
from market_pipeline.operations.up_session import UpSession, find_up_folder
from market_pipeline.warehouse.database_errors import read_first_line

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from market_pipeline.operations.processes import Addresses

COLOURS = {
    "sandbox": typer.colors.YELLOW, "code": typer.colors.BLUE, "webserver": typer.colors.GREEN,
    "daemon": typer.colors.MAGENTA, "api": typer.colors.CYAN,
}  # fmt: skip
WIDTH = max(map(len, COLOURS))

_REPEATED = RepeatedErrors()


class UpError(MarketPipelineError):
    """The services can't be started."""


def up(
    api_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the API.")] = 8000,
    ui_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Dagster's UI.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address that both listen on; 0.0.0.0 for all addresses of this machine.")
    ] = LOOPBACK,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use a sandbox in place of the vendor.")] = False,
) -> None:
    """Run everything until Ctrl-C: the database, Dagster with its UI and nightly runs, and the API.

    Services that crash are restarted.
    """
    settings = load_settings()
    stopping = _handle_signals()
    with _lock_folder(settings) as folder:
        last = UpSession.last(settings)
        if last is not None and (ended := end_leftovers(last.mark)):
            left = format_count(ended, "process", "processes")
            _write("up", f"ended {left} that an earlier `market-pipeline up` left behind")
        _check_ports(host, api_port, ui_port)
        with open_up_database(settings, partial(_write, "up")) as database:
            _run(settings, database, folder, (host, api_port, ui_port), stopping, sandbox=sandbox)
    _write("up", "everything has stopped")


def _run(
    settings: Settings,
    database: UpDatabase,
    folder: Path,
    where: tuple[str, int, int],
    stopping: threading.Event,
    *,
    sandbox: bool,
) -> None:
    # Importing Dagster takes a second; a wrong option needn't wait for it.
    from market_pipeline.operations.processes import Addresses, read_code_port, store_code_port
    from market_pipeline.orchestration.run_launch import open_instance

    addresses = Addresses(*where, code_port=find_free_port())
    vendor = f"http://{LOOPBACK}:{find_free_port()}" if sandbox else None
    session = UpSession.begin(addresses.code_port, addresses.api, addresses.ui, vendor)
    supervisor = Supervisor(session.mark, _write, stopping)
    with open_instance(settings) as instance:
        _close_runs(instance, database.warehouse, read_code_port(instance))
        store_code_port(instance, session.code_port)
        session.write(settings)
        try:
            for service in _build_services(settings, folder, addresses, instance, vendor):
                if not stopping.is_set():
                    supervisor.start(service)
            if not stopping.is_set():
                _write("up", f"all is running. API: {addresses.api}  Dagster: {addresses.ui}  Ctrl-C stops it.")
            supervisor.watch(also=database.watch)
            _write("up", "stopping; runs in progress are interrupted, and loaded bars stay")
        finally:
            supervisor.stop()
            _close_runs(instance, database.warehouse, session.code_port)


def _build_services(
    settings: Settings, folder: Path, addresses: "Addresses", instance: "DagsterInstance", sandbox: str | None
) -> Iterator[Service]:
    from market_pipeline.operations import processes

    changes = {}
    if sandbox:
        changes = {
            **dict.fromkeys(("POLYGON_BASE_URL", "POLYGON_S3_ENDPOINT"), sandbox),
            **dict.fromkeys(("POLYGON_API_KEY", "POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY"), "sandbox"),
        }
        _write("up", f"a sandbox is used in place of the vendor, at {sandbox}, by commands in other terminals too")
    env = processes.build_service_environment(settings, addresses, changes)
    if sandbox:
        yield processes.build_sandbox_service(int(sandbox.rpartition(":")[2]), env)
    yield from processes.build_pipeline_services(folder, addresses, env, instance, log_format=settings.log_format)


def _close_runs(instance: "DagsterInstance", warehouse: Engine, code_port: int | None) -> None:
    """Mark runs as failed that killed commands, or an `up` that has ended, left unfinished."""
    from market_pipeline.operations.processes import close_runs_of
    from market_pipeline.orchestration.run_launch import close_abandoned_runs

    try:
        closed = close_abandoned_runs(instance, warehouse)
        if code_port is not None:
            closed += close_runs_of(instance, code_port)
    except DBAPIError as error:
        _write("up", f"interrupted runs can't be read: {read_first_line(error)}. The next start marks them as failed")
        return
    for run_id in closed:
        _write("up", f"run {run_id} was interrupted; it is marked as failed now")


@contextmanager
def _lock_folder(settings: Settings) -> Iterator[Path]:
    """Lock the folder of `up`, so that one at a time uses it. The system frees the lock however the process ends."""
    folder = find_up_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield folder
    except Timeout:
        raise UpError(
            f"another `market-pipeline up` is running on {settings.market_pipeline_data_dir}: "
            "stop it, or set MARKET_PIPELINE_DATA_DIR to another folder"
        ) from None


def _handle_signals() -> threading.Event:
    """Return an event that the first signal sets. The second signal ends this process and its services at once."""
    stop_signals.remove_time_limit()
    stopping = threading.Event()
    since = 0.0

    def stop(number: int, _frame: object) -> None:
        nonlocal since
        if not stopping.is_set():
            since = time.monotonic()
            stopping.set()
        elif time.monotonic() - since > stop_signals.SAME_SECONDS:
            with suppress(OSError):
                os.write(2, b"stopped at once; the next start marks the interrupted runs as failed\n")
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return stopping


def _check_ports(host: str, api_port: int, ui_port: int) -> None:
    """Check that the services can listen on their ports, before anything is started."""
    if api_port == ui_port:
        raise UsageError(f"--api-port and --ui-port are both {api_port}: choose two")
    for port, option in ((api_port, "--api-port"), (ui_port, "--ui-port")):
        try:
            listen(host, port).close()
        except PortTakenError as error:
            raise UpError(str(error).replace("--port", option)) from None


def _write(name: str, line: str) -> None:
    """Print a line under the name of its service, as text or JSON. Thread-safe."""
    for shown in [line] if name == "up" else _REPEATED.filter_line(name, line):
        _print(name, shown)


def _print(name: str, line: str) -> None:
    prefix = f"{name:<{WIDTH}} | "
    if logging_json.is_json():
        prefix, line = "", logging_json.wrap_line(line, name)
    elif sys.stdout.isatty():
        prefix = typer.style(prefix, fg=COLOURS.get(name, typer.colors.WHITE), bold=name not in COLOURS)
    else:
        line = logging_json.COLOURED.sub("", line)
    with suppress(OSError):  # the terminal is gone; the services keep running
        sys.stdout.write(f"{prefix}{line}\n")
        sys.stdout.flush()
