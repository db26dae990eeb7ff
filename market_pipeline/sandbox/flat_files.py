"""The vendor's flat files: one compressed CSV of a session's bars for each market. Serving them is `object_storage`'s.

Source: the vendor's documentation and files: columns and their order, nanoseconds, bars as traded, no vwap, published
about 11:00 in New York on the next day. A file's size follows from its number of rows alone, so that a month is listed
without making its files: a name in the gzip header fills the rest, which DuckDB skips too (a comment it rejects).
"""

import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pandas as pd

from market_pipeline.core.markets import MARKETS, Market
from market_pipeline.core.sessions import Calendar, compute_session_starts, find_calendar, list_sessions
from market_pipeline.sandbox.bar_arrays import SessionBars
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.sandbox.random_numbers import make_identifier
from market_pipeline.vendor_format.encoding import format_plain_numbers

COLUMNS = ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions")
KEY = re.compile(
    r"(?P<folder>[a-z_]+/day_aggs_v1)/(?P<year>\d{4})/(?P<month>\d{2})/(?P<day>\d{4}-\d{2}-\d{2})\.csv\.gz"
)
FOLDERS = {market.files: market for market in MARKETS.values()}
FIRST = {"XNYS": date(2003, 9, 10), "24/7": date(2013, 11, 1)}

ROW_BYTES, HEADER_BYTES = 42, 1_024
"""Bytes of a file for each row and besides: more than any compressed row takes."""

AFTER_CORRECTION = timedelta(hours=30)
"""Time between the publications of a file and of its corrected version."""

GZIP_HEADER = b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x04\xff"  # deflate, with a name, no time, fastest, unknown system
FASTEST = 1
PADDING = b"."

KEPT = 4
"""Files that are kept, for clients that read one by parts."""

FileChange = Callable[[list[str], "FlatFile", str], list[str]]
"""A change of a file's lines, the header first, by the file and the argument of a fault."""


@dataclass(frozen=True)
class FlatFile:
    """One file: its key in the bucket, its market and session, and the instant of its publication."""

    key: str
    market: Market
    session: date
    published: datetime

    @property
    def calendar(self) -> Calendar:
        """Its market's calendar."""
        return find_calendar(self.market.calendar)


@dataclass(frozen=True)
class FileVersion:
    """The state of a file: size in bytes, ETag (without quotes) and the instant of its last change."""

    size: int
    etag: str
    modified: datetime


class FlatFiles:
    """The flat files of one sandbox."""

    def __init__(self, market: SandboxMarket) -> None:
        self._market = market
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def find(self, key: str) -> FlatFile | None:
        """Return the file of a key, if it is published."""
        found = KEY.fullmatch(key)
        market = FOLDERS.get(found["folder"]) if found else None
        if found is None or market is None:
            return None
        try:
            session = date.fromisoformat(found["day"])
        except ValueError:
            return None
        file = self._build_file(market, session)
        return file if file.key == key and self._is_published(file) else None

    def list_keys(self, prefix: str) -> list[str]:
        """Return the keys of all published files that begin with `prefix`, in order."""
        today = self._market.find_today(find_calendar("24/7"))
        return [
            key
            for folder, market in sorted(FOLDERS.items())
            if folder.startswith(prefix) or prefix.startswith(folder)
            for key, session in _list_keys(market.name, today)
            if key.startswith(prefix) and self._is_published(self._build_file(market, session))
        ]

    def find_version(self, file: FlatFile, variant: str = "") -> FileVersion:
        """Return a file's size, ETag and time; `variant` names a fault of its content."""
        rows = self._market.count_session_bars(file.calendar, file.session)
        config, is_corrected = self._market.config, self._is_corrected(file)
        words = (config.seed, config.market_tickers, file.key, rows, self._is_final(file), is_corrected, variant)
        modified = file.published + (AFTER_CORRECTION if is_corrected else timedelta(0))
        return FileVersion(rows * ROW_BYTES + HEADER_BYTES, make_identifier("etag", *words)[:32], modified)

    def build_content(
        self, file: FlatFile, change: FileChange | None = None, argument: str = "", *, share: float = 1.0
    ) -> bytes:
        """Return a file's bytes.

        Args:
            file: the file.
            change: a change of its lines.
            argument: the change's.
            share: the share of the compressed text that is there.
        """
        version = self.find_version(file)
        name = (version.etag, change, argument, share)
        if name not in self._kept:
            bars = self._market.read_session_bars(file.calendar, file.session, adjust=False)
            lines = to_lines(bars, find_start_nanoseconds(file.calendar.name, file.session))
            text = "\n".join(lines if change is None else change(lines, file, argument)) + "\n"
            self._kept[name] = compress(text.encode(), version.size, share)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[name]

    def replace_file(self, file: FlatFile) -> None:
        """Correct some of a session's bars, so that its file is another from now on."""
        self._market.correct_session(file.calendar, file.session)

    def _is_corrected(self, file: FlatFile) -> bool:
        return self._market.is_corrected(file.calendar, file.session)

    def is_in_plan(self, file: FlatFile) -> bool:
        """Return True if the plan has flat files, and its history this one."""
        plan, today = self._market.plan, self._market.find_today(file.calendar)
        return not plan.end_of_day and file.session >= plan.find_oldest(today)

    def _build_file(self, market: Market, session: date) -> FlatFile:
        at = self._market.config.files_published
        zone = find_calendar("XNYS").timezone
        published = datetime.combine(session + timedelta(days=1), at, tzinfo=zone).astimezone(UTC)
        return FlatFile(market.file_of(session), market, session, published)

    def _is_published(self, file: FlatFile) -> bool:
        calendar_name = file.market.calendar
        is_session = bool(list_sessions(calendar_name, file.session, file.session))
        return (
            is_session and file.session >= FIRST[calendar_name] and file.published <= self._market.config.read_clock()
        )

    def _is_final(self, file: FlatFile) -> bool:
        """Return True once the session's bars are final; a file published before is replaced then."""
        return not self._market.view.is_provisional(file.session)


def to_lines(session: SessionBars, start: int) -> list[str]:
    """Return a file's lines: the header, then a line for each bar with the start in nanoseconds."""
    bars = session.bars
    texts = (format_plain_numbers(np.ascontiguousarray(bars[name])) for name in ("v", "o", "c", "h", "l"))
    return [
        ",".join(COLUMNS),
        *(
            f"{ticker},{v},{o},{c},{h},{low},{start},{n}"
            for ticker, v, o, c, h, low, n in zip(session.tickers, *texts, bars["n"].tolist(), strict=True)
        ),
    ]


def find_start_nanoseconds(calendar_name: str, session: date) -> int:
    """Return the start of a session's bars in nanoseconds since the epoch."""
    (start,) = compute_session_starts(calendar_name, pd.DatetimeIndex([session])).as_unit("ns").asi8.tolist()
    return int(start)


def compress(text: bytes, size: int, share: float = 1.0) -> bytes:
    """Compress text to a gzip file of `size` bytes, cut off after `share` of the compressed text."""
    deflater = zlib.compressobj(FASTEST, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflater.compress(text) + deflater.flush() + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)
    data = data[: int(len(data) * share)]
    padding = size - len(GZIP_HEADER) - 1 - len(data)
    return GZIP_HEADER + PADDING * padding + b"\x00" + data


@lru_cache(maxsize=4)
def _list_keys(market: str, today: date) -> list[tuple[str, date]]:
    """Return the keys of a market's files up to a day with their sessions, in order."""
    found = MARKETS[market]
    return [(found.file_of(day), day) for day in list_sessions(found.calendar, FIRST[found.calendar], today)]
