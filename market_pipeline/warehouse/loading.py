"""Loading one symbol's checked bars: all of it in one transaction, accounted for in the same one.

The bars go by COPY to a staging table and from there by one merge into `market_data`; what was refused goes to
`rejected_bars`; the `backfill_history` row that reconciles them is written last. A crash leaves all of it or none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from importlib.resources import files
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.errors import MarketPipelineError
from market_pipeline.settings import Source
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.binary_copy import encode_bars
from market_pipeline.warehouse.tables import (
    backfill_history,
    bar_source,
    market_data,
    rejected_bars,
    tracked_symbols,
)

_SQL = files("market_pipeline.warehouse") / "sql"


class MixedSourcesError(MarketPipelineError):
    """The database holds bars of one source and was offered another's."""


class NotTrackedError(MarketPipelineError):
    """A bar of a symbol that the warehouse doesn't track."""


@dataclass(frozen=True)
class RejectedBar:
    """A bar that can't be true: its session (None where unreadable), the rules it broke, the vendor's own record."""

    session: date | None
    reasons: Sequence[str]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What was asked for one symbol, and by whom: the part of the account that is known before loading.

    `sessions` are the run's, `delisted_on` the last day the symbol traded, where it is known to have left the market.
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

    @property
    def due(self) -> Sequence[date]:
        """The sessions that the symbol can have a bar of."""
        last = self.delisted_on or date.max
        return [session for session in self.sessions if session <= last]

    def after(self, requests: int, notes: tuple[str, ...] = ()) -> "Attempt":
        """The same attempt, once it has cost so many HTTP requests and left these notes for the user."""
        return replace(self, requests=requests, notes=notes)


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt. fetched = loaded + revised + unchanged + rejected, always."""

    symbol: str
    first_session: date
    last_session: date
    sessions: int
    requests: int = 0
    fetched: int = 0
    loaded: int = 0
    revised: int = 0
    unchanged: int = 0
    rejected: int = 0
    present: frozenset[date] = field(default=frozenset(), repr=False)
    """The asked sessions that market_data holds a bar of now."""
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def missing(self) -> int:
        """How many of the asked sessions market_data holds no bar of."""
        return self.sessions - len(self.present)


def load(engine: Engine, attempt: Attempt, accepted: pd.DataFrame, rejected: Sequence[RejectedBar]) -> Outcome:
    """Load what the rules let through and account for everything, in one transaction.

    Args:
        engine: the warehouse.
        attempt: what was asked.
        accepted: BAR_COLUMNS, one row a session, sessions within the attempt's.
        rejected: what the rules refused.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    with engine.begin() as connection:
        # Held until the commit: two runs on one symbol take turns, and neither reads what the other is changing.
        _lock_symbol(connection, attempt.symbol)
        claim_source(connection, attempt.source)
        loaded, revised = _merge(connection, attempt, accepted)
        _quarantine(connection, attempt, rejected)
        outcome = Outcome(
            symbol=attempt.symbol.name,
            first_session=attempt.sessions[0],
            last_session=attempt.sessions[-1],
            sessions=len(attempt.due),
            requests=attempt.requests,
            fetched=len(accepted) + len(rejected),
            loaded=loaded,
            revised=revised,
            unchanged=len(accepted) - loaded - revised,
            rejected=len(rejected),
            present=_sessions_held(connection, attempt),
            notes=attempt.notes,
        )
        _account_for(connection, attempt, outcome)
    return outcome


def record_failure(engine: Engine, attempt: Attempt, error: str) -> Outcome:
    """Account for an attempt that failed: nothing of it is loaded, and its symbol says so."""
    outcome = Outcome(
        symbol=attempt.symbol.name,
        first_session=attempt.sessions[0],
        last_session=attempt.sessions[-1],
        sessions=len(attempt.due),
        requests=attempt.requests,
        error=error,
    )
    with engine.begin() as connection:
        _account_for(connection, attempt, outcome)
    return outcome


