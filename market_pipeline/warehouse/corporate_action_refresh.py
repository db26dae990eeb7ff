"""Plans of refreshes of splits and dividends, which depend on earlier requests.

`corporate_actions` stores the responses.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.sessions import find_calendar
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import (
    corporate_action_inquiries,
    dividends,
    rejected_corporate_actions,
    splits,
)

EXCHANGE = find_calendar("XNYS")
FIRST_DAY, LAST_DAY = EXCHANGE.first_session, date(2099, 12, 31)
"""All history, and all announcements."""

RECENT = timedelta(days=30)
"""Days back for which the whole market's actions are requested."""

HISTORIES_A_RUN = 50
"""Symbols whose whole history is requested in one run, new ones included, so that late corrections come through in
turn. Their dividends fit a page of 5,000: a hundred each, 25 years of quarters."""

BEHIND_AFTER = timedelta(days=2)
"""Time since a symbol's last request after which it counts as behind: two nights have not taken place, or failed."""

NEXT_STEP = "`market-pipeline backfill --missing` requests them again, and so do the next run and the next night"
"""The end of each message about actions that could not be fetched, those in `backfill_history.notes` included."""

Action = Mapping[str, Any]
"""One split or dividend: the vendor's values, under the names of its table's columns."""

Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class UnreadableAction:
    """A vendor's record of a symbol that can't be read: its date where that can be, and the problem."""

    symbol: str
    date: date | None
    record: Mapping[str, Any]
    problem: str


_OUR_COLUMNS = ("id", "source", "fetched_at", "run_id", "load_id")


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
DIVIDENDS = ActionTable(
    dividends,
    "ex_dividend_date",
    ("symbol", "ex_dividend_date", "cash_amount", "currency", "dividend_type", "pay_date"),
)
TABLES = (SPLITS, DIVIDENDS)


@dataclass(frozen=True)
class RefreshPlan:
    """The requests of one refresh.

    `in_full` are the symbols whose whole history is requested; `recent` those for which the whole market's actions from
    `since` on are enough. `holding` are the symbols with requested rows in the table.
    """

    at: datetime
    in_full: tuple[str, ...]
    recent: frozenset[str] = frozenset()
    holding: frozenset[str] = frozenset()

    @property
    def since(self) -> date:
        """The start of the recent days."""
        return self.at.date() - RECENT

    @property
    def symbols(self) -> list[str]:
        """All symbols of the plan."""
        return [*self.in_full, *sorted(self.recent)]

    def parts(self, size: int) -> "list[RefreshPlan]":
        """Return plans that make up this one, each of at most `size` histories."""
        firsts = range(0, max(len(self.in_full), 1), size)
        plans = [replace(self, in_full=self.in_full[first : first + size], recent=frozenset()) for first in firsts]
        return [*plans[:-1], replace(plans[-1], recent=self.recent)]

    def __add__(self, other: "RefreshPlan") -> "RefreshPlan":
        """Return the plan that two parts make up."""
        return replace(self, in_full=self.in_full + other.in_full, recent=self.recent | other.recent)

    def start(self, symbol: str) -> date:
        """Return the first day requested for a symbol."""
        return self.since if symbol in self.recent else FIRST_DAY


def plan_refresh(
    engine: Engine,
    actions: ActionTable,
    symbols: Iterable[Symbol],
    now: datetime,
    *,
    not_since: datetime | None = None,
) -> RefreshPlan:
    """Plan the requests at `now` for those of `symbols` that are equities.

    In full: every symbol not requested since the recent days began, new ones included, and of the others those whose
    prices are unknown for a rejected action, and whose history was requested longest ago, up to HISTORIES_A_RUN in all.
    For the rest, the recent days: a few pages of the whole market, however many symbols are tracked.

    Args:
        engine: the warehouse.
        actions: the table.
        symbols: of any asset class.
        now: with a time zone.
        not_since: symbols requested at or after this instant are left out.
    """
    names = sorted(symbol.name for symbol in symbols if symbol.asset_class is not AssetClass.CRYPTO)
    requests = corporate_action_inquiries.c
    query = select(requests.symbol, requests.asked_at, requests.history_asked_at).where(requests.kind == actions.name)
    with engine.connect() as connection:
        known = {row.symbol: row for row in connection.execute(query) if row.asked_at.date() >= now.date() - RECENT}
        if not_since is not None:
            names = [name for name in names if name not in known or known[name].asked_at < not_since]
        rejected = rejected_corporate_actions.c
        in_doubt = select(rejected.symbol).where(rejected.kind == actions.name, rejected.listed).distinct()
        doubtful: frozenset[str] = frozenset(connection.execute(in_doubt).scalars())
        by_age = sorted(
            (name for name in names if name in known),
            key=lambda name: (name not in doubtful, known[name].history_asked_at),
        )
        due = [name for name in names if name not in known]
        more = max(HISTORIES_A_RUN - len(due), 0)
        plan = RefreshPlan(now, (*due, *by_age[:more]), frozenset(by_age[more:]))
        held = select(actions.table.c.symbol).where(filter_requested_rows(actions, plan)).distinct()
        return replace(plan, holding=frozenset(connection.execute(held).scalars()))


def plan_run_refresh(
    engine: Engine, actions: ActionTable, symbols: Iterable[Symbol], now: datetime, *, scheduled: bool
) -> RefreshPlan:
    """Plan the requests that a run of bars makes for its symbols: for those that were not requested today.

    Today is the date in New York. In a scheduled run, which a refresh of all symbols accompanies, only those behind.
    """
    today = now.astimezone(EXCHANGE.timezone).date()
    midnight = datetime.combine(today, time(), EXCHANGE.timezone)
    return plan_refresh(engine, actions, symbols, now, not_since=now - BEHIND_AFTER if scheduled else midnight)


def filter_requested_rows(actions: ActionTable, plan: RefreshPlan) -> ColumnElement[bool]:
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


@dataclass(frozen=True)
class ActionsBehind:
    """Splits or dividends of a symbol with bars that were never requested successfully, or not for BEHIND_AFTER.

    `since` is the last successful request or, if `never` there was one, the symbol's first load of bars.
    """

    kind: str
    symbol: str
    never: bool
    since: datetime


def find_actions_behind(engine: Engine, now: datetime) -> list[ActionsBehind]:
    """Return the tracked equities with bars whose splits or dividends are behind at `now`, by kind and symbol."""
    with engine.connect() as connection:
        rows = connection.execute(read_statement("actions_behind"), {"before": now - BEHIND_AFTER})
        return [ActionsBehind(**row) for row in rows.mappings()]
