"""Tracked symbols: listing, adding and removing them, and the vendor's reference data on each.

`core.symbols` knows what a symbol is; `reference_data` fetches the vendor's data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    TableValuedAlias,
    Text,
    cast,
    collate,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError
from market_pipeline.core.wording import quote_command
from market_pipeline.warehouse.bar_tables import symbol_identities
from market_pipeline.warehouse.locks import AdvisoryLock, wait_for_lock
from market_pipeline.warehouse.statements import read_statement as sql_statement
from market_pipeline.warehouse.tables import tracked_symbols


class UntrackedSymbolError(UsageError):
    """A requested symbol is not tracked."""


class NameTakenError(SymbolError):
    """The name is another instrument's, or the instrument is tracked under another name."""


class NotTrackedError(MarketPipelineError):
    """A bar of a symbol that the warehouse doesn't track."""


@dataclass(frozen=True)
class LockedSymbol:
    """A symbol's id in tracked_symbols, and the instant since which its lock is held."""

    id: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The vendor's reference data of a symbol; the fields are columns of `tracked_symbols`.

    `delisted_on` is the last day it traded, None while it is listed or if the vendor gives none.
    """

    name: str | None
    vendor_type: str | None
    primary_exchange: str | None
    listed: bool
    delisted_on: date | None
    renamed_to: str | None

    @property
    def ending(self) -> str | None:
        """The symbol's delisting or renaming in words to follow its name; None while it is listed."""
        if self.listed:
            return None
        if self.delisted_on is None:
            return "no longer trades, and the vendor doesn't say since when"
        if self.renamed_to is None:
            return f"delisted on {self.delisted_on}"
        return f"renamed to {self.renamed_to} after {self.delisted_on}"


def read_names(connection: Connection, as_of: datetime | None = None, *, tracked_only: bool = False) -> list[str]:
    """Return the names of all symbols that may have bars, in alphabetical order; with `as_of`, their names then.

    With `tracked_only`, those that were tracked by then, without those whose bars are of a market's sessions alone.
    """
    identities = symbol_identities if as_of is None else _select_identities(as_of)
    query = select(identities.c.symbol).order_by(identities.c.symbol)
    if tracked_only:
        query = query.join(tracked_symbols, tracked_symbols.c.id == identities.c.symbol_id)
        if as_of is not None:  # one of a market has an identity before it is tracked
            query = query.where(tracked_symbols.c.date_added <= as_of)
    return list(connection.scalars(query))


def read_former_names(connection: Connection, names: Sequence[str], as_of: datetime) -> Mapping[str, str]:
    """Return the names that symbols of these present names had at an instant, by present name."""
    present, then = symbol_identities.c, _select_identities(as_of)
    query = select(present.symbol, then.c.symbol.label("former")).join(then, then.c.symbol_id == present.symbol_id)
    return {row.symbol: row.former for row in connection.execute(query.where(present.symbol.in_(names)))}


def _select_identities(as_of: datetime) -> TableValuedAlias:
    return func.symbol_identities_as_of(as_of).table_valued("symbol_id", "symbol")


def build_named_otherwise_error(former: Mapping[str, str]) -> UntrackedSymbolError:
    """Return the error for symbols that had another name at an instant, given those names by present name."""
    names = ", ".join(f"{present} was {name}" for present, name in former.items())
    return UntrackedSymbolError(f"symbols had other names as of that instant: {names}. Use those, or * for all")


def build_never_tracked_error(
    unknown: Iterable[str], known: Iterable[str], as_of: datetime | None = None
) -> UntrackedSymbolError:
    """Return the error for names that have no bars, given the known ones, now or as of an instant."""
    until = "" if as_of is None else f" until {as_of.isoformat()}"
    return UntrackedSymbolError(
        f"no bars of {suggest_names(unknown, known)}: never tracked{until}; see `market-pipeline coverage` for what is "
        "there"
    )


def list_active_symbols(engine: Engine, among: Sequence[str] | None = None) -> list[Symbol]:
    """Return every active symbol, of all or `among` some names, in alphabetical order."""
    columns = tracked_symbols.c
    query = select(columns.symbol, columns.asset_class).where(columns.active).order_by(columns.symbol)
    if among is not None:
        query = query.where(_is_named(among))
    with engine.connect() as connection:
        return [Symbol.of(row.symbol, row.asset_class) for row in connection.execute(query)]


