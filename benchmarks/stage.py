"""Environment of the benchmarks: a database, a sandbox in its own process, and processes to measure in.

Everything is on this machine and removed afterwards.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec

from sqlalchemy import Engine, text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import LOOPBACK, build_base_url, listen
from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import create_sandbox_server
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate

P = ParamSpec("P")
STORED = (
    "bars", "bar_flags", "bars_revisions", "bar_flags_revisions", "loads", "rejected_bars", "backfill_history",
)  # fmt: skip
"""The tables that loads of bars fill."""
SPAWN = multiprocessing.get_context("spawn")


@contextmanager
def fresh_warehouse(polygon_base_url: str = "http://127.0.0.1:9") -> Iterator[tuple[Settings, Engine]]:
    """Open an empty warehouse in a PostgreSQL of its own; yield settings that name it, and its engine."""
    with tempfile.TemporaryDirectory(prefix="market-pipeline-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        server = embedded.ensure_running(Path(folder) / "data")
        settings = Settings(
            _env_file=None,
            database_url=server.url(),
            polygon_base_url=polygon_base_url,
            market_pipeline_data_dir=home,
        )
        engine = create_warehouse_engine(server.url())
        try:
            migrate(engine)
            yield settings, engine
        finally:
            engine.dispose()
            embedded.destroy(Path(folder) / "data")


def build_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a command on that warehouse and sandbox, without the project's variables set here."""
    ours = {field.upper() for field in Settings.model_fields} | {"DAGSTER_HOME", "DAGSTER_EVENT_BATCH_SIZE"}
    assert settings.database_url is not None
    return {
        **{name: value for name, value in os.environ.items() if name not in ours},
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "POLYGON_BASE_URL": settings.polygon_base_url,
        "MARKET_PIPELINE_DATA_DIR": str(settings.market_pipeline_data_dir),
    }


class CachingSandbox:
    """A sandbox that makes each response once and then sends the cached bytes, so that it costs little time."""

    def __init__(self, sandbox: ASGIApp) -> None:
        self._sandbox = sandbox
        self._responses: dict[tuple[str, str, bytes], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to an ASGI request."""
        request = (scope["method"], scope["path"], scope["query_string"])
        if request not in self._responses:
            sent: list[Message] = []

            async def keep(message: Message) -> None:
                sent.append(message)

            await self._sandbox(scope, receive, keep)
            self._responses[request] = sent
        for message in self._responses[request]:
            await send(message)


def _serve(config: SandboxConfig, cached: bool, parent: Connection) -> None:
    server = create_sandbox_server(config)
    if cached:
        server.config.app = CachingSandbox(server.config.app)  # type: ignore[arg-type]
    with listen(LOOPBACK, 0) as door:
        parent.send(build_base_url(door))
        server.run([door])


@contextmanager
def sandbox(config: SandboxConfig | None = None, *, cached: bool = False) -> Iterator[str]:
    """Run the project's sandbox in a process of its own, and yield its URL.

    Args:
        config: its options.
        cached: True to send each response again from a cache. Only for requests of bars: such responses don't change,
            and it counts no requests.
    """
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_serve, args=(config or SandboxConfig(), cached, sender), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.terminate()
        process.join()


@dataclass(frozen=True)
class Measured:
    """A measured call: seconds, peak memory in MiB beyond that of the imports, and the result."""

    seconds: float
    mib: float
    result: Any


def measure(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Measured:
    """Measure a function's call in a process of its own, after its imports."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as process:
        return process.submit(_measure, function, args, kwargs).result()


def _measure(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Measured:
    return measure_here(lambda: function(*args, **kwargs))


def measure_here(function: Callable[[], Any]) -> Measured:
    """Measure a function's call in this process."""
    imported = read_peak_mib()
    begun = time.perf_counter()
    result = function()
    return Measured(time.perf_counter() - begun, read_peak_mib() - imported, result)


def read_peak_mib() -> float:
    """Return the peak memory of this process, in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS, which counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # On Linux getrusage includes the parent's peak.
    return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024


def time_command(command: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    """Run a command, and return the seconds from its start to its end.

    Raises:
        CalledProcessError: the command failed.
    """
    begun = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def find_program(name: str) -> Path:
    """Return the path of a program of this environment."""
    return Path(sys.executable).with_name(name)


def execute_statements(engine: Engine, *several: str) -> None:
    """Run statements outside of a transaction, as VACUUM requires."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in several:
            connection.execute(text(statement))


def list_stocks(count: int) -> list[Symbol]:
    """Return so many stocks that exist only in the sandbox, which generates their bars."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    names = [f"Z{one}{two}{three}" for one in letters for two in letters for three in letters]
    return [Symbol.of(name, "stock") for name in names[:count]]
