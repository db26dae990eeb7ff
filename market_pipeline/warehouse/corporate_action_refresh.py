"""What a refresh of splits and dividends asks the vendor for, which depends on what it was asked for before.

Knows which actions there are to ask for; what is made of the answer, `corporate_actions` says.
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
"""All history, and whatever is announced."""

RECENT = timedelta(days=30)
"""How far back the whole market's actions are asked for."""

HISTORIES_A_RUN = 5
"""Symbols whose whole history is asked for again in each run, so that late corrections come through in turn."""

Action = Mapping[str, Any]
"""One split or dividend: what the vendor says of it, under the names of its table's columns."""

Key = tuple[Hashable, ...]

_OURS = ("id", "source", "fetched_at", "run_id")


@dataclass(frozen=True)
class ActionTable:
    """One of the two tables: which of its columns is the action's date, and which ones tell actions apart."""

    table: Table
    date: str
    key: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def columns(self) -> list[str]:
        """What the vendor says of an action."""
        return [column.name for column in self.table.columns if column.name not in _OURS]

    def key_of(self, action: Action) -> Key:
        """What tells it apart."""
        return tuple(action[name] for name in self.key)


SPLITS = ActionTable(splits, "execution_date", ("symbol", "execution_date"))
DIVIDENDS = ActionTable(dividends, "ex_dividend_date", ("symbol", "ex_dividend_date", "dividend_type"))


@dataclass(frozen=True)
class RefreshPlan:
    """What one refresh asks for.

    `in_full` are the symbols whose whole history is asked for, one request each; `recent` those for which the whole
    market's actions from `since` on do. `holding` names the symbols of which the table holds any of what is asked for.
    """

    at: datetime
    in_full: tuple[str, ...]
    recent: frozenset[str] = frozenset()
    holding: frozenset[str] = frozenset()

    @property
    def since(self) -> date:
        """Where the recent days begin."""
        return self.at.date() - RECENT

    def start(self, symbol: str) -> date:
        """The first day asked for of a symbol."""
        return self.since if symbol in self.recent else FIRST_DAY


def next_refresh(engine: Engine, actions: ActionTable, symbols: Iterable[Symbol], now: datetime) -> RefreshPlan:
    """What to ask for at `now`, of those of `symbols` that are equities.

    In full: every symbol not asked for since the recent days began, new ones included, and of the others the few whose
    history was asked for longest ago. Of the rest, the recent days: a few pages of the whole market, however many
    symbols are tracked.
    """
    names = sorted(symbol.name for symbol in symbols if symbol.asset_class is not AssetClass.CRYPTO)
    asked = corporate_action_inquiries.c
    query = select(asked.symbol, asked.asked_at, asked.history_asked_at).where(asked.kind == actions.name)
    with engine.connect() as connection:
        known = {row.symbol: row for row in connection.execute(query) if row.asked_at.date() >= now.date() - RECENT}
        by_age = sorted((name for name in names if name in known), key=lambda name: known[name].history_asked_at)
        due = [name for name in names if name not in known]
        inquiry = RefreshPlan(now, (*due, *by_age[:HISTORIES_A_RUN]), frozenset(by_age[HISTORIES_A_RUN:]))
        held = select(actions.table.c.symbol).where(asked_for(actions, inquiry)).distinct()
        return replace(inquiry, holding=frozenset(connection.execute(held).scalars()))


def asked_for(actions: ActionTable, inquiry: RefreshPlan) -> ColumnElement[bool]:
    """The rows that the inquiry is about."""
    columns = actions.table.c
    recent = and_(columns.symbol.in_(inquiry.recent), columns[actions.date] >= inquiry.since)
    return or_(columns.symbol.in_(inquiry.in_full), recent)


def note(connection: Connection, actions: ActionTable, inquiry: RefreshPlan) -> None:
    """Remember what was asked for, and when."""
    statement = upsert(corporate_action_inquiries)
    for symbols, renewed in ((inquiry.in_full, ("asked_at", "history_asked_at")), (inquiry.recent, ("asked_at",))):
        rows = [
            {"kind": actions.name, "symbol": symbol, **dict.fromkeys(("asked_at", "history_asked_at"), inquiry.at)}
            for symbol in symbols
        ]
        if rows:
            again = {name: statement.excluded[name] for name in renewed}
            connection.execute(statement.on_conflict_do_update(index_elements=["kind", "symbol"], set_=again), rows)
