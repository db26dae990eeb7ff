"""Parsing of flat files: from a file's compressed content to the bars of a market's session.

Columns are found by name. An unreadable value becomes NaN or NaT, as in `parsing`, so that the rules reject its bar; a
file that is damaged, lacks a column or has another day's bars is an error as a whole.
"""

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.symbols import AssetClass
from market_pipeline.polygon.known_tickers import KnownTickers
from market_pipeline.polygon.market_parsing import describe_days
from market_pipeline.polygon.parsing import Floats, build_session_columns, find_day_bounds
from market_pipeline.polygon.vendor_errors import BadResponseError, CutShortError, quote_text

VALUES = ("open", "high", "low", "close", "volume", "transactions")
"""Value columns of a flat file, by the names that they have in a bar too. There is no vwap."""
COLUMNS = ("ticker", *VALUES, "window_start")
MAX_BYTES = 64 * 1024 * 1024
"""Decompressed. The longest have some 1 MB."""

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31
_BLOCK_BYTES = 4 * 1024 * 1024
_AGAIN = "Try again later, and report it to the vendor if it stays so"
_NO_INSTANT = np.iinfo(np.int64).min
"""In place of a `window_start` that can't be read."""


@dataclass(frozen=True)
class _Table:
    """A file's rows as arrays: `starts` is int64, nanoseconds since 1970."""

    tickers: NDArray[Any]
    starts: NDArray[np.int64]
    values: Mapping[str, Floats]


def parse_flat_file(
    content: bytes,
    market: Market,
    session: date,
    *,
    about: str,
    version: str | None,
    requests: int,
    known_tickers: KnownTickers | None = None,
) -> MarketSession:
    """Parse the flat file of a market's session.

    Args:
        content: the file, compressed by gzip or, if the server has decompressed it, as it is.
        market: the market.
        session: the session in the file's name; a row of another day has no date (NaT).
        about: the file, for messages.
        version: its ETag.
        requests: the number of requests made.
        known_tickers: those of the run's other files.

    Raises:
        CutShortError: the file is incomplete or damaged.
        BadResponseError: a column is missing, it is too large, or all of its bars are another day's.
    """
    text = _decompress(content, about)
    names = _read_header(text, about)
    table = _read_typed(text, known_tickers or KnownTickers()) or _read_leniently(text, names)
    begin, end = find_day_bounds(market.calendar, session)
    first, last = (moment.astype("datetime64[ns]").astype("int64") for moment in (begin, end))
    same_day = (table.starts >= first) & (table.starts < last)
    if not len(same_day):
        raise BadResponseError(f"{about} has no bars. Report it to the vendor")
    if not same_day.any():
        raise BadResponseError(f"{about} {describe_days(_to_instants(table.starts), market)}. Report it to the vendor")
    columns = build_session_columns(session, begin, same_day, {**table.values, "vwap": np.full(len(same_day), np.nan)})
    return MarketSession(
        session=session,
        tickers=_normalize_tickers(table.tickers, market),
        columns=columns,
        payload=_Lines(content, about, names).read_record,
        origin=Origin.FLAT_FILE,
        version=version,
        requests=requests,
        notes=_note_unknown_columns(names, about),
    )


class _Lines:
    """A file's lines, one a row, decompressed when the first of them is read."""

    def __init__(self, content: bytes, about: str, names: Sequence[str]) -> None:
        self._content = content
        self._about = about
        self._names = names

    def read_record(self, row: int) -> Mapping[str, Any]:
        """Return a row's texts by column; surplus ones by their number."""
        cells = _split_line(self._lines[row + 1])
        names = [*self._names, *(f"column {number + 1}" for number in range(len(self._names), len(cells)))]
        return dict(zip(names, cells, strict=False))

    @cached_property
    def _lines(self) -> list[bytes]:
        return _split_lines(_decompress(self._content, self._about))


