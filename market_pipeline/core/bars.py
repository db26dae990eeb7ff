"""Daily bars: the columns of the arrays that carry them from the vendor's response to the table.

The columns are those of `market_data` from the moment of parsing, so nothing is renamed on the way. Fetching, checking
and storing are done elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRICE_COLUMNS = ("open", "high", "low", "close")
"""Prices of a bar in US dollars as traded, float64."""

VALUE_COLUMNS = (*PRICE_COLUMNS, "volume", "vwap", "transactions")
"""Numbers of a bar, float64. Volume in shares or coins, fractional; vwap in dollars and transactions, a count, may be
missing (NaN)."""

BAR_COLUMNS = ("date", "time", *VALUE_COLUMNS)
"""`date`: the session, datetime64[D]. `time`: the start of its day, datetime64[us] in UTC. Both are NaT if the vendor's
timestamp can't be read."""


Columns = Mapping[str, NDArray[Any]]
"""Bars as arrays of one length by column: for a night's few, building a frame costs more than all the work on it.

Bars of several symbols have `place` too, the number of each one's symbol, by which they are ordered, then by date."""

ActionsByPlace = Mapping[int, Mapping[date, float]]
"""Corporate actions of some of several symbols: by a symbol's place and by day, a number."""


@dataclass(frozen=True)
class FetchedBars:
    """The vendor's response for one symbol.

    `columns` are BAR_COLUMNS; `payloads[i]` is the vendor's own record of row i, kept so that a
    rejected bar can be stored as it came. `requests` is the number of HTTP requests it took, `waited_seconds` their
    waits for the rate limit, `notes` says which bars are not in it and why. `answered` are the first and the last date
    that the vendor answered for, fewer than requested if the plan gives fewer; None if nothing was requested.
    """

    columns: Columns
    payloads: Sequence[Mapping[str, Any]]
    requests: int
    notes: tuple[str, ...] = ()
    answered: tuple[date, date] | None = None
    waited_seconds: float = 0.0

    @property
    def dates(self) -> tuple[date, date] | None:
        """The dates of the first and the last bar; None if there is none with a readable date."""
        days = self.columns["date"]
        readable = days[~np.isnat(days)]
        return (readable.min().item(), readable.max().item()) if len(readable) else None


@dataclass(frozen=True)
class FlaggedBar:
    """A stored bar that is suspicious: its symbol's place and its session.

    The other fields but `notes` are columns of `market_data`.
    """

    place: int
    session: date
    flags: tuple[str, ...]
    notes: str
    quality_score: float
    gap_detected: bool
    volume_anomaly: bool


LOOK_BACK = 20
"""Stored sessions before a bar that, with the splits, decide about its flags: about a trading month."""

LOOK_AHEAD = 4
"""Stored sessions after a bar that decide about its flags too: with the bar itself a trading week."""

LARGE_DISTRIBUTION = 0.1
"""Share of the price from which a listed distribution counts as the reason of a move; smaller ones don't show."""


def join_bars(parts: Sequence[Columns]) -> Columns:
    """Return the bars of several symbols, at least one, in one array by column of the first, with their `place`."""
    places = np.repeat(np.arange(len(parts)), [len(each["date"]) for each in parts])
    return {**{name: np.concatenate([each[name] for each in parts]) for name in parts[0]}, "place": places}


def select_rows(bars: Columns, rows: NDArray[Any] | Sequence[int] | slice) -> Columns:
    """Return some rows of all columns, by their numbers or by one verdict a row."""
    return {name: values[rows] for name, values in bars.items()}


def compute_bar_keys(bars: Columns) -> NDArray[np.int64]:
    """Return a number for each bar's `place` and `date`, in their order."""
    keys: NDArray[np.int64] = (bars["place"] << 32) + bars["date"].astype(np.int64)
    return keys


def make_empty_bars() -> Columns:
    """Return arrays of no bars."""
    kinds = {"date": "datetime64[D]", "time": "datetime64[us]", **dict.fromkeys(VALUE_COLUMNS, "float64")}
    return {name: np.array([], dtype=kind) for name, kind in kinds.items()}
