"""Arrays of bars, and their conversion to columns of a response.

One structured array holds one ticker's daily bars, a row for each session, oldest first; its slices are cheap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market_pipeline.sandbox.endpoint_responses import Data
from market_pipeline.vendor_format.bar_rows import VALUES, BarColumns

Bars = npt.NDArray[np.void]
Days = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]

PRICES = ("o", "h", "l", "c")

BAR = np.dtype(
    [
        ("day", "M8[D]"),
        ("v", "f8"),
        ("vw", "f8"),
        *((price, "f8") for price in PRICES),
        ("n", "i8"),
        ("recorded", "?"),
    ]
)
"""A bar under the vendor's field names. `vw` is NaN and `n` is 0 if unknown. Prices in US dollars."""


@dataclass(frozen=True)
class SessionBars:
    """Bars of one day and many tickers, one a ticker."""

    tickers: Sequence[str]
    bars: Bars


def make_zero_bars(count: int = 0) -> Bars:
    """Return `count` bars, all zero."""
    return np.zeros(count, dtype=BAR)


def to_columns(bars: Bars) -> BarColumns:
    """Convert bars to columns of a response."""
    columns = {name: bars[name].tolist() for name in VALUES}
    return {
        **columns,
        "day": bars["day"].astype("i8").tolist(),
        "vw": [vwap if vwap == vwap else None for vwap in columns["vw"]],  # noqa: PLR0124 - false of NaN
        "n": [count or None for count in bars["n"].tolist()],
    }


def label_data(bars: Bars) -> Data | None:
    """Return "recorded" if every bar is, otherwise "generated"; None without bars."""
    if not len(bars):
        return None
    return "recorded" if bool(bars["recorded"].all()) else "generated"