def _decompress(content: bytes, about: str) -> bytes:
    """Return the file's text: of one gzip stream, or of some in a row."""
    if not content.startswith(_GZIP_MAGIC):
        return content
    parts: list[bytes] = []
    size = 0
    while content.startswith(_GZIP_MAGIC):
        stream = zlib.decompressobj(_GZIP_WINDOW_BITS)
        try:
            parts.append(stream.decompress(content, MAX_BYTES - size + 1))
        except zlib.error:
            raise CutShortError(f"{about} is damaged: it can't be decompressed. {_AGAIN}") from None
        size += len(parts[-1])
        if size > MAX_BYTES:
            raise BadResponseError(f"{about} is larger than {MAX_BYTES // 1024**2} MB and was not read. Report it")
        if not stream.eof:
            raise CutShortError(f"{about} is cut off. {_AGAIN}")
        content = stream.unused_data
    return b"".join(parts)


def _read_header(text: bytes, about: str) -> list[str]:
    """Return the names of the columns."""
    names = _split_line(text.partition(b"\n")[0].removeprefix(b"\xef\xbb\xbf"))
    missing = [name for name in COLUMNS if name not in names]
    if len(missing) == len(COLUMNS):
        raise BadResponseError(f"{about} is not a file of bars: it has no header. Report it")
    if missing:
        raise BadResponseError(f"{about} has no column {', '.join(missing)}. Report it")
    if len(set(names)) < len(names):
        raise BadResponseError(f"{about} has two columns of one name. Report it")
    return names


def _read_typed(text: bytes, known_tickers: KnownTickers) -> _Table | None:
    """Read the columns by their types; return None if a value or a row is not of that form."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    types = {"ticker": pa.string(), "window_start": pa.int64(), **dict.fromkeys(VALUES, pa.float64())}
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            convert_options=arrow_csv.ConvertOptions(column_types=types, include_columns=list(COLUMNS)),
            memory_pool=pa.system_memory_pool(),  # the default one keeps what was freed
        )
    except pa.ArrowInvalid:
        return None
    return _Table(
        known_tickers.read(table["ticker"]),
        table["window_start"].fill_null(_NO_INSTANT).to_numpy(),
        {name: table[name].to_numpy() for name in VALUES},
    )


def _read_leniently(text: bytes, names: Sequence[str]) -> _Table:
    """Read the columns value by value. A row with too few or too many values has a ticker, if any, and no value."""
    rows = [_split_line(line) for line in _split_lines(text)[1:]]
    place = {name: names.index(name) for name in COLUMNS}
    whole = [len(row) == len(names) for row in rows]
    tickers = np.empty(len(rows), dtype=object)
    tickers[:] = [row[place["ticker"]] if len(row) > place["ticker"] else "" for row in rows]
    starts = np.full(len(rows), _NO_INSTANT, dtype=np.int64)
    values = {name: np.full(len(rows), np.nan) for name in VALUES}
    starts[whole] = [_read_instant(row[place["window_start"]]) for row in compress(rows, whole)]
    for name, column in values.items():
        column[whole] = [_read_number(row[place[name]]) for row in compress(rows, whole)]
    return _Table(tickers, starts, values)


def _split_lines(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n") if line.rstrip(b"\r")]


def _split_line(line: bytes) -> list[str]:
    decoded = line.decode("utf-8", errors="replace").rstrip("\r")
    try:
        return next(csv.reader([decoded]), [])
    except csv.Error:
        return [decoded]


def _read_number(text: str) -> float:
    try:
        return float(text.replace("_", "-"))  # Python's own literals may have underscores between digits
    except ValueError:
        return np.nan


def _read_instant(text: str) -> int:
    try:
        instant = int(text.replace("_", "-"))
    except ValueError:
        return int(_NO_INSTANT)
    return instant if abs(instant) <= np.iinfo(np.int64).max else int(_NO_INSTANT)


def _normalize_tickers(tickers: NDArray[Any], market: Market) -> NDArray[Any]:
    """Return the tickers as in other responses: files of crypto may write X:BTC-USD for X:BTCUSD."""
    if market.asset_class is AssetClass.CRYPTO:
        tickers[:] = [ticker.replace("-", "") for ticker in tickers]
    return tickers


def _to_instants(starts: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(starts.astype("datetime64[ns]"), tz="UTC")  # NaT is the same integer in NumPy


def _note_unknown_columns(names: Sequence[str], about: str) -> tuple[str, ...]:
    unknown = [quote_text(name) for name in names if name not in COLUMNS]
    return (f"{about} has columns that are not read: {', '.join(unknown)}",) if unknown else ()
