"""Which symbols are tracked: listing, adding and removing them, and what the vendor has said of each.

What a symbol is, symbols.py says; how the vendor is asked, listing.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.errors import MarketPipelineError, UsageError
from market_pipeline.symbols import Symbol, SymbolError
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tables import tracked_symbols


class UntrackedSymbolError(UsageError):
    """A symbol that was asked for is not tracked."""


class OtherAssetClassError(SymbolError):
    """A symbol is tracked already as something else."""


class NotTrackedError(MarketPipelineError):
    """A bar of a symbol that the warehouse doesn't track."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the vendor says of a symbol; the fields are the columns of `tracked_symbols`.

    `delisted_on` is the last day it traded, None while it is listed or where the vendor doesn't say.
    """

    name: str | None
    vendor_type: str | None
    primary_exchange: str | None
    listed: bool
    delisted_on: date | None
    renamed_to: str | None

    def ending(self, symbol: str) -> str | None:
        """How and when the symbol left the market, as a sentence; None if it hasn't."""
        if self.listed:
            return None
        if self.delisted_on is None:
            return f"{symbol} no longer trades, and the vendor doesn't say since when"
        if self.renamed_to is None:
            return f"{symbol} was delisted on {self.delisted_on}"
        return f"{symbol} was renamed to {self.renamed_to} after {self.delisted_on}"


def active_symbols(engine: Engine) -> list[Symbol]:
    """Every active symbol, in alphabetical order."""
    columns = tracked_symbols.c
    query = select(columns.symbol, columns.asset_class).where(columns.active).order_by(columns.symbol)
    with engine.connect() as connection:
        return [Symbol.of(row.symbol, row.asset_class) for row in connection.execute(query)]


def find_active(engine: Engine, names: Sequence[str]) -> list[Symbol]:
    """The active symbols of these names, in the order given, each once.

    Raises:
        UntrackedSymbolError: one is not tracked; the message names the command that adds it.
    """
    known = {symbol.name: symbol for symbol in active_symbols(engine)}
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        commands = "; ".join(f"`market-pipeline symbols add {name} --asset-class stock`" for name in unknown[:3])
        raise UntrackedSymbolError(
            f"not tracked: {', '.join(unknown)}. Add with {commands} (or --asset-class etf, crypto), "
            "or track the starting set with `market-pipeline symbols init`"
        )
    return [known[name] for name in dict.fromkeys(names)]


def symbol_records(engine: Engine, *, name: str | None = None, active_only: bool = False) -> Sequence[Row]:  # type: ignore[type-arg]
    """The rows of `tracked_symbols`, or that of one symbol, with how many bars there are of each and from when to when.

    Columns: id, symbol, asset_class, active, date_added, last_backfill, backfill_status, record_count, start, end,
    validation_rate (0 to 1, None without bars), gaps_detected.
    """
    with engine.connect() as connection:
        return connection.execute(statement("symbol_records"), {"name": name, "active_only": active_only}).all()


def add_symbols(engine: Engine, symbols: Iterable[Symbol], *, revive: bool = True) -> list[str]:
    """Track these symbols and return the names that were not active before.

    A removed one becomes active again, unless `revive` is false.

    Raises:
        OtherAssetClassError: one is tracked already under another asset class; none is added then.
    """
    added = []
    with engine.begin() as connection:
        for symbol in sorted(symbols):  # always in the same order, so that two transactions can't wait for each other
            row = upsert(tracked_symbols).values(
                symbol=symbol.name,
                asset_class=symbol.asset_class.value,
                vendor_ticker=symbol.vendor_ticker,
                calendar=symbol.calendar,
            )
            statement = row.on_conflict_do_update(
                index_elements=[tracked_symbols.c.symbol],
                set_={"active": True},
                where=~tracked_symbols.c.active & revive & (tracked_symbols.c.asset_class == row.excluded.asset_class),
            ).returning(tracked_symbols.c.symbol)
            if connection.execute(statement).first() is not None:
                added.append(symbol.name)
                continue
            same = select(tracked_symbols.c.asset_class).where(tracked_symbols.c.symbol == symbol.name)
            held: str = connection.execute(same).scalar_one()
            if held != symbol.asset_class:
                raise OtherAssetClassError(
                    f"{symbol.name} is tracked as {held}; its bars can't become {symbol.asset_class} ones"
                )
    return added


def lock_symbol(connection: Connection, symbol: Symbol) -> datetime:
    """Hold the symbol's lock until the transaction ends, and tell the time from when it is held.

    Two runs on one symbol take turns, and neither reads what the other is changing. The time is the database's, asked
    for once it is our turn, so that what is stored later also has the later time.

    Raises:
        NotTrackedError: the symbol is not in tracked_symbols.
    """
    row = select(tracked_symbols.c.id).where(tracked_symbols.c.symbol == symbol.name).with_for_update().subquery()
    # Rows of a query that locks are locked before anything is made of them.
    now: datetime | None = connection.scalar(select(func.clock_timestamp()).select_from(row))
    if now is None:
        raise NotTrackedError(f"{symbol.name} is not tracked: run `market-pipeline symbols add {symbol.name}` first")
    return now


def record_reference(engine: Engine, symbol: Symbol, reference: Reference) -> None:
    """Keep what the vendor has just said of a symbol, in place of what it said before."""
    row = tracked_symbols.c.symbol == symbol.name
    with engine.begin() as connection:
        connection.execute(update(tracked_symbols).where(row).values(**asdict(reference), checked_at=func.now()))


def delistings(engine: Engine) -> Mapping[str, Reference]:
    """What the vendor has said of those symbols that are known to have left the market, by the symbol's name."""
    columns = tracked_symbols.c
    stated = [columns[name] for name in Reference.__dataclass_fields__]
    query = select(columns.symbol, *stated).where(columns.delisted_on.is_not(None))
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["symbol"]: Reference(**{column.name: row[column.name] for column in stated}) for row in rows}


def remove_symbol(engine: Engine, name: str) -> None:
    """Stop fetching a symbol. Its bars stay.

    Raises:
        UntrackedSymbolError: it is not tracked.
    """
    active = (tracked_symbols.c.symbol == name) & tracked_symbols.c.active
    with engine.begin() as connection:
        found = connection.execute(update(tracked_symbols).where(active).values(active=False)).rowcount
    if not found:
        raise UntrackedSymbolError(f"{name} is not tracked; `market-pipeline symbols list` shows what is")
