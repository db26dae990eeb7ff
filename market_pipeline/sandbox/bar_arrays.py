"""Arrays of bars, and their conversion to rows of a response.

One structured array holds one ticker's daily bars, a row for each session, oldest first; its slices are cheap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from market_pipeline.sandbox.endpoint_responses import Data

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

Row = dict[str, Any]


@dataclass(frozen=True)
class SessionBars:
    """Bars of one day and many tickers, one a ticker."""

    tickers: Sequence[str]
    bars: Bars


def zero_bars(count: int = 0) -> Bars:
    """Return `count` bars, all zero."""
    return np.zeros(count, dtype=BAR)


def to_rows(bars: Bars, times: Iterable[int], ticker: str | None = None) -> list[Row]:
    """Convert bars to rows of a response, with the vendor's order of keys.

    Args:
        bars: any bars.
        times: each bar's `t`, in milliseconds since the epoch.
        ticker: the value of `T`, in responses that have it.
    """
    named = {} if ticker is None else {"T": ticker}
    columns = [bars[name].tolist() for name in ("v", "vw", *PRICES, "n")]
    return [
        {
            **named,
            "v": v,
            **({"vw": vw} if vw == vw else {}),  # noqa: PLR0124 - false of NaN
            "o": o,
            "c": c,
            "h": h,
            "l": low,
            "t": t,
            **({"n": n} if n else {}),
        }
        for v, vw, o, h, low, c, n, t in zip(*columns, times, strict=True)
    ]


def data_label(bars: Bars) -> Data | None:
    """Return "recorded" if every bar is, otherwise "generated"; None without bars."""
    if not len(bars):
        return None
    return "recorded" if bool(bars["recorded"].all()) else "generated"
