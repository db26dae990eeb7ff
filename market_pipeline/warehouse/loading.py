"""Loading of checked bars, of some symbols at once, with their load records, in one transaction.

The bars are merged into `bars` and flagged if suspicious, and the symbols' adjustment factors follow; rejected bars go
to `rejected_bars`; the rows of `backfill_history` that reconcile them are written last. A crash leaves all of it or
none. Each step is one statement for all symbols, so that a night's few bars of each take no round trips of their own.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.bars import Columns, join_bars
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Source
from market_pipeline.warehouse.adjustment import refresh_factors_after_load
from market_pipeline.warehouse.empty_sessions import find_empty_sessions, find_ended_sessions
from market_pipeline.warehouse.flagging import ChangedBars, FindFlags, flag_bars
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_loads
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import bar_source, rejected_bars
from market_pipeline.warehouse.tracked_symbols import NotTrackedError, build_not_tracked_error, lock_tracked
from market_pipeline.warehouse.upsert import OfferedBars, UpsertResult, upsert_bars


class MixedSourcesError(MarketPipelineError):
    """Bars of one source were offered to a database that holds another's."""


_NOW = {"first_rejected_at": func.now(), "last_rejected_at": func.now()}
_INSERT_REJECTED = upsert(rejected_bars).values(_NOW)
_INSERT_REJECTED = _INSERT_REJECTED.on_conflict_do_update(
    index_elements=[rejected_bars.c.symbol, text("md5(payload::text)")],
    set_={name: _INSERT_REJECTED.excluded[name] for name in ("reasons", "last_rejected_at", "run_id")},
)


@dataclass(frozen=True)
class RejectedBar:
    """A bar that breaks rules: its session (None if unreadable), the broken rules, the vendor's own record."""

    session: date | None
    reasons: Sequence[str]
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class CheckedLoad:
    """A load request with its bars: the accepted ones (BAR_COLUMNS, in order, one a session) and the rejected ones."""

    load_request: LoadRequest
    accepted: Columns
    rejected: Sequence[RejectedBar] = ()


def load(
    engine: Engine,
    load_request: LoadRequest,
    accepted: Columns,
    rejected: Sequence[RejectedBar],
    find_flags: FindFlags,
) -> LoadResult:
    """Load one symbol's bars in one transaction, as `load_together` does.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    [result] = load_together(engine, [CheckedLoad(load_request, accepted, rejected)], find_flags)
    if isinstance(result, NotTrackedError):
        raise result
    return result


def load_together(
    engine: Engine, loads: Sequence[CheckedLoad], find_flags: FindFlags
) -> list[LoadResult | NotTrackedError]:
    """Load accepted bars, flag suspicious ones, store rejected ones and record the loads, in one transaction.

    Args:
        engine: the warehouse.
        loads: at least one, of different symbols, one run and one source.
        find_flags: finds the suspicious bars.

    Returns:
        For each load its result, or the error if its symbol is not in tracked_symbols; the others are loaded.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
    """
    with engine.begin() as connection:
        claim_source(connection, loads[0].load_request.source)
        locked = lock_tracked(connection, [each.load_request.symbol for each in loads])
        tracked = [each for each in loads if each.load_request.symbol in locked]
        ids = [locked[each.load_request.symbol].id for each in tracked]
        results = iter(_store(connection, tracked, ids, find_flags) if tracked else [])
    return [
        next(results) if each.load_request.symbol in locked else build_not_tracked_error(each.load_request.symbol)
        for each in loads
    ]


def _store(
    connection: Connection, loads: Sequence[CheckedLoad], ids: Sequence[int], find_flags: FindFlags
) -> list[LoadResult]:
    """Store loads of symbols that are locked, given their ids, and return the results."""
    offered = [OfferedBars(each.load_request, id_, each.accepted) for each, id_ in zip(loads, ids, strict=True)]
    upserted = upsert_bars(connection, offered)
    flagged = _flag(connection, offered, upserted, find_flags)
    request = loads[0].load_request
    rejected = [(each.load_request.symbol.name, bar) for each in loads for bar in each.rejected]
    store_rejected(connection, rejected, request.source, request.run_id)
    results = [_count(checked, result, flags) for checked, result, flags in zip(loads, upserted, flagged, strict=True)]
    record_loads(connection, [(each.load_request, result) for each, result in zip(loads, results, strict=True)])
    return results


def _flag(
    connection: Connection, offered: Sequence[OfferedBars], upserted: Sequence[UpsertResult], find_flags: FindFlags
) -> list[frozenset[date]]:
    """Bring flags, factors and listings up to date where bars have changed; return each symbol's flagged sessions."""
    places = [place for place, result in enumerate(upserted) if result.loaded or result.revised]
    flagged = [result.flagged for result in upserted]
    if places:
        bars = [offered[place] for place in places]
        changed = ChangedBars(
            np.array([each.symbol_id for each in bars]),
            [each.load_request.symbol.asset_class for each in bars],
            join_bars([upserted[place].held for place in places]),
            np.array([each.accepted["date"][0] for each in bars]),
            np.array([each.accepted["date"][-1] for each in bars]),
        )
        for place, sessions in zip(places, flag_bars(connection, changed, find_flags), strict=True):
            flagged[place] = sessions
        names = (each.load_request.symbol.name for each in bars)
        refresh_factors_after_load(connection, dict(zip(names, changed.firsts.tolist(), strict=True)))
        connection.execute(read_statement("list_symbols"), {"symbol_ids": changed.symbol_ids.tolist()})
    return flagged


def _count(checked: CheckedLoad, upserted: UpsertResult, flagged: frozenset[date]) -> LoadResult:
    load_request, held = checked.load_request, upserted.held["date"].tolist()
    return LoadResult(
        symbol=load_request.symbol.name,
        first_session=load_request.sessions[0],
        last_session=load_request.sessions[-1],
        sessions=len(load_request.due),
        answered=len(load_request.answered_sessions),
        requests=load_request.requests,
        loaded=upserted.loaded,
        revised=upserted.revised,
        unchanged=len(checked.accepted["date"]) - upserted.loaded - upserted.revised,
        rejected=len(checked.rejected),
        flagged=len(flagged.intersection(checked.accepted["date"].tolist())),
        present=frozenset(held).intersection(load_request.due),
        empty=find_empty_sessions(load_request, held, [bar.session for bar in checked.rejected]),
        ended=find_ended_sessions(load_request),
        notes=load_request.notes,
        waited_seconds=load_request.waited_seconds,
    )


def claim_source(connection: Connection, source: Source) -> None:
    """Make the database `source`'s permanently, unless it has a source already.

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


def store_rejected(
    connection: Connection, rejected: Iterable[tuple[str, RejectedBar]], source: Source, run_id: str
) -> None:
    """Store bars that break rules, each with the name of its symbol; an equal record is brought up to date."""
    rows = [
        {
            "symbol": name,
            "date": bar.session,
            "reasons": list(bar.reasons),
            "payload": _make_storable(bar.payload),
            "source": source,
            "run_id": run_id,
        }
        for name, bar in rejected
    ]
    if rows:
        connection.execute(_INSERT_REJECTED, rows)


def _make_storable(payload: Mapping[str, Any]) -> Any:
    """Return the payload with infinities, for which JSON has no number, as text."""
    return json.loads(json.dumps(payload), parse_constant=str)
