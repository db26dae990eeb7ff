"""What no true bar of the asked symbol and sessions can be: one predicate a rule, on a whole answer at once.

The rules' meanings and reasons are declared in rules.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.core.bars import VALUE_COLUMNS
from market_pipeline.core.sessions import session_starts
from market_pipeline.core.symbols import Symbol

MOST_TRANSACTIONS = 1e12
"""More trades than a symbol can have in a session, and within what a bigint holds."""

Verdicts = NDArray[np.bool_]
"""One verdict a row."""

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class BarBatch:
    """A frame under examination: BAR_COLUMNS, with what was asked for."""

    bars: pd.DataFrame
    symbol: Symbol
    sessions: Sequence[date]

    def __getitem__(self, column: str) -> NDArray[Any]:
        """A column's values; for a night's few bars arrays are ten times as quick as the frame."""
        return self._columns[column]

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        return {name: self.bars[name].to_numpy() for name in ("date", *VALUE_COLUMNS)}


def missing_field(answer: BarBatch) -> Verdicts:
    """The date, a price or the volume is NaN or NaT."""
    return _any(np.isnat(answer["date"]), *(np.isnan(answer[name]) for name in (*_PRICES, "volume")))


def not_finite(answer: BarBatch) -> Verdicts:
    """A number is infinite."""
    return _any(*(np.isinf(answer[name]) for name in VALUE_COLUMNS))


def not_positive(answer: BarBatch) -> Verdicts:
    """A price is zero or less."""
    return _any(*(answer[name] <= 0 for name in _PRICES))


def high_too_low(answer: BarBatch) -> Verdicts:
    """The high is not the highest price."""
    return _any(*(answer["high"] < answer[name] for name in ("open", "low", "close")))


def low_too_high(answer: BarBatch) -> Verdicts:
    """The low is not the lowest price."""
    return _any(*(answer["low"] > answer[name] for name in ("open", "high", "close")))


def negative_volume(answer: BarBatch) -> Verdicts:
    """The volume or the number of trades is less than zero."""
    return _any(answer["volume"] < 0, answer["transactions"] < 0)


def not_a_count(answer: BarBatch) -> Verdicts:
    """The number of trades has a fraction, or is beyond MOST_TRANSACTIONS. It may be missing."""
    count = answer["transactions"]
    found: Verdicts = ~np.isnan(count) & _any(np.floor(count) != count, count > MOST_TRANSACTIONS)
    return found


def outside_request(answer: BarBatch) -> Verdicts:
    """The date is before the first or after the last session asked for."""
    days = answer["date"]
    return _any(days < np.datetime64(answer.sessions[0]), days > np.datetime64(answer.sessions[-1]))


def no_session(answer: BarBatch) -> Verdicts:
    """The date is between sessions asked for, and none itself."""
    days = answer["date"]
    sessions = _midnights(tuple(answer.sessions))
    nearest = sessions[np.searchsorted(sessions[:-1], days)]
    return ~_any(np.isnat(days), outside_request(answer), nearest == days)


def misplaced(answer: BarBatch) -> Verdicts:
    """The time is not where the date's session begins."""
    starts = session_starts(answer.symbol.calendar, pd.DatetimeIndex(answer.bars["date"]))
    found: Verdicts = ~np.isnat(answer["date"]) & (pd.DatetimeIndex(answer.bars["time"]) != starts)
    return found


def contradicted(answer: BarBatch) -> Verdicts:
    """Another row has the same date."""
    found: Verdicts = ~np.isnat(answer["date"]) & answer.bars["date"].duplicated(keep=False).to_numpy()
    return found


@lru_cache(maxsize=8)  # of all symbols of a run the same
def _midnights(sessions: tuple[date, ...]) -> NDArray[np.datetime64]:
    return pd.DatetimeIndex(list(sessions)).to_numpy("datetime64[us]")


def _any(*verdicts: Verdicts) -> Verdicts:
    found: Verdicts = np.logical_or.reduce(verdicts)
    return found
