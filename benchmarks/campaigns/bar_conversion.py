"""The upgrade of a warehouse of revision 0008 with a million bars, killed in the middle and resumed: nothing differs.

Run it with `python -m benchmarks.campaigns.bar_conversion`; it takes some three minutes. The content before is kept in
tables of its own in the same database, and every row of the two views is compared with it.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import BEFORE_CONVERSION, run_migrations

SYMBOLS = 800
SESSIONS_OF = """
    SELECT day::date AS date, row_number() OVER (ORDER BY day) AS number
    FROM generate_series(timestamp '2020-01-01', timestamp '2026-11-20', '1 day') AS day
    WHERE extract(isodow FROM day) < 6
    ORDER BY day
    LIMIT :sessions
"""
FILL = f"""
    INSERT INTO tracked_symbols (symbol, asset_class, vendor_ticker, calendar, date_added)
    SELECT 'S' || lpad(n::text, 4, '0'), 'stock', 'S' || lpad(n::text, 4, '0'), 'XNYS', '2026-01-01'
    FROM generate_series(1, {SYMBOLS}) AS n;
    INSERT INTO market_data (
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, fetched_at, run_id, updated_at,
        flags, validated, quality_score, validation_notes, gap_detected
    )
    SELECT
        symbol, date, date::timestamp AT TIME ZONE 'America/New_York', 100, 102, 98, 100 + random(), 1e6 * random(),
        100, (1e5 * random())::bigint, 'polygon', loaded, 'run-' || id % 7,
        CASE WHEN flagged THEN loaded + '1 day' ELSE loaded END,
        CASE WHEN flagged THEN '{{unexplained_move}}'::text[] ELSE '{{}}' END, NOT flagged,
        CASE WHEN flagged THEN 0.8 ELSE 1 END, CASE WHEN flagged THEN 'a move' END, flagged
    FROM (
        SELECT
            symbol, id, date, timestamptz '2026-03-01' + id * interval '1 second' AS loaded,
            number % 97 = id % 97 AS flagged
        FROM tracked_symbols
        CROSS JOIN ({SESSIONS_OF}) AS session
    ) AS cells;
    INSERT INTO market_data_revisions (
        symbol, date, time, open, high, low, close, volume, vwap, transactions, source, fetched_at, run_id, replaced_at,
        replaced_by_run_id
    )
    SELECT
        symbol, date, time, open, high, low, close + 1, volume, vwap, transactions, source,
        fetched_at - interval '1 month', 'run-old', fetched_at, run_id
    FROM market_data
    WHERE hashtext(symbol || date) % 20 = 0;
    CREATE SCHEMA before;
    CREATE TABLE before.market_data AS SELECT * FROM market_data;
    CREATE TABLE before.market_data_revisions AS SELECT * FROM market_data_revisions;
    CREATE VIEW public.mine AS SELECT symbol, max(close) AS highest FROM market_data GROUP BY symbol;
    ANALYZE;
"""


def fill(engine: Engine, bars: int) -> None:
    """Fill a new database of the revision before with bars, a twentieth of them revised once."""
    with engine.begin() as connection:
        run_migrations(connection, BEFORE_CONVERSION)
        for statement in FILL.split(";\n"):
            if statement.strip():
                has_sessions = ":sessions" in statement
                connection.execute(text(statement), {"sessions": bars // SYMBOLS} if has_sessions else {})


def count_differences(connection: Connection) -> int:
    """Return the number of rows of the views that differ from those kept."""
    found = 0
    for name in ("market_data", "market_data_revisions"):
        for one, other in ((f"public.{name}", f"before.{name}"), (f"before.{name}", f"public.{name}")):
            listed: str = connection.execute(
                text(
                    "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute "
                    "WHERE attrelid = CAST(:name AS regclass) AND attnum > 0"
                ),
                {"name": f"before.{name}"},
            ).scalar_one()
            query = f"SELECT count(*) FROM (SELECT {listed} FROM {one} EXCEPT ALL SELECT {listed} FROM {other}) AS d"
            found += int(connection.execute(text(query)).scalar_one())
    return found


def main() -> None:
    """Fill, kill the upgrade, resume it, and print the times and the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=1_000_000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="market-pipeline-benchmark-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder)
    try:
        engine = create_warehouse_engine(server.url())
        fill(engine, arguments.bars)
        command = [str(Path(sys.executable).with_name("market-pipeline")), "db", "migrate"]
        environment = {**os.environ, "MARKET_PIPELINE_DATA_DIR": str(folder)}
        killed = subprocess.Popen([*command, "--no-backup"], env=environment, stderr=subprocess.PIPE, text=True)
        assert killed.stderr is not None
        said = next(line for line in killed.stderr if f"of {SYMBOLS // 2} symbols" in line)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        print(f"killed after it said: {said.strip()}", flush=True)
        begin = time.monotonic()
        subprocess.run(command, env=environment, check=True)
        print(f"resumed: {time.monotonic() - begin:.1f} s, the backup included")
        with engine.connect() as connection:
            bars, size = connection.execute(
                text("SELECT count(*), pg_total_relation_size('bars')::float8 / count(*) FROM bars")
            ).one()
            print(f"{bars:,} bars of {size:.1f} bytes each with indexes, {count_differences(connection)} rows differ")
            print(
                f"the view of another's is kept: {connection.execute(text('SELECT count(*) FROM mine')).scalar_one()}"
            )
        engine.dispose()
    finally:
        embedded.destroy(folder)
        shutil.rmtree(folder, ignore_errors=True)  # the backup; without one the folder is gone already


if __name__ == "__main__":
    main()
