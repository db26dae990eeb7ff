"""`market-pipeline up`: everything in one foreground command, from the database to the API, until Ctrl-C."""

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
from market_pipeline.core.sockets import PortTakenError, free_port, listen
from market_pipeline.core.wording import counted
from market_pipeline.operations.repeated_errors import RepeatedErrors
from market_pipeline.operations.supervisor import Child, Supervisor, end_leftovers
from market_pipeline.operations.up_database import UpDatabase, database_of_up
from market_pipeline.operations.up_session import UpSession, folder_of
from market_pipeline.warehouse.database_errors import first_line

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from market_pipeline.operations.processes import Addresses

LOOPBACK = "127.0.0.1"
COLOURS = {
    "sandbox": typer.colors.YELLOW, "code": typer.colors.BLUE, "webserver": typer.colors.GREEN,
    "daemon": typer.colors.MAGENTA, "api": typer.colors.CYAN,
}  # fmt: skip
_REPEATED = RepeatedErrors()
WIDTH = max(map(len, COLOURS))


class UpError(MarketPipelineError):
    """It can't all be started."""


def up(
    api_port: Annotated[int, typer.Option(min=1, max=65_535, help="The API's port.")] = 8000,
    ui_port: Annotated[int, typer.Option(min=1, max=65_535, help="The port of Dagster's UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address that both listen on; 0.0.0.0 for all there are.")] = LOOPBACK,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="A sandbox answers in place of the vendor.")] = False,
) -> None:
    """Start everything, and stop it at Ctrl-C: the database, Dagster with its UI and nightly runs, and the API.

    What crashes is started again.
    """
    settings = load_settings()
    stopping = _set_by_signals()
    with _alone(settings) as folder:
        last = UpSession.last(settings)
        if last is not None and (ended := end_leftovers(last.mark)):
            left = counted(ended, "process", "processes")
            _say("up", f"ended {left} that an earlier `market-pipeline up` left behind")
        _check_ports(host, api_port, ui_port)
        with database_of_up(settings, partial(_say, "up")) as database:
            _run(settings, database, folder, (host, api_port, ui_port), stopping, sandbox=sandbox)
    _say("up", "everything has stopped")


def _run(
    settings: Settings,
    database: UpDatabase,
    folder: Path,
    where: tuple[str, int, int],
    stopping: threading.Event,
    *,
    sandbox: bool,
) -> None:
    # Dagster takes a second that a mistake needn't.
    from market_pipeline.operations.processes import Addresses, keep_code_port, last_code_port
    from market_pipeline.orchestration.run_launch import open_instance

    addresses = Addresses(*where, code_port=free_port())
    vendor = f"http://{LOOPBACK}:{free_port()}" if sandbox else None
    session = UpSession.begin(addresses.code_port, addresses.api, addresses.ui, vendor)
    supervisor = Supervisor(session.mark, _say, stopping)
    with open_instance(settings) as instance:
        _close_runs(instance, database.warehouse, last_code_port(instance))
        keep_code_port(instance, session.code_port)
        session.write(settings)
        try:
            for child in _children(settings, folder, addresses, instance, vendor):
                if not stopping.is_set():
                    supervisor.start(child)
            if not stopping.is_set():
                _say("up", f"all is running. API: {addresses.api}  Dagster: {addresses.ui}  Ctrl-C stops it.")
            supervisor.watch(also=database.watch)
            _say("up", "stopping; runs under way are interrupted, and what they have loaded stays")
        finally:
            supervisor.stop()
            _close_runs(instance, database.warehouse, session.code_port)


def _children(
    settings: Settings, folder: Path, addresses: "Addresses", instance: "DagsterInstance", sandbox: str | None
) -> Iterator[Child]:
    from market_pipeline.operations import processes

    changes = {}
    if sandbox:
        changes = {"POLYGON_BASE_URL": sandbox, "POLYGON_API_KEY": "sandbox"}
        _say("up", f"a sandbox answers in place of the vendor, at {sandbox}, to commands in other terminals too")
        yield processes.sandbox(int(sandbox.rpartition(":")[2]), processes.environment(settings, addresses, changes))
    env = processes.environment(settings, addresses, changes)
    yield from processes.programs(folder, addresses, env, instance, log_format=settings.log_format)


def _close_runs(instance: "DagsterInstance", warehouse: Engine, code_port: int | None) -> None:
    """Mark as failed what an `up`, of which nothing runs any more, and killed commands have left unfinished."""
    from market_pipeline.operations.processes import close_runs_of
    from market_pipeline.orchestration.run_launch import close_abandoned_runs

    try:
        closed = close_abandoned_runs(instance, warehouse)
        if code_port is not None:
            closed += close_runs_of(instance, code_port)
    except DBAPIError as error:
        _say(
            "up", f"which runs were interrupted can't be seen: {first_line(error)}. The next start marks them as failed"
        )
        return
    for run_id in closed:
        _say("up", f"run {run_id} was interrupted; it is marked as failed now")


@contextmanager
def _alone(settings: Settings) -> Iterator[Path]:
    """The folder of this command, which one at a time may use. The system frees it however a process ends."""
    folder = folder_of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield folder
    except Timeout:
        raise UpError(
            f"another `market-pipeline up` is running on {settings.market_pipeline_data_dir}: "
            "stop it, or set MARKET_PIPELINE_DATA_DIR to another folder"
        ) from None


def _set_by_signals() -> threading.Event:
    """An event that the first signal sets; the second ends this process at once, and with it what it has started."""
    stop_signals.leave_to_command()
    stopping = threading.Event()
    since = 0.0

    def stop(number: int, _frame: object) -> None:
        nonlocal since
        if not stopping.is_set():
            since = time.monotonic()
            stopping.set()
        elif time.monotonic() - since > stop_signals.SAME_SECONDS:
            with suppress(OSError):
                os.write(2, b"stopped at once; the next start marks as failed what runs were under way\n")
            os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return stopping


def _check_ports(host: str, api_port: int, ui_port: int) -> None:
    """Look whether the servers can listen, before anything is started."""
    if api_port == ui_port:
        raise UsageError(f"--api-port and --ui-port are both {api_port}: choose two")
    for port, option in ((api_port, "--api-port"), (ui_port, "--ui-port")):
        try:
            listen(host, port).close()
        except PortTakenError as error:
            raise UpError(str(error).replace("--port", option)) from None


def _say(name: str, line: str) -> None:
    """One line under the name of who said it, in one piece whichever thread it comes from; an object where logs are."""
    for passed_on in [line] if name == "up" else _REPEATED.passed_on(name, line):
        _print(name, passed_on)


def _print(name: str, line: str) -> None:
    prefix = f"{name:<{WIDTH}} | "
    if logging_json.is_json():
        prefix, line = "", logging_json.relayed(line, name)
    elif (said := logging_json.shortened(line)) is None:
        return
    elif not sys.stdout.isatty():
        line = logging_json.COLOURED.sub("", said)
    else:
        line = said
        prefix = typer.style(prefix, fg=COLOURS.get(name, typer.colors.WHITE), bold=name not in COLOURS)
    with suppress(OSError):  # nobody reads it any more; the children go on all the same
        sys.stdout.write(f"{prefix}{line}\n")
        sys.stdout.flush()
