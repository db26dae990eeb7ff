"""Generated bars: the same for a ticker and session in any range and on any machine.

A ticker's price is a random walk with bounded steps, reflected at a sixth and at six times its start. The whole series
up to a date is generated; a later date only appends bars.
"""

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Self

import numpy as np

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.bar_arrays import PRICES, Bars, Days, Floats, make_zero_bars
from market_pipeline.sandbox.listings import Listing
from market_pipeline.sandbox.random_numbers import draw_normal_series, draw_number, draw_uniform_series
from market_pipeline.sandbox.recorded import read_recorded_bars
from market_pipeline.sandbox.splits import compute_later_factors, find_splits

REACH = math.log(6.0)
"""The walk's greatest distance from its start, in the logarithm of the price."""

LAST_RECORDED_YEAR = -250
VOLUME_DECIMALS = 6


@dataclass(frozen=True)
class Character:
    """Parameters of one ticker's generated bars.

    Start price (dollars), spread of a session's step (as a share of the price), usual volume (shares or coins), usual
    size of a trade, decimals of prices.
    """

    start: float
    spread: float
    volume: float
    trade_size: float
    decimals: int = 2

    @classmethod
    def of(cls, listing: Listing) -> Self:
        """Return a ticker's parameters; those of a recorded ticker continue its recorded bars."""
        level, size, spread = (draw_number(listing.ticker, word) for word in ("level", "size", "spread"))
        if listing.recorded:
            last_year = read_recorded_bars(listing.ticker)[LAST_RECORDED_YEAR:]
            return cls(float(last_year["c"][-1]), 0.012, float(np.median(last_year["v"])), 120.0)
        if listing.is_crypto:  # 5 cents to 5,000 dollars, 10,000 to 10 million coins
            price = 0.05 * 10 ** (5 * level)
            decimals = max(2, 4 - math.floor(math.log10(price)))
            return cls(price, 0.025 + 0.01 * spread, 10 ** (4 + 3 * size), 0.4, decimals)
        # 20 to 400 dollars, 0.3 to 30 million shares
        return cls(20 * 10 ** (1.3 * level), 0.008 + 0.008 * spread, 10 ** (5.5 + 2 * size), 80.0)


@lru_cache(maxsize=2048)
def build_history(listing: Listing, until: date) -> Bars:
    """Return a ticker's bars as traded from its first session to `until`: recorded ones, then generated ones."""
    last = until if listing.last is None else min(until, listing.last)
    days = build_session_days(listing.calendar.name, listing.first, last)
    if not listing.recorded:
        return generate_bars(listing, days)
    known = read_recorded_bars(listing.ticker)
    return np.concatenate([known, generate_bars(listing, days[days > known["day"][-1]])])


@lru_cache(maxsize=64)
def build_session_days(calendar_name: str, first: date, last: date) -> Days:
    """Return the sessions of a calendar from `first` to `last`, both included."""
    return np.array(list_sessions(calendar_name, first, last), dtype="M8[D]")


def generate_bars(listing: Listing, days: Days) -> Bars:
    """Generate bars as traded on `days`, which must be all of the ticker's generated sessions up to a date."""
    ticker, character, count = listing.ticker, Character.of(listing), len(days)
    steps = character.spread * draw_normal_series(count, ticker, "steps")
    level = character.start * np.exp(reflect(np.cumsum(steps)))
    before = np.concatenate([[character.start], level[:-1]])[:count]
    gap = character.spread * (draw_uniform_series(count, ticker, "gap") - 0.5)
    split = _compute_split_ratio(listing, days)

    bars = make_zero_bars(count)
    bars["day"] = days
    bars["o"], bars["c"] = before * np.exp(gap) / split, level / split
    _add_high_low_vwap(bars, ticker, character)
    volume = character.volume * np.exp(0.35 * draw_normal_series(count, ticker, "volume")) * split
    bars["v"] = np.round(volume, VOLUME_DECIMALS)
    bars["n"] = np.maximum(1, volume / character.trade_size)
    return bars


def reflect(walk: Floats) -> Floats:
    """Reflect the walk at a distance of REACH from 0; no step gets longer."""
    return np.abs((walk - REACH) % (4 * REACH) - 2 * REACH) - REACH


def _compute_split_ratio(listing: Listing, days: Days) -> Floats:
    """Return the number of shares, on each of these days, that one share of the first day has become."""
    factor = compute_later_factors(find_splits(listing), days)
    return factor / factor[:1]


def _add_high_low_vwap(bars: Bars, ticker: str, character: Character) -> None:
    """Add high, low and vwap to bars that have open and close, and round all of them."""
    count, spread = len(bars), character.spread
    above = 1 + spread * draw_uniform_series(count, ticker, "high")
    below = 1 - spread * draw_uniform_series(count, ticker, "low")
    bars["h"] = np.maximum(bars["o"], bars["c"]) * above
    bars["l"] = np.minimum(bars["o"], bars["c"]) * below
    for price in PRICES:
        bars[price] = np.round(bars[price], character.decimals)
    inside = draw_uniform_series(count, ticker, "vwap")
    bars["vw"] = np.round(bars["l"] + (bars["h"] - bars["l"]) * inside, character.decimals + 2)
