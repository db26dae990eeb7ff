"""The frame that bars travel in, from the vendor's answer to the table.

One frame holds the daily bars of one symbol. Its columns are `market_data`'s from the moment of parsing, so nothing is
renamed on the way. This module says what the columns are; it neither fetches, checks nor stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from numpy.typing import NDArray

VALUE_COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "transactions")
"""The numbers of a bar, float64. Prices in US dollars as traded; volume in shares or coins, fractional. vwap (dollars)
and transactions (a count) may be missing (NaN)."""

BAR_COLUMNS = ("date", "time", *VALUE_COLUMNS)
"""`date`: the session, datetime64 at midnight without a zone. `time`: when its day begins, datetime64 in UTC. Both are
NaT where the vendor's timestamp can't be read."""


Columns = Mapping[str, NDArray[Any]]
"""Bars as arrays of one length, a column a name: a frame of a night's few bars costs more than all that is done to it.
`date` is datetime64[D], `time` datetime64[us] in UTC, the numbers are float64."""


@dataclass(frozen=True)
class FetchedBars:
    """What the vendor answered for one symbol.

    `frame` has BAR_COLUMNS and the index 0..n-1; `payloads[i]` is the vendor's own record of row i, kept so that a
    refused bar can be stored as it came. `requests` is the number of HTTP requests it took, `waited_seconds` how long
    they waited for the rate limit, `notes` what a user should know of what is not in it. `answered` are the first and
    the last date that the vendor answered for, which is less than was asked where the plan gives less; None where
    nothing was asked.
    """

    frame: pd.DataFrame
    payloads: Sequence[Mapping[str, Any]]
    requests: int
    notes: tuple[str, ...] = ()
    answered: tuple[date, date] | None = None
    waited_seconds: float = 0.0


@dataclass(frozen=True)
class FlaggedBar:
    """A stored bar that rules found odd; but for the first, the fields are columns of `market_data`."""

    session: date
    flags: tuple[str, ...]
    notes: str
    quality_score: float
    gap_detected: bool
    volume_anomaly: bool


LOOK_BACK = 20
"""How many stored sessions before a bar decide, with the splits, what is odd about it: about a trading month."""


def columns_of(frame: pd.DataFrame) -> Columns:
    """A frame of BAR_COLUMNS as arrays."""
    return {
        "date": frame["date"].to_numpy("datetime64[D]"),
        "time": frame["time"].to_numpy("datetime64[us]"),
        **{name: frame[name].to_numpy() for name in VALUE_COLUMNS},
    }


def empty_frame() -> pd.DataFrame:
    """A frame of no bars, with the right columns and types."""
    return pd.DataFrame(
        {
            "date": pd.DatetimeIndex([], dtype="datetime64[us]"),
            "time": pd.DatetimeIndex([], dtype="datetime64[us, UTC]"),
            **{column: pd.Series([], dtype="float64") for column in VALUE_COLUMNS},
        }
    )
