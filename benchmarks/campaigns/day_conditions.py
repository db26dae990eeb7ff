"""Time of the conditions of the last 30 sessions, among a million bars of 800 symbols.

Run it with `python -m benchmarks.campaigns.day_conditions`; it takes two minutes. Every night of the last 60 sessions
is a load of each symbol, the vendor has no bar in one case of 400, one symbol in 20 was corrected, and the newest
session is awaited.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from sqlalchemy import Engine, text

from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate

SYMBOLS, SESSIONS, NIGHTS = 800, 1_260, 60
TIMES = 20

FILL = f"""
    INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar, active)
    SELECT 'S' || lpad(n::text, 4, '0'), 'stock', 'S' || n, 'XNYS', true FROM generate_series(1, {SYMBOLS}) AS n;
    CREATE TEMPORARY TABLE days AS
    SELECT date, row_number() OVER (ORDER BY date DESC) AS age
    FROM sessions WHERE calendar = 'XNYS' AND date < (now() AT TIME ZONE 'UTC')::date;
    CREATE TEMPORARY TABLE planned AS
    SELECT id AS symbol_id, symbol, min(date) AS first, max(date) AS last, 'history' AS run_id
    FROM tracked_symbols, days WHERE age > {NIGHTS} AND age <= {SESSIONS} GROUP BY id, symbol
    UNION ALL
    SELECT id, symbol, date, date, 'night of ' || date
    FROM tracked_symbols, days WHERE age BETWEEN 2 AND {NIGHTS} ORDER BY 4, 1;
    ALTER TABLE planned ADD COLUMN load_id serial;
    UPDATE planned SET load_id = load_id + (SELECT max(id) FROM loads);
    INSERT INTO loads (id, point, run_id, source)
    SELECT load_id, last + interval '26 hours' + load_id * interval '1 ms', run_id, 'sandbox' FROM planned;
    SELECT setval('loads_id_seq', (SELECT max(load_id) FROM planned));
    INSERT INTO bars (symbol_id, date, load_id, open, high, low, close, volume)
    SELECT symbol_id, date, load_id, 10, 11, 9, 10, 1000
    FROM planned JOIN days ON date BETWEEN first AND last
    WHERE run_id = 'history' OR (symbol_id + age) % 400 <> 0 ORDER BY load_id, date;
    INSERT INTO backfill_history (run_id, trigger, symbol, start_date, end_date, sessions, answered, refused,
        answered_from, answered_to, requests, fetched, loaded, revised, unchanged, rejected, flagged, missing,
        records_imported, started_at, duration_seconds, success)
    SELECT run_id, 'schedule', symbol, first, last, 1, 1, 0, first, last, 1, 1, 1, 0, 0, 0, 0, 0, 1, now(), 1, true
    FROM planned ORDER BY load_id;
"""
NEWEST = """
    SELECT * FROM day_conditions
    WHERE calendar = 'XNYS' AND date > (
        SELECT date FROM sessions WHERE calendar = 'XNYS' AND date < (now() AT TIME ZONE 'UTC')::date
        ORDER BY date DESC OFFSET 30 LIMIT 1
    )
    ORDER BY date
"""


def main() -> None:
    """Fill a database, and print the conditions found and the times of the query."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="day-conditions-") as folder:
        Path(folder).chmod(0o755)
        server = embedded.ensure_running(Path(folder) / "data")
        try:
            engine = create_warehouse_engine(server.url())
            migrate(engine)
            fill(engine)
            report(engine)
            engine.dispose()
        finally:
            embedded.destroy(Path(folder) / "data")


def fill(engine: Engine) -> None:
    """Store a million bars with their loads and load records, and correct those of every twentieth symbol."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE bars DISABLE TRIGGER USER")
        for statement in FILL.split(";\n"):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        connection.exec_driver_sql("ALTER TABLE bars ENABLE TRIGGER USER")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE bars SET close = 10.5 WHERE symbol_id %% 20 = 0")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def report(engine: Engine) -> None:
    """Print the sessions by condition, and how long their query takes."""
    with engine.connect() as connection:
        process = psutil.Process(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        bars: int = connection.execute(text("SELECT count(*) FROM bars")).scalar_one()
        found = Counter(row.condition for row in connection.execute(text(NEWEST)))
        times = []
        before = sum(process.cpu_times()[:2])
        for _ in range(TIMES):
            start = time.perf_counter()
            connection.execute(text(NEWEST)).all()
            times.append(1_000 * (time.perf_counter() - start))
        processor = 1_000 * (sum(process.cpu_times()[:2]) - before) / TIMES
    conditions = ", ".join(f"{count} {condition}" for condition, count in found.items())
    print(
        f"{bars:,} bars: {conditions}; {min(times):.0f} ms at best, {statistics.median(times):.0f} ms median, "
        f"{processor:.0f} ms of processor time"
    )


if __name__ == "__main__":
    main()
