"""The earlier service's runbook, top to bottom: every command of it against a live `market-pipeline up --sandbox`.

The commands are taken from the runbook's own text and run in a shell as they stand there, in a folder with its `.env`
and `scripts`. Only what no shell here can know is put in their place: the port, the key, an address of a database, and
for `docker` what does the same without containers. A script starts as a user starts it the first time; later times it
is forked from a process that has imported the project.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from dotenv import set_key
from sqlalchemy import text

from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import find_free_port
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, find_database_url
from market_pipeline_tests.cluster_folders import make_cluster_folder
from market_pipeline_tests.conftest import keep_manifest
from market_pipeline_tests.end_to_end import curl as curl_program
from market_pipeline_tests.end_to_end.conftest import CHECKOUT
from market_pipeline_tests.end_to_end.forked_programs import forked_programs
from market_pipeline_tests.end_to_end.running_up import Up, end_all, started_by
from market_pipeline_tests.end_to_end.test_dagster_tools import stop_marts_sensor

RUNBOOK = CHECKOUT / "market_pipeline_tests" / "data" / "runbook.md"
DOCUMENT = CHECKOUT / "docs" / "runbook.md"
LARGE_CAPS = "AAPL,MSFT,GOOGL,AMZN,NVDA,TSLA,META,NFLX,AMD,INTC,PYPL,SQ,CRM,ADBE,MU"
FIVE_YEARS = range(1_240, 1_265)
"""Bounds of a stock's sessions in five years: 365.25 x 5 days, less weekends and some ten holidays a year."""
EDIT = re.compile(r"^([A-Z_]+)=\S+(\s+#.*)?$")
CRON = re.compile(r"^\S+ \S+ \* \* \* ")
SCRIPT = re.compile(r"python (scripts/\w+\.py)")
WITHOUT_CONTAINERS = {
    "docker exec market_data_postgres psql": "market-pipeline db psql",
    "docker exec market_data_api ": "",
    "docker-compose ps": "market-pipeline db status",
    "docker-compose restart database": "market-pipeline db stop && market-pipeline db start",
}
"""Commands that do the same on a machine without containers."""
RESTART_API = "docker-compose restart api"
SECONDS = 240


def commands(runbook: str) -> Iterator[list[str]]:
    """Return the commands of each block, in order; those of several terminals are one block."""
    for block in re.findall(r"```bash\n(.*?)```", runbook, re.DOTALL):
        found, typed = [], ""
        for line in block.splitlines():
            if not typed and (not line.strip() or line.startswith("#")):
                continue
            typed += f"{line}\n"
            if not line.endswith("\\") and is_complete_command(typed):
                found.append(typed.strip())
                typed = ""
        yield found


def is_complete_command(typed: str) -> bool:
    try:
        shlex.split(typed)
    except ValueError:
        return False
    return True


def short(command: str) -> str:
    """Return a command in one line, without the comment after it."""
    return re.sub(r" # .*", "", " ".join(command.replace("\\\n", " ").split()))


@dataclass(frozen=True)
class Done:
    """Result of a command."""

    code: int
    printed: str
    logged: str

    @property
    def json(self) -> Any:
        return json.loads(self.printed)


