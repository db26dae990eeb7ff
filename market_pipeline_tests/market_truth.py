"""The truth about the sandbox's generated market: the tickers that trade on a session, and their securities.

It is worked out from the declarations of the securities one by one in plain Python, apart from the code that makes the
sandbox's responses from arrays.
"""

from datetime import date
from functools import lru_cache

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.issuers import Issue
from market_pipeline.sandbox.listings import find_listings, is_crypto, list_named_tickers
from market_pipeline.sandbox.population import build_population
from market_pipeline.sandbox.random_numbers import make_seed

BEGINNINGS = {"XNYS": date(2003, 9, 10), "24/7": date(2013, 11, 1)}
BITS = 2**64


def traded_tickers(config: SandboxConfig, session: date, calendar: str = "XNYS") -> dict[str, str]:
    """Return the security of each ticker that trades on a session, as a text that is unique to the security.

    Args:
        config: the sandbox's options.
        session: a session of the calendar.
        calendar: XNYS or 24/7.
    """
    place = _places(calendar)[session]
    found = {
        ticker: f"{listing.whole.ticker} {listing.whole.first}"
        for ticker in list_named_tickers() | config.also_listed
        for listing in find_listings(ticker)
        if is_crypto(ticker) == (calendar == "24/7")
        if listing.first <= session and (listing.last is None or session <= listing.last)
    }
    for issue in _issues(config, calendar):
        for ticker, first, last in issue.periods:
            if first <= place <= last and _trades(issue, place):
                assert ticker not in found, f"{ticker} has two securities on {session}"
                found[ticker] = issue.key
    return {ticker: security for ticker, security in found.items() if ticker not in config.unknown}


def _trades(issue: Issue, place: int) -> bool:
    """Return True unless the security is halted, or is one that trades rarely and not on this session."""
    if issue.halt is not None and issue.halt[0] <= place <= issue.halt[1]:
        return False
    return _draw(make_seed(issue.key) + place * 0x9E3779B97F4A7C15) < issue.liquidity


def _draw(number: int) -> float:
    """Return the number in [0, 1) that SplitMix64 makes of a number."""
    number %= BITS
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % BITS
    number = (number ^ number >> 27) * 0x94D049BB133111EB % BITS
    return ((number ^ number >> 31) >> 11) / 2**53


def _issues(config: SandboxConfig, calendar: str) -> list[Issue]:
    return list(build_population(calendar, config.market_tickers, config.seed).issues)


@lru_cache
def _places(calendar: str) -> dict[date, int]:
    days = list_sessions(calendar, BEGINNINGS[calendar], date(2039, 12, 31))
    return {day: place for place, day in enumerate(days)}
