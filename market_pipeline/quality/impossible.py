"""Predicates for impossible bars, one per rule, on a whole response at once: of a symbol, or of a market.

`rules` declares the rules' meanings and reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import PRICE_COLUMNS, VALUE_COLUMNS, Columns, select_rows
from market_pipeline.core.sessions import compute_session_start

if TYPE_CHECKING:
    import pandas as pd

MOST_TRANSACTIONS = 2**31 - 1
"""The largest number in a bar's four bytes for it. All US stocks together have some 100 million a session."""

Verdicts = NDArray[np.bool_]
"""One verdict per row."""


@dataclass(frozen=True)
class BarBatch:
    """Bars to check, as arrays of BAR_COLUMNS, with the requested sessions of their calendar, oldest first.

    `tickers` are each bar's, "" where there is none; None if all bars are of one symbol.
    """

    columns: Columns
    calendar: str
    sessions: Sequence[date]
    tickers: NDArray[Any] | None = None

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return a column's values."""
        return self.columns[column]

    def select(self, rows: NDArray[Any]) -> "BarBatch":
        """Return some of the bars."""
        tickers = None if self.tickers is None else self.tickers[rows]
        return BarBatch(select_rows(self.columns, rows), self.calendar, self.sessions, tickers)

    @cached_property
    def is_readable(self) -> Verdicts:
        """The bar's session, and its ticker where they differ, are known."""
        readable: Verdicts = ~np.isnat(self["date"])
        return readable if self.tickers is None else readable & (self.tickers != "")

    @cached_property
    def has_repeats(self) -> bool:
        """Two bars may be of one symbol and session."""
        if self.tickers is not None:
            return len(set(self.tickers.tolist())) < len(self.tickers)
        days = self["date"]
        return not (days[1:] > days[:-1]).all()

    @cached_property
    def keys(self) -> "pd.DataFrame":
        """The bars' sessions, and their tickers where they differ."""
        import pandas as pd  # 0.4 s, spent only where bars may repeat

        tickers = np.zeros(len(self["date"])) if self.tickers is None else pd.factorize(self.tickers)[0]
        return pd.DataFrame({"ticker": tickers, "date": self["date"]})

    @cached_property
    def nearest(self) -> NDArray[np.intp]:
        """The place of the first requested session that is not before each bar's date; the last one's if none is."""
        days, _ = self.session_times
        return np.searchsorted(days[:-1], self["date"])

    @cached_property
    def session_times(self) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
        """The requested sessions' dates, and the instants in UTC at which their days begin."""
        return _find_session_times(self.calendar, tuple(self.sessions))


def repeats(batch: BarBatch) -> Verdicts:
    """The bar is equal to an earlier one in everything. Two without a date may be of two sessions."""
    if not batch.has_repeats:
        return np.zeros(len(batch["date"]), dtype=bool)
    frame = batch.keys.assign(**{name: batch[name] for name in ("time", *VALUE_COLUMNS)})
    found: Verdicts = batch.is_readable & frame.duplicated().to_numpy()
    return found


def missing_field(batch: BarBatch) -> Verdicts:
    """The date, a price or the volume is NaN or NaT."""
    return _combine_any(np.isnat(batch["date"]), *(np.isnan(batch[name]) for name in (*PRICE_COLUMNS, "volume")))


def not_finite(batch: BarBatch) -> Verdicts:
    """A number is infinite."""
    return _combine_any(*(np.isinf(batch[name]) for name in VALUE_COLUMNS))


def not_positive(batch: BarBatch) -> Verdicts:
    """A price is zero or less."""
    return _combine_any(*(batch[name] <= 0 for name in PRICE_COLUMNS))


def high_too_low(batch: BarBatch) -> Verdicts:
    """The high is not the highest price."""
    return _combine_any(*(batch["high"] < batch[name] for name in ("open", "low", "close")))


def low_too_high(batch: BarBatch) -> Verdicts:
    """The low is not the lowest price."""
    return _combine_any(*(batch["low"] > batch[name] for name in ("open", "high", "close")))


def negative_volume(batch: BarBatch) -> Verdicts:
    """The volume or the number of trades is less than zero."""
    return _combine_any(batch["volume"] < 0, batch["transactions"] < 0)


def not_a_count(batch: BarBatch) -> Verdicts:
    """The number of trades has a fraction, or is beyond MOST_TRANSACTIONS. It may be missing."""
    count = batch["transactions"]
    found: Verdicts = ~np.isnan(count) & _combine_any(np.floor(count) != count, count > MOST_TRANSACTIONS)
    return found


def outside_request(batch: BarBatch) -> Verdicts:
    """The date is before the first or after the last requested session."""
    days = batch["date"]
    return _combine_any(days < np.datetime64(batch.sessions[0]), days > np.datetime64(batch.sessions[-1]))


def no_session(batch: BarBatch) -> Verdicts:
    """The date is between requested sessions, and none itself."""
    days, (sessions, _) = batch["date"], batch.session_times
    return ~_combine_any(np.isnat(days), outside_request(batch), sessions[batch.nearest] == days)


def misplaced(batch: BarBatch) -> Verdicts:
    """The time is not the start of the date's session."""
    days, (sessions, starts) = batch["date"], batch.session_times
    expected = starts[batch.nearest]
    others = ~np.isnat(days) & (sessions[batch.nearest] != days)
    if others.any():
        expected[others] = _compute_starts(batch.calendar, days[others])
    found: Verdicts = ~np.isnat(days) & (batch["time"] != expected)
    return found


def contradicted(batch: BarBatch) -> Verdicts:
    """Another row has the same date, and the same ticker."""
    if not batch.has_repeats:
        return np.zeros(len(batch["date"]), dtype=bool)
    found: Verdicts = batch.is_readable & batch.keys.duplicated(keep=False).to_numpy()
    return found


@lru_cache(maxsize=8)  # the same for all symbols of a run
def _find_session_times(
    calendar: str, sessions: tuple[date, ...]
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    days = np.array(sessions, dtype="datetime64[D]")
    return days, _compute_starts(calendar, days)


def _compute_starts(calendar: str, days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return the instants in UTC at which days begin."""
    starts = [compute_session_start(calendar, day).replace(tzinfo=None) for day in days.tolist()]
    return np.array(starts, dtype="datetime64[us]")


def _combine_any(*verdicts: Verdicts) -> Verdicts:
    found: Verdicts = np.logical_or.reduce(verdicts)
    return found
