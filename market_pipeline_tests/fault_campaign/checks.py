"""Checks of a warehouse after a scenario and one undisturbed run. They only read."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import pandas as pd
import psycopg
from dagster import AssetKey, RunsFilter

from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.symbols import DEFAULT_BACKFILL
from market_pipeline.dagster_storage.internals import NOT_FINISHED_STATUSES
from market_pipeline.orchestration.instance_storage import MarketPipelineStorage, open_storage
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.fault_campaign.scenarios import FIRST_DAY, LAST_DAY, Scenario
from market_pipeline_tests.fault_campaign.stage import SYMBOLS, Stage

REFERENCE = "reference"
"""Name of the warehouse, on every stage, that one undisturbed run has filled."""

CONTENT: LiteralString = """
SELECT symbol, date, time, open, high, low, close, volume, vwap, transactions
FROM market_data ORDER BY symbol, date
"""
HASH: LiteralString = f"SELECT md5(string_agg(bar::text, ';' ORDER BY symbol, date)) FROM ({CONTENT}) AS bar"

UNCHANGED_REVISIONS = """
WITH shown AS (
    SELECT symbol, date, id, ROW(open, high, low, close, volume, vwap, transactions)::text AS bar
    FROM market_data_revisions
    UNION ALL
    SELECT symbol, date, 9223372036854775807, ROW(open, high, low, close, volume, vwap, transactions)::text
    FROM market_data
), followed AS (
    SELECT bar, lead(bar) OVER (PARTITION BY symbol, date ORDER BY id) AS next FROM shown
)
SELECT count(*) FROM followed WHERE bar = next
"""
FLAGS: LiteralString = """
SELECT symbol, date, flags, validated, quality_score, validation_notes, gap_detected, volume_anomaly
FROM market_data ORDER BY symbol, date
"""
MADE_IN_DAGSTER: LiteralString = """
SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'
UNION ALL SELECT name FROM secondary_indexes WHERE migration_completed IS NOT NULL
ORDER BY 1
"""
"""Dagster's tables, and the marks of finished data migrations, without which it reads them as older tables."""

WAITING_CHECKS: LiteralString = """
SELECT count(*) FROM (
    SELECT DISTINCT ON (asset_key, check_name) execution_status
    FROM asset_check_executions ORDER BY asset_key, check_name, id DESC
) AS latest WHERE execution_status = 'PLANNED'
"""

NONE_OF: dict[str, LiteralString] = {
    "bars twice": "SELECT count(*) - count(DISTINCT (symbol, date)) FROM market_data",
    "load records that don't reconcile": """
        SELECT count(*) FROM backfill_history WHERE fetched <> loaded + revised + unchanged + rejected
    """,
    "bars more than load records count as loaded": """
        SELECT (SELECT count(*) FROM market_data) - (SELECT coalesce(sum(loaded), 0) FROM backfill_history)
    """,
    "revisions more than load records count": """
        SELECT (SELECT count(*) FROM market_data_revisions) - (SELECT coalesce(sum(revised), 0) FROM backfill_history)
    """,
    "revisions equal to what replaced them": UNCHANGED_REVISIONS,
    "sessions whose state is not loaded": """
        SELECT count(*) FROM session_states WHERE date <= '2023-12-31' AND state <> 'loaded'
    """,
    "symbols not completed": "SELECT count(*) FROM tracked_symbols WHERE backfill_status <> 'completed'",
}
"""Queries that count problems; each must return 0."""

ONLY_WITH: dict[LiteralString, Sequence[str]] = {
    "SELECT count(*) FROM market_data_revisions": ("missing_fields:",),
    "SELECT count(*) FROM rejected_bars": ("missing_fields=c:", "out_of_range_bars:", "impossible_bars:"),
}
"""Queries that may return more than 0 only if the vendor's responses had one of these faults."""


