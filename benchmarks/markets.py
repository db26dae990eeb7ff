"""A whole market as a user has it: its history from flat files, a night in a process, and peers on the same files.

    python -m benchmarks.markets

Sandboxes serve the market in processes of their own, on the same cores: one sends each file from a cache, as generating
it takes longer than loading it, and one responds to the nights and counts their requests.
"""

import gzip
import importlib.util
import io
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import requests
from sqlalchemy import Engine, text

from benchmarks.report import Finding, require_at_least, require_at_most, run_command_line
from benchmarks.stage import build_environment, execute_statements, find_program, fresh_warehouse, sandbox
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.sessions import list_sessions
from market_pipeline.polygon.flat_file_parsing import parse_flat_file
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.warehouse.binary_copy import NEW_BAR_COLUMNS, encode_new_bars
from market_pipeline.warehouse.statements import open_copy

BUCKET = "flatfiles"
MARKET = MARKETS["us_stocks"]
COPY = f"COPY bare_bars ({', '.join(NEW_BAR_COLUMNS)}) FROM STDIN (FORMAT binary)"
STATUS = Path("/proc")


@dataclass(frozen=True)
class Size:
    """Tickers of a session; sessions of the history, of its first part, and of a night; nights; reads of each kind."""

    tickers: int = 11_000
    sessions: int = 252
    shorter: int = 52
    night: int = 5
    nights: int = 3
    reads: int = 20


@dataclass(frozen=True)
class Ran:
    """A finished command: its seconds and its peak memory in MiB."""

    seconds: float
    mib: float


