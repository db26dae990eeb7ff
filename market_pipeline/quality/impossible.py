"""What no true bar of the asked symbol and sessions can be: one predicate a rule, on a whole answer at once.

The rules' meanings and reasons are declared in rules.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from market_pipeline.bars import VALUE_COLUMNS
from market_pipeline.sessions import session_starts
from market_pipeline.symbols import Symbol

MOST_TRANSACTIONS = 1e12
"""More trades than a symbol can have in a session, and within what a bigint holds."""

_PRICES = ["open", "high", "low", "close"]


@dataclass(frozen=True)
class Answer:
    """A frame under examination: BAR_COLUMNS, with what was asked for."""

    bars: pd.DataFrame
    symbol: Symbol
    sessions: Sequence[date]


def missing_field(answer: Answer) -> pd.Series:
    """The date, a price or the volume is NaN or NaT."""
    return answer.bars[["date", *_PRICES, "volume"]].isna().any(axis=1)


def not_finite(answer: Answer) -> pd.Series:
    """A number is infinite."""
    return pd.Series(np.isinf(answer.bars[list(VALUE_COLUMNS)]).any(axis=1), index=answer.bars.index)


def not_positive(answer: Answer) -> pd.Series:
    """A price is zero or less."""
    return (answer.bars[_PRICES] <= 0).any(axis=1)


def high_too_low(answer: Answer) -> pd.Series:
    """The high is not the highest price."""
    return answer.bars["high"] < answer.bars[["open", "low", "close"]].max(axis=1)


def low_too_high(answer: Answer) -> pd.Series:
    """The low is not the lowest price."""
    return answer.bars["low"] > answer.bars[["open", "high", "close"]].min(axis=1)


def negative_volume(answer: Answer) -> pd.Series:
    """The volume or the number of trades is less than zero."""
    return (answer.bars["volume"] < 0) | (answer.bars["transactions"] < 0)


def not_a_count(answer: Answer) -> pd.Series:
    """The number of trades has a fraction, or is beyond MOST_TRANSACTIONS."""
    count = answer.bars["transactions"]
    return count.notna() & ((count % 1 != 0) | (count > MOST_TRANSACTIONS))


def outside_request(answer: Answer) -> pd.Series:
    """The date is before the first or after the last session asked for."""
    first, last = pd.Timestamp(answer.sessions[0]), pd.Timestamp(answer.sessions[-1])
    return answer.bars["date"].notna() & ~answer.bars["date"].between(first, last)


def no_session(answer: Answer) -> pd.Series:
    """The date is between sessions asked for, and none itself."""
    inside = answer.bars["date"].notna() & ~outside_request(answer)
    return inside & ~answer.bars["date"].isin(pd.DatetimeIndex(list(answer.sessions)))


def misplaced(answer: Answer) -> pd.Series:
    """The time is not where the date's session begins."""
    starts = session_starts(answer.symbol.calendar, pd.DatetimeIndex(answer.bars["date"]))
    return answer.bars["date"].notna() & (pd.DatetimeIndex(answer.bars["time"]) != starts)


def contradicted(answer: Answer) -> pd.Series:
    """Another row has the same date."""
    repeated: pd.Series = answer.bars["date"].notna() & answer.bars["date"].duplicated(keep=False)
    return repeated
