"""Fixtures that run the command line in child processes, on this test's database and a sandbox on loopback."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.end_to_end.browser import PROGRAMS, Browser, find_browser
from market_pipeline_tests.end_to_end.forked_commands import run_forked
from market_pipeline_tests.end_to_end.wheel import Wheel

CHECKOUT = Path(__file__).parents[2]
COMMAND_SECONDS = 180

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[str]:
    """URL of a sandbox that does not know the ticker NOSUCH."""
    with running_sandbox(SandboxConfig()) as base_url:
        yield base_url


@pytest.fixture
def browser(running_browser: Browser) -> Iterator[Browser]:
    """A headless browser without tabs. Tests that take it are skipped where there is none."""
    yield running_browser
    running_browser.close_tabs()


@pytest.fixture(scope="session")
def running_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser of all tests of a worker."""
    program = find_browser()
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(PROGRAMS)} is on the PATH")
    started = Browser(program, tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def wheel(shared_folder: Path) -> Wheel:
    """The project's wheel, installed in an environment without a checkout, once for all workers."""
    place = shared_folder / "installed"
    done = place / "done"
    with FileLock(shared_folder / "installed.lock"):
        if not done.exists():
            Wheel.build_and_install(place)
            done.touch()
    return Wheel.installed_in(place)


@pytest.fixture
def run(environment: dict[str, str], dbt_manifest: None, sandbox: str) -> Run:
    """Function that runs a program of the project's environment with the given arguments and environment variables."""

    def _run(program: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        env = {**environment, "POLYGON_BASE_URL": sandbox, **changes}
        if program == "market-pipeline":
            return run_forked(arguments, env, CHECKOUT, COMMAND_SECONDS)
        return subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            env=env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    return _run
