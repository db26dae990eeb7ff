"""The pipeline's metrics for Prometheus: their names, labels and descriptions, and their collection.

Runs happen in many short-lived processes, so the metrics are read from the warehouse. Counters are sums over the load
records, which are never deleted.
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
from market_pipeline.warehouse.statements import read_statement

PREFIX = "market_pipeline_"
FRESH_SECONDS = 15.0
SHARE = 30
"""Values are reused for this long; longer if reading them is slow, so that it takes at most 1/SHARE of the time."""

PROBE_SECONDS, READ_SECONDS = 2.0, 7.0
"""Time limits in seconds, of the probe and of all reads. Prometheus's own limit is ten, for the whole response."""

GONE = (ProblemError, SQLAlchemyError, TimeoutError)

Series = tuple[str, Sequence[str], float]
"""A metric's name, the values of its labels, and its value."""


@dataclass(frozen=True)
class MetricDescription:
    """A metric's description and labels."""

    description: str
    labels: Sequence[str] = ()


GAUGES: Mapping[str, MetricDescription] = {
    "symbols": MetricDescription("Symbols that are fetched.", ("asset_class",)),
    "symbol_sessions_behind": MetricDescription(
        "Sessions since the symbol's newest bar that could have one; all that could where there is no bar.",
        ("symbol", "calendar"),
    ),
    "symbols_by_health": MetricDescription(
        "Symbols that are fine, behind (the next run fetches it) or need attention, as the view coverage judges.",
        ("health",),
    ),
    "symbol_newest_bar_timestamp_seconds": MetricDescription(
        "The date, at midnight UTC, of the symbol's newest bar; absent where there is none.", ("symbol", "calendar")
    ),
    "sessions": MetricDescription(
        "Sessions of active symbols that are over, by what is known of their bars.", ("state",)
    ),
    "bars_flagged": MetricDescription("Flagged bars of active symbols."),
    "last_run_start_timestamp_seconds": MetricDescription(
        "Start of the last run that loaded bars.", ("trigger", "calendar")
    ),
    "last_run_duration_seconds": MetricDescription("Duration of that run.", ("trigger", "calendar")),
    "last_run_failed_symbols": MetricDescription("Symbols of that run that failed.", ("trigger", "calendar")),
    "last_run_success": MetricDescription("1 if no symbol of that run failed.", ("trigger", "calendar")),
}
COUNTERS: Mapping[str, MetricDescription] = {
    "bars": MetricDescription("Distinct bars in the vendor's responses, by outcome.", ("outcome",)),
    "symbol_loads": MetricDescription("Loads of a symbol, by outcome.", ("outcome",)),
    "vendor_requests": MetricDescription("HTTP requests for bars that were sent to the vendor, retries included."),
    "rate_limit_wait_seconds": MetricDescription("Total time that requests for bars waited for the rate limit."),
}
OWN: Mapping[str, MetricDescription] = {
    "info": MetricDescription("1; its label is the project's version.", ("version",)),
    "database_up": MetricDescription("1 if the database responds. Without it the pipeline's other series are absent."),
    "scheduler_up": MetricDescription("1 if the nightly runs will happen; /health has the reason if they won't."),
    "collection_duration_seconds": MetricDescription("Time taken to read these metrics from the database."),
}
"""Gauges that aren't read from the warehouse's tables."""

METRICS = str(read_statement("metrics")).replace("%", "%%")


class PipelineMetrics(Collector):
    """The metrics that were last read. `refresh` reads them again, `collect` returns them."""

    def __init__(self, reader: Reader, instance: DagsterInstance) -> None:
        self._reader, self._instance = reader, instance
        self._reading = asyncio.Lock()
        self._fresh_until = float("-inf")
        self._series: Sequence[Series] = ()

    async def refresh(self) -> None:
        """Read the metrics again if they are old. An unreachable database is a metric, not an error."""
        async with self._reading:
            begun = time.monotonic()
            if begun < self._fresh_until:
                return
            read = await self._read()
            took = time.monotonic() - begun
            self._series = [*read, ("collection_duration_seconds", (), took)]
            self._fresh_until = begun + max(FRESH_SECONDS, SHARE * took)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they were last read."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for kind, meanings in ((GaugeMetricFamily, {**GAUGES, **OWN}), (CounterMetricFamily, COUNTERS)):
            for name, meaning in meanings.items():
                families[name] = kind(PREFIX + name, meaning.description, labels=meaning.labels)
        for name, labels, value in (("info", [version("market-pipeline")], 1.0), *self._series):
            families[name].add_metric(labels, value)
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """Yield nothing, so that registration needs no metrics that aren't read yet."""
        yield from ()

    async def _read(self) -> Sequence[Series]:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._reader.row("SELECT 1")
        except GONE:
            return [("database_up", (), 0.0)]
        is_up: Series = ("database_up", (), 1.0)
        try:
            async with asyncio.timeout(READ_SECONDS):
                rows = await self._reader.rows(METRICS)
                scheduler = await asyncio.to_thread(read_scheduler_state, self._instance, datetime.now(UTC))
        except GONE:
            return [is_up]
        series = [(str(name), labels, float(value)) for name, labels, value in rows]
        return [*series, is_up, ("scheduler_up", (), float(scheduler.running))]
