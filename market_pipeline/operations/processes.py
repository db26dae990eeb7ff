"""Services of `market-pipeline up`: sandbox, code server, webserver, daemon and API, with their commands and ports.

Dagster's code server is a service of its own, so that one reload of the definitions reaches webserver and daemon alike:
https://docs.dagster.io/deployment/code-locations/workspace-yaml#grpc-server
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
from market_pipeline.core.sockets import LOOPBACK
from market_pipeline.dagster_storage.internals import GRPC_INFO_TAG
from market_pipeline.operations.service_probes import API, DAGSTER_UI, is_listening
from market_pipeline.operations.supervisor import Service
from market_pipeline.orchestration.instance_home import prepare_dagster_home
from market_pipeline.orchestration.scheduler_status import read_scheduler_state

LOCATION = "market_pipeline.definitions"
"""Name of the code location: that which `dagster dev` gives it, so that schedules keep their state."""

CODE_PORT = "MARKET_PIPELINE_UP_CODE_PORT"

WITH_A_PROCESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class Addresses:
    """Addresses that the services listen on: the UI and the API on `host`, the code server on loopback."""

    host: str
    api_port: int
    ui_port: int
    code_port: int

    @property
    def api(self) -> str:
        """URL of the API on this machine."""
        return _build_url(self.host, self.api_port)

    @property
    def ui(self) -> str:
        """URL of Dagster's UI on this machine."""
        return _build_url(self.host, self.ui_port)


def _build_url(host: str, port: int) -> str:
    here = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104, which can't be connected to
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def build_service_environment(settings: Settings, addresses: Addresses, changes: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the services: this process's, DAGSTER_HOME, the UI's URL, and `changes`."""
    return {
        **os.environ,
        "DAGSTER_HOME": str(prepare_dagster_home(settings)),
        "DAGSTER_WEBSERVER_URL": addresses.ui,
        "PYTHONUNBUFFERED": "1",
        **changes,
    }


def build_sandbox_service(port: int, env: Mapping[str, str]) -> Service:
    """Return the sandbox, on loopback."""
    command = [_find_executable("market-pipeline"), "sandbox", "--port", str(port)]
    return Service("sandbox", command, env, lambda: _accepts(port))


def build_pipeline_services(
    folder: Path, addresses: Addresses, env: Mapping[str, str], instance: DagsterInstance, *, log_format: str = "text"
) -> Iterator[Service]:
    """Yield code server, webserver, daemon and API, in the order in which they are started.

    Args:
        folder: for the workspace file.
        addresses: to listen on.
        env: environment of the services.
        instance: Dagster's, in which the daemon records its heartbeats.
        log_format: text or json.
    """
    logs = ("--log-format", "json") if log_format == "json" else ()
    workspace = _write_workspace(folder, addresses.code_port)
    code_port, ui_port, api_port = (str(p) for p in (addresses.code_port, addresses.ui_port, addresses.api_port))
    listen = ("--host", addresses.host, "--port")
    yield Service(
        "code",
        [
            _find_executable("dagster"),
            "code-server",
            "start",
            "--host",
            LOOPBACK,
            "--port",
            code_port,
            "-m",
            LOCATION,
            *logs,
        ],
        env,
        lambda: _accepts(addresses.code_port),
        lambda: _close_runs_if_possible(instance, addresses.code_port),
    )
    yield Service(
        "webserver",
        [_find_executable("dagster-webserver"), *listen, ui_port, "--workspace", str(workspace), *logs],
        env,
        lambda: is_listening(addresses.ui, DAGSTER_UI),
    )
    # At its default level the daemon logs several lines a minute about sensors that have nothing to do.
    quiet = ("--log-level", "warning")
    daemon = [_find_executable("dagster-daemon"), "run", "--workspace", str(workspace), *quiet, *logs]
    yield Service("daemon", daemon, env, _build_heartbeat_probe(instance))
    api = [_find_executable("market-pipeline"), "api", *listen, api_port]
    yield Service("api", api, env, lambda: is_listening(addresses.api, API))


def _find_executable(name: str) -> str:
    """Return the path of a program of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def _write_workspace(folder: Path, code_port: int) -> Path:
    server = {"host": LOOPBACK, "port": code_port, "location_name": LOCATION}
    file = folder / "workspace.yaml"
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
    return file


def _accepts(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    return False


def _build_heartbeat_probe(instance: DagsterInstance) -> Callable[[], bool]:
    """Return a function that is True once the daemon has recorded a heartbeat after this call."""
    now = datetime.now(UTC)

    def has_beaten() -> bool:
        last = read_scheduler_state(instance, datetime.now(UTC)).last_heartbeat
        return last is not None and last > now

    return has_beaten


def close_runs_of(instance: DagsterInstance, code_port: int) -> list[str]:
    """Mark the unfinished runs of a dead code server as failed, and return their ids.

    Dagster's run monitoring can't see that such a run has no process; it would wait for the run's time limit.

    Args:
        instance: Dagster's.
        code_port: the code server's. Each `up` takes another one, which identifies its runs.
    """
    closed = []
    for run in instance.get_runs(RunsFilter(statuses=WITH_A_PROCESS)):
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if (server.get("host"), server.get("port")) == (LOOPBACK, code_port):
            instance.report_run_failed(run, "The process that executed this run ended without finishing it.")
            closed.append(run.run_id)
    return closed


def store_code_port(instance: DagsterInstance, code_port: int) -> None:
    """Store the code server's port in Dagster's database, for the next `up`, which may be on another machine."""
    instance.daemon_cursor_storage.set_cursor_values({CODE_PORT: str(code_port)})


def read_code_port(instance: DagsterInstance) -> int | None:
    """Return the code server's port of the last `up` on Dagster's database, on whatever machine."""
    stored = instance.daemon_cursor_storage.get_cursor_values({CODE_PORT}).get(CODE_PORT)
    return int(stored) if stored else None


def _close_runs_if_possible(instance: DagsterInstance, code_port: int) -> None:
    with suppress(Exception):  # the database may be down too; then the next start closes them
        close_runs_of(instance, code_port)
