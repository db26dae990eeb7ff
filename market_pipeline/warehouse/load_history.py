"""The account of a run: what was asked of each symbol and what came of it, as `backfill_history` keeps it.

One row a symbol and run, written in the transaction that loads the symbol, so that it can't say what isn't so.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import Connection, Engine

from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.statements import statement


@dataclass(frozen=True)
class LoadRequest:
    """What was asked for one symbol, and by whom: the part of the account that is known before loading.

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
        """The sessions that the symbol can have a bar of."""
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


@dataclass(frozen=True)
class LoadResult:
    """What came of an attempt.

    sessions = answered + refused, and fetched = loaded + revised + unchanged + rejected, always.
    """

    symbol: str
    first_session: date
    last_session: date
    sessions: int
    answered: int = 0
    requests: int = 0
    fetched: int = 0
    loaded: int = 0
    revised: int = 0
    unchanged: int = 0
    rejected: int = 0
    flagged: int = 0
    present: frozenset[date] = field(default=frozenset(), repr=False)
    """The asked sessions that market_data holds a bar of now."""
    empty: Mapping[date, str] = field(default_factory=dict, repr=False)
    """The asked sessions of which the vendor has answered that there is no bar, with the reason."""
    ended: Mapping[date, str] = field(default_factory=dict, repr=False)
    """The run's sessions after the symbol's last day on the market, with the reason; `sessions` leaves them out."""
    notes: tuple[str, ...] = ()
    error: str | None = None
    waited_seconds: float = 0.0

    @property
    def refused(self) -> int:
        """How many of the asked sessions the vendor didn't answer for."""
        return self.sessions - self.answered

    @property
    def missing(self) -> int:
        """How many of the asked sessions market_data holds no bar of."""
        return self.sessions - len(self.present)


def record_failure(engine: Engine, attempt: LoadRequest, error: str) -> LoadResult:
    """Account for an attempt that failed: nothing of it is loaded, and its symbol says so."""
    outcome = LoadResult(
        symbol=attempt.symbol.name,
        first_session=attempt.sessions[0],
        last_session=attempt.sessions[-1],
        sessions=len(attempt.due),
        requests=attempt.requests,
        error=error,
        waited_seconds=attempt.waited_seconds,
    )
    with engine.begin() as connection:
        record_load(connection, replace(attempt, answered=None), outcome)
    return outcome


def record_load(connection: Connection, attempt: LoadRequest, outcome: LoadResult) -> None:
    """Write the row, and the symbol's own state."""
    answered = attempt.answered_sessions
    said = {
        "run_id": attempt.run_id,
        "trigger": attempt.trigger,
        "symbol": outcome.symbol,
        "asset_class": attempt.symbol.asset_class.value,
        "start_date": outcome.first_session,
        "end_date": outcome.last_session,
        "sessions": outcome.sessions,
        "answered": outcome.answered,
        "refused": outcome.refused,
        "answered_from": answered[0] if answered else None,
        "answered_to": answered[-1] if answered else None,
        "requests": outcome.requests,
        "fetched": outcome.fetched,
        "loaded": outcome.loaded,
        "revised": outcome.revised,
        "unchanged": outcome.unchanged,
        "rejected": outcome.rejected,
        "flagged": outcome.flagged,
        "missing": outcome.missing,
        "records_imported": outcome.loaded + outcome.revised,
        "started_at": attempt.started_at,
        "success": outcome.error is None,
        "error_details": outcome.error,
        "notes": "; ".join(outcome.notes) or None,
        "waited_seconds": outcome.waited_seconds,
    }
    connection.execute(statement("record_account"), said)
