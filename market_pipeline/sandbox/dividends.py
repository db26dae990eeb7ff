"""Cash dividends: recorded ones of the recorded tickers, generated quarterly ones of some others."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from market_pipeline.sandbox.bar_arrays import Bars
from market_pipeline.sandbox.generated import Character
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.random_numbers import draw_number, make_identifier
from market_pipeline.sandbox.recorded import read_recorded_actions
from market_pipeline.sandbox.splits import find_splits, select_executed

SHARE_THAT_PAYS = 0.4
QUARTERLY = 4
MONTHS, EARLIEST_DAY = (2, 5, 8, 11), 8
FIRST_YIELD, YEARLY_RAISE = 0.004, 1.04
"""A quarter's payment as a share of the ticker's start price, and its yearly growth factor."""

DECLARED_BEFORE, RECORD_AFTER, PAID_AFTER = timedelta(days=14), timedelta(days=1), timedelta(days=10)


@dataclass(frozen=True)
class DividendEvent:
    """A dividend in US dollars per share, as paid, with the vendor's adjustment factors."""

    ticker: str
    ex_date: date
    cash: float
    split_adjusted_cash: float
    cumulative_factor: float
    special: bool

    @property
    def vendor_id(self) -> str:
        """An id in the vendor's form."""
        kind = ("special",) if self.special else ()
        return f"E{make_identifier('dividend', self.ticker, self.ex_date, *kind)}"


@dataclass(frozen=True)
class _Payment:
    """A payment: the index of the ex-date's bar, and the amount."""

    place: int
    cash: float
    special: bool = False


def find_dividends(listing: Listing, bars: Bars, today: date, until: date) -> list[DividendEvent]:
    """Return a ticker's dividends with an ex-date up to `until`, oldest first.

    Args:
        listing: the ticker.
        bars: all of its bars as traded, to beyond `until`.
        today: dividends after it are not in the factors yet.
        until: the last announced ex-date.
    """
    dividends: list[DividendEvent] = []
    factor = 1.0
    for payment in reversed(_find_payments(listing, bars, until)):
        ex_date, cash = bars["day"][payment.place].item(), payment.cash
        if ex_date <= today:
            factor *= 1 - cash / float(bars["c"][payment.place - 1])
        adjusted = round(cash * _compute_split_factor(listing, ex_date, today), 6)
        dividends.append(DividendEvent(listing.ticker, ex_date, cash, adjusted, round(factor, 6), payment.special))
    return dividends[::-1]


def _find_payments(listing: Listing, bars: Bars, until: date) -> list[_Payment]:
    if listing.recorded:
        return _read_recorded(listing, bars, until)
    if listing.is_crypto or draw_number(listing.ticker, "dividends") >= SHARE_THAT_PAYS:
        return []
    places = _find_ex_places(listing, bars, until)
    return [_Payment(place, _compute_cash_amount(listing, bars["day"][place].item())) for place in places]


def _read_recorded(listing: Listing, bars: Bars, until: date) -> list[_Payment]:
    rows = [
        row
        for row in read_recorded_actions(listing.ticker)
        if row["action"] == "dividend" and row["ex_date"] <= str(until)
    ]
    places = np.searchsorted(bars["day"], np.array([row["ex_date"] for row in rows], dtype="M8[D]"))
    return [
        _Payment(int(place), float(row["cash_amount"]), special=row["kind"] == "SC")
        for place, row in zip(places, rows, strict=True)
    ]


def _find_ex_places(listing: Listing, bars: Bars, until: date) -> list[int]:
    """Return the indexes of the ex-dates' bars: in each month of payment, the first session from the 8th on."""
    years = range(listing.first.year + 1, until.year + 1)
    wanted = np.array([date(year, month, EARLIEST_DAY) for year in years for month in MONTHS], dtype="M8[D]")
    places = np.searchsorted(bars["day"], wanted)
    return [int(place) for place in places if place < len(bars) and bars["day"][place] <= np.datetime64(until)]


def _compute_cash_amount(listing: Listing, ex_date: date) -> float:
    raised = YEARLY_RAISE ** (ex_date.year - listing.first.year)
    shares = 1 / np.prod([split.price_factor for split in select_executed(find_splits(listing), ex_date)])
    return max(0.01, round(Character.of(listing).start * FIRST_YIELD * raised / float(shares), 2))


def _compute_split_factor(listing: Listing, ex_date: date, today: date) -> float:
    """Return the factor that adjusts an amount of that date for the splits executed since."""
    splits = select_executed(find_splits(listing), today)
    return float(np.prod([split.price_factor for split in splits if split.execution_date > ex_date]))
