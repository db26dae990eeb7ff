"""Layout of a file of bars: which column means what, by its header."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from market_pipeline.core.errors import UsageError
from market_pipeline.core.wording import format_count

VALUES = ("open", "high", "low", "close", "adj_close", "volume", "vwap")
"""Columns that can be compared, under their names here."""

SYNONYMS: Mapping[str, Sequence[str]] = {
    "symbol": ("symbol", "ticker"),
    "date": ("date", "day", "session", "datetime", "timestamp", "time"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "price", "last"),
    "adj_close": ("adj_close", "adjclose", "adjusted_close", "close_adj", "closeadj"),
    "volume": ("volume", "v", "vol"),
    "vwap": ("vwap", "vw"),
}
"""Headers by column, in lower case and with an underscore for a blank, hyphen or dot."""

INDEX = ("", "index", "__index_level_0__")
"""Headers of a data frame's index, which holds the dates if no other column does."""

MOST_LISTED = 8
"""Headers that a message lists."""


class LayoutError(UsageError):
    """A file's headers don't say which column means what."""


@dataclass(frozen=True)
class FileLayout:
    """The columns of a file.

    `columns` has the file's header of each column that is known here. In a wide file, which has a column of closes for
    each symbol, `symbols` has their headers by the number of the column; of a file without symbols, `only_symbol` is
    the one it is of.
    """

    columns: Mapping[str, str]
    symbols: Mapping[int, str] = field(default_factory=dict)
    only_symbol: str | None = None

    @property
    def values(self) -> list[str]:
        """The columns that can be compared."""
        return ["close"] if self.symbols else [name for name in VALUES if name in self.columns]


def find_layout(headers: Sequence[str], only_symbol: str | None) -> FileLayout:
    """Return the layout of a file with these headers.

    A file without a column of symbols or closes has a column of closes for each symbol; there a single letter is a
    ticker, such as C or V.

    Raises:
        LayoutError: a column is missing, or two mean the same.
    """
    known = {header: _find_meaning(header) for header in headers}
    if "date" not in known.values() and (index := [header for header in headers if header.strip() in INDEX]):
        known[index[0]] = "date"
    by_name = [header for header, meaning in known.items() if meaning in VALUES and len(header.strip()) > 1]
    if "symbol" not in known.values() and not by_name and None in known.values():
        known = {header: meaning if meaning == "date" else None for header, meaning in known.items()}
    columns: dict[str, str] = {}
    for header in headers:
        meaning = known[header]
        if meaning in columns:
            raise LayoutError(f"the columns {columns[meaning]!r} and {header!r} both mean {meaning}: leave one out")
        if meaning is not None:
            columns[meaning] = header
    if "date" not in columns:
        raise LayoutError(f"no column of dates among {_list(headers)}: name one date")
    if any(name in columns for name in VALUES):
        if "symbol" not in columns and only_symbol is None:
            raise LayoutError(
                f"no column of symbols among {_list(headers)}: name one symbol, or give the only one by --symbols"
            )
        return FileLayout(columns, only_symbol=None if "symbol" in columns else only_symbol)
    symbols = {at: header for at, header in enumerate(headers) if known[header] is None and header.strip()}
    if "symbol" in columns or not symbols:
        raise LayoutError(f"no column of prices among {_list(headers)}: name one close or adj_close")
    return FileLayout(columns, symbols)


def _find_meaning(header: str) -> str | None:
    plain = header.strip().lower().replace(" ", "_").replace("-", "_").replace(".", "_")
    return next((column for column, synonyms in SYNONYMS.items() if plain in synonyms), None)


def _list(headers: Sequence[str]) -> str:
    shown = ", ".join(map(repr, headers[:MOST_LISTED]))
    more = len(headers) - MOST_LISTED
    return f"{shown} and {format_count(more, 'other')}" if more > 0 else shown
