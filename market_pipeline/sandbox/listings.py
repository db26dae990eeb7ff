"""Listings: the existing tickers with their first and last day. Bars and corporate actions are elsewhere."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain

from market_pipeline.core.sessions import Calendar, find_calendar
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError, list_starting_symbols
from market_pipeline.sandbox.issuers import Issue
from market_pipeline.sandbox.recorded import RECORDED, read_recorded_bars

FIRST_STOCK_SESSION = date(2003, 9, 10)
"""The first session of the vendor's stock bars."""


@dataclass(frozen=True)
class Listing:
    """A security's time on the market under one ticker, `last` included; `last` is None while it trades.

    `security` is the whole time of a security that has had several tickers, under its first: its bars, splits and
    dividends are made for that, and each ticker has those of its own days. None if it has had this ticker alone.
    `issue` is the security of a generated market; None of the tickers that exist by their names.
    """

    ticker: str
    first: date
    last: date | None = None
    security: "Listing | None" = None
    issue: Issue | None = None

    @property
    def whole(self) -> "Listing":
        """The security's whole time on the market."""
        return self.security or self

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
        return find_ticker_calendar(self.ticker)

    def trades_on(self, day: date) -> bool:
        """Return True if the ticker is listed on that day."""
        return self.first <= day and (self.last is None or day <= self.last)


def _build_listings(*periods: tuple[str, date, date | None]) -> tuple[Listing, ...]:
    """Return the listings of one security, oldest first."""
    whole = Listing(periods[0][0], periods[0][1], periods[-1][2])
    return tuple(Listing(ticker, first, last, whole) for ticker, first, last in periods)


RENAMED = (
    _build_listings(("OLDCO", FIRST_STOCK_SESSION, date(2018, 4, 30)), ("NEWCO", date(2018, 5, 1), None)),
    _build_listings(("FB", date(2012, 5, 18), date(2022, 6, 8)), ("META", date(2022, 6, 9), None)),
    _build_listings(("META", date(2021, 6, 30), date(2022, 1, 30)), ("METV", date(2022, 1, 31), None)),
    _build_listings(("SQ", date(2015, 11, 19), date(2025, 1, 20)), ("XYZ", date(2025, 1, 21), None)),
    _build_listings(
        ("QQQ", FIRST_STOCK_SESSION, date(2004, 11, 30)), ("QQQQ", date(2004, 12, 1), date(2011, 3, 22)),
        ("QQQ", date(2011, 3, 23), None),
    ),
    _build_listings(("SECONDCO", date(2012, 1, 3), date(2014, 12, 31)), ("REUSED", date(2015, 1, 2), None)),
    _build_listings(("SPLITCO", FIRST_STOCK_SESSION, date(2020, 12, 10)), ("SPLITNEW", date(2020, 12, 11), None)),
)  # fmt: skip
"""Securities with several tickers. As in the market: Facebook, a fund that had the ticker META before it, Block and
Invesco QQQ. Fictitious: one that takes a ticker that another gave up, one renamed on the day of its split. As at the
vendor, the bars of the tickers are not joined."""

FINISHED = (
    Listing("GONECO", FIRST_STOCK_SESSION, date(2020, 3, 31)),
    Listing("REUSED", FIRST_STOCK_SESSION, date(2008, 6, 30)),
)
"""Fictitious tickers that were delisted."""

_FIXED: dict[str, list[Listing]] = {}
for _listing in (*FINISHED, *chain.from_iterable(RENAMED)):
    _FIXED.setdefault(_listing.ticker, []).append(_listing)
_CRYPTO_PREFIX, _CRYPTO_QUOTE = "X:", "USD"


def is_crypto(ticker: str) -> bool:
    """Return True if the ticker has the form of a crypto pair."""
    return ticker.startswith(_CRYPTO_PREFIX)


def find_ticker_calendar(ticker: str) -> Calendar:
    """Return the trading calendar of any ticker, existing or not."""
    return find_calendar("24/7" if is_crypto(ticker) else "XNYS")


@lru_cache
def find_listings(ticker: str) -> tuple[Listing, ...]:
    """Return the listings of a ticker, oldest first; none without the form of an equity or a crypto pair."""
    if ticker in _FIXED:
        return tuple(sorted(_FIXED[ticker], key=lambda listing: listing.first))
    if ticker in RECORDED:
        return (Listing(ticker, read_recorded_bars(ticker)["day"][0].item()),)
    base = ticker.removeprefix(_CRYPTO_PREFIX).removesuffix(_CRYPTO_QUOTE)
    try:
        symbol = Symbol.of(base, AssetClass.CRYPTO) if is_crypto(ticker) else Symbol.of(ticker, AssetClass.STOCK)
    except SymbolError:
        return ()
    return (Listing(ticker, _find_first_session(symbol)),) if symbol.vendor_ticker == ticker else ()


@lru_cache
def list_named_tickers() -> frozenset[str]:
    """Return the tickers that every sandbox has: recorded ones, fixed ones and those of the starting set."""
    return frozenset({*RECORDED, *_FIXED, *(symbol.vendor_ticker for symbol in list_starting_symbols())})


def find_security_listings(listing: Listing) -> tuple[Listing, ...]:
    """Return all listings of a listing's security, oldest first."""
    return next((listings for listings in RENAMED if listing in listings), (listing,))


def _find_first_session(symbol: Symbol) -> date:
    """Return the first session of the vendor's bars of that asset class."""
    return max(FIRST_STOCK_SESSION, find_calendar(symbol.calendar).first_session)
