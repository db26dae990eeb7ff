"""Tickers of the flat files of a run, each text one Python object.

A run has many sessions in memory, of mostly the same tickers. A text for each would take ten times the memory of its
bar's close, and to make and hash them takes as long as parsing half of the file.
"""

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

MOST_TICKERS = 65_536
"""Twice those of US stocks in 20 years: so many garbage tickers at most are kept."""


class KnownTickers:
    """The texts of tickers that were read before. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._column: pa.Array | None = None
        self._texts: NDArray[Any] = np.array([], dtype=object)

    def read(self, column: "pa.ChunkedArray") -> NDArray[Any]:
        """Return a column's texts as an array of Python objects; equal ones are one object."""
        import pyarrow as pa
        import pyarrow.compute as pc

        with self._lock:
            if self._column is None or len(self._column) > MOST_TICKERS:
                self._column, self._texts = pa.array([], pa.string()), np.array([], dtype=object)
            places = pc.index_in(column, value_set=self._column)
            if places.null_count:
                new = pc.unique(column.filter(places.is_null()))
                self._column = pa.concat_arrays([self._column, new])
                self._texts = np.append(self._texts, new.to_numpy(zero_copy_only=False))
                places = pc.index_in(column, value_set=self._column)
            found: NDArray[Any] = self._texts[places.to_numpy()]
        return found
