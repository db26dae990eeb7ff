"""Crypto pairs of a generated market: coins that appear and die, most in US dollars, some in other currencies."""

import math
from collections.abc import Iterator

from market_pipeline.sandbox.issuers import Issue
from market_pipeline.sandbox.random_numbers import draw_uniform_series
from market_pipeline.sandbox.ticker_roots import name_root

YEAR = 365
EARLY, YEARS = 0.3, 14
"""Share of the coins that the market begins with, and the years over which the others appear."""

MEAN_LIFE, SHORTEST_LIFE = 12 * YEAR, 120
QUOTES = ("USD",) * 7 + ("EUR", "GBP", "BTC")


def generate_pair(seed: int, pair: int, sessions: int) -> Iterator[Issue]:
    """Return the pair of that number, if it trades at all within the sessions."""
    birth, when, life, thin, liquidity, quote = draw_uniform_series(6, "pair", seed, pair).tolist()
    first = 0 if birth < EARLY else int(when * YEARS * YEAR)
    last = first + SHORTEST_LIFE + int(-MEAN_LIFE * math.log(1.0 - life))
    ticker = f"X:{name_root(pair, 0, frozenset())}C{QUOTES[int(quote * len(QUOTES))] if pair else 'EUR'}"
    if first < sessions:
        traded = 1.0 if thin < 0.9 else 0.1 + 0.85 * liquidity
        yield Issue(f"{ticker} {first}", "CRYPTO", ((ticker, first, min(last, sessions - 1)),), traded)
