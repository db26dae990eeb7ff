"""Loading of one symbol's checked bars, with its load record, in one transaction.

The bars are merged into `market_data` and flagged if suspicious, and the symbol's adjustment factors follow; rejected
bars go to `rejected_bars`; the `backfill_history` row that reconciles them is written last. A crash leaves all of it or
none.
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
from market_pipeline.warehouse.adjustment import refresh_factors_after_load
from market_pipeline.warehouse.empty_sessions import empty_sessions, ended_sessions
from market_pipeline.warehouse.flagging import FindFlags, flag_bars
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_load
from market_pipeline.warehouse.tables import bar_source, rejected_bars
from market_pipeline.warehouse.tracked_symbols import lock_symbol
from market_pipeline.warehouse.upsert import upsert_bars


class MixedSourcesError(MarketPipelineError):
    """Bars of one source were offered to a database that holds another's."""


@dataclass(frozen=True)
class RejectedBar:
    """A bar that breaks rules: its session (None if unreadable), the broken rules, the vendor's own record."""

    session: date | None
    reasons: Sequence[str]
    payload: Mapping[str, Any]


def load(
    engine: Engine,
    load_request: LoadRequest,
    accepted: pd.DataFrame,
    rejected: Sequence[RejectedBar],
    find_flags: FindFlags,
) -> LoadResult:
    """Load accepted bars, flag suspicious ones, store rejected ones and record the load, in one transaction.

    Args:
        engine: the warehouse.
        load_request: the symbol and its sessions.
        accepted: BAR_COLUMNS, one row a session, sessions within the requested ones.
        rejected: the bars that break a rule.
        find_flags: finds the suspicious bars.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    with engine.begin() as connection:
        claim_source(connection, load_request.source)
        symbol = lock_symbol(connection, load_request.symbol)
        columns = columns_of(accepted)
        merged = upsert_bars(connection, load_request, columns, symbol)
        flagged = merged.flagged
        if merged.loaded or merged.revised:
            changed = (columns["date"][0].item(), columns["date"][-1].item())
            flagged = flag_bars(connection, load_request.symbol, symbol.id, merged.held, find_flags, changed=changed)
            refresh_factors_after_load(connection, load_request.symbol.name, changed[0])
        _store_rejected(connection, load_request, rejected)
        held = merged.held["date"].tolist()
        load_result = LoadResult(
            symbol=load_request.symbol.name,
            first_session=load_request.sessions[0],
            last_session=load_request.sessions[-1],
            sessions=len(load_request.due),
            answered=len(load_request.answered_sessions),
            requests=load_request.requests,
            loaded=merged.loaded,
            revised=merged.revised,
            unchanged=len(accepted) - merged.loaded - merged.revised,
            rejected=len(rejected),
            flagged=len(flagged.intersection(columns["date"].tolist())),
            present=frozenset(held).intersection(load_request.due),
            empty=empty_sessions(load_request, held, [bar.session for bar in rejected]),
            ended=ended_sessions(load_request),
            notes=load_request.notes,
            waited_seconds=load_request.waited_seconds,
        )
        record_load(connection, load_request, load_result)
    return load_result


def claim_source(connection: Connection, source: Source) -> None:
    """Make the database `source`'s for good, unless it has a source already.

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
            f"this database holds {held} bars and accepts no {source} ones: use another database "
            "(DATABASE_URL or MARKET_PIPELINE_DATA_DIR) for them"
        )


def _store_rejected(connection: Connection, load_request: LoadRequest, rejected: Sequence[RejectedBar]) -> None:
    for bar in rejected:
        statement = upsert(rejected_bars).values(
            symbol=load_request.symbol.name,
            date=bar.session,
            reasons=list(bar.reasons),
            payload=_storable(bar.payload),
            source=load_request.source,
            first_rejected_at=func.now(),
            last_rejected_at=func.now(),
            run_id=load_request.run_id,
        )
        again = {"reasons": list(bar.reasons), "last_rejected_at": func.now(), "run_id": load_request.run_id}
        key: list[Any] = [rejected_bars.c.symbol, text("md5(payload::text)")]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=again))


def _storable(payload: Mapping[str, Any]) -> Any:
    """Return the payload with infinities, for which JSON has no number, as text."""
    return json.loads(json.dumps(payload), parse_constant=str)
