"""The security master: each tracked symbol's security and its ticker history, read and stored.

A tracked symbol keeps its name; the tickers under which its bars are requested are here. `core.ticker_history` has the
rules, `security_lookup` fetches the vendor's data, `reassigned_bars` brings stored bars into line with a new history.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, Row, delete, exists, insert, select, update

from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.warehouse.flagging import FindFlags
from market_pipeline.warehouse.loads import open_load
from market_pipeline.warehouse.reassigned_bars import HistoryChange, LockedSecurity, move_reassigned_bars
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tables import backfill_history, securities, security_tickers, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import lock_names, lock_symbol


@dataclass(frozen=True, kw_only=True)
class SecurityFacts:
    """Facts about a security; the fields are columns of `securities`, None where no source gives them."""

    name: str | None = None
    type: str | None = None
    composite_figi: str | None = None
    share_class_figi: str | None = None
    cik: str | None = None

    def contradicts(self, other: "SecurityFacts") -> bool:
        """Return True if both have FIGIs that differ, and other names: they are of two securities.

        A company that reorganizes itself can get a new FIGI and keeps its name. Classes of shares have one CIK.
        """
        pairs = ((self.share_class_figi, other.share_class_figi), (self.composite_figi, other.composite_figi))
        known = [one == two for one, two in pairs if one and two]
        return bool(known) and not known[0] and (self.name or "").casefold() != (other.name or "").casefold()


@dataclass(frozen=True)
class SecurityRecord:
    """A tracked symbol's security in the warehouse, with its ticker history.

    `added_on` is the day the symbol was first tracked, `checked_at` the instant when the history was last looked up,
    None if it never was. `ended` is true once the security has left the market.
    """

    symbol: Symbol
    facts: SecurityFacts
    history: TickerHistory
    added_on: date
    checked_at: datetime | None
    ended: bool

    @classmethod
    def assume(cls, symbol: Symbol, added_on: date) -> "SecurityRecord":
        """Return the record of a symbol of which nothing is known."""
        return cls(symbol, SecurityFacts(), TickerHistory.assume(symbol), added_on, checked_at=None, ended=False)

    @property
    def is_manual(self) -> bool:
        """True if the history was entered by a person."""
        return self.history.current.source is TickerSource.MANUAL


_FACTS = tuple(SecurityFacts.__dataclass_fields__)


def read_securities(engine: Engine, symbols: Iterable[Symbol]) -> Mapping[Symbol, SecurityRecord]:
    """Return the securities of these symbols, each with its ticker history."""
    with engine.connect() as connection:
        return select_securities(connection, symbols)


def select_securities(connection: Connection, symbols: Iterable[Symbol]) -> dict[Symbol, SecurityRecord]:
    """Return the same on a connection, in its transaction."""
    named = {symbol.name: symbol for symbol in symbols}
    tracked, period = tracked_symbols.c, security_tickers.c
    own = select(
        tracked.symbol, tracked.security_id, tracked.delisted_on, tracked.date_added, securities.c.checked_at,
        *(securities.c[name].label(name if name != "name" else "security_name") for name in _FACTS),
    ).outerjoin_from(tracked_symbols, securities, securities.c.id == tracked.security_id).where(
        tracked.symbol.in_(named)
    )  # fmt: skip
    rows = connection.execute(own).all()
    ids = [row.security_id for row in rows if row.security_id is not None]
    columns = [period[name] for name in ("security_id", "ticker", "first_day", "last_day", "source", "certain", "note")]
    held = select(*columns).where(period.security_id.in_(ids)).order_by(period.first_day.nulls_first())
    periods: defaultdict[int, list[TickerPeriod]] = defaultdict(list)
    for row in connection.execute(held):
        periods[row.security_id].append(_to_period(row))
    return {
        named[row.symbol]: SecurityRecord(
            named[row.symbol],
            SecurityFacts(**{name: getattr(row, "security_name" if name == "name" else name) for name in _FACTS}),
            TickerHistory(tuple(periods[row.security_id])) if periods.get(row.security_id) else
            TickerHistory.assume(named[row.symbol]),
            row.date_added.date(),
            row.checked_at,
            ended=row.delisted_on is not None,
        )
        for row in rows
    }  # fmt: skip


def _to_period(row: Row) -> TickerPeriod:  # type: ignore[type-arg]
    return TickerPeriod(row.ticker, row.first_day, row.last_day, TickerSource(row.source), row.certain, row.note)


def store_history(
    engine: Engine,
    symbol: Symbol,
    facts: SecurityFacts,
    history: TickerHistory,
    *,
    run_id: str,
    find_flags: FindFlags,
) -> list[date]:
    """Store what was found out about a symbol's security, and bring its stored bars into line, in one transaction.

    Returns:
        The sessions whose bars were another security's; they are in `market_data_revisions` now.

    Raises:
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    with engine.begin() as connection:
        lock_names(connection)
        locked = lock_symbol(connection, symbol)
        open_load(connection, run_id)
        at = locked.at
        known = select_securities(connection, [symbol])[symbol]
        identity = _ensure_security(connection, symbol)
        stated = {name: value for name, value in asdict(facts).items() if value is not None}
        connection.execute(update(securities).where(securities.c.id == identity).values(**stated, checked_at=at))
        if history == known.history:
            return []
        was_loaded = connection.scalar(select(exists().where(backfill_history.c.symbol == symbol.name)))
        _replace_periods(connection, identity, history, at if was_loaded else None)
        own = tracked_symbols.c.symbol == symbol.name
        current = history.current.ticker
        renamed = {"renamed_to": current if current != symbol.vendor_ticker else None}
        ends = {} if history.current.last is None or history.current.last >= at.date() else {
            "delisted_on": history.current.last, "listed": False,
        }  # fmt: skip
        connection.execute(update(tracked_symbols).where(own).values(vendor_ticker=current, **renamed, **ends))
        change = HistoryChange(known.history, history)
        return move_reassigned_bars(connection, LockedSecurity(symbol, locked.id, identity), change, find_flags)


def _ensure_security(connection: Connection, symbol: Symbol) -> int:
    connection.execute(read_statement("add_securities"))
    own = select(tracked_symbols.c.security_id).where(tracked_symbols.c.symbol == symbol.name)
    identity: int = connection.execute(own).scalar_one()
    return identity


def _replace_periods(connection: Connection, identity: int, history: TickerHistory, at: datetime | None) -> None:
    """Store a history; `at` is the instant from which loads request new periods rightly, None without earlier loads."""
    columns = security_tickers.c
    of_it = columns.security_id == identity
    since = select(columns.ticker, columns.first_day, columns.last_day, columns.known_since).where(of_it)
    rows = connection.execute(since).all()
    connection.execute(delete(security_tickers).where(of_it))
    for period in history.periods:
        covering = [row for row in rows if row.ticker == period.ticker and _contains(row, period)]
        known_since = covering[0].known_since if covering else at
        connection.execute(insert(security_tickers).values(_to_row(identity, period, known_since)))


def _contains(row: Row, period: TickerPeriod) -> bool:  # type: ignore[type-arg]
    """Return True if a stored period covers another one."""
    begins = row.first_day is None or (period.first is not None and row.first_day <= period.first)
    return begins and (row.last_day is None or (period.last is not None and period.last <= row.last_day))


def _to_row(identity: int, period: TickerPeriod, known_since: datetime | None) -> dict[str, object]:
    return {
        "security_id": identity,
        "ticker": period.ticker,
        "first_day": period.first,
        "last_day": period.last,
        "source": period.source.value,
        "certain": period.certain,
        "note": period.note,
        "known_since": known_since,
    }
