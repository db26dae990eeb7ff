"""The demo: loaded bars, the README's tour after it, and that nothing is left behind."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from bokeh_sampledata import stocks

from market_pipeline.core.sockets import find_free_port
from market_pipeline.warehouse import embedded
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_commands import run_forked
from market_pipeline_tests.end_to_end.wheel import Wheel

BIN = Path(sys.executable).parent
SESSIONS = {"AAPL": 1300, "FB": 196, "GOOG": 1300, "IBM": 1300, "MSFT": 1300}
SECONDS = 300
ANALYSTS = (CHECKOUT / "docs" / "analysts.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"\*\*(\d+)\. .*?```sql\n(.*?)```\n\n```\n(.*?)```", ANALYSTS, re.DOTALL)


class Newcomer:
    """A user with a space in the data folder's path and a language other than English.

    The commands of `market-pipeline` are forked from a process that has imported it; those of a shell are not.
    """

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data folder"
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "MARKET_PIPELINE_DATA_DIR": str(self.data_dir),
            "LANG": "de_DE.ISO-8859-1",
            "LC_ALL": "de_DE.ISO-8859-1",
        }
        self.environment.pop("DATABASE_URL", None)

    def run_command(self, *command: str, cwd: Path = CHECKOUT, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **changes}
        if command[0] == "market-pipeline":
            return run_forked(command[1:], environment, cwd, SECONDS)
        return subprocess.run(
            command,
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, wheel: Wheel) -> Iterator[Newcomer]:
    """A user who has just run the demo of an installed wheel, and continues in a checkout."""
    folder = tmp_path_factory.mktemp("new comer")
    someone = Newcomer(folder)
    first = someone.run_command(str(wheel.program("market-pipeline")), "demo", cwd=wheel.folder)
    try:
        assert first.returncode == 0, first.stderr
        assert "market-pipeline up --sandbox" in first.stdout
        assert "market-pipeline demo --clean" in first.stdout
        log = (someone.data_dir / "dbt" / "logs" / "dbt.log").read_text(encoding="utf-8")
        assert log.count("Starting full parse") == 1, "once for the definitions and the marts"
        assert list(wheel.folder.iterdir()) == [], "it writes nothing where it is started"
        yield someone
    finally:
        someone.run_command("market-pipeline", "demo", "--clean", "--force")
        left = list(someone.data_dir.rglob("*"))
        shutil.rmtree(folder)
    assert left == [], "the tour's own data is deleted by force, and all that the demo made with it"


def test_the_demo_again_reports_that_nothing_changed(newcomer: Newcomer) -> None:
    again = newcomer.run_command("market-pipeline", "demo")
    assert again.returncode == 0, again.stderr
    assert "Nothing changed: every bar is stored already." in again.stdout
    assert "make demo-clean" in again.stdout
    [total] = [line.split() for line in again.stdout.splitlines() if line.startswith("| total")]
    assert [number for number in total if number not in "|"][1:6] == ["5,396", "0", "0", "5,396", "0"]


def test_the_demo_loads_every_recorded_session(newcomer: Newcomer) -> None:
    query = "select symbol, count(*), min(date), max(date), min(source) from market_data group by 1 order by 1"
    result = newcomer.run_command("market-pipeline", "db", "psql", "-At", "-c", query)
    expected = [
        f"{name}|{count}|{'2012-05-18' if name == 'FB' else '2008-01-02'}|2013-03-01|sandbox"
        for name, count in SESSIONS.items()
    ]
    assert result.stdout.splitlines() == expected


@pytest.mark.parametrize("name", list(SESSIONS))
def test_bars_are_the_recorded_ones_to_the_cent(newcomer: Newcomer, name: str) -> None:
    columns = "date, open, high, low, close, volume"
    query = f"copy (select {columns} from market_data where symbol = '{name}' order by 1) to stdout csv header"
    output = newcomer.run_command("market-pipeline", "db", "psql", "-c", query).stdout.splitlines()
    loaded = pd.DataFrame([line.split(",") for line in output[1:]], columns=output[0].split(","))
    recorded = pd.DataFrame(getattr(stocks, name))
    recorded = recorded[recorded["date"].between("2008-01-02", "2013-03-01")].reset_index(drop=True)
    assert loaded["date"].tolist() == recorded["date"].tolist()
    for column in ("open", "high", "low", "close", "volume"):
        assert (loaded[column].astype(float) - recorded[column]).abs().max() < 0.005, column


def test_the_analysts_page_has_ten_queries_and_an_example_in_pandas() -> None:
    assert [number for number, _, _ in QUERIES] == [str(number) for number in range(1, 11)]
    # Beside the numbered ones, two of snapshots and of the latest sessions, whose output depends on the day.
    assert (ANALYSTS.count("```sql"), ANALYSTS.count("```python")) == (10 + 2, 1)


def test_the_output_on_the_analysts_page_is_that_of_the_demo(newcomer: Newcomer) -> None:
    url = newcomer.run_command("market-pipeline", "db", "analysts").stdout.strip()
    for number, query, output in QUERIES:
        done = newcomer.run_command("psql", "-X", url, "-c", query, PATH=f"{embedded.find_binary('psql').parent}")
        assert [line.rstrip() for line in done.stdout.rstrip().splitlines()] == output.splitlines(), f"query {number}"
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", ANALYSTS, re.DOTALL)
    assert found
    printed = newcomer.run_command(sys.executable, "-c", found[1], MARKET_URL=url)
    assert [line.rstrip() for line in printed.stdout.splitlines()] == found[2].splitlines(), printed.stderr


def test_the_demo_of_a_market_prints_who_is_gone_and_removes_what_it_made(tmp_path: Path) -> None:
    someone = Newcomer(tmp_path)
    try:
        done = someone.run_command("market-pipeline", "demo", "--market", "--tickers", "60")
        assert done.returncode == 0, done.stderr
        assert "(sandbox, not the market)" in done.stderr
        assert re.search(r"\| total +\| +\| +252 \|", done.stdout)
        [gone] = re.findall(r"The universe of 2024-01-02: \d+ tickers traded, (\d+) of them gone", done.stdout)
        assert int(gone) > 0
        assert "All of it is generated: no ticker, name or price of it is real." in done.stdout
    finally:
        assert someone.run_command("market-pipeline", "demo", "--clean", "--force").returncode == 0
    assert list(someone.data_dir.rglob("*")) == []


def test_the_readmes_tour_works_as_written(newcomer: Newcomer) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- tour -->\n```bash\n(.*?)```", readme, re.DOTALL)
    assert found
    lines = [line for line in found[1].splitlines() if "activate" not in line]
    script = "\n".join(["set -eu", "trap 'kill $(jobs -p)' EXIT", *lines]).replace("8900", str(find_free_port()))
    done = newcomer.run_command("bash", "-c", script)
    assert done.returncode == 0, done.stderr
    assert re.search(r"AAPL +\| +1300 \| 2008-01-02 \| 2013-03-01", done.stdout)
    assert re.search(r"MSFT +\| 2013-02-06 \| +[\d.]+ \| +[\d.]+", done.stdout), "the adjusted closes"
    assert "Tracking NVDA (stock)" in done.stdout
    others = "2 for splits and dividends, 1 to look up who has had which ticker"
    requests = f"in 4 requests ({others}), of NVDA\n4 requests in all"
    assert f"XNYS: 61 sessions, 2024-01-02 to 2024-03-28, {requests}" in done.stdout
    assert re.search(r"FB +\| \d{4}-\d\d-\d\d .* \| +\d+ \| t", done.stdout), "the last runs"
    assert re.search(r"\| NVDA +\| 2024-01-02 \| 2024-03-28 \| +61 \| +61 ", done.stdout)


def test_the_demo_leaves_a_database_of_the_users_own_alone(newcomer: Newcomer) -> None:
    done = newcomer.run_command("market-pipeline", "demo", DATABASE_URL="postgresql://user@127.0.0.1:1/own")
    assert done.returncode == 2
    assert "unset DATABASE_URL" in done.stderr


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Newcomer]:
    """A user who has tracked a symbol in the demo's database."""
    someone = Newcomer(tmp_path)
    assert someone.run_command("market-pipeline", "symbols", "add", "AAPL", "--no-check").returncode == 0
    yield someone
    someone.run_command("market-pipeline", "demo", "--clean", "--force")