def run_command(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Ran:
    """Run a command, and watch the peak of its memory, which Linux keeps until it ends.

    Raises:
        CalledProcessError: the command failed.
    """
    begun, peak = time.perf_counter(), 0.0
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = (STATUS / str(process.pid) / "status").read_text(encoding="ascii")
            if "VmHWM:" in status:
                peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
            time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Ran(time.perf_counter() - begun, peak)


def run_backfill(environment: Mapping[str, str], days: Sequence[date]) -> Ran:
    """Load sessions as a user does, in a process with Dagster."""
    dates = ["--start", str(days[0]), "--end", str(days[-1])]
    arguments: list[str | Path] = [
        find_program("market-pipeline"),
        "market",
        "backfill",
        MARKET.option,
        *dates,
        "--quiet",
    ]
    return run_command(arguments, environment)


def fetch_files(base_url: str, days: Sequence[date]) -> Iterator[tuple[date, bytes]]:
    """Yield the flat files of some sessions by plain HTTP, one after the other."""
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"  # as the project does: the files are compressed already
        for day in days:
            response = session.get(f"{base_url}/{BUCKET}/{MARKET.file_of(day)}", timeout=60)
            response.raise_for_status()
            yield day, response.content


def load_by_bare_copy(engine: Engine, base_url: str, days: Sequence[date]) -> int:
    """Load the files to a table with the columns and indexes of `bars`: HTTP, parsing, COPY, and nothing else."""
    numbers: dict[str, int] = {}
    bars = 0
    for day, content in fetch_files(base_url, days):
        session = parse_flat_file(content, MARKET, day, about="the file", version=None, requests=1)
        ids = np.array([numbers.setdefault(ticker, len(numbers)) for ticker in session.tickers], dtype=np.int64)
        with engine.begin() as connection, open_copy(connection, COPY) as copy:
            for part in encode_new_bars({"symbol_id": ids, **session.columns}, 1):
                copy.write(part)
        bars += len(ids)
    return bars


def load_by_duckdb(folder: Path, base_url: str, days: Sequence[date]) -> int:
    """Load the files to a table of a DuckDB database, by its own reader."""
    import duckdb

    for day, content in fetch_files(base_url, days):
        (folder / f"{day}.csv.gz").write_bytes(content)
    with duckdb.connect(str(folder / "bars.duckdb")) as connection:
        connection.execute(f"CREATE TABLE bars AS SELECT * FROM read_csv('{folder}/*.csv.gz', filename = true)")
        [bars] = connection.execute("SELECT count(*) FROM bars").fetchone() or (0,)
    return int(bars)


def load_by_dlt(engine: Engine, base_url: str, days: Sequence[date]) -> int:
    """Load the files with dlt at its best: Arrow tables, handed to PostgreSQL as CSV by COPY, appended."""
    import dlt
    from pyarrow import csv

    os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"})

    @dlt.resource(name="bars", write_disposition="append")  # type: ignore[untyped-decorator,unused-ignore]
    def bars() -> Iterator[Any]:
        for _, content in fetch_files(base_url, days):
            yield csv.read_csv(io.BytesIO(gzip.decompress(content)))

    with tempfile.TemporaryDirectory() as folder:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        target = dlt.destinations.postgres(credentials=url)
        pipeline = dlt.pipeline("bars", destination=target, dataset_name="dlt_bars", pipelines_dir=folder)
        pipeline.run(bars(), loader_file_format="csv")
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM dlt_bars.bars")).scalar_one())


def measure_peers(engine: Engine, base_url: str, days: Sequence[date]) -> dict[str, tuple[int, float]]:
    """Return the bars and seconds of each peer on the same files; of those that are installed."""
    execute_statements(
        engine,
        "CREATE TABLE bare_bars (LIKE bars INCLUDING ALL)",
        "ALTER TABLE bare_bars ALTER COLUMN load_id DROP DEFAULT",
    )
    with tempfile.TemporaryDirectory() as folder:
        peers: dict[str, Callable[[], int]] = {
            "the files by HTTP alone": lambda: sum(1 for _ in fetch_files(base_url, days)),
            "bare COPY": lambda: load_by_bare_copy(engine, base_url, days),
        }
        if importlib.util.find_spec("duckdb"):
            peers["DuckDB, read_csv to a table"] = lambda: load_by_duckdb(Path(folder), base_url, days)
        if importlib.util.find_spec("dlt"):
            peers["dlt at its best"] = lambda: load_by_dlt(engine, base_url, days)
        taken = {}
        for name, load in peers.items():
            begun = time.perf_counter()
            bars = load()
            taken[name] = (bars, time.perf_counter() - begun)
    return taken


def count_bars(engine: Engine) -> int:
    """Return the number of stored bars."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM bars")).scalar_one())


def measure_median_read(engine: Engine, query: str, parameters: Sequence[dict[str, Any]]) -> float:
    """Return the median milliseconds of a query, rows fetched, with each of some parameters."""
    taken = []
    with engine.connect() as connection:
        for each in parameters:
            begun = time.perf_counter()
            connection.execute(text(query), each).all()
            taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def measure_reads(engine: Engine, days: Sequence[date], reads: int) -> dict[str, float]:
    """Return the median milliseconds of one symbol's bars, one session's, and a universe."""
    execute_statements(engine, "VACUUM (ANALYZE)")
    random = np.random.default_rng(1)
    with engine.connect() as connection:
        newest = text("SELECT symbol FROM listings WHERE last_session = :day ORDER BY symbol")
        symbols = connection.scalars(newest, {"day": days[-1]}).all()
    chosen = [{"symbol": str(each)} for each in random.choice(np.array(symbols, dtype=object), reads)]
    on = [{"day": each} for each in random.choice(np.array(days, dtype=object), reads)]
    of_symbol = "SELECT * FROM market_data WHERE symbol = :symbol ORDER BY date"
    of_session = "SELECT symbol, open, high, low, close, volume FROM market_data WHERE date = :day"
    return {
        "one symbol's bars": measure_median_read(engine, of_symbol, chosen),
        "one session of all": measure_median_read(engine, of_session, on),
        "universe(day)": measure_median_read(engine, "SELECT * FROM universe(:day)", on),
    }


def run(size: Size) -> Finding:
    """Load the history in two parts, then nights, then the same files by the peers; read at the end."""
    days = list_sessions("XNYS", date(2020, 1, 2), date(2026, 1, 2))[: size.sessions]
    shorter, longer = days[: size.shorter], days[size.shorter :]
    config = SandboxConfig(market_tickers=size.tickers)
    with (
        sandbox(config, cached=True) as files_url,
        sandbox(config) as base_url,
        fresh_warehouse(base_url) as (settings, engine),
    ):
        keys = dict.fromkeys(("POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY"), "benchmark")
        environment = {**build_environment(settings), **keys}
        subprocess.run([find_program("market-pipeline"), "market", "track", MARKET.option], env=environment, check=True)
        for _ in fetch_files(files_url, days):  # so that all are in the cache
            continue
        from_cache = {**environment, "POLYGON_BASE_URL": files_url}
        first = run_backfill(from_cache, shorter)
        first_bars = count_bars(engine)
        rest = run_backfill(from_cache, longer)
        bars = count_bars(engine)
        with engine.connect() as connection:
            names = ("bars", "bar_flags", "market_listings", "symbol_identities")
            sizes = " + ".join(f"pg_total_relation_size('{name}')" for name in names)
            bytes_a_bar: float = connection.execute(text(f"SELECT ({sizes})::float8 / count(*) FROM bars")).scalar_one()
        nights, counts = [], []
        for _ in range(size.nights):
            requests.post(f"{base_url}/_sandbox/reset", timeout=10).raise_for_status()
            nights.append(run_backfill(environment, days[-size.night :]))
            counts.append(len(requests.get(f"{base_url}/_sandbox/stats", timeout=10).json()["timestamps"]))
        reads = measure_reads(engine, days, size.reads)
        peers = measure_peers(engine, files_url, longer)
    bare = peers["bare COPY"]
    rate, bare_rate = (bars - first_bars) / rest.seconds, bare[0] / bare[1]
    rows = [
        [f"market backfill, {len(shorter):,} sessions", f"{first_bars:,}", f"{first.seconds:.1f} s",
         f"{first_bars / first.seconds:,.0f}", f"{first.mib:,.0f} MiB"],
        [f"market backfill, {len(longer):,} sessions more", f"{bars - first_bars:,}", f"{rest.seconds:.1f} s",
         f"{rate:,.0f}", f"{rest.mib:,.0f} MiB"],
        *([name, f"{count:,}", f"{taken:.1f} s", f"{count / taken:,.0f}", ""]
          for name, (count, taken) in peers.items()),
        [f"a night, {size.night} sessions again", "", f"{statistics.median(each.seconds for each in nights):.1f} s", "",
         f"{max(each.mib for each in nights):,.0f} MiB"],
        *([name, "", f"{taken:.1f} ms", "", ""] for name, taken in reads.items()),
    ]  # fmt: skip
    a_session = [first.seconds / len(shorter), rest.seconds / len(longer)]
    goals = [
        require_at_least("bars/s from HTTP to committed", [rate], 150_000, "bars/s"),
        require_at_least("the same over bare COPY's", [rate / bare_rate], 0.5),
        require_at_most("bytes a bar", [bytes_a_bar], 130, "bytes"),
        require_at_most("peak memory of a history, longer over shorter", [rest.mib / first.mib], 1.2),
        require_at_most("seconds a session, later over earlier", [a_session[1] / a_session[0]], 1.2),
        require_at_most("a night, from start to end", [each.seconds for each in nights], 30, "s"),
        require_at_most("requests of a night", counts, size.night, "requests"),
        require_at_most("peak memory of a night", [each.mib for each in nights], 400, "MiB"),
        *(
            require_at_most(name, [taken], bound, "ms")
            for (name, taken), bound in zip(reads.items(), (5, 100, 50), strict=True)
        ),
    ]
    work = (
        f"A generated market of about {size.tickers:,} tickers, {len(days):,} sessions from flat files over HTTP, each "
        "backfill and night a whole process with Dagster. The sandbox runs on the same cores."
    )
    return Finding("A whole market, end to end", work, ("what", "bars", "time", "bars/s", "memory"), rows, goals)


FULL = Size()
"""A year. Five, `run(Size(sessions=1_255, shorter=255))`, take 6 minutes to generate before anything is measured."""
TINY = Size(tickers=60, sessions=40, shorter=20, nights=1, reads=3)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
