"""Stock splits: the recorded ones of the recorded tickers, made-up ones of some others, and what they do to prices."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from market_pipeline.sandbox.bar_arrays import PRICES, Bars, Days, Floats
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.random_numbers import identifier, number
from market_pipeline.sandbox.recorded import recorded_actions

RATIOS = ((1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (5.0, 1.0))
SHARE_WITH_A_SPLIT = 0.25
FIRST_MADE_UP, DAYS_OF_MADE_UP = date(2006, 1, 2), 30 * 365
ADJUSTED_DECIMALS = 4
FRIDAY = 4


@dataclass(frozen=True)
class Split:
    """`split_from` shares became `split_to`; the session of `execution_date` already trades after it."""

    ticker: str
    execution_date: date
    split_from: float
    split_to: float

    @property
    def price_factor(self) -> float:
        """What an earlier price is to be multiplied with."""
        return self.split_from / self.split_to

    @property
    def kind(self) -> str:
        """The vendor's word for it."""
        return "forward_split" if self.split_to > self.split_from else "reverse_split"

    @property
    def vendor_id(self) -> str:
        """An id of the vendor's form."""
        return f"E{identifier('split', self.ticker, self.execution_date)}"


@lru_cache
def splits_of(listing: Listing) -> tuple[Split, ...]:
    """All splits a ticker ever has, those still to be announced included, oldest first. Crypto has none."""
    if listing.recorded:
        return tuple(
            Split(listing.ticker, date.fromisoformat(row["ex_date"]), float(row["split_from"]), float(row["split_to"]))
            for row in recorded_actions(listing.ticker)
            if row["action"] == "split"
        )
    if listing.is_crypto or number(listing.ticker, "splits") >= SHARE_WITH_A_SPLIT:
        return ()
    before, after = RATIOS[int(number(listing.ticker, "ratio") * len(RATIOS))]
    offset = int(number(listing.ticker, "execution") * DAYS_OF_MADE_UP)
    day = FIRST_MADE_UP + timedelta(days=offset)
    weekday = day + timedelta(days=7 - day.weekday() if day.weekday() > FRIDAY else 0)
    return (Split(listing.ticker, weekday, before, after),) if listing.trades_on(weekday) else ()


def executed(splits: Iterable[Split], today: date) -> list[Split]:
    """Those that prices show by `today`."""
    return [split for split in splits if split.execution_date <= today]


def later_factor(splits: Iterable[Split], days: Days) -> Floats:
    """What each day's price is to be multiplied with, for the splits after that day."""
    factor = np.ones(len(days))
    for split in splits:
        factor[days < np.datetime64(split.execution_date)] *= split.price_factor
    return factor


def adjusted(bars: Bars, splits: Iterable[Split]) -> Bars:
    """The bars as if the splits had always been: prices to four decimals like the vendor's, never for dividends."""
    factor = later_factor(splits, bars["day"])
    touched = factor != 1.0
    if not touched.any():
        return bars
    result = bars.copy()
    for name in (*PRICES, "vw"):
        result[name][touched] = np.round(bars[name][touched] * factor[touched], ADJUSTED_DECIMALS)
    result["v"][touched] = np.round(bars["v"][touched] / factor[touched], ADJUSTED_DECIMALS)
    return result
