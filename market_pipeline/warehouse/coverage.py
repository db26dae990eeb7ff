"""What is missing of which symbol, and why: the views `session_states` and `coverage`, asked from Python."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Engine, exists, func, select, text

from market_pipeline.core.run_planning import Gap
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import backfill_history, market_data, tracked_symbols

Row = dict[str, Any]
"""A row, by the names of its columns."""

NIGHTLY = ("never_asked", "failed", "not_yet_available")
"""The states that a night tries to mend: what may well be there the next time it is asked for."""

FILLABLE = (*NIGHTLY, "rejected")
"""The states that are worth another request on demand."""


def gaps(engine: Engine, symbols: Sequence[str]) -> list[Row]:
    """The sessions without a bar of these symbols, as ranges.

    Returns:
        One row a range of sessions with the same state and reason: `symbol`, `first_session`, `last_session`,
        `sessions` (how many), `state` and `reason`, in order of symbol and session.
    """
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement("gaps"), {"symbols": list(symbols)}).mappings()]


def never_loaded(engine: Engine, symbols: Sequence[str]) -> list[str]:
    """Those of these symbols that nobody has asked for yet, in order: they have no first session to count from."""
    names, asked = tracked_symbols.c.symbol, backfill_history.c.symbol
    query = select(names).where(names.in_(symbols), ~exists().where(asked == names)).order_by(names)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def coverage(engine: Engine, symbols: Sequence[str]) -> list[Row]:
    """The rows of the view `coverage` of these symbols, in order of symbol."""
    query = text("SELECT * FROM coverage WHERE symbol = ANY(:symbols) ORDER BY symbol")
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query, {"symbols": list(symbols)}).mappings()]


def oldest_gaps(engine: Engine, symbols: Sequence[str], since: date, until: date) -> Mapping[str, Gap]:
    """By symbol, what a night should mend of its sessions from `since` to `until`, where there is any.

    Of a symbol that was never asked for, that is all of them.
    """
    spans = _spans(engine, symbols, NIGHTLY, since, until)
    begins = select(market_data.c.symbol, func.min(market_data.c.date).label("first")).group_by(market_data.c.symbol)
    with engine.connect() as connection:
        rows = connection.execute(begins.where(market_data.c.symbol.in_(spans)))
        first_bars: Mapping[str, date] = {row.symbol: row.first for row in rows}
    holes = {name: Gap(oldest, first_bars.get(name)) for name, (oldest, _) in spans.items()}
    return {**holes, **dict.fromkeys(never_loaded(engine, symbols), Gap(since, None))}


def missing_spans(
    engine: Engine, symbols: Sequence[Symbol], since: date, until: date
) -> Mapping[Symbol, tuple[date, date]]:
    """The first and the last session from `since` to `until` that is worth asking for, of the symbols that have any."""
    spans = _spans(engine, [symbol.name for symbol in symbols], FILLABLE, since, until)
    return {symbol: spans[symbol.name] for symbol in symbols if symbol.name in spans}


def _spans(
    engine: Engine, symbols: Sequence[str], states: Sequence[str], since: date, until: date
) -> Mapping[str, tuple[date, date]]:
    query = text(
        "SELECT symbol, min(date) AS first, max(date) AS last FROM session_states "
        "WHERE symbol = ANY(:symbols) AND date BETWEEN :since AND :until AND state = ANY(:states) "
        "AND state <> 'loaded' "  # a constant, which lets the planner skip the sessions that are there
        "GROUP BY symbol"
    )
    parameters = {"symbols": list(symbols), "states": list(states), "since": since, "until": until}
    with engine.connect() as connection:
        return {row.symbol: (row.first, row.last) for row in connection.execute(query, parameters)}
