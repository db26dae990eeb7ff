"""A campaign against the feed of changes: writers revise, delete, rename and are killed, while a consumer follows.

Run it with `python -m benchmarks.campaigns.change_feed`; it takes some seven minutes. Each seed has a database of its
own, three writer processes that are killed (kill -9) and replaced at random, and a consumer that reads pages of random
sizes. The consumer's rows are compared with full reads as of the settled points that it reaches, and at the end with
the tables.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, text

from benchmarks.campaigns.writers import SYMBOLS, write_at_random
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.changes import BEGINNING
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols

TEMPLATE = "change_feed_template"
WRITERS = 3
PAGE = text('SELECT point, kind, change, key, "values", place FROM changes(:since, CAST(:after AS jsonb), :most)')
FULL_READS = {
    "bar": ("market_data", ("symbol", "date"), ()),
    "split": ("splits", ("symbol", "execution_date"), ("load_id",)),
    "dividend": ("dividends", ("id",), ("load_id",)),
    "factor": ("adjustment_factors", ("symbol", "from_date"), ("load_id",)),
    "symbol": ("symbol_identities", ("symbol_id",), ("load_id",)),
    "security": ("securities", ("id",), ("load_id", "checked_at")),
    "ticker": ("security_tickers", ("id",), ("load_id",)),
}
"""The table of each kind, its key, and the columns that the feed leaves out."""

Rows = dict[tuple[Any, ...], Mapping[str, Any]]


@dataclass
class Outcome:
    """Results of the campaign: numbers of changes by kind and sort, and the differences found."""

    changes: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    kills: int = 0
    compared: int = 0
    disordered: int = 0
    repeated: int = 0
    failed_writers: int = 0
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sorts = ", ".join(f"{self.changes[sort]:,} {sort}" for sort in ("came", "changed", "went"))
        kinds = ", ".join(f"{self.changes[kind]:,} {kind}" for kind in FULL_READS)
        return (
            f"{sorts} ({kinds}) in {self.pages:,} pages, {self.kills} writers killed: {self.compared:,} full "
            f"reads compared, {len(self.differences)} different, {self.disordered} changes out of order, "
            f"{self.repeated} twice, {self.failed_writers} writers failed"
        )


class Consumer:
    """Follows the feed and keeps the rows that it leads to."""

    def __init__(self, engine: Engine, outcome: Outcome) -> None:
        self.rows: dict[str, Rows] = {kind: {} for kind in FULL_READS}
        self._engine, self._outcome = engine, outcome
        self._since, self._place = BEGINNING, list[Any]()
        self._seen: set[str] = set()
        self._newest = (BEGINNING, 0)

    def read_page(self, most: int) -> datetime | None:
        """Read a page and apply it; return the settled point once no change up to it is left."""
        with self._engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            settled: datetime = connection.execute(text("SELECT settled_point()")).scalar_one()
            after = json.dumps(self._place) if self._place else None
            page: list[Any] = list(connection.execute(PAGE, {"since": self._since, "after": after, "most": most}).all())
        self._outcome.pages += 1
        for point, kind, change, key, values, place in page:
            self._outcome.changes.update([kind, change])
            self._outcome.disordered += (point, place[0]) < self._newest or point > settled
            self._outcome.repeated += str(place) in self._seen
            self._seen.add(str(place))
            self._newest = (point, place[0])
            if change == "went":
                self.rows[kind].pop(tuple(key.values()), None)
            else:
                self.rows[kind][tuple(key.values())] = values
        if len(page) == most:
            self._place = page[-1].place
            return None
        self._since, self._place = settled, []
        return settled

    def compare(self, as_of: datetime | None) -> None:
        """Compare the rows with those of each table, as of an instant or now."""
        for kind, (name, key, left_out) in FULL_READS.items():
            source = name if as_of is None else f"{name}_as_of(:as_of)"
            with self._engine.connect() as connection:
                found: Any = connection.execute(
                    text(f"SELECT row_to_json(r) FROM {source} AS r"), {"as_of": as_of}
                ).scalars()
                full = [{column: row[column] for column in row if column not in left_out} for row in found]
            expected: Rows = {tuple(row[column] for column in key): row for row in full}
            held = self._name_bars() if kind == "bar" else self.rows[kind]
            self._outcome.compared += 1
            if held != expected or len(full) != len(expected):
                self._outcome.differences.append(f"{kind} as of {as_of}: {_describe_difference(held, expected)}")

    def _name_bars(self) -> Rows:
        """Return the bars by name and session; a renaming is a change of the symbol, not of its bars."""
        names = {symbol: row["symbol"] for (symbol,), row in self.rows["symbol"].items()}
        return {
            (names[symbol], day): {**row, "symbol": names[symbol]} for (symbol, day), row in self.rows["bar"].items()
        }


def _describe_difference(held: Rows, expected: Rows) -> str:
    wrong = [key for key in {*held, *expected} if held.get(key) != expected.get(key)]
    return "; ".join(f"{key}: {held.get(key)} for {expected.get(key)}" for key in wrong[:2])


def follow(url: SecretStr, seed: int, seconds: float, outcome: Outcome) -> None:
    """Follow the writers of one seed, kill them, and compare."""
    chance = random.Random(seed)
    fork = multiprocessing.get_context("fork")
    writers: list[Any] = []

    def start_writer() -> None:
        writer = fork.Process(target=write_at_random, args=(url.get_secret_value(), chance.randrange(10**9)))
        writer.start()
        writers.append(writer)

    for _ in range(WRITERS):
        start_writer()
    engine = create_warehouse_engine(url)
    try:
        consumer = Consumer(engine, outcome)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            settled = consumer.read_page(chance.choice([1, 7, 50, 200, 1000]))
            if settled is not None and chance.random() < 0.4:
                consumer.compare(settled)
            outcome.failed_writers += sum(not writer.is_alive() for writer in writers)
            if outcome.failed_writers:
                return  # nothing would be compared but what the others write
            if chance.random() < 0.1:
                writers.pop(chance.randrange(WRITERS)).kill()
                outcome.kills += 1
                start_writer()
        for writer in writers:
            writer.kill()
            writer.join()
        outcome.kills += len(writers)
        _wait_for_sessions(engine)
        while (settled := consumer.read_page(chance.choice([50, 1000]))) is None:
            pass
        consumer.compare(settled)
        consumer.compare(None)
    finally:
        for writer in writers:
            writer.kill()
        engine.dispose()


def _wait_for_sessions(engine: Engine) -> None:
    """Wait until the sessions of killed writers have ended: one may be about to commit."""
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    while True:
        with engine.connect() as connection:
            if not connection.execute(others).scalar_one():
                return
        time.sleep(0.05)


def main() -> None:
    """Run the seeds and print one line; exit with 1 if a consumer differs from a full read, or a writer fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5, help="of each seed")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder)
    outcome = Outcome()
    try:
        admin = create_warehouse_engine(server.url()).execution_options(isolation_level="AUTOCOMMIT")
        _run(admin, f"CREATE DATABASE {TEMPLATE}")
        engine = create_warehouse_engine(server.url(TEMPLATE))
        migrate(engine)
        add_symbols(engine, SYMBOLS)
        engine.dispose()
        for seed in range(options.first, options.first + options.seeds):
            _run(admin, f"CREATE DATABASE seed_{seed} TEMPLATE {TEMPLATE}")
            before = len(outcome.differences)
            follow(server.url(f"seed_{seed}"), seed, options.seconds, outcome)
            for difference in outcome.differences[before:]:
                print(f"seed {seed}: {difference}", flush=True)
            _run(admin, f"DROP DATABASE seed_{seed} WITH (FORCE)")
        admin.dispose()
    finally:
        embedded.destroy(folder)
    print(f"{options.seeds} seeds: {outcome}")
    if outcome.differences or outcome.disordered or outcome.repeated or outcome.failed_writers:
        raise SystemExit(1)


def _run(admin: Engine, statement: str) -> None:
    with admin.connect() as connection:
        connection.exec_driver_sql(statement)


if __name__ == "__main__":
    main()
