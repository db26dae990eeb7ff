"""The read API beside the smallest server that could do it, and beside pydantic models: requests/s and p99.

    python -m benchmarks.api

All three serve the same bars, generated in a PostgreSQL of its own, from one process each with the same server and
connection pool. `api` is `market-pipeline api`, parsing, checking and documenting everything, with ETags.
"""

import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests

from benchmarks.api_servers import BARS, CLIENTS, FIRST, find_last_day
from benchmarks.report import Finding, require_at_least, run_command_line
from benchmarks.stage import build_environment, execute_statements, find_program, fresh_warehouse
from market_pipeline.api.generated.formats import ResponseFormat
from market_pipeline.api.generated.history_params import COLUMNS
from market_pipeline.core.settings import Settings
from market_pipeline.vendor_format.bar_windows import EPOCH
from market_pipeline.warehouse.roles import make_reading_role

SEED = """
INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar)
SELECT name, 'crypto', name, '24/7' FROM unnest('{AAA,BBB,CCC,DDD}'::text[]) AS name;
INSERT INTO sessions (calendar, date)
SELECT '24/7', day::date FROM generate_series(timestamptz '1999-01-01', '2026-10-31', '1 day') AS day
ON CONFLICT DO NOTHING;
INSERT INTO market_data (
    symbol, date, time, open, high, low, close, volume, vwap, transactions, source, fetched_at, run_id, updated_at
)
SELECT symbol, day::date, day, 100 + random(), 102 + random(), 98 + random(), 100 + random(), 1e6 * random(),
    100 + random(), (1e4 * random())::bigint, 'sandbox', now(), 'seed', now()
FROM tracked_symbols, generate_series(timestamptz '1999-01-01', '2026-10-31', '1 day') AS day;
"""


Dialect = Literal["own", "rest", "vendor", "udf"]
"""The API's own paths, those of PostgREST's clients, those of the vendor's, or those of charts."""


@dataclass(frozen=True)
class Case:
    """A response: its bars and format, by `/historical` or in another dialect, and the goals."""

    bars: int
    kind: ResponseFormat = ResponseFormat.JSON
    dialect: Dialect = "own"
    of_floor: float = 0.9
    of_models: float | None = 3


CASES = {
    "390 bars, JSON": Case(390),
    "one bar, JSON": Case(1, of_models=None),
    "390 bars, /rest/v1": Case(390, dialect="rest", of_floor=0.85),
    "one bar, /rest/v1": Case(1, dialect="rest", of_floor=0.85, of_models=None),
    "390 bars, /v2/aggs": Case(390, dialect="vendor", of_floor=0.85, of_models=None),
    "one bar, /v2/aggs": Case(1, dialect="vendor", of_floor=0.85, of_models=None),
    "250 bars, /udf/history": Case(250, dialect="udf", of_floor=0.85, of_models=None),
    "10,000 bars, CSV": Case(BARS, ResponseFormat.CSV),
    "10,000 bars, Arrow": Case(BARS, ResponseFormat.ARROW),
}
SERVERS = ("api", "floor", "models")
Load = tuple[float, float]
"""Requests per second, and the 99th percentile in ms."""


@dataclass(frozen=True)
class Size:
    """Number of rounds per server, and seconds of each."""

    rounds: int = 8
    seconds: float = 1.5


def run(size: Size) -> Finding:
    """Send requests to all servers in turns."""
    with fresh_warehouse() as (settings, engine), ExitStack() as stack:
        make_reading_role(engine)
        execute_statements(engine, *SEED.split(";")[:-1], "VACUUM ANALYZE")
        ports = {name: stack.enter_context(running(name, settings)) for name in SERVERS}
        check_equal(ports)
        found = {
            name: [
                {server: measure_load(port, build_path(server, case), size.seconds) for server, port in ports.items()}
                for _ in range(size.rounds)
            ]
            for name, case in CASES.items()
        }
    return build_finding(found)


