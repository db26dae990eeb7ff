"""Markets in the warehouse: tracking and untracking them, their sessions and their totals.

`core.markets` knows what a market is; `market_loading` loads its sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Engine, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.errors import UsageError
from market_pipeline.core.markets import MARKETS, Market, Origin
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import markets

FETCHABLE = ("failed", "suspicious", "never_asked")
"""States of sessions that are not stored and that a request may bring; the plan doesn't give the others."""


class UntrackedMarketError(UsageError):
    """A requested market is not tracked."""


@dataclass(frozen=True)
class MarketSessionState:
    """A row of the view `market_sessions`: a session of a market, and what is known of it.

    `state` is loaded, corrected, suspicious, not_yet_available, not_in_plan, failed or never_asked. `tickers`,
    `origin`, `version` and `loaded_at` are those of the newest successful load, None without one.
    """

    date: date
    state: str
    tickers: int | None
    origin: Origin | None
    version: str | None
    loaded_at: datetime | None
    reason: str | None

    @property
    def is_loaded(self) -> bool:
        """True if the session is stored whole."""
        return self.state in {"loaded", "corrected"}

    @property
    def is_fetchable(self) -> bool:
        """True if the session is not stored, and a request may bring it."""
        return self.state in FETCHABLE


@dataclass(frozen=True)
class MarketTotals:
    """Totals of a market: its sessions by state, and its symbols by listing.

    `symbols` = `trading` + `ended` are those that had a bar in any session; `reference_tickers` is the number of
    entries in the vendor's list, of which `listed` are trading by it.
    """

    market: Market
    active: bool
    first_session: date | None
    last_session: date | None
    loaded: int
    corrected: int
    suspicious: int
    not_yet_available: int
    not_in_plan: int
    failed: int
    never_asked: int
    symbols: int
    trading: int
    ended: int
    reference_tickers: int
    listed: int


def track_market(engine: Engine, market: Market) -> bool:
    """Track a market; return False if it was tracked already."""
    row = upsert(markets).values(market=market.name, calendar=market.calendar)
    row = row.on_conflict_do_update(index_elements=[markets.c.market], set_={"active": True}, where=~markets.c.active)
    with engine.begin() as connection:
        return connection.execute(row.returning(markets.c.market)).first() is not None


def require_tracked(engine: Engine, market: Market) -> None:
    """Check that a market is tracked.

    Raises:
        UntrackedMarketError: it is not.
    """
    if market not in list_tracked_markets(engine):
        raise UntrackedMarketError(
            f"{market.option} is not tracked: track it with `market-pipeline market track {market.option}`"
        )


def untrack_market(engine: Engine, market: Market) -> None:
    """Stop fetching a market. Its bars stay.

    Raises:
        UntrackedMarketError: it is not tracked.
    """
    tracked = (markets.c.market == market.name) & markets.c.active
    with engine.begin() as connection:
        found = connection.execute(update(markets).where(tracked).values(active=False)).rowcount
    if not found:
        raise UntrackedMarketError(f"{market.option} is not tracked; `market-pipeline market status` shows what is")


def list_tracked_markets(engine: Engine) -> list[Market]:
    """Return the tracked markets, in alphabetical order."""
    query = select(markets.c.market).where(markets.c.active).order_by(markets.c.market)
    with engine.connect() as connection:
        names: Sequence[str] = connection.scalars(query).all()
    return [MARKETS[name] for name in names if name in MARKETS]


def read_market_sessions(engine: Engine, market: Market) -> list[MarketSessionState]:
    """Return a market's sessions that are over, from the first that was requested, oldest first."""
    query = text(
        "SELECT date, state, tickers, origin, version, loaded_at, reason FROM market_sessions "
        "WHERE market = :market ORDER BY date"
    )
    with engine.connect() as connection:
        rows = connection.execute(query, {"market": market.name}).all()
    return [
        MarketSessionState(
            row.date, row.state, row.tickers, row.origin and Origin(row.origin), row.version, row.loaded_at, row.reason
        )
        for row in rows
    ]


def read_market_totals(engine: Engine) -> Sequence[MarketTotals]:
    """Return the totals of every market that was ever tracked, in alphabetical order."""
    with engine.connect() as connection:
        rows = connection.execute(read_statement("market_totals")).mappings().all()
    return [
        MarketTotals(MARKETS[row["market"]], **{str(key): value for key, value in row.items() if key != "market"})
        for row in rows
        if row["market"] in MARKETS
    ]
