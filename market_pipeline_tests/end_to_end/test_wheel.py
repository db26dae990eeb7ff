"""The wheel is complete: all of a checkout's commands work in any folder without a checkout."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from zipfile import ZipFile

import pytest
import requests

from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import find_free_port
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.test_dagster_tools import is_loaded
from market_pipeline_tests.end_to_end.wheel import Wheel
from market_pipeline_tests.processes import until

SECONDS = 300


def sources(folder: str) -> set[str]:
    """Files of the checkout that are committed or will be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def test_it_holds_every_file_of_the_package_and_the_project_files_beside_it(wheel: Wheel) -> None:
    with ZipFile(wheel.file) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    models = {name for name in sources("dbt") if not name.endswith(".py")}
    assert found == sources("market_pipeline") | {
        f"market_pipeline/project/{name}" for name in {*models, "dagster.yaml", "docs/glossary.md"}
    }


def run_command(wheel: Wheel, environment: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [wheel.program(command[0]), *command[1:]],
        env=environment, cwd=wheel.folder, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@contextmanager
def running(wheel: Wheel, environment: Mapping[str, str], *command: str) -> Iterator[None]:
    """Run a command until Ctrl-C."""
    server = subprocess.Popen(
        [wheel.program(command[0]), *command[1:]],
        env=environment, cwd=wheel.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(SECONDS)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.usefixtures("dbt_manifest")
def test_dagsters_tools_load_the_definitions_and_find_the_records_by_the_home_that_is_printed(
    wheel: Wheel, environment: dict[str, str], settings: Settings
) -> None:
    home = run_command(wheel, environment, "market-pipeline", "dagster-home").stdout.strip()
    assert home == str(settings.dagster_dir)
    at_home = environment | {"DAGSTER_HOME": home}
    info = run_command(wheel, at_home, "dagster", "instance", "info")
    assert "MarketPipelineEventLogStorage" in info.stdout, info.stderr
    # The processes of `dagster dev` are those of `up`, which the next test starts.
    valid = run_command(wheel, at_home, "dagster", "definitions", "validate", "-m", "market_pipeline.definitions")
    assert valid.returncode == 0, valid.stdout + valid.stderr


@pytest.mark.usefixtures("dbt_manifest")
def test_up_starts_everything_without_a_checkout(wheel: Wheel, environment: dict[str, str]) -> None:
    api, ui = find_free_port(), find_free_port()
    ports = ("--api-port", str(api), "--ui-port", str(ui))
    with running(wheel, environment, "market-pipeline", "up", "--sandbox", *ports):
        until(lambda: is_loaded(f"http://127.0.0.1:{ui}/graphql"), "the UI's start")
        until(lambda: responds(f"http://127.0.0.1:{api}/"), "the API's start")


def responds(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False
