"""Rows of many symbols in one array: the values before and after a row, within its own symbol."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


class SymbolWindows:
    """The rows of some symbols' bars: one symbol's after another's, each one's in order.

    `first` and `end` hold for each row its symbol's first row and the one after its last, `position` the number of its
    symbol's rows before it.
    """

    def __init__(self, place: NDArray[Any]) -> None:
        self._place = place
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        ends = np.append(starts, len(place))[1:]
        # Four bytes each, as a market's bars may be millions.
        self.first, self.end = (np.repeat(each.astype(np.int32), ends - starts) for each in (starts, ends))
        self.position = np.arange(len(place), dtype=np.int32) - self.first

    def rows_of(self, place: int) -> slice:
        """Return the rows of one symbol."""
        return slice(*np.searchsorted(self._place, (place, place + 1)))

    def previous(self, values: NDArray[Any], first: Any = np.nan) -> NDArray[Any]:
        """Return the value before each row; `first` (one, or one a row) where its symbol has none."""
        return np.where(self.position == 0, first, np.concatenate([values[:1], values[:-1]]))

    def beside(self, values: NDArray[Any], rows: Rows, start: int, stop: int) -> NDArray[Any]:
        """Return the values from `start` to `stop` beside each of some rows, a line each.

        NaN where the row's symbol has no bar.
        """
        places = rows[:, np.newaxis] + np.arange(start, stop)
        there = (places >= self.first[rows, np.newaxis]) & (places < self.end[rows, np.newaxis])
        return np.where(there, values.take(places, mode="clip"), np.nan)


def compute_medians(lines: NDArray[Any]) -> NDArray[Any]:
    """Return each line's median without NaN, in a tenth of NumPy's time for few lines."""
    ordered, count = np.sort(lines, axis=1), (~np.isnan(lines)).sum(axis=1)  # NaN is last
    line = np.arange(len(lines))
    return np.asarray((ordered[line, (count - 1) // 2] + ordered[line, count // 2]) / 2)
