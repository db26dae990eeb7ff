"""dbt in processes forked from one that has read the project. Reading it takes 6 s of CPU in each run.

For tests that need marts. Tests of how the project runs dbt use `market_pipeline.dbt_project.run_dbt`.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from market_pipeline.core.gc_tuning import collect_rarely
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import BuildScope, dbt_environment, find_project_folder


def run_forked_dbt(settings: Settings, *arguments: str, scope: BuildScope = BuildScope.EVERYTHING) -> str:
    """Run dbt on the settings' warehouse with these arguments, in the environment of `run_dbt`; return its output.

    Raises:
        AssertionError: dbt has failed; the message has its output.
    """
    server = _start_server()
    assert server.stdin is not None
    assert server.stdout is not None
    with dbt_environment(settings, scope) as environment, TemporaryDirectory() as folder:
        output = Path(folder, "output")
        server.stdin.write(json.dumps([environment, arguments, str(output)]) + "\n")
        server.stdin.flush()
        ended = server.stdout.readline()
        found = output.read_text(encoding="utf-8") if output.exists() else "see the output of the server"
    assert ended == "0\n", f"`dbt {' '.join(arguments)}` failed: {found}"
    return found


@cache
def _start_server() -> "subprocess.Popen[str]":
    """Start the server of this test process; it ends at the end of its input, with this process."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=find_project_folder(),
    )


def _serve() -> None:
    collect_rarely()
    responses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # dbt prints its messages while it reads the project
    project: Any = None
    for line in sys.stdin:
        environment, arguments, output = json.loads(line)
        os.environ.clear()
        os.environ.update(environment)
        if project is None:
            project = _read_project()
            gc.freeze()
        if not (child := os.fork()):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
            success = _run(project, arguments)
            sys.stdout.flush()
            os._exit(0 if success else 1)
        responses.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        responses.flush()


def _read_project() -> Any:
    """Return dbt's manifest of the project."""
    from dbt.cli.main import dbtRunner  # takes 2 s

    read = dbtRunner().invoke(["--quiet", "--no-write-json", "parse"])
    assert read.success, read.exception
    return read.result


def _run(project: Any, arguments: Sequence[str]) -> bool:
    """Run dbt with a manifest, after replacing the database in it, which was another run's."""
    from dbt.cli.main import dbtRunner

    database = os.environ["MARKET_PIPELINE_DBT_DATABASE"]
    for node in (*project.nodes.values(), *project.sources.values()):
        if node.relation_name:
            node.relation_name = node.relation_name.replace(f'"{node.database}"', f'"{database}"', 1)
        node.database = database
    return bool(dbtRunner(manifest=project).invoke(["--no-write-json", *arguments]).success)


if __name__ == "__main__":
    _serve()
