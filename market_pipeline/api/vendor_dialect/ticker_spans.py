"""Tickers as the vendor has them: the symbols that had a ticker in turn, each for its days."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from time import monotonic

from market_pipeline.api.generated.reader import Reader
from market_pipeline.core.sessions import Calendar, find_calendar
from market_pipeline.warehouse.bar_tables import VERSIONED
from market_pipeline.warehouse.statements import read_driver_statement

FRESH_SECONDS = 1.0
"""For so long a ticker's symbols are not looked up again."""

MOST_KEPT = 50_000
_VERSIONED = re.compile(rf"(FROM|JOIN) ({'|'.join(table.name for table in VERSIONED)}) AS")


@dataclass(frozen=True)
class HolderSpan:
    """The days from `first` to `last`, both included, on which a symbol had a ticker."""

    symbol: str
    calendar: Calendar
    first: date
    last: date


class TickerSpans:
    """Finds the symbols of tickers, and keeps what it found for a second."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._found: dict[str, tuple[float, Sequence[HolderSpan]]] = {}

    async def find(self, ticker: str, as_of: datetime | None) -> Sequence[HolderSpan]:
        """Return the symbols that had a ticker, in the order of their days; none if nobody had it.

        Raises:
            ProblemError: the database can't be reached.
        """
        if as_of is not None:
            return await self._read(ticker, as_of)
        kept = self._found.get(ticker)
        if kept is not None and monotonic() < kept[0]:
            return kept[1]
        spans = await self._read(ticker, None)
        if len(self._found) >= MOST_KEPT:
            self._found.clear()
        self._found[ticker] = monotonic() + FRESH_SECONDS, spans
        return spans

    async def _read(self, ticker: str, as_of: datetime | None) -> Sequence[HolderSpan]:
        statement = read_stored_statement("ticker_spans", past=as_of is not None)
        rows = await self._reader.rows(statement, {"ticker": ticker, "as_of": as_of})
        return [
            HolderSpan(symbol, find_calendar(name), first or date.min, last or date.max)
            for symbol, name, first, last in rows
        ]


@cache
def read_stored_statement(name: str, *, past: bool) -> str:
    """Return the statement in `sql/<name>.sql`; `past`: it reads versioned tables as of the parameter `as_of`."""
    statement = read_driver_statement(name)
    return _VERSIONED.sub(r"\1 \2_as_of(%(as_of)s::timestamptz) AS", statement) if past else statement


def choose_calendar(ticker: str, spans: Sequence[HolderSpan]) -> Calendar:
    """Return the trading calendar of a ticker: its symbols', or the one that an unknown ticker's form stands for."""
    return spans[0].calendar if spans else find_calendar("24/7" if ticker.startswith("X:") else "XNYS")
