"""The frame that bars travel in, from the vendor's answer to the staging table.

One frame holds the daily bars of one symbol. Its columns are `market_data`'s from the moment of parsing, so nothing is
renamed on the way. This module says what the columns are; it neither fetches, checks nor stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

VALUE_COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "transactions")
"""The numbers of a bar, float64. Prices in US dollars as traded; volume in shares or coins, fractional. vwap (dollars)
and transactions (a count) may be missing (NaN)."""

BAR_COLUMNS = ("date", "time", *VALUE_COLUMNS)
"""`date`: the session, datetime64 at midnight without a zone. `time`: when its day begins, datetime64 in UTC. Both are
NaT where the vendor's timestamp can't be read."""


@dataclass(frozen=True)
class FetchedBars:
    """What the vendor answered for one symbol.

    `frame` has BAR_COLUMNS and the index 0..n-1; `payloads[i]` is the vendor's own record of row i, kept so that a
    refused bar can be stored as it came. `requests` is the number of HTTP requests it took, `notes` what a user should
    know of what is not in it.
    """

    frame: pd.DataFrame
    payloads: Sequence[Mapping[str, Any]]
    requests: int
    notes: tuple[str, ...] = ()


def empty_frame() -> pd.DataFrame:
    """A frame of no bars, with the right columns and types."""
    return pd.DataFrame(
        {
            "date": pd.DatetimeIndex([], dtype="datetime64[us]"),
            "time": pd.DatetimeIndex([], dtype="datetime64[us, UTC]"),
            **{column: pd.Series([], dtype="float64") for column in VALUE_COLUMNS},
        }
    )
