"""Coverage of the tracked symbols: missing sessions and their states, by `session_states` and `coverage`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Engine, exists, func, select, text

from market_pipeline.core.run_planning import Gap
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.bar_tables import bars
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import backfill_history, tracked_symbols

Row = dict[str, Any]
"""A row by column names."""

NIGHTLY = ("never_asked", "failed", "not_yet_available")
"""States that a night tries to fill: a bar may well be there at the next request."""

FILLABLE = (*NIGHTLY, "rejected")
"""States that are worth another request on demand."""

HEALTHS = ("fine", "behind", "attention")
"""Values of the view's column `health`."""


def list_gaps(engine: Engine, symbols: Sequence[str]) -> list[Row]:
    """Return the sessions without a bar of these symbols, as ranges.

    Returns:
        One row a range of sessions with the same state and reason: `symbol`, `first_session`, `last_session`,
        `sessions` (how many), `state` and `reason`, in order of symbol and session.
    """
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(read_statement("gaps"), {"symbols": list(symbols)}).mappings()]


def find_never_loaded(engine: Engine, symbols: Sequence[str]) -> list[str]:
    """Return those of these symbols that no run has requested yet, in order: they have no first session."""
    names, requested = tracked_symbols.c.symbol, backfill_history.c.symbol
    query = select(names).where(names.in_(symbols), ~exists().where(requested == names)).order_by(names)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def read_coverage(engine: Engine, symbols: Sequence[str]) -> list[Row]:
    """Return the rows of the view `coverage` for these symbols, in order of symbol."""
    query = text("SELECT * FROM coverage WHERE symbol = ANY(:symbols) ORDER BY symbol")
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query, {"symbols": list(symbols)}).mappings()]


def find_oldest_gaps(engine: Engine, symbols: Sequence[str], since: date, until: date) -> Mapping[str, Gap]:
    """Return by symbol the gap that a night should fill between `since` and `until`, if there is any.

    For a symbol that no run has requested, that is all of the range.
    """
    spans = _find_spans(engine, symbols, NIGHTLY, since, until)
    tracked = tracked_symbols.c
    begins = (
        select(tracked.symbol, func.min(bars.c.date).label("first"))
        .join_from(bars, tracked_symbols, tracked.id == bars.c.symbol_id)
        .where(tracked.symbol.in_(spans))
        .group_by(tracked.symbol)
    )
    with engine.connect() as connection:
        rows = connection.execute(begins)
        first_bars: Mapping[str, date] = {row.symbol: row.first for row in rows}
    found = {name: Gap(oldest, first_bars.get(name)) for name, (oldest, _) in spans.items()}
    return {**found, **dict.fromkeys(find_never_loaded(engine, symbols), Gap(since, None))}


def find_missing_spans(
    engine: Engine, symbols: Sequence[Symbol], states: Sequence[str], since: date, until: date
) -> Mapping[Symbol, tuple[date, date]]:
    """Return the first and the last session in one of some states, of each symbol that has any.

    Args:
        engine: the warehouse.
        symbols: the symbols.
        states: FILLABLE or NIGHTLY.
        since: the first date.
        until: the last date.
    """
    spans = _find_spans(engine, [symbol.name for symbol in symbols], states, since, until)
    return {symbol: spans[symbol.name] for symbol in symbols if symbol.name in spans}


def find_reassigned_spans(engine: Engine, symbols: Sequence[Symbol], until: date) -> Mapping[Symbol, tuple[date, date]]:
    """Return the first and the last session up to `until` still to be fetched since a symbol's ticker history changed.

    Such a change is rare, and may concern years: they are fetched however long ago they are.
    """
    named = {symbol.name: symbol for symbol in symbols}
    with engine.connect() as connection:
        changed: Sequence[str] = (
            connection.execute(read_statement("reassigned_symbols"), {"symbols": list(named)}).scalars().all()
        )
        if not changed:
            return {}
        spans = connection.execute(read_statement("reassigned_spans"), {"symbols": changed, "until": until})
        return {named[row.symbol]: (row.first, row.last) for row in spans}


@dataclass(frozen=True)
class SettledSession:
    """A session of a tracked symbol that has its bar, or the reason why there is none."""

    symbol: str
    date: date
    reason: str | None

    @property
    def present(self) -> bool:
        """True if it has its bar."""
        return self.reason is None


def list_settled_sessions(engine: Engine, calendar: str, sessions: Sequence[date]) -> list[SettledSession]:
    """Return those of a market's loaded sessions that are settled, of all tracked symbols of its calendar."""
    with engine.connect() as connection:
        rows = connection.execute(
            read_statement("settled_sessions"), {"calendar": calendar, "sessions": list(sessions)}
        ).all()
    return [SettledSession(row.symbol, row.date, row.reason) for row in rows]


def _find_spans(
    engine: Engine, symbols: Sequence[str], states: Sequence[str], since: date, until: date
) -> Mapping[str, tuple[date, date]]:
    query = text(
        "SELECT symbol, min(date) AS first, max(date) AS last FROM session_states "
        "WHERE symbol = ANY(:symbols) AND date BETWEEN :since AND :until AND state = ANY(:states) "
        "AND state <> 'loaded' "  # a constant, by which the planner skips loaded sessions
        "GROUP BY symbol"
    )
    parameters = {"symbols": list(symbols), "states": list(states), "since": since, "until": until}
    with engine.connect() as connection:
        return {row.symbol: (row.first, row.last) for row in connection.execute(query, parameters)}
