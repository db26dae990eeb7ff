"""Plans of refreshes of splits and dividends, which depend on earlier requests.

`corporate_actions` stores the responses.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.sessions import calendar
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.warehouse.tables import corporate_action_inquiries, dividends, splits

FIRST_DAY, LAST_DAY = calendar("XNYS").first_session, date(2099, 12, 31)
"""All history, and all announcements."""

RECENT = timedelta(days=30)
"""Days back for which the whole market's actions are requested."""

HISTORIES_A_RUN = 5
"""Symbols whose whole history is requested again in each run, so that late corrections come through in turn."""

Action = Mapping[str, Any]
"""One split or dividend: the vendor's values, under the names of its table's columns."""

Key = tuple[Hashable, ...]

_OUR_COLUMNS = ("id", "source", "fetched_at", "run_id")


@dataclass(frozen=True)
class ActionTable:
    """One of the two tables, with its date column and the columns that identify an action."""

    table: Table
    date: str
    key: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def columns(self) -> list[str]:
        """Columns with the vendor's values."""
        return [column.name for column in self.table.columns if column.name not in _OUR_COLUMNS]

    def key_of(self, action: Action) -> Key:
        """Return the values that identify an action."""
        return tuple(action[name] for name in self.key)


SPLITS = ActionTable(splits, "execution_date", ("symbol", "execution_date"))
DIVIDENDS = ActionTable(dividends, "ex_dividend_date", ("symbol", "ex_dividend_date", "dividend_type"))


@dataclass(frozen=True)
class RefreshPlan:
    """The requests of one refresh.

    `in_full` are the symbols whose whole history is requested, one request each; `recent` those for which the whole
    market's actions from `since` on are enough. `holding` are the symbols with requested rows in the table.
    """

    at: datetime
    in_full: tuple[str, ...]
    recent: frozenset[str] = frozenset()
    holding: frozenset[str] = frozenset()

    @property
    def since(self) -> date:
        """The start of the recent days."""
        return self.at.date() - RECENT

    def start(self, symbol: str) -> date:
        """Return the first day requested for a symbol."""
        return self.since if symbol in self.recent else FIRST_DAY


def plan_refresh(engine: Engine, actions: ActionTable, symbols: Iterable[Symbol], now: datetime) -> RefreshPlan:
    """Plan the requests at `now` for those of `symbols` that are equities.

    In full: every symbol not requested since the recent days began, new ones included, and of the others the few whose
    history was requested longest ago. For the rest, the recent days: a few pages of the whole market, however many
    symbols are tracked.
    """
    names = sorted(symbol.name for symbol in symbols if symbol.asset_class is not AssetClass.CRYPTO)
    requests = corporate_action_inquiries.c
    query = select(requests.symbol, requests.asked_at, requests.history_asked_at).where(requests.kind == actions.name)
    with engine.connect() as connection:
        known = {row.symbol: row for row in connection.execute(query) if row.asked_at.date() >= now.date() - RECENT}
        by_age = sorted((name for name in names if name in known), key=lambda name: known[name].history_asked_at)
        due = [name for name in names if name not in known]
        plan = RefreshPlan(now, (*due, *by_age[:HISTORIES_A_RUN]), frozenset(by_age[HISTORIES_A_RUN:]))
        held = select(actions.table.c.symbol).where(requested_rows(actions, plan)).distinct()
        return replace(plan, holding=frozenset(connection.execute(held).scalars()))


def requested_rows(actions: ActionTable, plan: RefreshPlan) -> ColumnElement[bool]:
    """Return the condition on the table's rows that the plan requests."""
    columns = actions.table.c
    recent = and_(columns.symbol.in_(plan.recent), columns[actions.date] >= plan.since)
    return or_(columns.symbol.in_(plan.in_full), recent)


def record_refresh(connection: Connection, actions: ActionTable, plan: RefreshPlan) -> None:
    """Record the requests and their time."""
    statement = upsert(corporate_action_inquiries)
    for symbols, renewed in ((plan.in_full, ("asked_at", "history_asked_at")), (plan.recent, ("asked_at",))):
        rows = [
            {"kind": actions.name, "symbol": symbol, **dict.fromkeys(("asked_at", "history_asked_at"), plan.at)}
            for symbol in symbols
        ]
        if rows:
            again = {name: statement.excluded[name] for name in renewed}
            connection.execute(statement.on_conflict_do_update(index_elements=["kind", "symbol"], set_=again), rows)
