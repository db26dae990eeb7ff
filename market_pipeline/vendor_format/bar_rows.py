"""Bars as rows of a response: as columns, as 11,000 dictionaries would take longer, or as their JSON."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from market_pipeline.vendor_format.encoding import UNKNOWN, JsonText, format_numbers, format_plain_numbers

VALUES = ("v", "vw", "o", "c", "h", "l")
"""A row's keys in the vendor's order; `T` comes before them, `t` and `n` after."""

DAY_MILLISECONDS = 86_400_000

NO_VWAP, NO_COUNT = f'"vw":{UNKNOWN},', f',"n":{UNKNOWN}'
"""Left out of a row. No ticker has this text, as its quotation marks are escaped."""

BarColumns = Mapping[str, Any]
"""Columns of bars by the vendor's keys, and `day`, the number of days since 1970. `vw` and `n` are None if unknown."""


class JsonRows(JsonText):
    """Bars as rows of a response."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    def to_list(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries, with the vendor's order of keys."""
        rows: list[dict[str, Any]] = orjson.loads(self.to_json())
        return rows


@dataclass(frozen=True)
class BarRows(JsonRows):
    """Bars as rows: columns by key, `t` in milliseconds; `tickers` are the values of `T`."""

    columns: BarColumns
    tickers: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.columns["t"])

    def to_json(self) -> str:
        """Encode the rows as JSON."""
        v, vw, o, c, h, low = (format_numbers(self.columns[key]) for key in VALUES)
        t, n = self.columns["t"], format_plain_numbers(self.columns["n"])
        rows = zip(v, vw, o, c, h, low, t, n, strict=True)
        texts = [
            f'{{"v":{v},"vw":{vw},"o":{o},"c":{c},"h":{h},"l":{low},"t":{t},"n":{n}}}'
            for v, vw, o, c, h, low, t, n in rows
        ]
        if self.tickers is not None:
            named = zip(self.tickers, texts, strict=True)
            texts = [f'{{"T":{orjson.dumps(ticker).decode()},{text[1:]}' for ticker, text in named]
        return f"[{','.join(texts)}]".replace(NO_VWAP, "").replace(NO_COUNT, "")


@dataclass(frozen=True)
class EncodedRows(JsonRows):
    """Bars as rows that are encoded already: their JSON joined by commas, and their number."""

    text: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __add__(self, later: "EncodedRows") -> "EncodedRows":
        return EncodedRows(",".join(part for part in (self.text, later.text) if part), self.count + later.count)

    def split_last(self) -> tuple["EncodedRows", int]:
        """Return the rows without the last of two or more, and the time `t` of the new last one."""
        rows = EncodedRows(self.text[: self.text.rindex(",{")], self.count - 1)
        [last] = EncodedRows(rows.text[rows.text.rfind("{") :], 1).to_list()
        return rows, last["t"]

    def to_columns(self) -> BarColumns:
        """Return the rows as columns; `t` has to be the begin of a day, in UTC or New York."""
        rows = self.to_list()
        columns = {key: [row.get(key) for row in rows] for key in (*VALUES, "n")}
        return {**columns, "day": [row["t"] // DAY_MILLISECONDS for row in rows]}

    def to_json(self) -> str:
        """Return the rows as JSON."""
        return f"[{self.text}]"
