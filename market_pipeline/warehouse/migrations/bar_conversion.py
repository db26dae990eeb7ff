"""Conversion of stored bars ahead of revision 0009, symbol by symbol, so that it can be interrupted and resumed.

Each symbol is a transaction of its own, while loads of the version before may still be at work. The migration itself
converts what is new or has changed since.
"""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from market_pipeline.core.wording import format_count
from market_pipeline.warehouse.locks import AdvisoryLock, wait_for_lock
from market_pipeline.warehouse.migrations.scripts import read_script

Report = Callable[[str], None]
"""Reports a step of the work."""

SYMBOLS_AT_ONCE = 50
"""Symbols between two reports: about a second."""

NEXT = """
SELECT symbol, convert_bars(symbol) AS bars
FROM (
    SELECT tracked.symbol
    FROM tracked_symbols AS tracked
    WHERE EXISTS (SELECT FROM market_data AS bar WHERE bar.symbol = tracked.symbol)
        AND NOT EXISTS (SELECT FROM converted_symbols AS converted WHERE converted.symbol = tracked.symbol)
    ORDER BY tracked.id
    LIMIT 1
) AS unconverted
"""


def measure_stored_bars(engine: Engine) -> int:
    """Return the size of the bars that are to be converted, with their indexes; 0 without any."""
    size = text(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
        "WHERE relkind = 'r' AND oid IN (to_regclass('market_data'), to_regclass('market_data_revisions')) "
        "AND EXISTS (SELECT FROM tracked_symbols)"
    )
    with engine.connect() as connection:
        return int(connection.execute(size).scalar_one())


def convert_ahead(engine: Engine, report: Report) -> None:
    """Convert the bars of each symbol that isn't converted yet. Safe with several processes at once."""
    with engine.begin() as connection:
        wait_for_lock(connection, AdvisoryLock.MIGRATION)
        if not _is_before(connection):
            return
        connection.execute(text(read_script("0009_tables")))
        connection.execute(text(read_script("0009_convert_bars")))
    bars = symbols = 0
    while (converted := _convert_next(engine)) is not None:
        bars, symbols = bars + converted, symbols + 1
        if symbols % SYMBOLS_AT_ONCE == 0:
            report(f"converted {format_count(bars, 'bar')} of {format_count(symbols, 'symbol')}")


def _convert_next(engine: Engine) -> int | None:
    """Convert the next symbol and return the number of its bars; None if none is left."""
    with engine.begin() as connection:
        wait_for_lock(connection, AdvisoryLock.MIGRATION)
        row = connection.execute(text(NEXT)).one_or_none() if _is_before(connection) else None
        return None if row is None else int(row.bars)


def _is_before(connection: Connection) -> bool:
    """Return True if market_data is still the table of before."""
    kind = text("SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass('market_data')")
    return bool(connection.execute(kind).scalar())
