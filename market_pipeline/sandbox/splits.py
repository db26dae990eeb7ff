"""Stock splits: recorded ones of the recorded tickers, generated ones of some others, and the adjustment for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from market_pipeline.sandbox.bar_arrays import PRICES, Bars, Days, Floats
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.random_numbers import draw_number, make_identifier
from market_pipeline.sandbox.recorded import read_recorded_actions

RATIOS = ((1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (5.0, 1.0))
SHARE_WITH_A_SPLIT = 0.25
FIRST_GENERATED, GENERATED_DAYS = date(2006, 1, 2), 30 * 365
ADJUSTED_DECIMALS = 4
FRIDAY = 4


@dataclass(frozen=True)
class SplitEvent:
    """A split: `split_from` shares became `split_to`; the session of `execution_date` is the first after it."""

    ticker: str
    execution_date: date
    split_from: float
    split_to: float

    @property
    def price_factor(self) -> float:
        """The factor that adjusts an earlier price."""
        return self.split_from / self.split_to

    @property
    def kind(self) -> str:
        """The vendor's name of its kind."""
        return "forward_split" if self.split_to > self.split_from else "reverse_split"

    @property
    def vendor_id(self) -> str:
        """An id in the vendor's form."""
        return f"E{make_identifier('split', self.ticker, self.execution_date)}"


@lru_cache
def find_splits(listing: Listing) -> tuple[SplitEvent, ...]:
    """Return all splits of a ticker, those not yet announced included, oldest first. Crypto has none."""
    if listing.recorded:
        return tuple(
            SplitEvent(
                listing.ticker, date.fromisoformat(row["ex_date"]), float(row["split_from"]), float(row["split_to"])
            )
            for row in read_recorded_actions(listing.ticker)
            if row["action"] == "split"
        )
    if listing.is_crypto or draw_number(listing.ticker, "splits") >= SHARE_WITH_A_SPLIT:
        return ()
    before, after = RATIOS[int(draw_number(listing.ticker, "ratio") * len(RATIOS))]
    offset = int(draw_number(listing.ticker, "execution") * GENERATED_DAYS)
    day = FIRST_GENERATED + timedelta(days=offset)
    weekday = day + timedelta(days=7 - day.weekday() if day.weekday() > FRIDAY else 0)
    return (SplitEvent(listing.ticker, weekday, before, after),) if listing.trades_on(weekday) else ()


def select_executed(splits: Iterable[SplitEvent], today: date) -> list[SplitEvent]:
    """Return the splits executed by `today`."""
    return [split for split in splits if split.execution_date <= today]


def compute_later_factors(splits: Iterable[SplitEvent], days: Days) -> Floats:
    """Return the factor that adjusts each day's price for the splits after that day."""
    factor = np.ones(len(days))
    for split in splits:
        factor[days < np.datetime64(split.execution_date)] *= split.price_factor
    return factor


def adjust_for_splits(bars: Bars, splits: Iterable[SplitEvent]) -> Bars:
    """Adjust bars for splits, not for dividends; prices have four decimals, as the vendor's."""
    factor = compute_later_factors(splits, bars["day"])
    touched = factor != 1.0
    if not touched.any():
        return bars
    result = bars.copy()
    for name in (*PRICES, "vw"):
        result[name][touched] = np.round(bars[name][touched] * factor[touched], ADJUSTED_DECIMALS)
    result["v"][touched] = np.round(bars["v"][touched] / factor[touched], ADJUSTED_DECIMALS)
    return result