def _lock_symbol(connection: Connection, symbol: Symbol) -> None:
    row = select(tracked_symbols.c.id).where(tracked_symbols.c.symbol == symbol.name).with_for_update()
    if connection.execute(row).first() is None:
        raise NotTrackedError(f"{symbol.name} is not tracked: run `market-pipeline symbols add {symbol.name}` first")


def claim_source(connection: Connection, source: Source) -> None:
    """Make the database `source`'s, now and for good, if it isn't anyone's yet.

    Raises:
        MixedSourcesError: it is the other's.
    """
    connection.execute(upsert(bar_source).values(source=source).on_conflict_do_nothing())
    held = connection.execute(select(bar_source.c.source)).scalar_one()
    if held != source:
        raise MixedSourcesError(
            f"this database holds {held} bars and refuses {source} ones: use another database "
            "(DATABASE_URL or MARKET_PIPELINE_DATA_DIR) for them"
        )


def _merge(connection: Connection, attempt: Attempt, accepted: pd.DataFrame) -> tuple[int, int]:
    connection.execute(text((_SQL / "create_staged_bars.sql").read_text(encoding="utf-8")))
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    with driver.cursor() as cursor, cursor.copy("COPY staged_bars FROM STDIN (FORMAT binary)") as copy:
        copy.write(encode_bars(accepted))
    merge = text((_SQL / "merge_staged_bars.sql").read_text(encoding="utf-8"))
    names = {"symbol": attempt.symbol.name, "source": attempt.source, "run_id": attempt.run_id}
    counts = connection.execute(merge, names).one()
    return counts.loaded, counts.revised


def _quarantine(connection: Connection, attempt: Attempt, rejected: Sequence[RejectedBar]) -> None:
    for bar in rejected:
        statement = upsert(rejected_bars).values(
            symbol=attempt.symbol.name,
            date=bar.session,
            reasons=list(bar.reasons),
            payload=_storable(bar.payload),
            source=attempt.source,
            first_rejected_at=func.now(),
            last_rejected_at=func.now(),
            run_id=attempt.run_id,
        )
        again = {"reasons": list(bar.reasons), "last_rejected_at": func.now(), "run_id": attempt.run_id}
        key: list[Any] = [rejected_bars.c.symbol, text("md5(payload::text)")]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=again))


def _storable(payload: Mapping[str, Any]) -> Any:
    """The payload with what JSON has no number for (infinity) as text."""
    return json.loads(json.dumps(payload), parse_constant=str)


def _sessions_held(connection: Connection, attempt: Attempt) -> frozenset[date]:
    held = select(market_data.c.date).where(
        market_data.c.symbol == attempt.symbol.name,
        market_data.c.date.between(attempt.sessions[0], attempt.sessions[-1]),
    )
    return frozenset(connection.execute(held).scalars()) & frozenset(attempt.due)


def _account_for(connection: Connection, attempt: Attempt, outcome: Outcome) -> None:
    succeeded = outcome.error is None
    connection.execute(
        insert(backfill_history).values(
            run_id=attempt.run_id,
            trigger=attempt.trigger,
            symbol=outcome.symbol,
            start_date=outcome.first_session,
            end_date=outcome.last_session,
            sessions=outcome.sessions,
            requests=outcome.requests,
            fetched=outcome.fetched,
            loaded=outcome.loaded,
            revised=outcome.revised,
            unchanged=outcome.unchanged,
            rejected=outcome.rejected,
            missing=outcome.missing,
            records_imported=outcome.loaded + outcome.revised,
            started_at=attempt.started_at,
            duration_seconds=func.extract("epoch", func.clock_timestamp() - attempt.started_at),
            backfill_timestamp=func.clock_timestamp(),
            success=succeeded,
            error_details=outcome.error,
            notes="; ".join(outcome.notes) or None,
        )
    )
    state: dict[str, Any] = {"backfill_status": "completed" if succeeded else "failed"}
    if succeeded:
        state["last_backfill"] = func.now()
    symbol = tracked_symbols.c.symbol == outcome.symbol
    connection.execute(update(tracked_symbols).where(symbol).values(state))
