"""The tables `splits` and `dividends` made to hold what the vendor lists of the symbols it was asked for.

Their content follows from its newest answer alone. What contradicts itself is refused; what it corrects or no longer
lists is taken out, and kept in `rejected_corporate_actions`. What to ask for, `corporate_action_inquiries` says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    asked_for,
    note,
)
from market_pipeline.warehouse.database_errors import first_line
from market_pipeline.warehouse.flagging import Examine, flag_again
from market_pipeline.warehouse.load_history import LoadCounters
from market_pipeline.warehouse.loading import claim_source
from market_pipeline.warehouse.tables import rejected_corporate_actions

CONTRADICTED = "the vendor lists it more than once, with different values"
AMOUNTS = ("split_from", "split_to", "cash_amount")
NOT_POSITIVE = "its factor or amount is zero or negative"
OUT_OF_RANGE = "its date is not among those asked for"
CORRECTED = "the vendor has corrected it"
WITHDRAWN = "the vendor no longer lists it"


class RejectedActionsError(MarketPipelineError):
    """PostgreSQL refuses a value that the vendor gave."""


@dataclass(frozen=True, kw_only=True)
class RefreshResult(LoadCounters):
    """The result of a refresh: counters of the vendor's records, of which repeats count once, and of the table's rows.

    `removed` were held and are withdrawn or contradicted now; `held` is the number of the table's rows now, `announced`
    that of those not in effect yet.
    """

    removed: int
    held: int
    announced: int


@dataclass(frozen=True)
class _Change:
    """The way from the rows held to those the vendor lists: some go, for a reason each, and some come."""

    gone: list[tuple[Action, str]]
    come: list[Action]

    @property
    def symbols(self) -> set[str]:
        """Whose actions differ."""
        return {action["symbol"] for action in (*(gone for gone, _ in self.gone), *self.come)}


def refresh(
    engine: Engine,
    actions: ActionTable,
    inquiry: RefreshPlan,
    listed: Sequence[Action],
    *,
    source: Source,
    run_id: str,
    examine: Examine,
) -> RefreshResult:
    """Make the table hold what the vendor lists, and keep what that takes out of it, in one transaction.

    Args:
        engine: the warehouse.
        actions: the table.
        inquiry: what was asked.
        listed: what the vendor lists of the symbols asked for.
        source: who answered.
        run_id: who asked.
        examine: says what is odd about bars, which the splits have a say in.

    Raises:
        MixedSourcesError: the database holds the other source's data.
        RefusedActionsError: a value doesn't fit its column; nothing is changed.
    """
    accepted, rejected = sort_out(actions, inquiry, listed)
    by_whom = {"source": source, "run_id": run_id}
    try:
        with engine.begin() as connection:
            # Two refreshes take turns, so that neither compares with what the other is changing; readers don't wait.
            connection.execute(text(f"LOCK TABLE {actions.name} IN SHARE ROW EXCLUSIVE MODE"))
            claim_source(connection, source)
            change = _change(actions, _held(connection, actions, inquiry), accepted)
            _apply(connection, actions, change, by_whom)
            _keep(connection, actions, [*change.gone, *rejected], by_whom)
            note(connection, actions, inquiry)
            if actions is SPLITS:
                flag_again(connection, change.symbols, examine)
            return _account(connection, actions, change, len(accepted), len(rejected))
    except (DataError, IntegrityError) as error:
        raise RejectedActionsError(
            f"the database refused the vendor's {actions.name}, and keeps those it has: {first_line(error)}. Report it"
        ) from None


def sort_out(
    actions: ActionTable, inquiry: RefreshPlan, listed: Iterable[Action]
) -> tuple[list[Action], list[tuple[Action, str]]]:
    """What can be trusted of an answer, and what can't, with the reason.

    An action listed twice with the same values, whatever its vendor_id, is one. Listed with different values, there is
    no telling which is true, so that none is taken.
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
            if not inquiry.start(action["symbol"]) <= action[actions.date] <= LAST_DAY:
                rejected.append((action, OUT_OF_RANGE))
            elif len(versions) > 1:
                rejected.append((action, CONTRADICTED))
            else:
                accepted.append(action)
    return accepted, rejected


def _held(connection: Connection, actions: ActionTable, inquiry: RefreshPlan) -> dict[Key, Action]:
    columns = (actions.table.c[name] for name in actions.columns)
    rows = connection.execute(select(*columns).where(asked_for(actions, inquiry))).mappings()
    return {actions.key_of(action): action for action in map(dict, rows)}


def _change(actions: ActionTable, held: Mapping[Key, Action], accepted: Sequence[Action]) -> _Change:
    wanted = {actions.key_of(action): action for action in accepted}
    return _Change(
        gone=[
            (action, CORRECTED if key in wanted else WITHDRAWN)
            for key, action in held.items()
            if wanted.get(key) != action
        ],
        come=[action for key, action in wanted.items() if held.get(key) != action],
    )


def _apply(connection: Connection, actions: ActionTable, change: _Change, by_whom: Mapping[str, str]) -> None:
    table = actions.table
    if change.gone:
        # A dividend's kind may be missing, and nothing equals NULL.
        same = (table.c[name].is_not_distinct_from(bindparam(f"gone_{name}")) for name in actions.key)
        gone = [{f"gone_{name}": action[name] for name in actions.key} for action, _ in change.gone]
        connection.execute(delete(table).where(*same), gone)
    if change.come:
        connection.execute(
            insert(table).values(fetched_at=func.now()), [{**action, **by_whom} for action in change.come]
        )


def _keep(
    connection: Connection, actions: ActionTable, out: Sequence[tuple[Action, str]], by_whom: Mapping[str, str]
) -> None:
    """Keep what is not, or no longer, in the table. The same values once more only renew their row."""
    rows = [
        {
            "kind": actions.name,
            "symbol": action["symbol"],
            "date": action[actions.date],
            "reasons": [reason],
            "payload": {name: _storable(action[name]) for name in actions.columns},
            **by_whom,
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


def _account(
    connection: Connection, actions: ActionTable, change: _Change, accepted: int, rejected: int
) -> RefreshResult:
    later = actions.table.c[actions.date] > func.date(func.timezone("America/New_York", func.now()))
    counts = select(func.count(), func.count().filter(later)).select_from(actions.table)
    held, announced = connection.execute(counts).one()
    revised = sum(reason == CORRECTED for _, reason in change.gone)
    return RefreshResult(
        loaded=len(change.come) - revised,
        revised=revised,
        unchanged=accepted - len(change.come),
        rejected=rejected,
        removed=len(change.gone) - revised,
        held=held,
        announced=announced,
    )