class Place:
    """The folder of the user, the running service, and access to the stored data; `programs` are the forked ones."""

    def __init__(self, folder: Path, sandbox: str, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._scripts: set[str] = set()
        self.api_port, self.ui_port = find_free_port(), find_free_port()
        self.url = f"http://127.0.0.1:{self.api_port}"
        (folder / "scripts").symlink_to(CHECKOUT / "scripts")
        curl = folder / "bin" / "curl"
        curl.parent.mkdir()
        curl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{curl_program.__file__}" "$@"\n', encoding="utf-8")
        curl.chmod(0o755)
        (folder / ".env").write_text(f"POLYGON_BASE_URL={sandbox}\nPOLYGON_API_KEY=sandbox\n", encoding="utf-8")
        self._environment = {
            **os.environ,
            "PATH": f"{curl.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MARKET_PIPELINE_DATA_DIR": str(folder / "data"),
        }
        self.replaced: dict[str, str] = {}

    def start(self) -> None:
        """Start the service with the settings of the folder's `.env`."""
        ports = ("--api-port", str(self.api_port), "--ui-port", str(self.ui_port))
        self.up = Up(*ports, cwd=self.folder, env=self._environment)
        self.up.until_printed("all is running")

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        self.up.process.send_signal(signal.SIGINT)
        self.up.until_printed("everything has stopped")

    def restart_api(self) -> None:
        """End the API, as restarting its container does; `up` restarts it."""
        session = json.loads((self.folder / "data" / "dagster" / "up" / "session.json").read_text(encoding="utf-8"))
        [api] = [pid for pid, words in started_by(session["mark"]).items() if words[2:3] == ["api"]]
        os.kill(api, signal.SIGTERM)
        self.up.until_printed("it is started again")
        wait_for(lambda: self.get("/health").ok)

    def type(self, command: str) -> Done:
        """Type a command, and return its result."""
        if edit := EDIT.match(command):
            set_key(
                self.folder / ".env", edit[1], command.partition("=")[2].partition("#")[0].strip(), quote_mode="never"
            )
            return Done(0, "", "")
        if command == RESTART_API:
            self.restart_api()
            return Done(0, "", "")
        typed = CRON.sub("", command)
        for there, here in self.replaced.items():
            typed = typed.replace(there, here)
        done = subprocess.run(
            ["bash", "-c", typed], cwd=self.folder, env=self._environment_of(command), capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def _environment_of(self, command: str) -> dict[str, str]:
        """Return the environment of a command: one with the forked programs, except for a script's first time."""
        script = SCRIPT.search(command)
        if script and script[1] not in self._scripts:
            self._scripts.add(script[1])
            return self._environment
        return {**self._environment, "PATH": f"{self._programs}:{self._environment['PATH']}"}

    def bars(self, symbol: str, start: str | None = None, end: str | None = None) -> int:
        """Return the number of stored bars of a symbol, of these dates or of the last five years."""
        query = text(
            "SELECT count(*) FROM market_data WHERE symbol = :symbol AND date BETWEEN "
            "coalesce(:start, current_date - interval '5 years') AND coalesce(:end, current_date)"
        )
        engine = create_warehouse_engine(find_database_url(self.settings))
        with engine.connect() as connection:
            counted = int(connection.execute(query, {"symbol": symbol, "start": start, "end": end}).scalar_one())
        engine.dispose()
        return counted

    @property
    def settings(self) -> Settings:
        return Settings(_env_file=None, market_pipeline_data_dir=self.folder / "data")

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=30)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError, KeyError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError("the condition did not hold within a minute")


Check = Callable[[Place, Done], None]


def loaded(symbols: str, expected: int | range, start: str | None = None, end: str | None = None) -> Check:
    """Return a check that the command loaded each symbol's bars of these dates, or of the last five years."""

    def check(place: Place, done: Done) -> None:
        assert done.code == 0, done.logged
        for symbol in symbols.split(","):
            assert re.search(rf"Backfilling {symbol}: \d{{4}}-\d\d-\d\d to \d{{4}}-\d\d-\d\d", done.logged), done.logged
            assert f"Successfully backfilled {symbol}" in done.logged
            counted = place.bars(symbol, start, end)
            assert counted in expected if isinstance(expected, range) else counted == expected, (symbol, counted)

    return check


def is_healthy(_place: Place, done: Done) -> None:
    assert (done.json["status"], done.json["scheduler_running"]) == ("healthy", True), done.printed


def has_metrics(place: Place, done: Done) -> None:
    last = done.json["last_backfill"]
    assert set(last) >= {"time", "successful_symbols", "failed_symbols", "total_records_imported"}


def responds_again(place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    assert place.get("/health").status_code == 200


def tracks_the_set(place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    listed = place.type("market-pipeline symbols list --json")
    assert {symbol["symbol"] for symbol in listed.json} >= set(LARGE_CAPS.split(",")) | {"BTC", "SPY"}


def is_tracked_already(_place: Place, done: Done) -> None:
    assert done.json["status"] == 409
    assert "AAPL" in done.json["detail"]


def is_added(_place: Place, done: Done) -> None:
    assert (done.json["symbol"], done.json["active"]) == ("NVDA", True)


def loads_everything(place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    listed = place.type("market-pipeline symbols list --json").json
    behind = {symbol["symbol"]: place.bars(symbol["symbol"]) for symbol in listed}
    assert len(behind) == 65
    assert min(behind.values()) in FIVE_YEARS, behind


def counts_rows(place: Place, done: Done) -> None:
    assert re.search(r"table_name +\| +rows", done.printed)
    assert re.search(r"market_data +\| +[1-9]\d{4,}\n", done.printed)
    assert re.search(r"tracked_symbols +\| +65\n", done.printed)


def lists_symbols(place: Place, done: Done) -> None:
    assert re.search(r"symbol +\| +latest_date +\| +records", done.printed)
    assert re.search(rf"AAPL +\| 20\d\d-\d\d-\d\d .*\| +{place.bars('AAPL', '1900-01-01')}\n", done.printed)


def has_status(place: Place, done: Done) -> None:
    held = done.json["database"]
    assert set(held) >= {"symbols_available", "total_records", "latest_data", "validation_rate_pct"}
    assert (held["symbols_available"], done.json["status"]) == (65, "healthy")


def fills_the_other(place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    with psycopg.connect(place.replaced[ELSEWHERE]) as connection:
        counted = connection.execute("SELECT count(DISTINCT symbol), count(*) FROM market_data").fetchone()
    assert counted is not None
    assert counted[0] == 15
    assert FIVE_YEARS.start <= counted[1] / counted[0] < FIVE_YEARS.stop


def lists_history(_place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    assert len(re.findall(r"\| t +\|", done.printed)) == 20


def finds_the_key(_place: Place, done: Done) -> None:
    assert done.printed == "POLYGON_API_KEY=sandbox\n"


def adds_the_key(place: Place, _done: Done) -> None:
    assert (place.folder / ".env").read_text(encoding="utf-8").endswith("POLYGON_API_KEY=your_key_here\n")


def reports_running(_place: Place, done: Done) -> None:
    assert (done.code, "running on" in done.printed) == (0, True)


def restarts(place: Place, done: Done) -> None:
    assert done.code == 0, done.logged
    wait_for(lambda: bool(place.get("/health").json()["database"] == "reachable"))


def gives_history(_place: Place, done: Done) -> None:
    result = done.json
    assert (result["symbol"], result["count"], len(result["data"])) == ("AAPL", 218, 218)
    assert set(result["data"][0]) >= {"time", "open", "high", "low", "close", "volume", "validated", "quality_score"}


def gives_symbols(_place: Place, done: Done) -> None:
    assert len(done.json["symbols"]) == 65


def is_set(place: Place, _done: Done) -> None:
    assert "BACKFILL_SCHEDULE_" in (place.folder / ".env").read_text(encoding="utf-8")


def moves_the_schedule(place: Place, _done: Done) -> None:
    place.stop()
    place.start()

    def is_moved() -> bool:
        scheduler = place.get("/api/v1/metrics").json()["scheduler"]
        return bool(scheduler["next_run"][11:16] == "03:00" and scheduler["schedule"] == "03:00 UTC daily")

    wait_for(is_moved)


def has_help(_place: Place, done: Done) -> None:
    assert done.code == 0
    assert all(option in done.printed for option in ("--symbols", "--start", "--end"))


ELSEWHERE = "postgresql://user:password@host:5432/db"
BACKFILL = "python scripts/backfill.py"
PSQL = "docker exec market_data_postgres psql -U market_user -d market_data -c"
STEPS: list[tuple[str, str, Check]] = [
    ("curl http://localhost:8000/health", '`"scheduler_running": true`, read from Dagster', is_healthy),
    ("curl http://localhost:8000/api/v1/metrics", "`last_backfill`, of any process", has_metrics),
    ("BACKFILL_SCHEDULE_HOUR=2", "read by services started afterwards", is_set),
    ("BACKFILL_SCHEDULE_MINUTE=0", "the same", is_set),
    (RESTART_API, "the API responds again; here `up` restarts it", responds_again),
    ("python scripts/init_symbols.py", "65 stocks, ETFs and crypto pairs are tracked", tracks_the_set),
    ('"symbol":"AAPL"', "409: the command above has added it already", is_tracked_already),
    (BACKFILL, "five years of 15 stocks", loaded(LARGE_CAPS, FIVE_YEARS)),
    ("--symbols AAPL,MSFT,GOOGL", "five years of three", loaded("AAPL,MSFT,GOOGL", FIVE_YEARS)),
    (
        "--symbols AAPL,MSFT --start 2020-01-01",
        "1,006 sessions each",
        loaded("AAPL,MSFT", 1_006, "2020-01-01", "2023-12-31"),
    ),
    ("--symbols TSLA", "218 sessions", loaded("TSLA", 218, "2024-01-01", "2024-11-11")),
    ('--symbols "*"', "five years of all 65", loads_everything),
    ('"symbol":"NVDA"', "added; its asset appears without a restart", is_added),
    ("--symbols NVDA", "754 sessions", loaded("NVDA", 754, "2021-11-11", "2024-11-11")),
    ("--start 2024-10-12", "21 sessions each", loaded("AAPL,MSFT,GOOGL", 21, "2024-10-12", "2024-11-11")),
    ("AAPL,MSFT,GOOGL,AMZN,NVDA,TSLA", "five years of six", loaded("AAPL,MSFT,GOOGL,AMZN,NVDA,TSLA", FIVE_YEARS)),
    ("BTC,ETH,SOL,ADA,XRP", "five years of days each", loaded("BTC,ETH,SOL,ADA,XRP", range(1_820, 1_830))),
    ("SPY,QQQ,IWM,EEM,AGG", "five years of five ETFs", loaded("SPY,QQQ,IWM,EEM,AGG", FIVE_YEARS)),
    (f"{PSQL} \" SELECT 'market_data'", "the rows of both tables", counts_rows),
    ("MAX(time) as latest_date", "each symbol's newest `time` and its rows", lists_symbols),
    ("curl http://localhost:8000/api/v1/status", "every field it names", has_status),
    (f"docker exec market_data_api {BACKFILL}", "the same inside the container", loaded("AAPL,MSFT", FIVE_YEARS)),
    (
        f"DATABASE_URL={ELSEWHERE}",
        "that database is filled once it tracks symbols; until then an error names the command",
        fills_the_other,
    ),
    ("FROM backfill_history", "the newest 20 load records", lists_history),
    ("grep POLYGON_API_KEY .env", "the key's line", finds_the_key),
    ('echo "POLYGON_API_KEY=your_key_here"', "read by commands started afterwards", adds_the_key),
    ("docker-compose ps", "the database runs", reports_running),
    ("docker-compose restart database", "the other services reconnect", restarts),
    ("--symbols AMZN,NVDA,TSLA", "at the same time as the others of its block", loaded("AMZN,NVDA,TSLA", FIVE_YEARS)),
    ("--symbols META,NFLX,AMD", "at the same time as the others of its block", loaded("META,NFLX,AMD", FIVE_YEARS)),
    ("--start 2019-11-11", "254 sessions", loaded("AAPL", 254, "2019-11-11", "2020-11-11")),
    ("--start 2020-11-11", "253 sessions", loaded("AAPL", 253, "2020-11-11", "2021-11-11")),
    ("--start 2021-11-11", "253 sessions", loaded("AAPL", 253, "2021-11-11", "2022-11-11")),
    ("historical/AAPL", "218 bars, with source and quality", gives_history),
    ("curl http://localhost:8000/api/v1/symbols", "the tracked symbols, and their stored bars", gives_symbols),
    ("BACKFILL_SCHEDULE_HOUR=3", "03:00, once `up` or the containers are restarted", moves_the_schedule),
    ("0 2 * * * cd", "works; the nightly runs replace it", loaded(LARGE_CAPS, FIVE_YEARS)),
    ("0 14 * * * cd", "works; loading a session twice changes nothing", loaded(LARGE_CAPS, FIVE_YEARS)),
    (f"{BACKFILL} --help", "the options it names", has_help),
]
"""For each command, once and in the runbook's order: a part of its text, its result here, and a check of that."""


@pytest.fixture
def programs() -> Iterator[Path]:
    with forked_programs() as folder:
        yield folder


@pytest.fixture
def place(sandbox: str, programs: Path, parsed_project: Path) -> Iterator[Place]:
    folder = make_cluster_folder("runbook")
    there = Place(folder, sandbox, programs)
    # The runbook first queries the schedule, so a symbol is tracked before.
    assert there.type("market-pipeline symbols add AAPL --no-check").code == 0
    keep_manifest(there.settings, parsed_project)
    there.start()
    try:
        stop_marts_sensor(f"http://127.0.0.1:{there.ui_port}/graphql")
        with psycopg.connect(embedded_url(there, "postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE elsewhere")
        elsewhere = embedded_url(there, "elsewhere")
        assert there.type(f"DATABASE_URL={elsewhere} python scripts/init_symbols.py").code == 0
        key = there.type("market-pipeline keys create runbook --scope admin")
        assert key.code == 0, key.logged
        there.replaced |= {
            **WITHOUT_CONTAINERS,
            "localhost:8000": f"127.0.0.1:{there.api_port}",
            "YOUR_KEY": key.printed.split()[-1],
            "/path/to/api": str(folder),
            ELSEWHERE: elsewhere,
        }
        yield there
    finally:
        there.up.kill()
        end_all(json.loads((folder / "data" / "dagster" / "up" / "session.json").read_text())["mark"])
        embedded.destroy(folder / "data")
        shutil.rmtree(folder)


def embedded_url(place: Place, database: str) -> str:
    server = embedded.find_running_server(place.folder / "data")
    assert server is not None
    return server.url(database).get_secret_value()


@pytest.mark.timeout(900)
def test_every_command_of_the_runbook_works(place: Place) -> None:
    steps = iter(STEPS)
    done: dict[str, Done] = {}
    for block in commands(RUNBOOK.read_text(encoding="utf-8")):
        if '"symbol":"NVDA"' in block[0]:  # a new symbol in the runbook
            assert place.type("market-pipeline symbols remove NVDA").code == 0
        at_once = len(block) if "--symbols META" in block[-1] else 1
        typed = block if at_once > 1 else [command for command in block if short(command) not in done]
        with ThreadPoolExecutor(at_once) as terminals:
            for command, typed_result in zip(typed, terminals.map(place.type, typed), strict=True):
                if short(command) not in done:
                    expected, _, check = next(steps)
                    assert expected in short(command)
                    check(place, typed_result)
                done[short(command)] = typed_result
    assert next(steps, None) is None


def passes(command: str) -> str:
    """Return the document's text about the test of a command."""
    if command == RESTART_API:
        return "passes; the API is killed for it"
    here = next((here for there, here in WITHOUT_CONTAINERS.items() if there in command), None)
    return "passes" if here is None else f"passes, as `{here or BACKFILL}`"


def test_the_document_lists_every_command_with_its_result() -> None:
    unique = dict.fromkeys(short(c) for block in commands(RUNBOOK.read_text(encoding="utf-8")) for c in block)
    rows = zip((command.replace("|", r"\|") for command in unique), STEPS, strict=True)
    table = "\n".join(f"| `{command}` | {does} | {passes(command)} |" for command, (_, does, _) in rows)
    assert table in DOCUMENT.read_text(encoding="utf-8"), table
