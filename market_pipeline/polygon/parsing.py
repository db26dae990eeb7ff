"""Parsing of bars: from the bodies of the range and grouped endpoints to arrays, whole columns at a time.

Unreadable values become NaN or NaT; the quality rules then reject the bar and keep its payload. Only a response of the
wrong shape is an error.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from market_pipeline.core.bars import Columns, FetchedBars, make_empty_bars, select_rows
from market_pipeline.core.sessions import Calendar, compute_session_start
from market_pipeline.polygon.response_body import Body
from market_pipeline.polygon.vendor_errors import BadResponseError, quote_text

Record = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

_KEYS = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "vwap": "vw", "transactions": "n"}
"""The vendor's name of each value column."""

_DAY = timedelta(days=1)

_LATEST_MS = (2**63 - 1) // 1_000_000
"""The latest instant that pandas has, in 2262; the earliest is as long before 1970."""


def read_bar_records(body: Body, about: str, *, ticker: str | None = None) -> list[Record]:
    """Return the vendor's records in a body of as-traded bars; none if `results` is missing, null or empty.

    Args:
        body: of the range or the grouped endpoint.
        about: the request's subject, for messages.
        ticker: the ticker in a range request's path.

    Raises:
        BadResponseError: the body is another ticker's, is adjusted, or has no list of objects.
    """
    if ticker is not None and body.get("ticker") != ticker:
        raise BadResponseError(
            f"{about}: the response is for {quote_text(repr(body.get('ticker')))}, not {ticker}. Report it"
        )
    if body.get("adjusted") is not False:
        raise BadResponseError(f"{about}: the response has adjusted bars, not as-traded ones. Report it")
    return read_objects(body, about)


def read_objects(body: Body, about: str) -> list[Record]:
    """Return the objects in `results`; none if it is missing or null.

    Raises:
        BadResponseError: `results` is anything else.
    """
    results = body.get("results")
    if results is None:
        return []
    if not isinstance(results, list) or not all(isinstance(record, dict) for record in results):
        raise BadResponseError(f"{about}: the response's `results` is not a list of objects. Report it")
    return results


def parse_range_bars(
    records: Sequence[Record], timezone: ZoneInfo, requests: int, waited_seconds: float = 0.0
) -> FetchedBars:
    """Parse one symbol's bars from the range endpoint, in the vendor's order.

    Args:
        records: the vendor's, of all pages.
        timezone: the calendar's; a bar's `t` is midnight there.
        requests: the number of requests made.
        waited_seconds: the time that they waited for the rate limit.
    """
    if not records:
        return FetchedBars(make_empty_bars(), [], requests, waited_seconds=waited_seconds)
    time = read_times(records)
    columns = {"date": _find_local_days(time, timezone), "time": time, **_read_values(records)}
    return FetchedBars(columns, records, requests, waited_seconds=waited_seconds)


