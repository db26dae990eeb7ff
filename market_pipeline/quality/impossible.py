"""The rules a bar must pass to be stored: what no true bar of the asked symbol and sessions can break.

Declared in one table, each with its meaning; evaluated on whole frames. A bar that breaks one is kept with the vendor's
record and the reasons, never dropped in silence. Bars that are merely odd are another matter than bars that can't be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from market_pipeline.bars import VALUE_COLUMNS, FetchedBars
from market_pipeline.sessions import session_starts
from market_pipeline.symbols import Symbol

MOST_TRANSACTIONS = 1e12
"""More trades than a symbol can have in a session, and within what a bigint holds."""

_PRICES = ["open", "high", "low", "close"]


@dataclass(frozen=True)
class Batch:
    """A frame under examination: BAR_COLUMNS, with what was asked for."""

    bars: pd.DataFrame
    symbol: Symbol
    sessions: Sequence[date]


@dataclass(frozen=True)
class Rule:
    """`broken` gives one boolean a row; `meaning` is what a person reads of a bar that broke it."""

    name: str
    meaning: str
    broken: Callable[[Batch], pd.Series]


@dataclass(frozen=True)
class Checked:
    """A frame split by the rules. `reasons[i]` belongs to row i of `rejected`, whose index is the payloads'."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    reasons: Sequence[Sequence[str]]


def _missing_field(batch: Batch) -> pd.Series:
    return batch.bars[["date", *_PRICES, "volume"]].isna().any(axis=1)


def _not_finite(batch: Batch) -> pd.Series:
    return pd.Series(np.isinf(batch.bars[list(VALUE_COLUMNS)]).any(axis=1), index=batch.bars.index)


def _not_positive(batch: Batch) -> pd.Series:
    return (batch.bars[_PRICES] <= 0).any(axis=1)


def _high_too_low(batch: Batch) -> pd.Series:
    return batch.bars["high"] < batch.bars[["open", "low", "close"]].max(axis=1)


def _low_too_high(batch: Batch) -> pd.Series:
    return batch.bars["low"] > batch.bars[["open", "high", "close"]].min(axis=1)


def _negative_volume(batch: Batch) -> pd.Series:
    return (batch.bars["volume"] < 0) | (batch.bars["transactions"] < 0)


def _not_a_count(batch: Batch) -> pd.Series:
    count = batch.bars["transactions"]
    return count.notna() & ((count % 1 != 0) | (count > MOST_TRANSACTIONS))


def _outside_request(batch: Batch) -> pd.Series:
    first, last = pd.Timestamp(batch.sessions[0]), pd.Timestamp(batch.sessions[-1])
    return batch.bars["date"].notna() & ~batch.bars["date"].between(first, last)


def _no_session(batch: Batch) -> pd.Series:
    inside = batch.bars["date"].notna() & ~_outside_request(batch)
    return inside & ~batch.bars["date"].isin(pd.DatetimeIndex(list(batch.sessions)))


def _misplaced(batch: Batch) -> pd.Series:
    starts = session_starts(batch.symbol.calendar, pd.DatetimeIndex(batch.bars["date"]))
    return batch.bars["date"].notna() & (pd.DatetimeIndex(batch.bars["time"]) != starts)


def _contradicted(batch: Batch) -> pd.Series:
    repeated: pd.Series = batch.bars["date"].notna() & batch.bars["date"].duplicated(keep=False)
    return repeated


IMPOSSIBLE = (
    Rule("missing_field", "its time, a price or the volume is missing or not a number", _missing_field),
    Rule("not_finite", "a value is infinite", _not_finite),
    Rule("not_positive", "a price is zero or negative", _not_positive),
    Rule("high_too_low", "its high is below its open, low or close", _high_too_low),
    Rule("low_too_high", "its low is above its open, high or close", _low_too_high),
    Rule("negative_volume", "its volume or number of trades is negative", _negative_volume),
    Rule("not_a_count", "its number of trades is no whole number, or absurdly large", _not_a_count),
    Rule("outside_request", "its date is outside the dates asked for", _outside_request),
    Rule("no_session", "its date is no session of the calendar", _no_session),
    Rule("misplaced", "its time is not where the session's day begins", _misplaced),
    Rule("contradicted", "the same answer has another bar for its date", _contradicted),
)
"""Every rule that keeps a bar out of `market_data`."""


def check(fetched: FetchedBars, symbol: Symbol, sessions: Sequence[date]) -> Checked:
    """Split an answer into bars that can be stored and bars that can't be true.

    A bar repeated word for word counts once; repeated with other values, neither can be trusted and both are refused.

    Args:
        fetched: the vendor's answer for `symbol`.
        symbol: whose bars they are.
        sessions: the sessions of its calendar within the dates asked for, oldest first, at least one.
    """
    frame = fetched.frame
    # Without a date nothing says that two alike are one and the same.
    bars = frame[~(frame.duplicated() & frame["date"].notna())]
    batch = Batch(bars, symbol, sessions)
    verdicts = pd.DataFrame({rule.name: rule.broken(batch) for rule in IMPOSSIBLE}, index=bars.index, dtype=bool)
    refused = verdicts.any(axis=1)
    meanings = {rule.name: f"{rule.name}: {rule.meaning}" for rule in IMPOSSIBLE}
    reasons = [[meanings[str(name)] for name in row.index[row]] for _, row in verdicts[refused].iterrows()]
    return Checked(bars[~refused].sort_values("date"), bars[refused], reasons)
