"""Loading one symbol's checked bars: all of it in one transaction, accounted for in the same one.

The bars are merged into `market_data` and flagged where odd; what was refused goes to `rejected_bars`; the
`backfill_history` row that reconciles them is written last. A crash leaves all of it or none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.bars import columns_of
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Source
from market_pipeline.warehouse.empty_sessions import empty_sessions, ended_sessions
from market_pipeline.warehouse.flagging import Examine, flag
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_load
from market_pipeline.warehouse.tables import bar_source, rejected_bars
from market_pipeline.warehouse.tracked_symbols import lock_symbol
from market_pipeline.warehouse.upsert import upsert_bars


class MixedSourcesError(MarketPipelineError):
    """The database holds bars of one source and was offered another's."""


@dataclass(frozen=True)
class RejectedBar:
    """A bar that can't be true: its session (None where unreadable), the rules it broke, the vendor's own record."""

    session: date | None
    reasons: Sequence[str]
    payload: Mapping[str, Any]


def load(
    engine: Engine, attempt: LoadRequest, accepted: pd.DataFrame, rejected: Sequence[RejectedBar], examine: Examine
) -> LoadResult:
    """Load what the rules let through, flag what is odd and account for everything, in one transaction.

    Args:
        engine: the warehouse.
        attempt: what was asked.
        accepted: BAR_COLUMNS, one row a session, sessions within the attempt's.
        rejected: what the rules refused.
        examine: says what is odd.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    with engine.begin() as connection:
        claim_source(connection, attempt.source)
        at = lock_symbol(connection, attempt.symbol)
        offered = columns_of(accepted)
        merged = upsert_bars(connection, attempt, offered, at)
        flagged = merged.flagged
        if merged.loaded or merged.revised:
            since = offered["date"][0].item()
            flagged = flag(connection, attempt.symbol, merged.held, examine, at, since=since)
        _quarantine(connection, attempt, rejected)
        held = merged.held["date"].tolist()
        outcome = LoadResult(
            symbol=attempt.symbol.name,
            first_session=attempt.sessions[0],
            last_session=attempt.sessions[-1],
            sessions=len(attempt.due),
            answered=len(attempt.answered_sessions),
            requests=attempt.requests,
            loaded=merged.loaded,
            revised=merged.revised,
            unchanged=len(accepted) - merged.loaded - merged.revised,
            rejected=len(rejected),
            flagged=len(flagged.intersection(offered["date"].tolist())),
            present=frozenset(held).intersection(attempt.due),
            empty=empty_sessions(attempt, held, [bar.session for bar in rejected]),
            ended=ended_sessions(attempt),
            notes=attempt.notes,
            waited_seconds=attempt.waited_seconds,
        )
        record_load(connection, attempt, outcome)
    return outcome


def claim_source(connection: Connection, source: Source) -> None:
    """Make the database `source`'s, now and for good, if it isn't anyone's yet.

    Raises:
        MixedSourcesError: it is the other's.
    """
    query = select(bar_source.c.source)
    held = connection.scalar(query)
    if held is None:
        connection.execute(upsert(bar_source).values(source=source).on_conflict_do_nothing())
        held = connection.execute(query).scalar_one()
    if held != source:
        raise MixedSourcesError(
            f"this database holds {held} bars and refuses {source} ones: use another database "
            "(DATABASE_URL or MARKET_PIPELINE_DATA_DIR) for them"
        )


def _quarantine(connection: Connection, attempt: LoadRequest, rejected: Sequence[RejectedBar]) -> None:
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
