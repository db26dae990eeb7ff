"""Load records: each symbol's request and result in a run, written to and read from `backfill_history`.

A record is one row per symbol and run. It is written in the transaction that stores the symbol's bars, so that the two
always agree.
"""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, literal, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.bar_tables import bar_flags
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import backfill_history, corporate_action_inquiries, market_loads, tracked_symbols


@dataclass(frozen=True)
class LoadRequest:
    """One symbol's sessions of a run, with all that is known of them before loading.

    `sessions` are the run's, oldest first, `delisted_on` the last day the symbol traded, where it is known to have left
    the market. `answered` are the first and last date that the vendor answered for, None where it did for none;
    `waited_seconds` is how long the requests waited for the rate limit.
    """

    symbol: Symbol
    sessions: Sequence[date]
    source: Source
    run_id: str
    trigger: str
    started_at: datetime
    requests: int = 0
    notes: tuple[str, ...] = ()
    delisted_on: date | None = None
    answered: tuple[date, date] | None = None
    listed_on: date | None = None
    waited_seconds: float = 0.0

    @property
    def due(self) -> Sequence[date]:
        """The sessions on which the symbol was on the market."""
        if self.delisted_on is None:
            return self.sessions
        return self.sessions[: bisect_right(self.sessions, self.delisted_on)]

    @property
    def answered_sessions(self) -> Sequence[date]:
        """Those of the due sessions that the vendor answered for."""
        if self.answered is None:
            return []
        first, last = self.answered
        return self.due[bisect_left(self.due, first) : bisect_right(self.due, last)]


@dataclass(frozen=True, kw_only=True)
class LoadCounters:
    """Numbers of the vendor's records by what a load did with them: `backfill_history` has a column for each."""

    loaded: int = 0
    """Records of sessions that had none."""
    revised: int = 0
    """Records that replaced an earlier version."""
    unchanged: int = 0
    """Records that were stored already, equal in every value."""
    rejected: int = 0
    """Records that break a rule."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in COUNTERS)


COUNTERS = tuple(counter.name for counter in fields(LoadCounters))
BAR_COUNTERS = ("fetched", *COUNTERS, "flagged")
"""Columns of `backfill_history`, and attributes of `LoadResult`, that count bars. Fetched is the sum of COUNTERS."""


@dataclass(frozen=True, kw_only=True)
class LoadResult(LoadCounters):
    """The result of a load request: counters of bars and sessions.

    sessions = answered + refused, and fetched = loaded + revised + unchanged + rejected, always.
    """

    symbol: str
    first_session: date
    last_session: date
    sessions: int
    answered: int = 0
    requests: int = 0
    flagged: int = 0
    present: frozenset[date] = field(default=frozenset(), repr=False)
    """The requested sessions that have a bar in market_data now."""
    empty: Mapping[date, str] = field(default_factory=dict, repr=False)
    """The requested sessions for which the vendor has answered that there is no bar, with the reason."""
    ended: Mapping[date, str] = field(default_factory=dict, repr=False)
    """The run's sessions after the symbol's last day on the market, with the reason; `sessions` leaves them out."""
    notes: tuple[str, ...] = ()
    error: str | None = None
    waited_seconds: float = 0.0

    @property
    def fetched(self) -> int:
        """The number of different bars in the vendor's response."""
        return self.total

    @property
    def refused(self) -> int:
        """The number of requested sessions that the vendor didn't answer for."""
        return self.sessions - self.answered

    @property
    def missing(self) -> int:
        """The number of requested sessions without a bar in market_data."""
        return self.sessions - len(self.present)


_RESULT_COLUMNS = ("symbol", "sessions", "answered", "refused", "requests", *BAR_COUNTERS, "missing", "waited_seconds")
"""Columns of `backfill_history` with the value of the attribute of `LoadResult` that has their name."""

LoadRecord = tuple[LoadRequest, LoadResult]


def record_failure(engine: Engine, load_request: LoadRequest, error: str) -> LoadResult:
    """Record a load request that failed, of which nothing is stored, and return its result."""
    load_result = LoadResult(
        symbol=load_request.symbol.name,
        first_session=load_request.sessions[0],
        last_session=load_request.sessions[-1],
        sessions=len(load_request.due),
        requests=load_request.requests,
        error=error,
        waited_seconds=load_request.waited_seconds,
    )
    with engine.begin() as connection:
        record_loads(connection, [(replace(load_request, answered=None), load_result)])
    return load_result


