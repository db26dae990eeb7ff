"""Dagster's records of a range run: the storage shipped by dagster-postgres beside the project's.

    python -m benchmarks.bookkeeping

Both record the same run of assets that do nothing, each time in a new database of the same PostgreSQL. The seconds are
those of the whole run, Dagster's own work on it included.
"""

import os
import statistics
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster import DagsterInstance
from sqlalchemy import create_engine, make_url, text

from benchmarks.report import Finding, format_seconds, require_at_least, run_command_line
from benchmarks.stage import execute_statements, fresh_warehouse, measure, measure_here
from market_pipeline.core.sessions import list_sessions
from market_pipeline.dagster_storage.internals import InstanceRef
from market_pipeline.orchestration.partitions import build_session_partitions

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Size:
    """The symbols and the sessions of the run; the shipped storage records a single symbol's."""

    symbols: int = 15
    first: date = date(2020, 1, 2)
    last: date = date(2024, 12, 31)
    rounds: int = 3
    rounds_as_shipped: int = 2


@dataclass(frozen=True)
class Recorded:
    """A recorded range run: its seconds, and the number of events by kind, asset and partition."""

    seconds: float
    events: Counter[tuple[str, ...]]


Storage = Callable[[str], Mapping[str, Any]]
"""Builds the `storage` of dagster.yaml from a database's URL."""


def configure_shipped(url: str) -> Mapping[str, Any]:
    """Return the storage of dagster-postgres' documentation."""
    return {"postgres": {"postgres_url": url}}


def configure_own(_url: str) -> Mapping[str, Any]:
    """Return the storage of the project's dagster.yaml; the environment holds the database's URL."""
    return {
        "custom": {
            "module": "market_pipeline.orchestration.instance_storage",
            "class": "MarketPipelineStorage",
            "config": {},
        }
    }


def record_run(storage: Storage, batch_size: int, server: str, symbols: int, first: date, last: date) -> Recorded:
    """Record a range run in a new database."""
    warnings.simplefilter("ignore")
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = str(batch_size)
    with open_instance(storage, create_database(server)) as instance:
        job = build_job(symbols)
        execute_job(job, instance, first, first)  # so that no import is timed
        run = measure_here(lambda: execute_job(job, instance, first, last))
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            query = text("SELECT dagster_event_type, asset_key, partition FROM event_logs WHERE run_id = :run_id")
            events = Counter(tuple(map(str, row)) for row in connection.execute(query, {"run_id": run.result}))
    return Recorded(run.seconds, events)


def build_job(symbols: int) -> dg.JobDefinition:
    """Return a job of assets that are materialized without work, declared as the project's are."""
    specs = [dg.AssetSpec(["market_data", f"SYMBOL_{number}"], skippable=True) for number in range(symbols)]

    @dg.multi_asset(
        specs=specs,
        partitions_def=build_session_partitions("XNYS", date(2025, 1, 1)),
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def nothing() -> Iterator[dg.MaterializeResult[None]]:
        for spec in specs:
            yield dg.MaterializeResult(asset_key=spec.key, metadata={"rows": 1})

    repository = dg.Definitions([nothing], executor=dg.in_process_executor).get_repository_def()
    job = repository.get_implicit_job_def_for_assets([spec.key for spec in specs])
    assert job is not None
    return job


def execute_job(job: dg.JobDefinition, instance: DagsterInstance, first: date, last: date) -> str:
    """Materialize all assets from `first` to `last` in one run, and return its id."""
    tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    return job.execute_in_process(instance=instance, tags=tags, run_config=QUIET).run_id


@contextmanager
def open_instance(storage: Storage, url: str) -> Iterator[DagsterInstance]:
    """Open an instance with that storage, in that database."""
    os.environ["DAGSTER_DATABASE_URL"] = url
    no_logs = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    overrides = {
        "storage": storage(url),
        "telemetry": {"enabled": False},
        "compute_logs": {**no_logs, "config": {}},
    }
    with (
        tempfile.TemporaryDirectory() as home,
        DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides=overrides)) as instance,
    ):
        yield instance


def create_database(server: str) -> str:
    """Create an empty database, and return its URL for Dagster's driver."""
    name = f"benchmark_{uuid4().hex}"
    address = make_url(server).set(drivername="postgresql+psycopg2")
    engine = create_engine(address)
    execute_statements(engine, f"CREATE DATABASE {name}")
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)


def run(size: Size) -> Finding:
    """Record in turns, check that both have the same events of the first symbol, and compare per event."""
    ours: list[Recorded] = []
    theirs: list[Recorded] = []
    with fresh_warehouse() as (settings, _):
        assert settings.database_url is not None
        server = settings.database_url.get_secret_value()
        for number in range(size.rounds):
            if number < size.rounds_as_shipped:
                theirs.append(measure(record_run, configure_shipped, 0, server, 1, size.first, size.last).result)
            ours.append(measure(record_run, configure_own, 1000, server, size.symbols, size.first, size.last).result)
            check_equal(theirs[-1].events, ours[-1].events)
    sessions = len(list_sessions("XNYS", size.first, size.last))
    scaled = [each.seconds * size.symbols for each in theirs]
    events = [sum(each.events.values()) for each in (theirs[0], ours[0])]
    return Finding(
        f"3. Dagster's bookkeeping of {size.symbols} symbols x 5 years",
        f"One run of {size.symbols} assets that do nothing, over the {sessions:,} sessions from {size.first} to "
        f"{size.last}: {size.symbols * sessions:,} partitions. The storage that dagster-postgres ships records one of "
        f"the {size.symbols} assets, and its time is multiplied by {size.symbols}: it takes as long for each event "
        "however many there are. The first asset's events are compared, by kind and partition.",
        ["storage", "partitions", "events", "time", "a thousand events"],
        [
            [
                name,
                f"{partitions:,}",
                f"{count:,}",
                format_seconds([each.seconds for each in several]),
                format_seconds([1000 * each.seconds / count for each in several]),
            ]
            for name, partitions, count, several in (
                ("as shipped, one asset", sessions, events[0], theirs),
                ("the project's", size.symbols * sessions, events[1], ours),
            )
        ],
        [
            require_at_least(
                "time, as shipped (scaled) / the project's",
                [one / other.seconds for one, other in zip(scaled, ours, strict=False)],
                40,
            )
        ],
        [f"As shipped, the whole run would take {statistics.median(scaled) / 60:.0f} minutes."],
    )


def check_equal(theirs: Counter[tuple[str, ...]], ours: Counter[tuple[str, ...]]) -> None:
    """Check that the first asset's events are the same in both."""
    asset = {key: count for key, count in ours.items() if key[1] == '["market_data", "SYMBOL_0"]'}
    if asset != {key: count for key, count in theirs.items() if key[1] in {each[1] for each in asset}}:
        raise SystemExit("the two storages have recorded different events, so their times can't be compared")


FULL = Size()
TINY = Size(symbols=2, first=date(2024, 12, 2), rounds=1, rounds_as_shipped=1)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