def list_removed_symbols(engine: Engine) -> list[Symbol]:
    """Return every symbol that was tracked and no longer is, in alphabetical order."""
    columns = tracked_symbols.c
    query = select(columns.symbol, columns.asset_class).where(~columns.active).order_by(columns.symbol)
    with engine.connect() as connection:
        return [Symbol.of(row.symbol, row.asset_class) for row in connection.execute(query)]


def suggest_names(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Return unknown names, each with the known one that it may be meant for: `APPL (did you mean AAPL?), NVDA`."""
    names = list(known)
    suggestions = []
    for name in unknown:
        near = get_close_matches(name.upper(), names, 1)
        suggestions.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return ", ".join(suggestions)


def read_symbol_records(engine: Engine, *, name: str | None = None, active_only: bool = False) -> Sequence[Row]:  # type: ignore[type-arg]
    """Return the rows of `tracked_symbols`, or that of one symbol, with the number and the dates of its bars.

    Columns: id, symbol, asset_class, active, date_added, last_backfill, backfill_status, record_count, start, end,
    validation_rate (0 to 1, None without bars), gaps_detected.
    """
    with engine.connect() as connection:
        return connection.execute(sql_statement("symbol_records"), {"name": name, "active_only": active_only}).all()


def add_symbols(engine: Engine, symbols: Iterable[Symbol], *, revive: bool = True) -> list[str]:
    """Track these symbols and return the names that were not active before.

    Raises:
        NameTakenError: with `revive`, one conflicts with a tracked or removed symbol; none is added.
    """
    added = []
    with engine.begin() as connection:
        lock_names(connection)
        for symbol in sorted(symbols):  # in a fixed order, so that two transactions can't wait for each other
            conflict = _find_conflict(connection, symbol)
            if conflict is not None:
                if revive:
                    raise conflict
                continue
            taken_over = _find_taken_over(connection, symbol)
            row = upsert(tracked_symbols).values(**_build_row(symbol), **taken_over)
            statement = row.on_conflict_do_update(
                index_elements=[tracked_symbols.c.symbol],
                set_={"active": True},
                where=~tracked_symbols.c.active & revive,
            ).returning(tracked_symbols.c.symbol)
            if connection.execute(statement).first() is not None:
                added.append(symbol.name)
                if taken_over:
                    connection.execute(sql_statement("record_taken_over"), {"symbol_id": taken_over["id"]})
        connection.execute(sql_statement("add_securities"))
    return added


def _find_taken_over(connection: Connection, symbol: Symbol) -> dict[str, int]:
    """Return the id and the security of the symbol that a market's sessions made for a ticker, if any.

    It becomes the tracked one, with its bars. A symbol that is tracked already, or was, has its own.
    """
    columns = tracked_symbols.c
    if connection.scalar(select(exists().where(columns.symbol == symbol.name))):
        return {}
    parameters = {"ticker": symbol.vendor_ticker, "calendar": symbol.calendar}
    row = connection.execute(sql_statement("taken_over_symbol"), parameters).first()
    return {} if row is None else {"id": row.symbol_id, "security_id": row.security_id}


def lock_names(connection: Connection) -> None:
    """Let one transaction at a time give and change names: an instrument has one name, and a name one instrument."""
    wait_for_lock(connection, AdvisoryLock.SYMBOL_NAMES)


def _build_row(symbol: Symbol) -> dict[str, str]:
    return {
        "symbol": symbol.name,
        "asset_class": symbol.asset_class.value,
        "vendor_ticker": symbol.vendor_ticker,
        "calendar": symbol.calendar,
    }


def _find_conflict(connection: Connection, symbol: Symbol) -> NameTakenError | None:
    """Return the reason why a symbol can't be tracked, with the command that makes room; None if it can."""
    columns = tracked_symbols.c
    same_coin = (columns.symbol == symbol.other_name) & (columns.asset_class == symbol.asset_class)
    query = select(columns.symbol, columns.asset_class).where((columns.symbol == symbol.name) | same_coin)
    held = {row.symbol: Symbol(row.symbol, AssetClass(row.asset_class)) for row in connection.execute(query)}
    same = held.get(symbol.name)
    if same is None or same.asset_class is symbol.asset_class:
        return _find_other_name_conflict(symbol, held)
    message = f"{same.name} is tracked as {same.asset_class}; its bars can't become {symbol.asset_class} ones"
    if same.other_name:
        message += f". To track both, call the coin {same.other_name}: " + (
            f"`market-pipeline symbols rename {same.name} {same.other_name}`"
        )
    if symbol.other_name:
        message += f". To track both, add the coin as {symbol.other_name}: " + (
            f"`market-pipeline symbols add {symbol.other_name} --asset-class {symbol.asset_class}`"
        )
    if not same.other_name and not symbol.other_name:
        kept = quote_command(
            "market-pipeline", "symbols", "add", same.name, "--asset-class", same.asset_class, "--no-check"
        )
        message += f". To track it with them, keep its asset class: `{kept}`"
    return NameTakenError(message)


def _find_other_name_conflict(symbol: Symbol, held: Mapping[str, Symbol]) -> NameTakenError | None:
    other = held.get(symbol.other_name or "")
    if other is None:
        return None
    rename = f"`market-pipeline symbols rename {other.name} {symbol.name}`"
    return NameTakenError(f"the coin {symbol.name} is tracked as {other.name}; {rename} calls it {symbol.name}")


def lock_symbol(connection: Connection, symbol: Symbol) -> LockedSymbol:
    """Hold the symbol's lock until the transaction ends, and return its id and the instant from which it is held.

    Raises:
        NotTrackedError: the symbol is not in tracked_symbols, or is another instrument there by now.
    """
    locked = lock_tracked(connection, [symbol]).get(symbol)
    if locked is None:
        raise build_not_tracked_error(symbol)
    return locked


def lock_tracked(connection: Connection, symbols: Iterable[Symbol]) -> dict[Symbol, LockedSymbol]:
    """Hold, until the transaction ends, the locks of those symbols that are tracked, and return these.

    Two runs on one symbol take turns, and neither reads what the other is changing. The instants are the database's,
    each read once the lock is held.
    """
    wanted = {symbol.name: symbol for symbol in symbols}
    rows = _select_and_lock(wanted).subquery()
    # A query that locks rows locks them before it computes the select list.
    found = connection.execute(select(rows, func.clock_timestamp().label("at"))).all()
    return {
        wanted[row.symbol]: LockedSymbol(row.id, row.at)
        for row in found
        if row.asset_class == wanted[row.symbol].asset_class  # else another instrument has taken its name
    }


def build_not_tracked_error(symbol: Symbol) -> NotTrackedError:
    """Return the error for a symbol that is not in tracked_symbols, with the command that adds it."""
    command = quote_command("market-pipeline", "symbols", "add", symbol.name, "--asset-class", symbol.asset_class)
    return NotTrackedError(f"not tracked as {symbol.asset_class}: see `market-pipeline symbols list`, or `{command}`")


def lock_symbols(connection: Connection, names: Iterable[str]) -> None:
    """Hold the locks of these symbols until the transaction ends."""
    connection.execute(_select_and_lock(names))


def _select_and_lock(names: Iterable[str]) -> Select[Any]:
    """Return the query that locks these symbols in an order, so that no two transactions wait for each other."""
    columns = tracked_symbols.c
    # Python's order, in which other transactions lock symbols one by one.
    in_order = collate(columns.symbol, "C")
    return (
        select(columns.id, columns.symbol, columns.asset_class)
        .where(_is_named(names))
        .order_by(in_order)
        .with_for_update()
    )


def _is_named(names: Iterable[str]) -> ColumnElement[bool]:
    return tracked_symbols.c.symbol == func.any(cast(list(names), ARRAY(Text)))


def _is(symbol: Symbol) -> ColumnElement[bool]:
    """Return the condition for a symbol's row, and not for another instrument that has taken its name."""
    return (tracked_symbols.c.symbol == symbol.name) & (tracked_symbols.c.asset_class == symbol.asset_class)


def record_reference(engine: Engine, symbol: Symbol, reference: Reference) -> None:
    """Store the vendor's newest reference data of a symbol in place of the earlier ones."""
    with engine.begin() as connection:
        connection.execute(
            update(tracked_symbols).where(_is(symbol)).values(**asdict(reference), checked_at=func.now())
        )


def read_delistings(engine: Engine) -> Mapping[str, Reference]:
    """Return the reference data of those symbols that are known to have left the market, by name."""
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
        known = [symbol.name for symbol in list_active_symbols(engine)]
        raise UntrackedSymbolError(
            f"not tracked: {suggest_names([name], known)}; `market-pipeline symbols list` shows what is"
        )
