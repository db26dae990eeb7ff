"""Symbols: a tracked instrument's name, asset class, ticker at the vendor and trading calendar.

The ticker follows from the asset class alone: `BTC` is the crypto pair `X:BTCUSD` and never the stock ticker `BTC`;
`BRK.B` stays `BRK.B`. A coin has a second name, `BTC-USD`, for those who track a fund called `BTC` beside it. The
warehouse knows which symbols are tracked.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from market_pipeline.core.errors import UsageError


class SymbolError(UsageError):
    """An unusable symbol or asset class."""


class AssetClass(StrEnum):
    """The kind of an instrument; it decides the vendor's ticker, the calendar and the thresholds of the rules."""

    STOCK = "stock"
    ETF = "etf"
    CRYPTO = "crypto"


CALENDARS = {AssetClass.STOCK: "XNYS", AssetClass.ETF: "XNYS", AssetClass.CRYPTO: "24/7"}
"""Calendar of each asset class, by its name in the exchange_calendars library."""

# As the consolidated tape writes tickers, the vendor with a dot for the slash: capitals, with lower-case p (preferred),
# r (rights) and w (when issued) inside, then suffixes for class and issue, with w again: GM.WS.B, BF.Aw,
# ABCpA.WD. Source: https://www.nasdaqtrader.com/Trader.aspx?id=CQSSymbolConvention, whose longest has two.
# Nothing that could leave a URL's path segment can match.
_EQUITY = r"[A-Z][A-Za-z0-9]{0,11}(\.[A-Z]{1,4}w?){0,3}"
_CRYPTO = r"[A-Z0-9]{1,12}(-USD)?"  # in US dollars, as all prices of the warehouse
TICKERS = {AssetClass.STOCK: _EQUITY, AssetClass.ETF: _EQUITY, AssetClass.CRYPTO: _CRYPTO}
"""Regular expression of the tickers of each asset class."""

VENDOR_PAIR = r"X:[A-Z0-9]{1,12}USD"
"""Regular expression of a coin's ticker at the vendor."""


@dataclass(frozen=True, order=True)
class Symbol:
    """One tracked symbol. Make it with `Symbol.of`, which checks it."""

    name: str
    asset_class: AssetClass

    @classmethod
    def of(cls, name: str, asset_class: str) -> "Symbol":
        """Return a checked symbol.

        Raises:
            SymbolError: the asset class is unknown, or the name is no ticker of that class.
        """
        try:
            kind = AssetClass(asset_class)
        except ValueError:
            known = ", ".join(AssetClass)
            raise SymbolError(f"asset class {asset_class!r} is not known; use one of {known}") from None
        if not re.fullmatch(TICKERS[kind], name, re.ASCII):
            raise SymbolError(f"{name!r} is not a {kind} ticker{_describe_expected(name, TICKERS[kind])}")
        return cls(name, kind)

    @property
    def vendor_ticker(self) -> str:
        """The ticker in the vendor's requests, e.g. `AAPL`, `X:BTCUSD`."""
        return f"X:{_remove_currency(self.name)}USD" if self.asset_class is AssetClass.CRYPTO else self.name

    @property
    def other_name(self) -> str | None:
        """The other name that the instrument can have here: `BTC-USD` for the coin `BTC`, and reversed."""
        if self.asset_class is not AssetClass.CRYPTO:
            return None
        coin = _remove_currency(self.name)
        return coin if coin != self.name else f"{coin}-USD"

    @property
    def calendar(self) -> str:
        """The trading calendar, by its name in the exchange_calendars library."""
        return CALENDARS[self.asset_class]


def find_ticker_symbol(ticker: str, asset_class: AssetClass) -> Symbol:
    """Return the symbol whose ticker at the vendor is this one, such as META or X:BTCUSD.

    Raises:
        SymbolError: it is no ticker of that asset class.
    """
    is_pair = asset_class is AssetClass.CRYPTO and ticker.startswith("X:") and ticker.endswith("USD")
    return Symbol.of(ticker.removeprefix("X:").removesuffix("USD") if is_pair else ticker, asset_class)


def _remove_currency(name: str) -> str:
    return name.removesuffix("-USD")


def _describe_expected(name: str, pattern: str) -> str:
    base = name.upper().removeprefix("X:") if pattern is _CRYPTO else name.upper().replace("/", ".").replace("-", ".")
    for suffix in ("-USD", "/USD", "USD"):
        base = base.removesuffix(suffix) if pattern is _CRYPTO else base
    if base != name and re.fullmatch(pattern, base, re.ASCII):
        meant = f"{base} or {base}-USD" if pattern is _CRYPTO else base
        return f"; tickers are case-sensitive and plain: did you mean {meant}?"
    if pattern is _CRYPTO:
        return "; expected a coin like BTC, or its pair in US dollars, like BTC-USD"
    return "; expected something like AAPL, BRK.B or GM.WS.B"


DEFAULT_BACKFILL = (
    "AAPL", "MSFT", "GOOGL", "AMZN", "NVDA", "TSLA", "META", "NFLX", "AMD", "INTC", "PYPL", "SQ", "CRM", "ADBE", "MU",
)  # fmt: skip
"""The 15 large-cap stocks that a backfill without --symbols loads."""

STARTING_SET: dict[AssetClass, tuple[str, ...]] = {
    AssetClass.STOCK: (
        *DEFAULT_BACKFILL,
        "BRK.B", "JPM", "V", "XOM", "PG", "KO", "PEP", "COST", "BA", "DIS",
    ),
    AssetClass.ETF: (
        "SPY", "QQQ", "DIA", "IWM", "EEM", "AGG", "TLT", "XLK", "XLF", "ARKK",
        "GLD", "SLV", "XLE", "XLV", "XLI", "XLP", "XLY", "XLRE", "XLU", "SCHB",
    ),
    AssetClass.CRYPTO: (
        "BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "AVAX", "DOT", "MATIC", "ATOM",
        "DOGE", "SHIB", "LINK", "AAVE", "UNI", "OP", "ARB", "INJ", "LTC", "NEAR",
    ),
}  # fmt: skip
"""The symbols that `market-pipeline symbols init` tracks."""


def list_starting_symbols() -> list[Symbol]:
    """Return the starting set, checked, in the order of its declaration."""
    return [Symbol.of(name, kind) for kind, names in STARTING_SET.items() for name in names]