def record_loads(connection: Connection, records: Sequence[LoadRecord]) -> None:
    """Write load records and the symbols' states in one round trip.

    Writes none of a symbol whose name has become another instrument's meanwhile.
    """
    rows = [_build_row(load_request, load_result) for load_request, load_result in records]
    connection.execute(read_statement("record_loads"), {"records": json.dumps(rows, default=str)})


def _build_row(load_request: LoadRequest, load_result: LoadResult) -> dict[str, Any]:
    """Return the columns of a load record, but for its end, and the symbol's asset class."""
    answered = load_request.answered_sessions
    return {
        **{name: getattr(load_result, name) for name in _RESULT_COLUMNS},
        "run_id": load_request.run_id,
        "trigger": load_request.trigger,
        "start_date": load_result.first_session,
        "end_date": load_result.last_session,
        "answered_from": answered[0] if answered else None,
        "answered_to": answered[-1] if answered else None,
        "records_imported": load_result.loaded + load_result.revised,
        "started_at": load_request.started_at,
        "success": load_result.error is None,
        "error_details": load_result.error,
        "notes": "; ".join(load_result.notes) or None,
        "asset_class": load_request.symbol.asset_class,
    }


def add_note(engine: Engine, run_id: str, symbols: Sequence[str], note: str) -> None:
    """Add a note to the load records of these symbols in a run."""
    columns = backfill_history.c
    notes = func.concat_ws("; ", columns.notes, literal(note))
    concerned = (columns.run_id == run_id) & columns.symbol.in_(symbols)
    with engine.begin() as connection:
        connection.execute(update(backfill_history).where(concerned).values(notes=notes))


def read_run_history(engine: Engine, run_ids: Sequence[str]) -> Sequence[Row]:  # type: ignore[type-arg]
    """Return the rows of `backfill_history` of these runs, in the order they were written."""
    query = select(backfill_history).where(backfill_history.c.run_id.in_(run_ids)).order_by(backfill_history.c.id)
    with engine.connect() as connection:
        return connection.execute(query).all()


@dataclass(frozen=True)
class LastLoad:
    """A symbol's newest load: its last session, its number of rejected bars, and its sessions flagged for a jump.

    A jump is one without a split, or a split without a jump; each with the note. `answered_to` is the last session that
    the vendor answered for, None where it did for none.
    """

    end: date
    answered_to: date | None
    rejected: int
    jumps: Sequence[tuple[date, str]]


def read_last_loads(engine: Engine, symbols: Sequence[str]) -> Mapping[str, LastLoad]:
    """Return the newest load, successful or failed, of each of these symbols that has any."""
    history = backfill_history.c
    newest = (
        select(history.symbol, history.start_date, history.end_date, history.answered_to, history.rejected)
        .ext(distinct_on(history.symbol))
        .where(history.symbol.in_(symbols))
        .order_by(history.symbol, history.backfill_timestamp.desc())
    )
    last, flags = newest.subquery(), bar_flags.c
    flagged = (
        select(last.c.symbol, flags.date, flags.validation_notes)
        .join(tracked_symbols, tracked_symbols.c.symbol == last.c.symbol)
        .join(
            bar_flags,
            (flags.symbol_id == tracked_symbols.c.id) & flags.date.between(last.c.start_date, last.c.end_date),
        )
        .where(flags.gap_detected)
        .order_by(last.c.symbol, flags.date)
    )
    jumps: defaultdict[str, list[tuple[date, str]]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(flagged):
            jumps[row.symbol].append((row.date, row.validation_notes))
        loads = connection.execute(newest).all()
    return {row.symbol: LastLoad(row.end_date, row.answered_to, row.rejected, jumps[row.symbol]) for row in loads}


def read_newest_load(engine: Engine) -> str | None:
    """Return a token that changes with every load of bars, splits, dividends or markets; None before the first."""
    newest = (backfill_history.c.id, corporate_action_inquiries.c.asked_at, market_loads.c.id)
    with engine.connect() as connection:
        bars, actions, markets = connection.execute(
            select(*(select(func.max(column)).scalar_subquery() for column in newest))
        ).one()
    if bars is None and actions is None and markets is None:
        return None
    return f"{bars} {actions}" if markets is None else f"{bars} {actions} {markets}"


def read_newest_load_time(engine: Engine) -> datetime | None:
    """Return the instant (with a time zone) of the newest load of bars, failed ones included; None before the first."""
    with engine.connect() as connection:
        times = (backfill_history.c.backfill_timestamp, market_loads.c.ended_at)
        newest: datetime | None = connection.scalar(
            select(func.greatest(*(select(func.max(column)).scalar_subquery() for column in times)))
        )
    return newest