def build_finding(found: dict[str, list[dict[str, Load]]]) -> Finding:
    """Return the figures and the goals."""

    def compute_ratios(case: str, other: str) -> list[float]:
        return [loads["api"][0] / loads[other][0] for loads in found[case]]

    rows = [
        [
            case,
            *(
                f"{statistics.median(loads[name][0] for loads in rounds):,.0f} "
                f"({statistics.median(loads[name][1] for loads in rounds):.1f})"
                for name in SERVERS
            ),
        ]
        for case, rounds in found.items()
    ]
    return Finding(
        "8. The read API",
        f"{CLIENTS} clients repeat the same request to one server process; the servers take turns. The floor is an "
        "ASGI handler that runs the API's statement and sends what PostgreSQL returns, no more; "
        "models is FastAPI with a pydantic model a bar, which has JSON only and so stands beside CSV and Arrow too. "
        "The same bars come from all three.",
        ["response", *(f"{name}, requests/s (p99, ms)" for name in SERVERS)],
        rows,
        [
            require_at_least(f"{case}: the API / {server}", compute_ratios(case, server), goal)
            for case in found
            for server, goal in (("floor", CASES[case].of_floor), ("models", CASES[case].of_models))
            if goal is not None
        ],
        [
            "What bounds it: the statement and uvicorn, which the floor has too. Of the API's own, one bar takes some "
            "20 millionths of a second, an eighth of the whole: reading and checking the parameters, the envelope and "
            "the ETag a third of that, counting requests and clients a quarter, and the rest routing, and six more "
            "headers to send. A file takes two round trips to PostgreSQL more, for its rows and the next page to be "
            "of one state; its rows come by COPY, a message each, and taking them one by one is most of the time of "
            "both. Tried and kept: planning a statement once a connection, one cursor a connection, headers made "
            "as bytes once, the busiest routes looked up before Starlette's routing, counting clients without a "
            "library, connections that read much at a time, a file's blocks joined as they come, parsing a repeated "
            "request once. The floor's connections are the API's, and so gain from what is done for these too. The "
            "vendor's dialect has its rows from PostgreSQL, as its floor has. One bar takes as long as the API's own; "
            "its floor is faster, as that statement reads no instant and counts no rows.",
        ],
    )


def build_path(server: str, case: Case) -> str:
    """Return the path of the request to a server."""
    if server != "api":
        return f"/{case.dialect if case.dialect in ('vendor', 'udf') and server == 'floor' else case.kind}/{case.bars}"
    last = find_last_day(case.bars)
    if case.dialect == "vendor":
        return f"/v2/aggs/ticker/AAA/range/1/day/{FIRST}/{last}?adjusted=false&limit=50000"
    if case.dialect == "udf":
        begin, end = (86_400 * (day - EPOCH).days for day in (FIRST, last))
        return f"/udf/history?symbol=AAA&resolution=1D&from={begin}&to={end + 1}&adjustment=none"
    if case.dialect == "rest":
        columns = ",".join(column.name for column in COLUMNS)
        return f"/rest/v1/market_data?select={columns}&symbol=eq.AAA&date=gte.{FIRST}&date=lte.{last}&order=date"
    return f"/api/v1/historical/AAA?start={FIRST}&end={last}&adjustment=none&format={case.kind}"


@contextmanager
def running(name: str, settings: Settings) -> Iterator[int]:
    """Run one of the servers in a process of its own, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own: list[str | Path] = [sys.executable, "-m", "benchmarks.api_servers", name, str(port)]
    api: list[str | Path] = [find_program("market-pipeline"), "api", "--port", str(port)]
    environment = {
        **build_environment(settings),
        "API_REQUESTS_PER_MINUTE": "1000000000",  # counting takes time too
        "API_VENDOR_DIALECT": "true",
    }
    process = subprocess.Popen(api if name == "api" else own, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def wait_for(port: int) -> None:
    """Wait until a server accepts connections."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("a server has not started within a minute")


def measure_load(port: int, path: str, seconds: float) -> tuple[float, float]:
    """Send one request again and again on CLIENTS connections; return requests per second and the p99 in ms."""
    took: list[float] = []

    def send_requests() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            while time.perf_counter() < end:
                begun = time.perf_counter()
                connection.sendall(request)
                read_response(connection)
                took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    end = begun + seconds
    threads = [threading.Thread(target=send_requests) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - begun), 1000 * statistics.quantiles(took, n=100)[98]


def read_response(connection: socket.socket) -> None:
    """Read one response to its end, with few instructions, so that the server is measured and not the client."""
    head, _, body = connection.recv(1 << 18).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    have = len(body)
    while have < length:
        have += len(connection.recv(1 << 20))


def check_equal(ports: dict[str, int]) -> None:
    """Check that all three serve the same bars, and the API in all dialects."""

    def get(server: str, case: Case) -> Any:
        return requests.get(f"http://127.0.0.1:{ports[server]}{build_path(server, case)}", timeout=30).json()

    api, floor, model = (get(server, Case(390))["data"] for server in SERVERS)
    assert api == floor == get("api", Case(390, dialect="rest"))
    assert get("api", Case(390, dialect="vendor"))["results"] == get("floor", Case(390, dialect="vendor"))["data"]
    assert len(get("api", Case(250, dialect="udf"))["t"]) == 250
    assert get("api", Case(250, dialect="udf")) == get("floor", Case(250, dialect="udf"))
    values = ("date", "open", "high", "low", "close", "volume", "vwap", "transactions")
    assert [[bar[name] for name in values] for bar in api] == [[bar[name] for name in values] for bar in model]


FULL, TINY = Size(), Size(rounds=1, seconds=0.1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
