"""Numbers of a market's bars by session and by tracked symbol, for the load records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import Columns
from market_pipeline.warehouse.empty_sessions import find_empty_sessions, find_ended_sessions
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult
from market_pipeline.warehouse.upsert import Rows, find_bars


@dataclass(frozen=True)
class BarVerdicts:
    """One verdict each on the bars of sessions: stored new, replaced another, flagged now."""

    is_new: Rows
    differs: Rows
    is_flagged: Rows


class MarketCounts:
    """Numbers of bars by session and by symbol, once all are stored."""

    def __init__(
        self, days: Sequence[date], bars: Columns, verdicts: BarVerdicts, held: Columns, withdrawn: Columns
    ) -> None:
        self._days, self._bars, self._held, self._verdicts = days, bars, held, verdicts
        is_new, differs = verdicts.is_new, verdicts.differs
        in_order = np.array(days, dtype="datetime64[D]")
        _, is_given = find_bars(held, bars)  # others are tracked symbols'
        other = held["date"][~is_given & (held["date"] >= in_order[0]) & (held["date"] <= in_order[-1])]

        def count(which: Rows) -> NDArray[Any]:
            return np.bincount(bars["session"][which & ~bars["is_copy"]], minlength=len(days))

        self.by_session: Mapping[str, NDArray[Any]] = {
            "loaded": count(is_new),
            "revised": count(differs),
            "unchanged": count(~is_new & ~differs),
            "flagged": count(verdicts.is_flagged),
            "withdrawn": np.bincount(np.searchsorted(in_order, withdrawn["date"]), minlength=len(days)),
            "tickers": np.bincount(np.append(bars["session"], np.searchsorted(in_order, other)), minlength=len(days)),
        }

    def of_symbol(self, request: LoadRequest, symbol_id: int, rejected: Sequence[date | None]) -> LoadResult:
        """Return the result of the sessions for a tracked symbol."""
        own, stored = (
            slice(*np.searchsorted(each["place"], (symbol_id, symbol_id + 1))) for each in (self._bars, self._held)
        )
        is_new, differs = self._verdicts.is_new[own], self._verdicts.differs[own]
        held = sorted({*self._bars["date"][own].tolist(), *self._held["date"][stored].tolist()})
        return LoadResult(
            symbol=request.symbol.name,
            first_session=self._days[0],
            last_session=self._days[-1],
            sessions=len(request.due),
            answered=len(request.answered_sessions),
            loaded=int(is_new.sum()),
            revised=int(differs.sum()),
            unchanged=int((~is_new & ~differs).sum()),
            rejected=len(rejected),
            flagged=int(self._verdicts.is_flagged[own].sum()),
            present=frozenset(held).intersection(request.due),
            empty=find_empty_sessions(request, held, rejected),
            ended=find_ended_sessions(request),
            notes=request.notes,
        )