class GroupedBars(Mapping[str, FetchedBars]):
    """One session's bars of the whole market, by vendor ticker.

    A ticker that the vendor lists twice has two rows. A row whose `t` is missing or of another day has no date (NaT).
    A ticker's `FetchedBars.requests` and `waited_seconds` are 0: those of this object count for all tickers.
    """

    def __init__(
        self,
        records: Sequence[Record],
        calendar: Calendar,
        session: date,
        requests: int,
        waited_seconds: float = 0.0,
    ) -> None:
        self.requests = requests
        self.waited_seconds = waited_seconds
        self._records = [record for record in records if isinstance(record.get("T"), str)]
        self._rows: dict[str, list[int]] = {}
        for row, record in enumerate(self._records):
            self._rows.setdefault(record["T"], []).append(row)
        self._columns = parse_grouped_columns(self._records, calendar.name, session)

    def __getitem__(self, ticker: str) -> FetchedBars:
        rows = self._rows[ticker]
        return FetchedBars(select_rows(self._columns, rows), [self._records[row] for row in rows], requests=0)

    def select(self, tickers: Iterable[str]) -> tuple[Columns, list[Record]]:
        """Return the rows of these tickers and their records, in the order of `tickers`."""
        rows = [row for ticker in tickers for row in self._rows.get(ticker, ())]
        return select_rows(self._columns, rows), [self._records[row] for row in rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def parse_grouped_columns(records: Sequence[Record], calendar_name: str, session: date) -> Columns:
    """Return the bars of a grouped response. Its `t` is the end of the day, so `time` comes from the calendar."""
    begin, end = find_day_bounds(calendar_name, session)
    milliseconds = _read_numbers(records, "t")
    first, last = (moment.astype("datetime64[ms]").astype("int64") for moment in (begin, end))
    same_day = (milliseconds >= first) & (milliseconds < last)
    return build_session_columns(session, begin, same_day, _read_values(records))


def find_day_bounds(calendar_name: str, session: date) -> tuple[np.datetime64, np.datetime64]:
    """Return the instants, in UTC and in microseconds, at which a session's day begins and ends."""
    begin, end = (compute_session_start(calendar_name, day).replace(tzinfo=None) for day in (session, session + _DAY))
    return np.datetime64(begin, "us"), np.datetime64(end, "us")


def build_session_columns(
    session: date, begin: np.datetime64, same_day: Marks, values: Mapping[str, Floats]
) -> Columns:
    """Return one session's bars as arrays of BAR_COLUMNS. A row of another day has neither date nor time (NaT)."""
    return {
        "date": np.where(same_day, np.datetime64(session, "D"), np.datetime64("NaT", "D")),
        "time": np.where(same_day, begin, np.datetime64("NaT", "us")),
        **values,
    }


def _read_values(records: Sequence[Record]) -> dict[str, Floats]:
    return {column: _read_numbers(records, key) for column, key in _KEYS.items()}


def read_times(records: Sequence[Record]) -> npt.NDArray[np.datetime64]:
    """Convert each record's `t`, milliseconds since 1970, to an instant in UTC; NaT if it is missing or unreadable."""
    milliseconds = _read_numbers(records, "t")
    readable = np.abs(milliseconds) <= _LATEST_MS
    instants = np.where(readable, milliseconds, 0).astype("int64").astype("datetime64[ms]").astype("datetime64[us]")
    instants[~readable] = np.datetime64("NaT")
    return instants


def _find_local_days(instants: npt.NDArray[np.datetime64], timezone: ZoneInfo) -> npt.NDArray[np.datetime64]:
    """Return the days of instants in UTC, in a time zone that is UTC or west of it.

    pandas would do it too, but its import takes 0.4 s.
    """
    days = instants.astype("datetime64[D]")
    years = days.astype("datetime64[Y]")
    starts = instants.copy()
    for year in np.unique(years[~np.isnat(years)]):
        rows = years == year
        starts[rows] = _compute_day_starts(timezone, year.item().year)[(days[rows] - year).astype(int)]
    return days - (instants < starts)


@lru_cache(maxsize=128)  # the same for all symbols
def _compute_day_starts(timezone: ZoneInfo, year: int) -> npt.NDArray[np.datetime64]:
    """Return the instants in UTC at which the days of a year begin in a time zone."""
    first = date(year, 1, 1)
    days = (first + timedelta(number) for number in range((date(year + 1, 1, 1) - first).days))
    starts = [datetime.combine(day, time_of_day.min, timezone).astimezone(UTC).replace(tzinfo=None) for day in days]
    return np.array(starts, dtype="datetime64[us]")


def _read_numbers(records: Sequence[Record], key: str) -> Floats:
    """Return a field as a column of numbers; NaN for anything else, booleans and text included."""
    try:
        values = list(map(itemgetter(key), records))
    except KeyError:
        values = [record.get(key) for record in records]
    if not set(map(type, values)) <= {int, float}:
        values = [value if type(value) in (int, float) else np.nan for value in values]
    try:
        return np.fromiter(values, "float64", len(values))
    except OverflowError:  # an integer of over 308 digits
        return np.array([_to_float(value) for value in values], dtype="float64")


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")
