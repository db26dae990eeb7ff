"""Checks of a whole market's session by the rules that reject bars, and by its tickers."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import select_rows
from market_pipeline.core.market_bars import CheckedSession, MarketSession, RejectedRow
from market_pipeline.core.markets import Market
from market_pipeline.core.symbols import TICKERS, VENDOR_PAIR, AssetClass
from market_pipeline.core.wording import format_count
from market_pipeline.quality.bar_checks import split_batch
from market_pipeline.quality.impossible import BarBatch, Verdicts
from market_pipeline.quality.rules import IMPOSSIBLE, ImpossibleRule

PAIR = r"X:[A-Z0-9]{2,24}"
"""The vendor's tickers of coins in US dollars, and of coins in any currency."""

_MOST_TICKERS = 65_536  # of all that US stocks have had in 20 years, of which most are in every session


def check_market_session(fetched: MarketSession, market: Market) -> CheckedSession:
    """Split a market's session into bars that can be stored and bars that can't be true.

    A bar repeated with the same values counts once; if a ticker has two different bars, neither can be trusted and both
    are rejected. Pairs in other currencies than US dollars are left out, and counted in a note.

    Args:
        fetched: the vendor's bars of the session.
        market: their market.
    """
    tickers, columns = fetched.tickers, fetched.columns
    rows = np.arange(len(tickers))
    if market.asset_class is AssetClass.CRYPTO and (other := _is_other_currency(tickers)).any():
        note = f"{format_count(int(other.sum()), 'pair')} in other currencies than US dollars left out"
        fetched, rows = replace(fetched, notes=(*fetched.notes, note)), np.flatnonzero(~other)
        tickers, columns = tickers[rows], select_rows(columns, rows)
    batch = BarBatch(columns, market.calendar, [fetched.session], tickers)
    split = split_batch(batch, (*IMPOSSIBLE, _TICKER_RULES[market.asset_class]))
    rejected = [
        RejectedRow(_make_printable(tickers[row]), reasons, fetched.payload(int(rows[row])))
        for row, reasons in split.reasons.items()
    ]
    if not split.accepted.all():
        tickers, columns = tickers[split.accepted], select_rows(columns, split.accepted)
    return CheckedSession(fetched, tickers, columns, rejected)


def _build_ticker_rule(pattern: str) -> ImpossibleRule:
    return ImpossibleRule(
        "not_a_ticker",
        "its ticker is missing or has characters that no ticker has",
        "There were responses with such tickers, and with prices that nothing has.",
        _break_pattern(pattern),
    )


def _break_pattern(pattern: str) -> Callable[[BarBatch], Verdicts]:
    """Return the predicate: the ticker is none that the pattern matches."""
    fits = re.compile(pattern, re.ASCII).fullmatch

    known: set[str] = set()  # that the pattern matches, as most tickers are in every session

    def not_a_ticker(batch: BarBatch) -> Verdicts:
        tickers = batch.tickers.tolist() if batch.tickers is not None else []
        unknown = set(tickers).difference(known)
        garbage = {ticker for ticker in unknown if fits(ticker) is None}
        if len(known) > _MOST_TICKERS:
            known.clear()
        known.update(unknown - garbage)
        if not garbage:
            return np.zeros(len(tickers), dtype=bool)
        return np.array([ticker in garbage for ticker in tickers], dtype=bool)

    return not_a_ticker


_TICKER_RULES = {
    kind: _build_ticker_rule(VENDOR_PAIR if kind is AssetClass.CRYPTO else TICKERS[kind]) for kind in AssetClass
}


def _is_other_currency(tickers: NDArray[Any]) -> Verdicts:
    is_pair = re.compile(PAIR, re.ASCII).fullmatch
    return np.array([not each.endswith("USD") and is_pair(each) is not None for each in tickers], dtype=bool)


def _make_printable(ticker: str) -> str:
    """Return a ticker with characters that PostgreSQL can store; a NUL, which was seen, it can't."""
    return ticker if ticker.isprintable() else ticker.encode("unicode_escape").decode("ascii")
