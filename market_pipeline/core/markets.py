"""Markets that can be kept whole: their names, calendars and places at the vendor.

A market is loaded session by session, all its tickers at once. `market_bars` has the bars of such a session.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import AssetClass


class UnknownMarketError(UsageError):
    """A market that the project doesn't know."""


class Origin(StrEnum):
    """The vendor's interface that a session came from."""

    GROUPED = "grouped"
    FLAT_FILE = "flat file"


@dataclass(frozen=True)
class Market:
    """A market, by its name in the database and in Dagster, such as us_stocks.

    `asset_class` is that of its tickers of which nothing else is known. `grouped` and `files` are its parts of the
    vendor's paths: of grouped requests, and of flat files. `fewest_tickers` is the number below which no session can be
    whole, even the first one.
    """

    name: str
    title: str
    calendar: str
    asset_class: AssetClass
    grouped: str
    files: str
    fewest_tickers: int

    def __str__(self) -> str:  # the help of an option shows its default
        return self.option

    @property
    def option(self) -> str:
        """Its name on the command line and in URLs, such as us-stocks."""
        return self.name.replace("_", "-")

    def file_of(self, session: date) -> str:
        """Return the key of a session's flat file in the vendor's bucket."""
        return f"{self.files}/{session:%Y/%m}/{session}.csv.gz"


MARKETS = {
    market.name: market
    for market in (
        Market(
            "us_stocks", "US stocks", "XNYS", AssetClass.STOCK,
            "us/market/stocks", "us_stocks_sip/day_aggs_v1", fewest_tickers=1_000,
        ),
        Market(
            "crypto", "crypto", "24/7", AssetClass.CRYPTO,
            "global/market/crypto", "global_crypto/day_aggs_v1", fewest_tickers=10,
        ),
    )
}  # fmt: skip


def find_market(name: str) -> Market:
    """Return the market of a name, such as us-stocks or us_stocks.

    Raises:
        UnknownMarketError: there is none.
    """
    try:
        return MARKETS[name.replace("-", "_")]
    except KeyError:
        known = ", ".join(market.option for market in MARKETS.values())
        raise UnknownMarketError(f"there is no market {name!r}: use one of {known}") from None
