"""The programs that make up a running pipeline, as `market-pipeline up` starts them, and what they are told.

Dagster's code server is a program of its own, so that a reload of the project's definitions reaches webserver and
daemon alike: https://docs.dagster.io/deployment/code-locations/workspace-yaml#grpc-server
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.internals import GRPC_INFO_TAG
from market_pipeline.operations.service_probes import API, DAGSTER_UI, answers
from market_pipeline.operations.supervisor import Child
from market_pipeline.orchestration.instance_home import dagster_home
from market_pipeline.orchestration.scheduler_status import scheduler_state

LOOPBACK = "127.0.0.1"
LOCATION = "market_pipeline.definitions"
"""The code location's name, the same as `dagster dev` gives it, so that schedules keep their state."""

CODE_PORT = "MARKET_PIPELINE_UP_CODE_PORT"

WITH_A_PROCESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class Addresses:
    """Where the servers listen: the UI and the API on `host`, the code server on loopback."""

    host: str
    api_port: int
    ui_port: int
    code_port: int

    @property
    def api(self) -> str:
        """The API's address for whoever is on this machine."""
        return _url(self.host, self.api_port)

    @property
    def ui(self) -> str:
        """The Dagster UI's."""
        return _url(self.host, self.ui_port)


def sandbox(port: int, env: Mapping[str, str]) -> Child:
    """The sandbox, on loopback."""
    return Child("sandbox", [program("market-pipeline"), "sandbox", "--port", str(port)], env, lambda: _listens(port))


def _url(host: str, port: int) -> str:
    here = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104, what isn't an address to go to
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def environment(settings: Settings, addresses: Addresses, changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of the programs: ours, Dagster's home, where the UI is, and `changes`."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DAGSTER_WEBSERVER_URL": addresses.ui,
        "PYTHONUNBUFFERED": "1",
        **changes,
    }


def programs(
    folder: Path, addresses: Addresses, env: Mapping[str, str], instance: DagsterInstance, *, log_format: str = "text"
) -> Iterator[Child]:
    """Code server, webserver, daemon and API, in the order they are to be started.

    Args:
        folder: where the workspace file goes.
        addresses: where they listen.
        env: their environment.
        instance: Dagster's, in which the daemon leaves its signs of life.
        log_format: text or json.
    """
    logs = ("--log-format", "json") if log_format == "json" else ()
    workspace = _write_workspace(folder, addresses.code_port)
    code_port, ui_port, api_port = (str(p) for p in (addresses.code_port, addresses.ui_port, addresses.api_port))
    where = ("--host", addresses.host, "--port")
    yield Child(
        "code",
        [program("dagster"), "code-server", "start", "--host", LOOPBACK, "--port", code_port, "-m", LOCATION, *logs],
        env,
        lambda: _listens(addresses.code_port),
        lambda: _close_quietly(instance, addresses.code_port),
    )
    yield Child(
        "webserver",
        [program("dagster-webserver"), *where, ui_port, "--workspace", str(workspace), *logs],
        env,
        lambda: answers(addresses.ui, DAGSTER_UI),
    )
    daemon = [program("dagster-daemon"), "run", "--workspace", str(workspace), *logs]
    yield Child("daemon", daemon, env, _has_beaten(instance))
    yield Child("api", [program("market-pipeline"), "api", *where, api_port], env, lambda: answers(addresses.api, API))


def program(name: str) -> str:
    """A program of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def _write_workspace(folder: Path, code_port: int) -> Path:
    server = {"host": LOOPBACK, "port": code_port, "location_name": LOCATION}
    file = folder / "workspace.yaml"
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    return file


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    return False


def _has_beaten(instance: DagsterInstance) -> Callable[[], bool]:
    """Whether the daemon has given a sign of life since now."""
    now = datetime.now(UTC)

    def beaten() -> bool:
        last = scheduler_state(instance, datetime.now(UTC)).last_heartbeat
        return last is not None and last > now

    return beaten


def close_runs_of(instance: DagsterInstance, code_port: int) -> list[str]:
    """Mark as failed the unfinished runs that a code server, which is gone with all its processes, was given.

    Dagster's run monitoring can't tell: to it, a run whose process was killed goes on until its longest time is over.

    Args:
        instance: Dagster's.
        code_port: the code server's. Each `up` takes another, so that it tells whose a run is.

    Returns:
        Their ids.
    """
    closed = []
    for run in instance.get_runs(RunsFilter(statuses=WITH_A_PROCESS)):
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if (server.get("host"), server.get("port")) == (LOOPBACK, code_port):
            instance.report_run_failed(run, "The process that executed this run ended without finishing it.")
            closed.append(run.run_id)
    return closed


def keep_code_port(instance: DagsterInstance, code_port: int) -> None:
    """Have Dagster's database say which code server is given the runs now: the next `up` may be another machine's."""
    instance.daemon_cursor_storage.set_cursor_values({CODE_PORT: str(code_port)})


def last_code_port(instance: DagsterInstance) -> int | None:
    """The port of the code server that the last `up` on Dagster's database had, on whatever machine."""
    kept = instance.daemon_cursor_storage.get_cursor_values({CODE_PORT}).get(CODE_PORT)
    return int(kept) if kept else None


def _close_quietly(instance: DagsterInstance, code_port: int) -> None:
    with suppress(Exception):  # the database may be what is gone; the next start closes them then
        close_runs_of(instance, code_port)
