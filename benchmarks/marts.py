"""Marts of 500 symbols x 5 years: a full build, a night's build, and the ten queries of docs/analysts.md.

Run it with `python -m benchmarks.marts`. The bars are generated in the database, in a PostgreSQL of its own.
Each build is timed with dbt's fixed seconds; queries are medians of seven. The database counts the rows that a night
touches.
"""

import re
import statistics
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, text

from benchmarks.stage import fresh_warehouse, statements
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import run_dbt
from market_pipeline.warehouse.adjustment import refresh_factors

SYMBOLS = 500
FIRST, LAST = "2008-03-03", "2013-02-28"
NIGHT = "2013-03-01"
ROUNDS = 3
DOCUMENT = Path(__file__).parents[1] / "docs" / "analysts.md"

SEED = f"""
INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar)
SELECT name, 'stock', name, 'XNYS'
FROM (
    SELECT unnest('{{AAPL,FB,GOOG,IBM,MSFT}}'::text[]) AS name
    UNION ALL SELECT 'S' || lpad(i::text, 4, '0') FROM generate_series(6, {SYMBOLS}) AS i
) AS names;
INSERT INTO market_data (symbol, date, time, open, high, low, close, volume, source, fetched_at, run_id, updated_at)
SELECT symbol, date, date::timestamp AT TIME ZONE 'America/New_York', price * 0.99, price * 1.02, price * 0.98, price,
    1e6 + random() * 1e6, 'sandbox', now(), 'seed', now()
FROM (
    SELECT symbol, date,
        50 * exp(sum((random() - 0.5) * 0.04) OVER (PARTITION BY symbol ORDER BY date)) AS price
    FROM tracked_symbols JOIN sessions USING (calendar)
    WHERE date BETWEEN '{FIRST}' AND '{LAST}'
) AS walk;
INSERT INTO splits
SELECT symbol, date '2009-01-05' + mod(id * 7, 1400)::int, 1, 2, NULL, 'sandbox', now(), 'seed'
FROM tracked_symbols WHERE mod(id, 4) = 0;
INSERT INTO dividends (symbol, ex_dividend_date, cash_amount, currency, dividend_type, source, fetched_at, run_id)
SELECT symbol, day, 0.25, 'USD', 'recurring', 'sandbox', now(), 'seed'
FROM tracked_symbols, generate_series(timestamp '2008-05-08', '{LAST}', '3 months') AS day WHERE mod(id, 5) < 2;
INSERT INTO corporate_action_inquiries
SELECT kind, symbol, now(), now() FROM tracked_symbols, unnest('{{splits,dividends}}'::text[]) AS kind;
INSERT INTO backfill_history (
    run_id, trigger, symbol, start_date, end_date, sessions, answered, refused, answered_from, answered_to, requests,
    fetched, loaded, revised, unchanged, rejected, flagged, missing, records_imported, started_at, duration_seconds,
    success
)
SELECT
    'seed', 'cli', symbol, '{FIRST}', '{LAST}', 1257, 1257, 0, '{FIRST}', '{LAST}', 1,
    1257, 1257, 0, 0, 0, 0, 0, 1257, now(), 1,
    true
FROM tracked_symbols;
UPDATE tracked_symbols SET delisted_on = '{NIGHT}';  -- so that nothing is expected of the years since
"""

ONE_NIGHT = f"""
INSERT INTO market_data (symbol, date, time, open, high, low, close, volume, source, fetched_at, run_id, updated_at)
SELECT symbol, '{NIGHT}', '{NIGHT} 05:00+00', open, high, low, close, volume, source, now(), 'night', now()
FROM market_data WHERE date = '{LAST}';
INSERT INTO splits SELECT 'S0101', '{NIGHT}', 1, 3, NULL, 'sandbox', now(), 'night';
INSERT INTO dividends (symbol, ex_dividend_date, cash_amount, currency, dividend_type, source, fetched_at, run_id)
SELECT 'S0102', '{NIGHT}', 0.5, 'USD', 'recurring', 'sandbox', now(), 'night';
"""
ROWS = """
SELECT sum(n_live_tup)::bigint AS held, sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint AS touched
FROM pg_stat_user_tables WHERE schemaname IN ('analytics', 'analytics_staging')
"""
UNDO = "DELETE FROM {table} WHERE run_id = 'night'"


def main() -> None:
    """Print both builds' seconds and their ratio, the rows a night touches, then each query's milliseconds."""
    with fresh_warehouse() as (settings, warehouse):
        execute(warehouse, SEED)
        statements(warehouse, "VACUUM ANALYZE")
        full, nightly = [], []
        for _ in range(ROUNDS):
            full.append(build(settings, "--full-refresh"))
            execute(warehouse, ONE_NIGHT)
            before = rows(warehouse)
            nightly.append(build(settings))
            after = rows(warehouse)
            execute(warehouse, "; ".join(UNDO.format(table=name) for name in ("market_data", "splits", "dividends")))
        build(settings)
        ratio = statistics.median(full) / statistics.median(nightly)
        print(
            f"full build {statistics.median(full):.1f} s, night's {statistics.median(nightly):.1f} s, ratio {ratio:.1f}"
        )
        print(f"of {after.held:,} rows a night touches {after.touched - before.touched:,}")
        for number, query in enumerate(documented_queries(), start=1):
            print(f"query {number:2}: {milliseconds(warehouse, query):7.1f} ms")


def execute(warehouse: Engine, statements: str) -> None:
    """Run several statements in one transaction, and bring the adjustment factors up to date as a load does."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(statements)
        refresh_factors(connection, connection.execute(text("SELECT symbol FROM tracked_symbols")).scalars())


def build(settings: Settings, *options: str) -> float:
    """Build all models and run their data tests, and return the seconds."""
    start = time.perf_counter()
    run_dbt(settings, "--quiet", "build", "--exclude-resource-type", "unit_test", *options)
    return time.perf_counter() - start


def rows(warehouse: Engine) -> Row[Any]:
    """Return the row counts of the models' tables: live rows, and rows inserted, updated or deleted so far."""
    with warehouse.connect() as connection:
        return connection.execute(text(ROWS)).one()


def documented_queries() -> list[str]:
    """Return the SQL of docs/analysts.md, in its order."""
    return re.findall(r"```sql\n(select.*?|with.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[:10]


def milliseconds(warehouse: Engine, query: str) -> float:
    """Return the median time of a query and its whole result."""
    times = []
    with warehouse.connect() as connection:
        for _ in range(7):
            start = time.perf_counter()
            connection.exec_driver_sql(query.rstrip().rstrip(";")).all()
            times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
