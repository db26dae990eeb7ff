"""The array that bars are kept in, and their rows in an answer. Not where the bars come from.

One structured array holds one ticker's daily bars, a row a session, oldest first: slices of it are cheap.
"""

from collections.abc import Iterable
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
"""A bar under the vendor's names. `vw` is NaN and `n` is 0 where they aren't known. Prices in US dollars."""

Row = dict[str, Any]


def empty(count: int = 0) -> Bars:
    """That many bars, all zero."""
    return np.zeros(count, dtype=BAR)


def rows(bars: Bars, times: Iterable[int], ticker: str | None = None) -> list[Row]:
    """The bars as they are on the wire, in its order of keys.

    Args:
        bars: any bars.
        times: each bar's `t`, in milliseconds since the epoch.
        ticker: what `T` says, in answers that have it.
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


def label(bars: Bars) -> Data | None:
    """Recorded if every bar is; None if there is none."""
    if not len(bars):
        return None
    return "recorded" if bool(bars["recorded"].all()) else "generated"
