"""Days of the whole market, as far as a run wants them, held while its symbols are loaded one after another.

A run of many symbols holds a year of theirs, so it is kept small: one frame for all, and the vendor's records, which
only refused bars need again, as the JSON they were.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.bars import FetchedBars, empty_frame
from market_pipeline.polygon.parsing import GroupedBars

Rows = NDArray[np.intp]


class MarketDays:
    """The bars of some tickers on the days that were added.

    Args:
        tickers: the vendor's; of the market's twelve thousand bars a day only theirs are kept.
    """

    def __init__(self, tickers: Collection[str]) -> None:
        self._tickers = tickers
        self._days: dict[date, tuple[pd.DataFrame, bytes]] = {}
        self._all: _AllDays | None = None

    def __contains__(self, session: date) -> bool:
        return session in self._days

    def add(self, session: date, market: GroupedBars) -> None:
        """Keep what is wanted of a day."""
        frame, records = market.of(self._tickers)
        frame.insert(0, "ticker", [record["T"] for record in records])
        self._days[session] = frame, json.dumps(records).encode()
        self._all = None

    def bars(self, ticker: str, last: date) -> FetchedBars:
        """A ticker's bars of the days up to `last`, oldest first, as `FetchedBars` with no requests of its own."""
        if self._all is None:
            self._all = _AllDays(sorted(self._days.items()))
        return self._all.bars(ticker, last)


class _AllDays:
    """The days one below the other, and where each ticker's rows are."""

    def __init__(self, days: Sequence[tuple[date, tuple[pd.DataFrame, bytes]]]) -> None:
        self._sessions = [session for session, _ in days]
        self._records = [records for _, (_, records) in days]
        frames = [frame for _, (frame, _) in days if len(frame)]
        lengths = [len(frame) for _, (frame, _) in days]
        together = pd.concat(frames, ignore_index=True) if frames else empty_frame().assign(ticker="")
        groups = together.groupby("ticker", sort=False).indices
        self._rows = {ticker: np.asarray(rows, dtype=np.intp) for ticker, rows in groups.items()}
        self._frame = together.drop(columns="ticker")
        self._day = np.repeat(np.arange(len(days)), lengths)
        self._place = np.concatenate([np.arange(length) for length in lengths]) if lengths else self._day

    def bars(self, ticker: str, last: date) -> FetchedBars:
        rows = self._rows.get(ticker, np.empty(0, dtype=np.intp))
        rows = rows[self._day[rows] < sum(session <= last for session in self._sessions)]
        frame = self._frame.take(rows).reset_index(drop=True)
        return FetchedBars(frame, _Payloads(self._records, self._day[rows], self._place[rows]), requests=0)


class _Payloads(Sequence[Mapping[str, Any]]):
    """The vendor's records of some rows, read again when one is asked for."""

    def __init__(self, records: Sequence[bytes], days: Rows, places: Rows) -> None:
        self._records = records
        self._days = days
        self._places = places

    def __len__(self) -> int:
        return len(self._days)

    @overload
    def __getitem__(self, row: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, row: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(row, slice):
            return _Payloads(self._records, self._days[row], self._places[row])
        record: Mapping[str, Any] = json.loads(self._records[self._days[row]])[self._places[row]]
        return record
