"""Predicates for impossible bars, one per rule, on a whole response at once.

`rules` declares the rules' meanings and reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.core.bars import PRICE_COLUMNS, VALUE_COLUMNS
from market_pipeline.core.sessions import session_starts
from market_pipeline.core.symbols import Symbol

MOST_TRANSACTIONS = 2**31 - 1
"""The largest number in a bar's four bytes for it. All US stocks together have some 100 million a session."""

Verdicts = NDArray[np.bool_]
"""One verdict per row."""


@dataclass(frozen=True)
class BarBatch:
    """Bars to check: a frame of BAR_COLUMNS, with the requested symbol and sessions."""

    bars: pd.DataFrame
    symbol: Symbol
    sessions: Sequence[date]

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column's values; for a night's few bars arrays are ten times as fast as the frame."""
        return self._columns[column]

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        return {name: self.bars[name].to_numpy() for name in ("date", *VALUE_COLUMNS)}


def missing_field(batch: BarBatch) -> Verdicts:
    """The date, a price or the volume is NaN or NaT."""
    return _any(np.isnat(batch["date"]), *(np.isnan(batch[name]) for name in (*PRICE_COLUMNS, "volume")))


def not_finite(batch: BarBatch) -> Verdicts:
    """A number is infinite."""
    return _any(*(np.isinf(batch[name]) for name in VALUE_COLUMNS))


def not_positive(batch: BarBatch) -> Verdicts:
    """A price is zero or less."""
    return _any(*(batch[name] <= 0 for name in PRICE_COLUMNS))


def high_too_low(batch: BarBatch) -> Verdicts:
    """The high is not the highest price."""
    return _any(*(batch["high"] < batch[name] for name in ("open", "low", "close")))


def low_too_high(batch: BarBatch) -> Verdicts:
    """The low is not the lowest price."""
    return _any(*(batch["low"] > batch[name] for name in ("open", "high", "close")))


def negative_volume(batch: BarBatch) -> Verdicts:
    """The volume or the number of trades is less than zero."""
    return _any(batch["volume"] < 0, batch["transactions"] < 0)


def not_a_count(batch: BarBatch) -> Verdicts:
    """The number of trades has a fraction, or is beyond MOST_TRANSACTIONS. It may be missing."""
    count = batch["transactions"]
    found: Verdicts = ~np.isnan(count) & _any(np.floor(count) != count, count > MOST_TRANSACTIONS)
    return found


def outside_request(batch: BarBatch) -> Verdicts:
    """The date is before the first or after the last requested session."""
    days = batch["date"]
    return _any(days < np.datetime64(batch.sessions[0]), days > np.datetime64(batch.sessions[-1]))


def no_session(batch: BarBatch) -> Verdicts:
    """The date is between requested sessions, and none itself."""
    days = batch["date"]
    sessions = _midnights(tuple(batch.sessions))
    nearest = sessions[np.searchsorted(sessions[:-1], days)]
    return ~_any(np.isnat(days), outside_request(batch), nearest == days)


def misplaced(batch: BarBatch) -> Verdicts:
    """The time is not the start of the date's session."""
    starts = session_starts(batch.symbol.calendar, pd.DatetimeIndex(batch.bars["date"]))
    found: Verdicts = ~np.isnat(batch["date"]) & (pd.DatetimeIndex(batch.bars["time"]) != starts)
    return found


def contradicted(batch: BarBatch) -> Verdicts:
    """Another row has the same date."""
    found: Verdicts = ~np.isnat(batch["date"]) & batch.bars["date"].duplicated(keep=False).to_numpy()
    return found


@lru_cache(maxsize=8)  # the same for all symbols of a run
def _midnights(sessions: tuple[date, ...]) -> NDArray[np.datetime64]:
    return pd.DatetimeIndex(list(sessions)).to_numpy("datetime64[us]")


def _any(*verdicts: Verdicts) -> Verdicts:
    found: Verdicts = np.logical_or.reduce(verdicts)
    return found
