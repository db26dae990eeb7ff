"""The pipeline's metrics for Prometheus: what they are, and how they are read from the database.

Runs happen in many processes that come and go, so that the warehouse is their source: what is stored is what is told,
whoever loaded it. Their counters are sums over the accounts of all loads, of which none is ever deleted.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from dagster import DagsterInstance
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.problems import ProblemError
from market_pipeline.orchestration.scheduler_status import read_scheduler_state
from market_pipeline.warehouse.statements import statement

PREFIX = "market_pipeline_"
FRESH_SECONDS = 15.0
SHARE = 30
"""What is read is told again for so long; longer where reading is slow, so that it takes no more than 1/SHARE."""

LONGEST_SIGN_OF_LIFE, LONGEST_READ = 2.0, 7.0
"""Seconds, of the database and of all that is told. Prometheus itself waits for ten, and would then hear nothing."""

GONE = (ProblemError, SQLAlchemyError, TimeoutError)

Series = tuple[str, Sequence[str], float]
"""A metric's name, the values of its labels, and its value."""


@dataclass(frozen=True)
class Meaning:
    """What a metric says, and its labels."""

    told: str
    labels: Sequence[str] = ()


GAUGES: Mapping[str, Meaning] = {
    "symbols": Meaning("Symbols that are fetched.", ("asset_class",)),
    "symbol_sessions_behind": Meaning(
        "Sessions since the symbol's newest bar that could have one; all that could where there is no bar.",
        ("symbol", "calendar"),
    ),
    "symbols_by_health": Meaning(
        "Symbols that are fine, behind (the next run fetches it) or need attention, as the view coverage judges.",
        ("health",),
    ),
    "symbol_newest_bar_timestamp_seconds": Meaning(
        "The date, at midnight UTC, of the symbol's newest bar; absent where there is none.", ("symbol", "calendar")
    ),
    "sessions": Meaning("Sessions of active symbols that are over, by what is known of their bars.", ("state",)),
    "bars_flagged": Meaning("Stored bars of active symbols that a rule flagged."),
    "last_run_start_timestamp_seconds": Meaning("When the last run to load bars began.", ("trigger", "calendar")),
    "last_run_duration_seconds": Meaning("How long it took.", ("trigger", "calendar")),
    "last_run_failed_symbols": Meaning("How many of its symbols failed.", ("trigger", "calendar")),
    "last_run_success": Meaning("1 if none of its symbols failed.", ("trigger", "calendar")),
}
COUNTERS: Mapping[str, Meaning] = {
    "bars": Meaning("Different bars in the vendor's answers, by what came of them.", ("outcome",)),
    "symbol_loads": Meaning("Loads of a symbol that were tried, by whether they succeeded.", ("outcome",)),
    "vendor_requests": Meaning("HTTP requests for bars that were sent to the vendor, retries included."),
    "rate_limit_wait_seconds": Meaning("How long requests for bars waited for the rate limit, added up."),
}
OWN: Mapping[str, Meaning] = {
    "info": Meaning("1; its label is the project's version.", ("version",)),
    "database_up": Meaning("1 if the database answers. Without it the pipeline's other series are absent."),
    "scheduler_up": Meaning("1 if the nightly runs will happen; /health says why where they won't."),
    "collection_duration_seconds": Meaning("How long it took to read all this from the database."),
}
"""Those that aren't read from the warehouse's tables; gauges too."""

METRICS = str(statement("metrics")).replace("%", "%%")


class PipelineMetrics(Collector):
    """What was last read. `refresh` reads it again, `collect` tells it."""

    def __init__(self, reader: Reader, instance: DagsterInstance) -> None:
        self._reader, self._instance = reader, instance
        self._reading = asyncio.Lock()
        self._fresh_until = float("-inf")
        self._series: Sequence[Series] = ()

    async def refresh(self) -> None:
        """Read it again if it is old. A database that is away is told, and no error."""
        async with self._reading:
            begun = time.monotonic()
            if begun < self._fresh_until:
                return
            read = await self._read()
            took = time.monotonic() - begun
            self._series = [*read, ("collection_duration_seconds", (), took)]
            self._fresh_until = begun + max(FRESH_SECONDS, SHARE * took)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they were last read."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for kind, meanings in ((GaugeMetricFamily, {**GAUGES, **OWN}), (CounterMetricFamily, COUNTERS)):
            for name, meaning in meanings.items():
                families[name] = kind(PREFIX + name, meaning.told, labels=meaning.labels)
        for name, labels, value in (("info", [version("market-pipeline")], 1.0), *self._series):
            families[name].add_metric(labels, value)
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """None by name: registering must not ask for what isn't read yet."""
        yield from ()

    async def _read(self) -> Sequence[Series]:
        try:
            async with asyncio.timeout(LONGEST_SIGN_OF_LIFE):
                await self._reader.row("SELECT 1")
        except GONE:
            return [("database_up", (), 0.0)]
        is_up: Series = ("database_up", (), 1.0)
        try:
            async with asyncio.timeout(LONGEST_READ):
                rows = await self._reader.rows(METRICS)
                scheduler = await asyncio.to_thread(read_scheduler_state, self._instance, datetime.now(UTC))
        except GONE:
            return [is_up]
        series = [(str(name), labels, float(value)) for name, labels, value in rows]
        return [*series, is_up, ("scheduler_up", (), float(scheduler.running))]
