"""What the tests share that need Dagster to load the project: a code location quicker to load than the real one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from psutil import NoSuchProcess, Process, wait_procs

LOCATION = """
import dagster as dg

from market_pipeline.orchestration.build import build_loading
from market_pipeline.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    return build_loading(load_settings())
"""
"""What loads the warehouse, without the analysts' tables, which take seconds."""


@contextmanager
def loaded_location(instance: DagsterInstance, folder: Path) -> Iterator[WorkspaceProcessContext]:
    """The workspace of a daemon that has loaded the symbols tracked now; `folder` is for a file of its own."""
    module = folder / "location.py"
    module.write_text(LOCATION, encoding="utf-8")
    target = PythonFileTarget(str(module), None, None, None)
    others = set(Process().children(recursive=True))
    try:
        with create_test_daemon_workspace_context(target, instance) as workspace:
            yield workspace
    finally:
        # A code server that has executed runs may wait for them for ever once their database is gone.
        servers = set(Process().children(recursive=True)) - others
        for server in servers:
            with suppress(NoSuchProcess):
                server.kill()
        wait_procs(servers)
