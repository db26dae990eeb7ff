"""An attack on as-of reads: writers revise the same bars while readers ask for instants, and all are asked again.

Run it with `python -m benchmarks.campaigns.instants`; it takes seven minutes: one attack undisturbed, one with loads
that are held up for ten seconds, and one with the database's clock set an hour back and forth. An answer that differs
when it is asked for again, or has two rows for one session, is a failure.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.campaigns.writers import SHARES, load_at_random
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.loads import NoInstantError, UnsettledError, settle
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols

WRITERS, READERS = 8, 3

CONTENT = text("""
    SELECT count(*), count(DISTINCT (symbol, date)), coalesce(md5(string_agg(r::text, '' ORDER BY symbol, date)), '')
    FROM market_data_as_of(:instant) AS r
""")
STEPPED_CLOCK = """
    CREATE TABLE clock_step (step interval NOT NULL);
    INSERT INTO clock_step VALUES ('0');
    CREATE OR REPLACE FUNCTION database_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT clock_timestamp() + step FROM clock_step;
    END
"""


@dataclass
class Outcome:
    """Results of an attack: the answers by instant, how many were said to be unsettled, and the loads."""

    answers: dict[datetime, tuple[int, int, str]] = field(default_factory=dict)
    unsettled: int = 0
    loads: int = 0
    changed: list[datetime] = field(default_factory=list)
    doubled: list[datetime] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{len(self.answers):,} instants answered during {self.loads:,} loads, {self.unsettled} not settled: "
            f"{len(self.changed)} answered differently afterwards, {len(self.doubled)} with two rows for a session"
        )


def attack(
    engine: Engine,
    stop: Callable[[Outcome], bool],
    *,
    writers: int = WRITERS,
    held: bool = False,
    stepped: bool = False,
) -> Outcome:
    """Revise and read until `stop` says so, then ask for every instant again."""
    outcome, lock = Outcome(), threading.Lock()

    def write(number: int) -> None:
        chance = random.Random(number)
        while not stop(outcome):
            load_at_random(engine, chance, chance.choice(SHARES), share=0.7, dollars=[100])
            with lock:
                outcome.loads += 1

    def read(number: int) -> None:
        chance = random.Random(-number - 1)
        while not stop(outcome):
            instant = _read_clock(engine) - timedelta(microseconds=chance.choice([0, 0, 1, 1000, 20_000]))
            try:
                settle(engine, instant)
            except (UnsettledError, NoInstantError):  # the latter once the clock was set back
                with lock:
                    outcome.unsettled += 1
                continue
            answer = _read_content(engine, instant)
            with lock:
                outcome.answers[instant] = answer

    jobs: list[Callable[[], None]] = [
        *(lambda number=number: write(number) for number in range(writers)),
        *(lambda number=number: read(number) for number in range(READERS)),
    ]
    if held:
        jobs.append(lambda: _hold_loads(engine, stop, outcome))
    if stepped:
        jobs.append(lambda: _step_clock(engine, stop, outcome))
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()
    outcome.changed = [
        instant for instant, answer in outcome.answers.items() if _read_content(engine, instant) != answer
    ]
    outcome.doubled = [instant for instant, (rows, keys, _) in outcome.answers.items() if rows != keys]
    return outcome


def _read_clock(engine: Engine) -> datetime:
    with engine.connect() as connection:
        now: datetime = connection.execute(text("SELECT database_clock()")).scalar_one()
    return now


def _read_content(engine: Engine, instant: datetime) -> tuple[int, int, str]:
    with engine.connect() as connection:
        row = connection.execute(CONTENT, {"instant": instant}).one()
    return int(row[0]), int(row[1]), str(row[2])


def _hold_loads(engine: Engine, stop: Callable[[Outcome], bool], outcome: Outcome) -> None:
    """Hold up every load for ten seconds, again and again: in the middle, and at its very end."""
    number = 0
    while not stop(outcome):
        table = ("backfill_history", "loads", "settled")[number % 3]
        number += 1
        with engine.begin() as connection:
            connection.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))
            _wait(10, stop, outcome)
        _wait(2, stop, outcome)


def _step_clock(engine: Engine, stop: Callable[[Outcome], bool], outcome: Outcome) -> None:
    """Set the database's clock an hour back and forth."""
    hours = 0
    while not stop(outcome):
        hours = -1 if hours >= 0 else 1
        with engine.begin() as connection:
            connection.execute(text("UPDATE clock_step SET step = make_interval(hours => :hours)"), {"hours": hours})
        _wait(1, stop, outcome)


def _wait(seconds: float, stop: Callable[[Outcome], bool], outcome: Outcome) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop(outcome):
        time.sleep(0.05)


def prepare(engine: Engine, *, stepped: bool) -> None:
    """Track the symbols of an attack on a migrated warehouse and, if need be, give it a clock that can be set."""
    add_symbols(engine, SHARES)
    if stepped:
        with engine.begin() as connection:
            connection.exec_driver_sql(STEPPED_CLOCK)


def main() -> None:
    """Run the attacks and print what was found; exit with 1 if any answer changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each attack")
    seconds = parser.parse_args().seconds
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder)
    failed = False
    try:
        for name, options in {"undisturbed": {}, "held": {"held": True}, "clock": {"stepped": True}}.items():
            engine = create_warehouse_engine(server.url(), most=30)
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP SCHEMA IF EXISTS public, access CASCADE; CREATE SCHEMA public")
            migrate(engine)
            prepare(engine, stepped="stepped" in options)
            end = time.monotonic() + seconds
            outcome = attack(engine, lambda _outcome, end=end: time.monotonic() > end, **options)  # type: ignore[misc]
            engine.dispose()
            print(f"{name}: {outcome}", flush=True)
            failed |= bool(outcome.changed or outcome.doubled)
    finally:
        embedded.destroy(folder)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