def content_hash(stage: Stage, database: str) -> str:
    """Return a hash of all bars of a warehouse; any value of any bar changes it."""
    [(found,)] = _rows(stage, database, HASH)
    return str(found)


def list_problems(stage: Stage, database: str, scenario: Scenario, reference: str) -> Iterator[str]:
    """Yield a description of each problem in the warehouse and in Dagster."""
    found = content_hash(stage, database)
    if found != reference:
        yield f"the content's hash is {found}"
    if _rows(stage, database, FLAGS) != _rows(stage, REFERENCE, FLAGS):
        yield "flags differ from the reference"
    for name, query in NONE_OF.items():
        if count := _count(stage, database, query):
            yield f"{count} {name}"
    for query, faults in ONLY_WITH.items():
        blamed = any(rule.startswith(fault) for rule in scenario.faults for fault in faults)
        if not blamed and (count := _count(stage, database, query)):
            yield f"{count} {query.split()[-1]} without such a fault of the vendor"
    yield from _list_problems_in_dagster(stage, database)


def list_unfinished(stage: Stage, database: str, reference: str) -> Iterator[str]:
    """Yield a description of what is missing after a load of the whole year has reported success."""
    if content_hash(stage, database) != reference:
        yield "a load that reported success has not loaded everything"
    yield from _list_wrong_cells(stage, database)


def _list_problems_in_dagster(stage: Stage, database: str) -> Iterator[str]:
    """Yield missing tables, waiting checks, runs that never end, and wrong cells."""
    if _rows(stage, f"{database}_dagster", MADE_IN_DAGSTER) != _rows(stage, f"{REFERENCE}_dagster", MADE_IN_DAGSTER):
        yield "Dagster's tables are not all there"
    if count := _count(stage, f"{database}_dagster", WAITING_CHECKS):
        yield f"{count} asset checks wait for ever"
    with _storage(stage, database) as storage:
        for run in storage.run_storage.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES)):
            yield f"run {run.run_id} is {run.status.value} for ever"
    yield from _list_wrong_cells(stage, database)


def _list_wrong_cells(stage: Stage, database: str) -> Iterator[str]:
    """Yield cells of the UI that are green without a bar, or grey with one."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for symbol, session in _rows(stage, database, "SELECT symbol, date::text FROM market_data"):
        held[symbol].add(session)
    with _storage(stage, database) as storage:
        for name in DEFAULT_BACKFILL:
            green = storage.event_log_storage.get_materialized_partitions(AssetKey(["market_data", name]))
            if count := len(green ^ held[name]):
                yield f"{count} cells of {name} have another colour than in market_data"


@contextmanager
def _storage(stage: Stage, database: str) -> Iterator[MarketPipelineStorage]:
    storage = open_storage(stage.settings(database))
    try:
        yield storage
    finally:
        storage.dispose()


def differs_from_vendor(stage: Stage, database: str) -> bool:
    """Return True if a warehouse's bars differ from the vendor's, fetched symbol by symbol without loading."""
    frames = []
    with PolygonClient(stage.calm, None, source="sandbox", limiter=LocalLimiter(60_000)) as client:
        for symbol in sorted(SYMBOLS):
            frame = frame_of(client.fetch_daily_bars(symbol, FIRST_DAY, LAST_DAY))
            frames.append(frame.assign(symbol=symbol.name))
    columns = ["symbol", "date", "time", *VALUE_COLUMNS]
    sent = pd.concat(frames, ignore_index=True)[columns]
    held = pd.DataFrame(_rows(stage, database, CONTENT), columns=columns)
    return not held.astype(sent.dtypes.to_dict()).equals(sent)


def _count(stage: Stage, database: str, query: LiteralString) -> int:
    [(count,)] = _rows(stage, database, query)
    return int(count)


def _rows(stage: Stage, database: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(stage.server.url(database).get_secret_value(), options="-c timezone=UTC") as connection:
        return connection.execute(query).fetchall()
