"""Names of tracked symbols: their own, and the tickers that their securities have or had.

`/historical/FB` and `--symbols FB` mean the symbol META, whose security had the ticker FB until 2022, and
`/historical/X:BTCUSD` means the coin BTC.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, func, select

from market_pipeline.core.symbols import TICKERS, VENDOR_PAIR, Symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.core.wording import quote_command
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.tables import security_tickers, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import UntrackedSymbolError, list_active_symbols, suggest_names


@dataclass(frozen=True)
class Alias:
    """A ticker that a tracked symbol's security has or had, and the symbol."""

    ticker: str
    symbol: Symbol
    history: TickerHistory

    @property
    def note(self) -> str:
        """Describe the alias: `FB is tracked as META: META since 2022-06-09`."""
        current = self.history.current
        change = f"{current.ticker} since {current.first}" if current.first else None
        return f"{self.ticker} is tracked as {self.symbol.name}" + (f": {change}" if change else "")


def find_aliases(engine: Engine, names: Sequence[str], *, active_only: bool = True) -> Mapping[str, Alias]:
    """Return the tracked symbols whose securities have or had these tickers, by ticker; the latest holder of each."""
    # Any text may be requested over HTTP, even such as PostgreSQL can't be sent.
    forms = (*TICKERS.values(), VENDOR_PAIR)
    possible = [name for name in names if any(re.fullmatch(form, name, re.ASCII) for form in forms)]
    if not possible:
        return {}
    tracked, period = tracked_symbols.c, security_tickers.c
    query = (
        select(period.ticker, tracked.symbol, tracked.asset_class)
        .join_from(security_tickers, tracked_symbols, tracked.security_id == period.security_id)
        .where(period.ticker.in_(possible))
        .order_by(func.coalesce(period.last_day, date.max), tracked.symbol)
    )
    if active_only:
        query = query.where(tracked.active)
    with engine.connect() as connection:
        found = {row.ticker: Symbol.of(row.symbol, row.asset_class) for row in connection.execute(query)}
    records = read_securities(engine, set(found.values()))
    return {ticker: Alias(ticker, symbol, records[symbol].history) for ticker, symbol in found.items()}


def find_alias(engine: Engine, name: str, *, active_only: bool = True) -> Alias | None:
    """Return the tracked symbol whose security has or had this ticker; None if there is none."""
    return find_aliases(engine, [name], active_only=active_only).get(name)


def resolve_active(engine: Engine, names: Sequence[str]) -> list[tuple[Symbol, Alias | None]]:
    """Return the active symbols of these names, each once, with the alias if the name is one.

    Raises:
        UntrackedSymbolError: one is not tracked; the message names the command that adds it.
    """
    known = {symbol.name: symbol for symbol in list_active_symbols(engine)}
    others = [name for name in dict.fromkeys(names) if name not in known]
    aliases = find_aliases(engine, others) if others else {}
    unknown = [name for name in others if name not in aliases]
    if unknown:
        commands = "; ".join(
            f"`{quote_command('market-pipeline', 'symbols', 'add', name, '--asset-class', 'stock')}`"
            for name in unknown[:3]
        )
        raise UntrackedSymbolError(
            f"not tracked: {suggest_names(unknown, known)}. Add with {commands} (or --asset-class etf, crypto), "
            "or track the starting set with `market-pipeline symbols init`"
        )
    found: dict[Symbol, Alias | None] = {}
    for name in names:
        alias = aliases.get(name)
        found.setdefault(alias.symbol if alias else known[name], alias)
    return list(found.items())


def find_active(engine: Engine, names: Sequence[str]) -> list[Symbol]:
    """Return the active symbols of these names, or of these tickers, in the given order, each once.

    Raises:
        UntrackedSymbolError: one is not tracked; the message names the command that adds it.
    """
    return [symbol for symbol, _ in resolve_active(engine, names)]
