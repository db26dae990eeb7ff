"""Refreshes of the tables `splits` and `dividends` from the vendor's newest lists.

The tables' content follows from its newest response alone. What can't be trusted is rejected; corrected and withdrawn
actions are taken out; both are kept in `rejected_corporate_actions`. `corporate_action_refresh` plans the requests,
`corporate_action_trust` has the rules.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import inf
from typing import Any

from sqlalchemy import Connection, Engine, and_, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError, IntegrityError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Source
from market_pipeline.warehouse.adjustment import refresh_stale_factors
from market_pipeline.warehouse.corporate_action_refresh import (
    SPLITS,
    Action,
    ActionTable,
    Key,
    RefreshPlan,
    UnreadableAction,
    filter_requested_rows,
    record_refresh,
)
from market_pipeline.warehouse.corporate_action_trust import RejectedAction, reject, separate_rejected
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.flagging import FindFlags, find_symbols_with_large, reflag_symbols
from market_pipeline.warehouse.load_history import COUNTERS, LoadCounters
from market_pipeline.warehouse.loading import claim_source
from market_pipeline.warehouse.loads import open_load
from market_pipeline.warehouse.tables import rejected_corporate_actions
from market_pipeline.warehouse.tracked_symbols import lock_symbols

CORRECTED = "the vendor has corrected it"
WITHDRAWN = "the vendor no longer lists it"


class RejectedActionsError(MarketPipelineError):
    """PostgreSQL rejects a value that the vendor gave."""


@dataclass(frozen=True, kw_only=True)
class RefreshResult(LoadCounters):
    """The result of a refresh: counters of the vendor's records, of which repeats count once, and of the table's rows.

    `removed` were held and are withdrawn or contradicted now; `held` is the number of the table's rows now, `announced`
    that of those not in effect yet.
    """

    removed: int
    held: int
    announced: int

    def __add__(self, later: "RefreshResult") -> "RefreshResult":
        """Return the result of two refreshes, one after the other."""
        counters = {name: getattr(self, name) + getattr(later, name) for name in (*COUNTERS, "removed")}
        return replace(later, **counters)


@dataclass(frozen=True)
class _Change:
    """The difference between the held rows and the vendor's: rows to delete, each with a reason, and rows to insert."""

    deleted: list[tuple[Action, str]]
    inserted: list[Action]

    @property
    def symbols(self) -> set[str]:
        """Symbols whose actions differ."""
        return {action["symbol"] for action in (*(deleted for deleted, _ in self.deleted), *self.inserted)}


def refresh(
    engine: Engine,
    actions: ActionTable,
    plan: RefreshPlan,
    listed: Sequence[Action | UnreadableAction],
    *,
    source: Source,
    run_id: str,
    find_flags: FindFlags,
) -> RefreshResult:
    """Make the table hold what the vendor lists, and keep what that takes out of it, in one transaction.

    Args:
        engine: the warehouse.
        actions: the table.
        plan: the requests.
        listed: the vendor's list for the requested symbols.
        source: the source of that list.
        run_id: the run that requested it.
        find_flags: finds suspicious bars, which depend on splits and large dividends.

    Raises:
        MixedSourcesError: the database holds the other source's data.
        RejectedActionsError: a value doesn't fit its column; nothing is changed.
    """
    accepted, rejected = separate_rejected(actions, plan, listed)
    origin = {"source": source, "run_id": run_id}
    try:
        with engine.begin() as connection:
            claim_source(connection, source)  # before the symbols, as a load does: else the first two may deadlock
            lock_symbols(connection, plan.symbols)
            # Two refreshes take turns, so that neither compares with what the other is changing; readers don't wait.
            connection.execute(text(f"LOCK TABLE {actions.name} IN SHARE ROW EXCLUSIVE MODE"))
            change = _find_change(actions, _read_held(connection, actions, plan, accepted), accepted)
            if change.symbols:
                open_load(connection, run_id, source)
            _apply(connection, actions, change, origin)
            unlisted = _unlist_rejected(connection, actions, plan)
            deleted = [reject(actions, action, reason, listed=False) for action, reason in change.deleted]
            _keep_rejected(connection, actions, [*deleted, *rejected], origin)
            record_refresh(connection, actions, plan)
            concerned = change.symbols | unlisted | {action.symbol for action in rejected}
            refresh_stale_factors(connection, concerned, among=plan.symbols)
            reflag_symbols(connection, _to_reflag(connection, actions, change), find_flags)
            return _count(connection, actions, change, len(accepted), len(rejected))
    except (DataError, IntegrityError) as error:
        raise RejectedActionsError(
            f"the database rejected the vendor's {actions.name}, and keeps those it has: {read_first_line(error)}. "
            "Report it"
        ) from None


def _to_reflag(connection: Connection, actions: ActionTable, change: _Change) -> Collection[str]:
    """Return the symbols whose flags may differ now: those of changed splits and of large changed dividends."""
    if actions is SPLITS:
        return change.symbols
    changed = [*(action for action, _ in change.deleted), *change.inserted]
    return find_symbols_with_large(connection, changed) if changed else ()


