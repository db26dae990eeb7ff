"""Days of the whole market, as far as a run wants them, kept on disk while its symbols are loaded one after another.

A run of many symbols holds a year of theirs. All of it is written to one temporary file as it comes, a block a day, and
a symbol's bars are read from each block when it is loaded; in memory is only where a symbol's rows begin on each day.
"""

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.core.bars import BAR_COLUMNS, VALUE_COLUMNS, FetchedBars
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.polygon.parsing import GroupedBars

ROW = np.dtype(
    [
        ("date", "datetime64[us]"),
        ("time", "datetime64[us]"),
        *((column, "float64") for column in VALUE_COLUMNS),
        ("payload", "int64"),
        ("payload_bytes", "int64"),
    ]
)
"""A bar on disk: BAR_COLUMNS, `time` in UTC, and where in the file the vendor's record of it is, pickled."""

Rows = NDArray[np.void]


class NoRoomError(MarketPipelineError):
    """The market's days can't be kept on disk."""


@dataclass(frozen=True)
class _Day:
    """Where a day's rows are: the first one's place in the file, and of each ticker the number of its first row."""

    place: int
    first_rows: "array[int]"

    def of(self, ticker: int) -> tuple[int, int]:
        """Where a ticker's rows are, and how many bytes they take."""
        first, behind = self.first_rows[ticker], self.first_rows[ticker + 1]
        return self.place + first * ROW.itemsize, (behind - first) * ROW.itemsize


class MarketDays:
    """The bars of some tickers on the days that were added. Its file is nameless, so it goes with the process.

    Args:
        tickers: the vendor's; of the market's twelve thousand bars a day only theirs are kept.
    """

    def __init__(self, tickers: Collection[str]) -> None:
        self._tickers = {ticker: number for number, ticker in enumerate(tickers)}
        self._days: dict[date, _Day] = {}
        self._file = _File()

    def __contains__(self, session: date) -> bool:
        return session in self._days

    def add(self, session: date, market: GroupedBars) -> None:
        """Keep what is wanted of a day.

        Raises:
            NoRoomError: there is no room for it.
        """
        frame, records = market.of(self._tickers)
        numbers = [self._tickers[record["T"]] for record in records]  # ascending, as `of` gives them
        first_rows = array("i", np.searchsorted(numbers, np.arange(len(self._tickers) + 1)).tolist())
        payloads = [pickle.dumps(record) for record in records]  # a tenth of the time of JSON
        try:
            self._days[session] = _Day(self._file.append(_rows(frame), payloads), first_rows)
        except OSError as error:
            raise NoRoomError(
                f"the market's days can't be kept in a temporary file ({error.strerror or error}): make room in the "
                "folder for such files, or let TMPDIR name one that has room, and run the same again"
            ) from None

    def bars(self, ticker: str, last: date) -> FetchedBars:
        """A ticker's bars of the days up to `last`, oldest first, as `FetchedBars` with no requests of its own."""
        rows = np.frombuffer(b"".join(self._file.read(*place) for place in self._places(ticker, last)), ROW)
        columns: dict[str, Any] = {column: rows[column] for column in BAR_COLUMNS}
        columns["time"] = pd.DatetimeIndex(rows["time"], tz="UTC")
        return FetchedBars(pd.DataFrame(columns), _Payloads(self._file, rows), requests=0)

    def _places(self, ticker: str, last: date) -> Iterator[tuple[int, int]]:
        """Where a ticker's rows are, and how many bytes they take, on each day up to `last`."""
        if ticker in self._tickers:
            number = self._tickers[ticker]
            for session in sorted(self._days):
                if session <= last:
                    yield self._days[session].of(number)


def _rows(frame: pd.DataFrame) -> Rows:
    """The rows of a frame, nothing said of their payloads yet."""
    rows = np.empty(len(frame), ROW)
    for column in BAR_COLUMNS:
        rows[column] = frame[column].to_numpy(ROW[column])
    return rows


class _File:
    """A temporary file without a name, closed and gone with the last reference to it, or with the process."""

    def __init__(self) -> None:
        self._end = 0

    @cached_property
    def _number(self) -> int:
        """The operating system's, of the file that is opened when there is something to be written."""
        file = tempfile.TemporaryFile(prefix="market-pipeline-", buffering=0)  # noqa: SIM115 - closed just below
        weakref.finalize(self, file.close)
        return file.fileno()

    def append(self, rows: Rows, payloads: Sequence[bytes]) -> int:
        """Write a block of rows with their payloads behind them; where the first row is.

        Raises:
            OSError: there is no room, or no folder for such files. What was written of it is overwritten by the next.
        """
        begin = self._end
        rows["payload_bytes"] = lengths = np.array([len(payload) for payload in payloads], dtype=np.int64)
        rows["payload"] = begin + rows.nbytes + np.cumsum(lengths) - lengths
        block = memoryview(b"".join((rows.tobytes(), *payloads)))
        written = 0
        while written < len(block):
            written += os.pwrite(self._number, block[written:], begin + written)
        self._end = begin + written
        return begin

    def read(self, place: int, length: int) -> bytes:
        """What was written there."""
        return os.pread(self._number, length, place)


class _Payloads(Sequence[Mapping[str, Any]]):
    """The vendor's records of some rows, read when one is asked for."""

    def __init__(self, file: _File, rows: Rows) -> None:
        self._file = file
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, row: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(row, slice):
            return _Payloads(self._file, self._rows[row])
        written = self._file.read(int(self._rows["payload"][row]), int(self._rows["payload_bytes"][row]))
        record: Mapping[str, Any] = pickle.loads(written)  # noqa: S301 - what nobody but this process can have written
        return record
