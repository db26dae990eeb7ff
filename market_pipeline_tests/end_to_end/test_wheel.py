"""The wheel is complete: all of a checkout's commands work in any folder without a checkout."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from zipfile import ZipFile

import pytest
import requests
from sqlalchemy import Engine, text

from market_pipeline.core.settings import Settings
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.test_dagster_tools import answers, bars_held, free_port, until
from market_pipeline_tests.end_to_end.wheel import Wheel

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


def types(wheel: Wheel, environment: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [wheel.program(command[0]), *command[1:]],
        env=environment, cwd=wheel.folder, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.usefixtures("dbt_manifest")  # test_demo.py has dbt make it without a checkout
def test_bars_are_loaded_and_the_marts_built_without_a_checkout(
    wheel: Wheel, environment: dict[str, str], sandbox: str, warehouse: Engine
) -> None:
    environment["POLYGON_BASE_URL"] = sandbox
    assert types(wheel, environment, "market-pipeline", "symbols", "add", "AAPL", "--no-check").returncode == 0
    days = ("--start", "2012-01-03", "--end", "2012-01-06")
    loaded = types(wheel, environment, "market-pipeline", "backfill", "--symbols", "AAPL", *days)
    assert loaded.returncode == 0, loaded.stderr
    assert bars_held(warehouse) == {"AAPL": 4}
    built = types(wheel, environment, "market-pipeline", "marts")
    assert built.returncode == 0, built.stderr
    with warehouse.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM analytics.daily_bars_adjusted")) == 4
    assert list(wheel.folder.iterdir()) == []


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
def test_dagster_dev_loads_the_definitions_in_an_empty_folder(wheel: Wheel, environment: dict[str, str]) -> None:
    port = free_port()
    where = ("--host", "127.0.0.1", "--port", str(port))
    with running(wheel, environment, "dagster", "dev", "-m", "market_pipeline.definitions", *where):
        until(lambda: answers(f"http://127.0.0.1:{port}/graphql"), "the UI's start")


def test_dagsters_tools_find_the_projects_records_by_the_home_that_is_printed(
    wheel: Wheel, environment: dict[str, str], settings: Settings
) -> None:
    home = types(wheel, environment, "market-pipeline", "dagster-home").stdout.strip()
    assert home == str(settings.dagster_dir)
    info = types(wheel, environment | {"DAGSTER_HOME": home}, "dagster", "instance", "info")
    assert "MarketPipelineEventLogStorage" in info.stdout, info.stderr


@pytest.mark.usefixtures("dbt_manifest")
def test_up_starts_everything_without_a_checkout(wheel: Wheel, environment: dict[str, str]) -> None:
    api, ui = free_port(), free_port()
    ports = ("--api-port", str(api), "--ui-port", str(ui))
    with running(wheel, environment, "market-pipeline", "up", "--sandbox", *ports):
        until(lambda: answers(f"http://127.0.0.1:{ui}/graphql"), "the UI's start")
        until(lambda: responds(f"http://127.0.0.1:{api}/"), "the API's start")


def responds(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False
