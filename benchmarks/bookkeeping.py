"""What Dagster's bookkeeping of a range run costs: the storage that dagster-postgres ships against the project's.

    python benchmarks/event_log.py

All record the same run of assets that do nothing, each in an empty database of the same embedded PostgreSQL, one after
the other. Then the project's alone records the five years of fifteen symbols that a first backfill covers. The seconds
are those of the whole run, Dagster's own work on it included. Takes about two minutes.
"""

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster import DagsterInstance
from dagster._core.instance import InstanceRef
from sqlalchemy import create_engine, make_url, text

from market_pipeline.warehouse import embedded

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PARTITIONS = dg.DailyPartitionsDefinition("2020-01-01", end_date="2025-01-01")
SPECS = [dg.AssetSpec(["market_data", f"SYMBOL_{number}"], skippable=True) for number in range(15)]


@dg.multi_asset(specs=SPECS, partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run(), can_subset=True)
def nothing(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    """Assets that are materialized without any work."""
    for spec in SPECS:
        if spec.key in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=spec.key, metadata={"rows": 1})


@dataclass(frozen=True)
class Timing:
    """A range run that was recorded."""

    seconds: float
    events: int

    def __str__(self) -> str:
        each = 1000 * self.seconds / self.events
        return f"{self.seconds:8.2f} s  {self.events:6d} events  {each:6.2f} ms each"


@dataclass(frozen=True)
class Way:
    """A way to keep the event log; `storage` is what dagster.yaml would say, given the database's address."""

    name: str
    batch_size: int
    storage: Callable[[str], Mapping[str, Any]]


def shipped_storage(url: str) -> Mapping[str, Any]:
    """As dagster-postgres' documentation has it."""
    return {"postgres": {"postgres_url": url}}


def bulk_storage(_url: str) -> Mapping[str, Any]:
    """As the project's dagster.yaml has it; the address comes from the environment."""
    return {
        "custom": {"module": "market_pipeline.orchestration.storage", "class": "MarketPipelineStorage", "config": {}}
    }


SHIPPED = Way("as shipped", 0, shipped_storage)
SHIPPED_BATCHED = Way("as shipped, batches of 1000", 1000, shipped_storage)
BULK = Way("the project's", 1000, bulk_storage)


@contextmanager
def open_instance(way: Way, url: str) -> Iterator[DagsterInstance]:
    """An instance that keeps its records that way, in that database."""
    compute_logs = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    overrides = {
        "storage": way.storage(url),
        "telemetry": {"enabled": False},
        "compute_logs": {**compute_logs, "config": {}},
    }
    with (
        _environment(DAGSTER_DATABASE_URL=url, DAGSTER_EVENT_BATCH_SIZE=str(way.batch_size)),
        tempfile.TemporaryDirectory() as home,
        DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides)) as instance,
    ):
        yield instance


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_range(instance: DagsterInstance, symbols: int, first: str, last: str) -> Timing:
    """Materialize that many assets from `first` to `last` in one run."""
    keys = [spec.key for spec in SPECS[:symbols]]
    repository = dg.Definitions([nothing], executor=dg.in_process_executor).get_repository_def()
    job = repository.get_implicit_job_def_for_assets(keys)
    assert job is not None
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    start = time.perf_counter()
    result = job.execute_in_process(instance=instance, asset_selection=keys, tags=tags, run_config=QUIET)
    seconds = time.perf_counter() - start
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        query = text("SELECT count(*) FROM event_logs WHERE run_id = :run_id")
        events = connection.scalar(query, {"run_id": result.run_id})
    return Timing(seconds, events)


@contextmanager
def running_server() -> Iterator[embedded.Server]:
    """A PostgreSQL that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    try:
        yield embedded.ensure_running(folder / "data")
    finally:
        embedded.destroy(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: embedded.Server) -> str:
    """The address of a new, empty database, for Dagster's driver."""
    name = f"benchmark_{uuid4().hex}"
    address = make_url(server.url("postgres").get_secret_value()).set(drivername="postgresql+psycopg2")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)


def measure(server: embedded.Server, way: Way, symbols: int, first: str, last: str) -> Timing:
    """Record one range run that way in a new database, and print what it took."""
    with open_instance(way, new_database(server)) as instance:
        run_range(instance, 1, "2020-01-01", "2020-01-02")  # so that nothing is imported on the clock
        timing = run_range(instance, symbols, first, last)
    print(f"{symbols:2d} symbols, {first} to {last}, {way.name:28}{timing}", flush=True)
    return timing


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    with running_server() as server:
        timings = [measure(server, way, 3, "2023-01-01", "2023-12-31") for way in (SHIPPED, SHIPPED_BATCHED, BULK)]
        faster = [timing.seconds / timings[-1].seconds for timing in timings]
        print(f"The project's is {faster[0]:.0f} times as fast as the shipped one, {faster[1]:.0f} with batches.")
        measure(server, BULK, 15, "2020-01-01", "2024-12-31")


if __name__ == "__main__":
    main()
