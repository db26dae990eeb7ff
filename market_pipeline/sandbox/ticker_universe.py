"""The tickers of one sandbox: those that exist by their names, and those of the generated market."""

from collections.abc import Sequence
from functools import cached_property

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.listings import (
    Listing,
    find_listings,
    find_security_listings,
    is_crypto,
    list_named_tickers,
)
from market_pipeline.sandbox.population import Population, build_population


class Universe:
    """The tickers of one sandbox.

    Without a generated market every well-formed ticker exists, from its first request on. With one, only the market's
    tickers exist, and those that every sandbox has.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.unknown = config.unknown
        self.is_closed = config.market_tickers > 0
        self._named = {*list_named_tickers(), *config.also_listed} - config.unknown
        self.populations = {
            name: build_population(name, config.market_tickers, config.seed) for name in ("XNYS", "24/7")
        }

    def register_ticker(self, ticker: str) -> Sequence[Listing]:
        """Return the ticker's listings, oldest first.

        From now on the ticker is in `list_all`, so in responses about the market.
        """
        listings = self.find_listings(ticker)
        if listings and not self.is_closed:
            self._named.add(ticker)
        return listings

    def find_listings(self, ticker: str) -> Sequence[Listing]:
        """Return the ticker's listings, oldest first, and leave `list_all` as it is."""
        if ticker in self.unknown:
            return ()
        if generated := self.find_population(ticker).find_listings(ticker):
            return generated
        return find_listings(ticker) if ticker in self._named or not self.is_closed else ()

    def find_population(self, ticker: str) -> Population:
        """Return the generated market that the ticker would be in."""
        return self.populations["24/7" if is_crypto(ticker) else "XNYS"]

    def count_named(self) -> int:
        """Return the number of tickers that are not of the generated market."""
        return len(self._named)

    def list_named(self) -> list[Listing]:
        """Return the listings that are not of the generated market, by ticker."""
        return [listing for ticker in sorted(self._named) for listing in find_listings(ticker)]

    def list_all(self) -> list[Listing]:
        """Return the listings in responses about the whole market, by ticker."""
        if not self._generated:
            return self.list_named()
        return sorted(self.list_named() + self._generated, key=lambda listing: listing.ticker)

    def find_security_listings(self, listing: Listing) -> Sequence[Listing]:
        """Return all listings of a listing's security, oldest first."""
        if listing.issue is None:
            return find_security_listings(listing)
        return [
            found
            for ticker, *_ in listing.issue.periods
            for found in self.find_listings(ticker)
            if found.issue is listing.issue
        ]

    @cached_property
    def _generated(self) -> list[Listing]:
        everything = [listing for market in self.populations.values() for listing in market.listings]
        return [listing for listing in everything if listing.ticker not in self.unknown]
