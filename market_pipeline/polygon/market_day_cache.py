"""Disk cache of grouped responses: the bars of a run's symbols, while they are loaded one after another.

Each session's bars are appended to one temporary file as a block; a symbol's bars are read from every block when it is
loaded. Memory holds only the positions: for each session, the first row of each symbol.
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
from numpy.typing import NDArray

from market_pipeline.core.bars import BAR_COLUMNS, VALUE_COLUMNS, Columns, FetchedBars
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.polygon.parsing import GroupedBars

ROW = np.dtype(
    [
        ("date", "datetime64[D]"),
        ("time", "datetime64[us]"),
        *((column, "float64") for column in VALUE_COLUMNS),
        ("payload", "int64"),
        ("payload_bytes", "int64"),
    ]
)
"""A bar on disk: BAR_COLUMNS, `time` in UTC, and the place in the file of the vendor's pickled record."""

Rows = NDArray[np.void]


class NoDiskSpaceError(MarketPipelineError):
    """The grouped responses can't be cached on disk."""


@dataclass(frozen=True)
class _Block:
    """Position of one session's rows: the place of the first in the file, and each ticker's first row number."""

    place: int
    first_rows: "array[int]"

    def locate(self, ticker: int) -> tuple[int, int]:
        """Return the place in the file and the length in bytes of a ticker's rows."""
        first, end = self.first_rows[ticker], self.first_rows[ticker + 1]
        return self.place + first * ROW.itemsize, (end - first) * ROW.itemsize


class MarketDayCache:
    """Bars of some tickers on the sessions that were added. Its file has no name and ends with the process.

    Args:
        tickers: the vendor's; only their bars are kept, of the market's twelve thousand a day.
    """

    def __init__(self, tickers: Collection[str]) -> None:
        self._tickers = {ticker: number for number, ticker in enumerate(tickers)}
        self._blocks: dict[date, _Block] = {}
        self._file = _File()

    def __contains__(self, session: date) -> bool:
        return session in self._blocks

    def add(self, session: date, market: GroupedBars) -> None:
        """Store the tickers' bars of one session.

        Raises:
            NoDiskSpaceError: the file can't be written.
        """
        columns, records = market.select(self._tickers)
        numbers = [self._tickers[record["T"]] for record in records]  # ascending, as `select` returns them
        first_rows = array("i", np.searchsorted(numbers, np.arange(len(self._tickers) + 1)).tolist())
        payloads = [pickle.dumps(record) for record in records]  # a tenth of the time of JSON
        try:
            self._blocks[session] = _Block(self._file.append(_build_rows(columns), payloads), first_rows)
        except OSError as error:
            raise NoDiskSpaceError(
                f"the vendor's responses can't be cached in a temporary file ({error.strerror or error}): make room in "
                "the folder for such files, or let TMPDIR name one that has room, and run the same again"
            ) from None

    def read_bars(self, ticker: str, sessions: Sequence[date]) -> FetchedBars:
        """Return a ticker's bars of those sessions that were added, in their order; `requests` is 0."""
        blocks = (self._file.read(*place) for place in self._locate_rows(ticker, sessions))
        rows = np.frombuffer(b"".join(blocks), ROW)
        return FetchedBars({name: rows[name].copy() for name in BAR_COLUMNS}, _Payloads(self._file, rows), requests=0)

    def _locate_rows(self, ticker: str, sessions: Sequence[date]) -> Iterator[tuple[int, int]]:
        """Yield the place and the length in bytes of a ticker's rows, for each of the sessions."""
        if ticker in self._tickers:
            number = self._tickers[ticker]
            for session in sessions:
                if session in self._blocks:
                    yield self._blocks[session].locate(number)


def _build_rows(columns: Columns) -> Rows:
    """Convert bars to rows; their payload columns are not set yet."""
    rows = np.empty(len(columns["date"]), ROW)
    for column in BAR_COLUMNS:
        rows[column] = columns[column]
    return rows


class _File:
    """A temporary file without a name; it is closed and removed with the last reference to it."""

    def __init__(self) -> None:
        self._end = 0

    @cached_property
    def _descriptor(self) -> int:
        """The file descriptor. The file is opened when it is first written to."""
        file = tempfile.TemporaryFile(prefix="market-pipeline-", buffering=0)  # noqa: SIM115 - closed just below
        weakref.finalize(self, file.close)
        return file.fileno()

    def append(self, rows: Rows, payloads: Sequence[bytes]) -> int:
        """Write a block of rows followed by their payloads; return the place of the first row.

        Raises:
            OSError: the disk is full, or there is no folder for such files. The next block overwrites a partial one.
        """
        begin = self._end
        rows["payload_bytes"] = lengths = np.array([len(payload) for payload in payloads], dtype=np.int64)
        rows["payload"] = begin + rows.nbytes + np.cumsum(lengths) - lengths
        block = memoryview(b"".join((rows.tobytes(), *payloads)))
        written = 0
        while written < len(block):
            written += os.pwrite(self._descriptor, block[written:], begin + written)
        self._end = begin + written
        return begin

    def read(self, place: int, length: int) -> bytes:
        """Return `length` bytes from `place`."""
        return os.pread(self._descriptor, length, place)


class _Payloads(Sequence[Mapping[str, Any]]):
    """The vendor's records of some rows, read from the file on access."""

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
        record: Mapping[str, Any] = pickle.loads(written)  # noqa: S301 - only this process can have written it
        return record
