"""Which symbols are tracked: listing, adding and removing them. What a symbol is, symbols.py says."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Engine, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from market_pipeline.errors import UsageError
from market_pipeline.symbols import Symbol, SymbolError
from market_pipeline.warehouse.tables import tracked_symbols


class UntrackedSymbolError(UsageError):
    """A symbol that was asked for is not tracked."""


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


def add_symbols(engine: Engine, symbols: Iterable[Symbol]) -> list[str]:
    """Track these symbols and return the names that were not active before. A removed one becomes active again.

    Raises:
        SymbolError: one is tracked already under another asset class; none is added then.
    """
    added = []
    with engine.begin() as connection:
        for symbol in symbols:
            row = upsert(tracked_symbols).values(
                symbol=symbol.name,
                asset_class=symbol.asset_class.value,
                vendor_ticker=symbol.vendor_ticker,
                calendar=symbol.calendar,
            )
            statement = row.on_conflict_do_update(
                index_elements=[tracked_symbols.c.symbol],
                set_={"active": True},
                where=(~tracked_symbols.c.active) & (tracked_symbols.c.asset_class == row.excluded.asset_class),
            ).returning(tracked_symbols.c.symbol)
            if connection.execute(statement).first() is not None:
                added.append(symbol.name)
                continue
            same = select(tracked_symbols.c.asset_class).where(tracked_symbols.c.symbol == symbol.name)
            held = connection.execute(same).scalar_one()
            if held != symbol.asset_class:
                raise SymbolError(
                    f"{symbol.name} is tracked as {held}; its bars can't become {symbol.asset_class} ones"
                )
    return added


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
