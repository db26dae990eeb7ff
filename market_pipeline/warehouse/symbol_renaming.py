"""Renaming of a tracked symbol: a coin to its pair or back, a company to another of its tickers.

The security stays the same, and so do its tickers at the vendor. A symbol needs no renaming to be fetched under a new
ticker.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Engine, select, update

from market_pipeline.core.symbols import Symbol, SymbolError, find_ticker_symbol
from market_pipeline.warehouse.bar_tables import REVISIONS, bars, symbol_identities
from market_pipeline.warehouse.securities import select_securities
from market_pipeline.warehouse.tables import metadata, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import NameTakenError, UntrackedSymbolError, lock_names, lock_symbol


class OtherInstrumentError(SymbolError):
    """The new name is not another name of the same instrument."""


@dataclass(frozen=True)
class Renaming:
    """A symbol before and after the renaming, and the sessions of its bars, oldest first."""

    old: Symbol
    new: Symbol
    sessions: Sequence[date]


@contextmanager
def rename_symbol(engine: Engine, name: str, new_name: str) -> Iterator[Renaming]:
    """Rename a symbol in every table, removed or not, in one transaction that commits if the block succeeds.

    Raises:
        UntrackedSymbolError: there is no symbol of the old name.
        OtherInstrumentError: the new name stands for another instrument.
        NameTakenError: the new name is another symbol's.
    """
    symbols = tracked_symbols.c
    with engine.begin() as connection:
        lock_names(connection)
        held = select(symbols.symbol, symbols.asset_class).where(symbols.symbol.in_([name, new_name]))
        kinds: dict[str, str] = {row.symbol: row.asset_class for row in connection.execute(held)}
        if name not in kinds:
            raise UntrackedSymbolError(f"{name} is not tracked; `market-pipeline symbols list` shows what is")
        old = Symbol.of(name, kinds[name])
        others = sorted(_find_other_names(connection, old))
        if new_name not in others:
            possible = f"{name} can become {' or '.join(others)}" if others else f"{name} has no other name"
            raise OtherInstrumentError(
                f"{new_name} is not another name of {name}: {possible}. A coin has two, such as BTC and BTC-USD; "
                f"`market-pipeline symbols add {new_name}` tracks another ticker"
            )
        if new_name in kinds:
            raise NameTakenError(f"{new_name} is tracked already, as {kinds[new_name]}")
        locked = lock_symbol(connection, old)
        stored = select(bars.c.date).where(bars.c.symbol_id == locked.id).order_by(bars.c.date)
        sessions: Sequence[date] = connection.scalars(stored).all()
        kept = {symbol_identities, *REVISIONS.values()}  # PostgreSQL updates the identity, and earlier versions stay
        for table in metadata.sorted_tables:
            if "symbol" in table.c and table not in kept:
                connection.execute(update(table).where(table.c.symbol == name).values(symbol=new_name))
        is_old_name = tracked_symbols.c.renamed_to == new_name
        connection.execute(
            update(tracked_symbols).where(is_old_name, symbols.symbol == new_name).values(renamed_to=None)
        )
        yield Renaming(old, Symbol.of(new_name, old.asset_class), sessions)


def _find_other_names(connection: Connection, symbol: Symbol) -> set[str]:
    """Return the names that a symbol can have instead: a coin's other name, and the tickers of its security."""
    if symbol.other_name is not None:
        return {symbol.other_name}
    tickers = select_securities(connection, [symbol])[symbol].history.tickers
    return {find_ticker_symbol(ticker, symbol.asset_class).name for ticker in tickers} - {symbol.name}
