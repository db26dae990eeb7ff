"""Code location for tests, quicker to load than the real one, and Dagster's daemon step by step."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from psutil import NoSuchProcess, Process

from market_pipeline.dagster_storage.internals import BackfillDaemon, DaemonHeartbeat
from market_pipeline_tests.dagster_internals import (
    PythonFileTarget,
    QueuedRunCoordinatorDaemon,
    WorkspaceProcessContext,
    create_test_daemon_workspace_context,
    execute_backfill_iteration,
)
from market_pipeline_tests.dagster_storage.internals import execute_dagster_graphql
from market_pipeline_tests.integration.forked_code_server import ForkedCodeServer
from market_pipeline_tests.processes import wait_for_ends

LOCATION = """
import dagster as dg

from market_pipeline.orchestration.build import build_loading
from market_pipeline.core.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    return build_loading(load_settings())
"""
"""Definitions that load the warehouse, without the marts, which take seconds."""


RUN_SECONDS = 60


class Daemon:
    """Dagster's daemon, executed step by step."""

    def __init__(self, workspace: WorkspaceProcessContext) -> None:
        self.workspace = workspace
        self.instance = workspace.instance
        self._without_runs = children()

    def run_backfill_iteration(self) -> None:
        now = datetime.now(UTC).timestamp()
        self.instance.add_daemon_heartbeat(DaemonHeartbeat(now, BackfillDaemon.daemon_type(), "daemon", []))
        list(execute_backfill_iteration(self.workspace, logging.getLogger(__name__)))

    def execute_queued_runs(self) -> None:
        self.launch_queued_runs()
        self.wait_for_runs()

    def launch_queued_runs(self) -> None:
        list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(self.workspace))

    def wait_for_runs(self) -> None:
        deadline = time.monotonic() + RUN_SECONDS
        unfinished = RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
        while self.instance.get_runs(unfinished):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill_runs(self) -> None:
        """Kill the processes of runs, the only ones started since the code server, with SIGKILL."""
        runs = children() - self._without_runs
        assert runs
        for process in runs:
            process.kill()

    def reload_symbols(self) -> None:
        self.workspace.reload_workspace()

    def query_ui(self, query: str, **variables: Any) -> Any:
        """Return the UI's GraphQL response."""
        result = execute_dagster_graphql(self.workspace.create_request_context(), query, variables)
        assert not result.errors, result.errors
        return result.data


def children() -> set[Process]:
    """Return the child processes of this process, and theirs."""
    return set(Process().children(recursive=True))


@contextmanager
def loaded_location(instance: DagsterInstance, folder: Path) -> Iterator[WorkspaceProcessContext]:
    """Open the workspace of a daemon that has loaded the symbols tracked now; `folder` gets a file of it."""
    module = folder / "location.py"
    module.write_text(LOCATION, encoding="utf-8")
    target = PythonFileTarget(str(module), None, None, None)
    forkserver.ensure_running()
    others = children()
    try:
        with (
            patch("dagster._grpc.server.open_ipc_subprocess", ForkedCodeServer),
            create_test_daemon_workspace_context(target, instance) as workspace,
        ):
            yield workspace
    finally:
        # A code server that has executed runs may wait for them for ever once their database is gone.
        servers = children() - others
        for server in servers:
            with suppress(NoSuchProcess):
                server.kill()
        wait_for_ends(servers)
