"""Refreshes of the tables `splits` and `dividends` from the vendor's newest lists.

The tables' content follows from its newest response alone. Contradictory actions are rejected; corrected and withdrawn
ones are taken out, and kept in `rejected_corporate_actions`. `corporate_action_refresh` plans the requests.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError, IntegrityError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Source
from market_pipeline.warehouse.corporate_action_refresh import (
    LAST_DAY,
    SPLITS,
    Action,
    ActionTable,
    Key,
    RefreshPlan,
    record_refresh,
    requested_rows,
)
from market_pipeline.warehouse.database_errors import first_line
from market_pipeline.warehouse.flagging import FindFlags, reflag_symbols
from market_pipeline.warehouse.load_history import COUNTERS, LoadCounters
from market_pipeline.warehouse.loading import claim_source
from market_pipeline.warehouse.tables import rejected_corporate_actions

CONTRADICTED = "the vendor lists it more than once, with different values"
AMOUNTS = ("split_from", "split_to", "cash_amount")
NOT_POSITIVE = "its factor or amount is zero or negative"
OUT_OF_RANGE = "its date is not among those requested"
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
    listed: Sequence[Action],
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
        find_flags: finds suspicious bars, which depend on splits.

    Raises:
        MixedSourcesError: the database holds the other source's data.
        RejectedActionsError: a value doesn't fit its column; nothing is changed.
    """
    accepted, rejected = separate_rejected(actions, plan, listed)
    origin = {"source": source, "run_id": run_id}
    try:
        with engine.begin() as connection:
            # Two refreshes take turns, so that neither compares with what the other is changing; readers don't wait.
            connection.execute(text(f"LOCK TABLE {actions.name} IN SHARE ROW EXCLUSIVE MODE"))
            claim_source(connection, source)
            change = _change(actions, _held(connection, actions, plan), accepted)
            _apply(connection, actions, change, origin)
            _keep_rejected(connection, actions, [*change.deleted, *rejected], origin)
            record_refresh(connection, actions, plan)
            if actions is SPLITS:
                reflag_symbols(connection, change.symbols, find_flags)
            return _count(connection, actions, change, len(accepted), len(rejected))
    except (DataError, IntegrityError) as error:
        raise RejectedActionsError(
            f"the database rejected the vendor's {actions.name}, and keeps those it has: {first_line(error)}. Report it"
        ) from None


def separate_rejected(
    actions: ActionTable, plan: RefreshPlan, listed: Iterable[Action]
) -> tuple[list[Action], list[tuple[Action, str]]]:
    """Return the trusted actions of a response, and the rejected ones with their reasons.

    An action listed twice with the same values, whatever its vendor_id, is one. Of those listed with different values,
    none can be trusted.
    """
    listings: defaultdict[Key, dict[Key, Action]] = defaultdict(dict)
    rejected: list[tuple[Action, str]] = []
    for action in sorted(listed, key=lambda action: action["vendor_id"] or ""):
        if any(action.get(name, 1) <= 0 for name in AMOUNTS):
            rejected.append((action, NOT_POSITIVE))
            continue
        values = tuple(action[name] for name in actions.columns if name != "vendor_id")
        listings[actions.key_of(action)].setdefault(values, action)
    accepted: list[Action] = []
    for versions in listings.values():
        for action in versions.values():
            if not plan.start(action["symbol"]) <= action[actions.date] <= LAST_DAY:
                rejected.append((action, OUT_OF_RANGE))
            elif len(versions) > 1:
                rejected.append((action, CONTRADICTED))
            else:
                accepted.append(action)
    return accepted, rejected


def _held(connection: Connection, actions: ActionTable, plan: RefreshPlan) -> dict[Key, Action]:
    columns = (actions.table.c[name] for name in actions.columns)
    rows = connection.execute(select(*columns).where(requested_rows(actions, plan))).mappings()
    return {actions.key_of(action): action for action in map(dict, rows)}


def _change(actions: ActionTable, held: Mapping[Key, Action], accepted: Sequence[Action]) -> _Change:
    listed = {actions.key_of(action): action for action in accepted}
    return _Change(
        deleted=[
            (action, CORRECTED if key in listed else WITHDRAWN)
            for key, action in held.items()
            if listed.get(key) != action
        ],
        inserted=[action for key, action in listed.items() if held.get(key) != action],
    )


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


def _keep_rejected(
    connection: Connection, actions: ActionTable, out: Sequence[tuple[Action, str]], origin: Mapping[str, str]
) -> None:
    """Keep actions that are not, or no longer, in the table. The same values again only renew their row."""
    rows = [
        {
            "kind": actions.name,
            "symbol": action["symbol"],
            "date": action[actions.date],
            "reasons": [reason],
            "payload": {name: _storable(action[name]) for name in actions.columns},
            **origin,
        }
        for action, reason in out
    ]
    statement = upsert(rejected_corporate_actions).values(first_rejected_at=func.now(), last_rejected_at=func.now())
    renewed = {name: statement.excluded[name] for name in ("reasons", "last_rejected_at", "run_id")}
    record: list[Any] = ["kind", "symbol", text("md5(payload::text)")]
    if rows:
        connection.execute(statement.on_conflict_do_update(index_elements=record, set_=renewed), rows)


def _storable(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


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
