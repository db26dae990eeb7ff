"""Marts of 500 symbols x 5 years: a full build, a night's and a week's, and the ten queries of docs/analysts.md.

Run it with `python -m benchmarks.marts`. The bars are generated in the database, in a PostgreSQL of its own.
A night brings a bar of each symbol, three corrections of older bars, a split and a dividend. Each build is timed with
dbt's fixed seconds; queries are medians of seven. The database counts the rows that a night touches.
"""

import re
import statistics
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, text

from benchmarks.stage import execute_statements, fresh_warehouse
from market_pipeline.core.settings import Settings
from market_pipeline.dbt_project import BUILD, NIGHTLY_BUILD, BuildScope, run_dbt
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
SELECT open_load('seed', 'sandbox');
INSERT INTO bars (symbol_id, date, open, high, low, close, volume)
SELECT id, date, price * 0.99, price * 1.02, price * 0.98, price, 1e6 + random() * 1e6
FROM (
    SELECT id, date,
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
SELECT open_load('night', 'sandbox');
INSERT INTO bars (symbol_id, date, open, high, low, close, volume)
SELECT symbol_id, '{NIGHT}', open, high, low, close, volume FROM bars WHERE date = '{LAST}';
UPDATE bars SET close = low + random() * (high - low)
WHERE symbol_id IN (SELECT id FROM tracked_symbols WHERE symbol IN ('S0010', 'S0011', 'S0012')) AND date = '2012-03-01';
INSERT INTO splits SELECT 'S0101', '{NIGHT}', 1, 3, NULL, 'sandbox', now(), 'night';
INSERT INTO dividends (symbol, ex_dividend_date, cash_amount, currency, dividend_type, source, fetched_at, run_id)
SELECT 'S0102', '{NIGHT}', 0.5, 'USD', 'recurring', 'sandbox', now(), 'night';
"""
ROWS = """
SELECT sum(n_live_tup)::bigint AS held, sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint AS touched
FROM pg_stat_user_tables WHERE schemaname IN ('analytics', 'analytics_staging')
"""
UNDO = f"""
DELETE FROM bars WHERE date = '{NIGHT}';
DELETE FROM splits WHERE run_id = 'night';
DELETE FROM dividends WHERE run_id = 'night';
"""


def main() -> None:
    """Print the builds' seconds, the rows a night touches, then each query's milliseconds."""
    with fresh_warehouse() as (settings, warehouse):
        execute(warehouse, SEED)
        execute_statements(warehouse, "VACUUM ANALYZE")
        full, nightly, weekly = [], [], []
        for _ in range(ROUNDS):
            full.append(build(settings, *BUILD, "--full-refresh"))
            execute(warehouse, ONE_NIGHT)
            before = count_rows(warehouse)
            nightly.append(build(settings, *NIGHTLY_BUILD, scope=BuildScope.CHANGES))
            after = count_rows(warehouse)
            weekly.append(build(settings, *BUILD))
            execute(warehouse, UNDO)
        build(settings, *BUILD)
        for name, times in (("full build", full), ("night's", nightly), ("week's", weekly)):
            print(f"{name} {statistics.median(times):.1f} s, {min(times):.1f} to {max(times):.1f}")
        print(f"of {after.held:,} rows a night touches {after.touched - before.touched:,}")
        for number, query in enumerate(read_documented_queries(), start=1):
            print(f"query {number:2}: {measure_milliseconds(warehouse, query):7.1f} ms")


def execute(warehouse: Engine, statements: str) -> None:
    """Run several statements in one transaction, and bring the adjustment factors up to date as a load does."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(statements)
        refresh_factors(connection, connection.execute(text("SELECT symbol FROM tracked_symbols")).scalars())


def build(settings: Settings, *command: str, scope: BuildScope = BuildScope.EVERYTHING) -> float:
    """Build the marts by a command of dbt, and return the seconds."""
    start = time.perf_counter()
    run_dbt(settings, "--quiet", *command, scope=scope)
    return time.perf_counter() - start


def count_rows(warehouse: Engine) -> Row[Any]:
    """Return the row counts of the models' tables: live rows, and rows inserted, updated or deleted so far."""
    with warehouse.connect() as connection:
        return connection.execute(text(ROWS)).one()


def read_documented_queries() -> list[str]:
    """Return the SQL of docs/analysts.md, in its order."""
    return re.findall(r"```sql\n(select.*?|with.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[:10]


def measure_milliseconds(warehouse: Engine, query: str) -> float:
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