def test_cleaning_up_leaves_nothing_behind(owner: Newcomer) -> None:
    assert owner.run_command("market-pipeline", "db", "status").returncode == 0
    assert owner.run_command("market-pipeline", "demo", "--clean").returncode == 0
    assert not owner.data_dir.exists()
    assert owner.run_command("market-pipeline", "db", "status").returncode == 1
    assert "There was no database" in owner.run_command("market-pipeline", "demo", "--clean").stdout


def test_data_that_is_not_the_demos_is_deleted_only_by_force(owner: Newcomer, tmp_path: Path) -> None:
    owner.run_command("market-pipeline", "symbols", "add", "NVDA", "--no-check")
    owner.run_command("market-pipeline", "keys", "create", "ops")
    statements = "create table mine (x int); create role bob; create schema analytics create table notes (x int)"
    assert owner.run_command("market-pipeline", "db", "psql", "-c", statements).returncode == 0
    (owner.data_dir / "dbt").mkdir()
    (owner.data_dir / "dbt" / "dbt_project.yml").touch()
    owner.run_command("market-pipeline", "db", "stop")

    checkout = tmp_path / "check out"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(CHECKOUT / "Makefile", checkout)
    program = checkout / ".venv" / "bin" / "market-pipeline"
    program.write_text(f'#!/bin/sh\nexec "{BIN}/market-pipeline" "$@"\n')
    program.chmod(0o755)
    make = ("make", "-C", str(checkout), "demo-clean")

    rejected = owner.run_command(*make)
    assert rejected.returncode == 2
    assert (
        "1 symbol (NVDA), 1 API key (ops), 1 role (bob), 2 tables (analytics.notes, public.mine). Nothing is removed"
        in rejected.stderr
    )
    assert "make demo-clean FORCE=1" in rejected.stderr
    assert program.exists()
    assert owner.run_command("market-pipeline", "db", "status").returncode == 1, "it was stopped before"
    assert "NVDA" in owner.run_command("market-pipeline", "symbols", "list").stdout

    forced = owner.run_command(*make, "FORCE=1")
    assert forced.returncode == 0, forced.stderr
    assert "Left in place, as the demo did not create it: dbt." in forced.stderr
    assert not program.exists()
    assert [path.name for path in owner.data_dir.rglob("*")] == ["dbt", "dbt_project.yml"]


def test_other_files_in_the_data_folder_are_kept(tmp_path: Path) -> None:
    someone = Newcomer(tmp_path)
    (someone.data_dir / "dbt" / "logs").mkdir(parents=True)
    (someone.data_dir / "postgres").mkdir()
    (someone.data_dir / "postgres" / "theirs").touch()
    for force in ((), ("--force",)):
        rejected = someone.run_command("market-pipeline", "demo", "--clean", *force)
        assert (rejected.returncode, "left alone" in rejected.stderr) == (1, True)
    assert (someone.data_dir / "dbt" / "logs").exists()
