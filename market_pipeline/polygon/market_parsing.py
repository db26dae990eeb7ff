"""Parsing of grouped responses to the bars of a market's session, and descriptions of bars of other days."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.sessions import find_calendar
from market_pipeline.polygon.parsing import Record, parse_grouped_columns, read_times
from market_pipeline.polygon.sending import RequestTrace
from market_pipeline.polygon.vendor_errors import BadResponseError

if TYPE_CHECKING:
    import pandas as pd

_RECORDS_PER_PACK = 128
"""Records that are decoded for one payload: some 0.2 ms."""


def parse_market_session(
    records: Sequence[Record], market: Market, session: date, trace: RequestTrace
) -> MarketSession:
    """Parse a grouped response to the bars of a market's session; the ticker of a row without one is "".

    Args:
        records: the vendor's. They are kept as JSON, a tenth of their size in memory.
        market: the market.
        session: the requested session; a row whose `t` is missing or of another day has no date (NaT).
        trace: the requests that were made.

    Raises:
        BadResponseError: all bars are another day's.
    """
    columns = parse_grouped_columns(records, market.calendar, session)
    if records and np.isnat(columns["date"]).all():
        import pandas as pd  # 0.4 s, spent only on this error

        instants = pd.DatetimeIndex(read_times(records), tz="UTC")
        raise BadResponseError(f"{trace.about}: the response {describe_days(instants, market)}. Report it")
    tickers = np.empty(len(records), dtype=object)
    tickers[:] = [ticker if isinstance(ticker := record.get("T"), str) else "" for record in records]
    return MarketSession(
        session=session,
        tickers=tickers,
        columns=columns,
        payload=_PackedRecords(records).__getitem__,
        origin=Origin.GROUPED,
        version=None,
        requests=trace.requests,
        waited_seconds=trace.waited_seconds,
    )


def describe_days(instants: "pd.DatetimeIndex", market: Market) -> str:
    """Return what bars are there instead, if none of them is of its session.

    Args:
        instants: in UTC, of each bar; NaT for an unreadable one.
        market: the market.
    """
    readable = instants.dropna()
    if readable.empty:
        return "has no bar with a readable time"
    days = readable.tz_convert(find_calendar(market.calendar).timezone).date
    first, last = min(days), max(days)
    return f"has the bars of {first}" if first == last else f"has bars of {first} to {last}, none of its own day"


class _PackedRecords:
    """The vendor's records as JSON, some in a piece, which is decoded when one of them is read."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._packs = [
            orjson.dumps(records[first : first + _RECORDS_PER_PACK])
            for first in range(0, len(records), _RECORDS_PER_PACK)
        ]

    def __getitem__(self, row: int) -> Record:
        pack, place = divmod(row, _RECORDS_PER_PACK)
        record: Record = _unpack(self._packs[pack])[place]
        return record


@lru_cache(maxsize=1)  # rejected rows are read in their order
def _unpack(pack: bytes) -> Any:
    return orjson.loads(pack)
