"""Listings: the existing tickers with their first and last day. Bars and corporate actions are elsewhere."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from market_pipeline.core.sessions import Calendar, calendar
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError, starting_symbols
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.recorded import RECORDED, recorded_bars

FIRST_STOCK_SESSION = date(2003, 9, 10)
"""The first session of the vendor's stock bars."""


@dataclass(frozen=True)
class Listing:
    """A ticker's time on the market, `last` included; `last` is None while it trades. `was` is its former ticker."""

    ticker: str
    first: date
    last: date | None = None
    was: str | None = None

    @property
    def is_crypto(self) -> bool:
        """True for a crypto pair, which trades every day."""
        return is_crypto(self.ticker)

    @property
    def recorded(self) -> bool:
        """True if its first bars are recorded from the market."""
        return self.ticker in RECORDED

    @property
    def calendar(self) -> Calendar:
        """Its trading calendar."""
        return calendar_of(self.ticker)

    def trades_on(self, day: date) -> bool:
        """Return True if the ticker is listed on that day."""
        return self.first <= day and (self.last is None or day <= self.last)


FINISHED = (
    Listing("GONECO", FIRST_STOCK_SESSION, date(2020, 3, 31)),
    Listing("OLDCO", FIRST_STOCK_SESSION, date(2018, 4, 30)),
    Listing("NEWCO", date(2018, 5, 1), was="OLDCO"),
)
"""Fictitious tickers: one delisted, one renamed. As at the vendor, the bars of a renamed one are not joined."""

_FIXED = {listing.ticker: listing for listing in FINISHED}
_CRYPTO_PREFIX, _CRYPTO_QUOTE = "X:", "USD"


def is_crypto(ticker: str) -> bool:
    """Return True if the ticker has the form of a crypto pair."""
    return ticker.startswith(_CRYPTO_PREFIX)


def calendar_of(ticker: str) -> Calendar:
    """Return the trading calendar of any ticker, existing or not."""
    return calendar("24/7" if is_crypto(ticker) else "XNYS")


@lru_cache
def market_listing(ticker: str) -> Listing | None:
    """Return the listing of a ticker with the form of a US equity or a crypto pair; else None."""
    if ticker in _FIXED:
        return _FIXED[ticker]
    if ticker in RECORDED:
        return Listing(ticker, recorded_bars(ticker)["day"][0].item())
    base = ticker.removeprefix(_CRYPTO_PREFIX).removesuffix(_CRYPTO_QUOTE)
    try:
        symbol = Symbol.of(base, AssetClass.CRYPTO) if is_crypto(ticker) else Symbol.of(ticker, AssetClass.STOCK)
    except SymbolError:
        return None
    if symbol.vendor_ticker != ticker:
        return None
    return Listing(ticker, _first_session(symbol))


def _first_session(symbol: Symbol) -> date:
    """Return the first session of the vendor's bars of that asset class."""
    return max(FIRST_STOCK_SESSION, calendar(symbol.calendar).first_session)


class Universe:
    """The tickers of one sandbox."""

    def __init__(self, config: SandboxConfig) -> None:
        self._unknown = config.unknown
        start = {symbol.vendor_ticker for symbol in starting_symbols()}
        self._tickers = {*RECORDED, *_FIXED, *start, *config.also_listed} - config.unknown

    def find(self, ticker: str) -> Listing | None:
        """Return the ticker's listing. From now on it is in `all`, so in responses about the whole market."""
        listing = None if ticker in self._unknown else market_listing(ticker)
        if listing is not None:
            self._tickers.add(ticker)
        return listing

    def all(self) -> list[Listing]:
        """Return the listings in responses about the whole market, by ticker."""
        found = map(market_listing, sorted(self._tickers))
        return [listing for listing in found if listing is not None]