def _read_held(
    connection: Connection, actions: ActionTable, plan: RefreshPlan, accepted: Sequence[Action]
) -> dict[Key, Action]:
    """Return the rows that the plan requests, and earlier ones that the vendor has moved into the recent days."""
    columns = actions.table.c
    moved = [action["vendor_id"] for action in accepted if action["symbol"] in plan.recent]
    concerned = filter_requested_rows(actions, plan) | (columns.symbol.in_(plan.recent) & columns.vendor_id.in_(moved))
    rows = connection.execute(select(*(columns[name] for name in actions.columns)).where(concerned)).mappings()
    return {actions.key_of(action): action for action in map(dict, rows)}


def _find_change(actions: ActionTable, held: Mapping[Key, Action], accepted: Sequence[Action]) -> _Change:
    listed = {actions.key_of(action): action for action in accepted}
    inserted = [action for key, action in listed.items() if held.get(key) != action]
    replacements = list(inserted)
    deleted = []
    for key, action in held.items():
        if listed.get(key) != action:
            successor = next((other for other in replacements if _succeeds(actions, other, action)), None)
            if successor is not None:
                replacements.remove(successor)
            deleted.append((action, CORRECTED if successor is not None else WITHDRAWN))
    return _Change(deleted, inserted)


def _succeeds(actions: ActionTable, action: Action, former: Action) -> bool:
    """Return True if an action is a later version of another: same id, or same day and kind."""
    if action["symbol"] != former["symbol"]:
        return False
    if None not in (action["vendor_id"], former["vendor_id"]) and action["vendor_id"] == former["vendor_id"]:
        return True
    same = (actions.date, "dividend_type") if "dividend_type" in former else (actions.date,)
    return all(action[name] == former[name] for name in same)


def _apply(connection: Connection, actions: ActionTable, change: _Change, origin: Mapping[str, str]) -> None:
    table = actions.table
    if change.deleted:
        # A dividend's kind may be NULL, which equals nothing.
        same = (table.c[name].is_not_distinct_from(bindparam(f"gone_{name}")) for name in actions.key)
        gone = [{f"gone_{name}": action[name] for name in actions.key} for action, _ in change.deleted]
        connection.execute(delete(table).where(*same), gone)
    if change.inserted:
        connection.execute(
            insert(table).values(fetched_at=func.now()), [{**action, **origin} for action in change.inserted]
        )


def _unlist_rejected(connection: Connection, actions: ActionTable, plan: RefreshPlan) -> set[str]:
    """Mark all rejected actions that the plan requests as no longer listed, and return their symbols.

    Those that are listed still are marked again as they are kept.
    """
    columns = rejected_corporate_actions.c
    recent = and_(columns.symbol.in_(plan.recent), columns.date >= plan.since)
    requested = or_(columns.symbol.in_(plan.in_full), recent)
    marked = update(rejected_corporate_actions).where(columns.kind == actions.name, columns.listed, requested)
    return set(connection.execute(marked.values(listed=False).returning(columns.symbol)).scalars())


def _keep_rejected(
    connection: Connection, actions: ActionTable, out: Sequence[RejectedAction], origin: Mapping[str, str]
) -> None:
    """Keep actions that are not, or no longer, in the table. The same values again only renew their row."""
    rows = [
        {
            "kind": actions.name,
            "symbol": action.symbol,
            "date": action.date,
            "reasons": [action.reason],
            "payload": _make_storable(action.payload),
            "listed": action.listed,
            **origin,
        }
        for action in out
    ]
    statement = upsert(rejected_corporate_actions).values(first_rejected_at=func.now(), last_rejected_at=func.now())
    renewed = {name: statement.excluded[name] for name in ("date", "reasons", "listed", "last_rejected_at", "run_id")}
    record: list[Any] = ["kind", "symbol", text("md5(payload::text)")]
    if rows:
        connection.execute(statement.on_conflict_do_update(index_elements=record, set_=renewed), rows)


def _make_storable(value: Any) -> Any:
    """Return values as PostgreSQL's JSON holds them: dates and infinities as text, no NUL and no half a character."""
    if isinstance(value, Mapping):
        return {_make_storable(name): _make_storable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_make_storable(part) for part in value]
    if isinstance(value, str):
        return value.replace("\0", " ").encode(errors="replace").decode()
    return str(value) if isinstance(value, date) or value in (inf, -inf) else value


def _count(
    connection: Connection, actions: ActionTable, change: _Change, accepted: int, rejected: int
) -> RefreshResult:
    later = actions.table.c[actions.date] > func.date(func.timezone("America/New_York", func.now()))
    counts = select(func.count(), func.count().filter(later)).select_from(actions.table)
    held, announced = connection.execute(counts).one()
    revised = sum(reason == CORRECTED for _, reason in change.deleted)
    return RefreshResult(
        loaded=len(change.inserted) - revised,
        revised=revised,
        unchanged=accepted - len(change.inserted),
        rejected=rejected,
        removed=len(change.deleted) - revised,
        held=held,
        announced=announced,
    )
