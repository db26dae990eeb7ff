"""Bars as rows of a response: columns until they are encoded; 11,000 dictionaries would take longer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from market_pipeline.vendor_format.encoding import JsonText, number_texts

VALUES = ("v", "vw", "o", "c", "h", "l")
"""A row's keys in the vendor's order; `T` comes before them, `t` and `n` after."""

BarColumns = Mapping[str, Sequence[Any]]
"""Columns of bars by the vendor's keys, and `day`, the number of days since 1970. `vw` and `n` are None if unknown.

Columns of numbers may be arrays, in which NaN stands for unknown.
"""


@dataclass(frozen=True)
class BarRows(JsonText):
    """Bars as rows: columns by key, `t` in milliseconds; `tickers` are the values of `T`."""

    columns: BarColumns
    tickers: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.columns["t"])

    def to_list(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries, with the vendor's order of keys."""
        rows: list[dict[str, Any]] = orjson.loads(self.to_json())
        return rows

    def to_json(self) -> str:
        """Encode the rows as JSON."""
        if self.tickers is None:
            return "[" + ",".join(self._texts()) + "]"
        named = zip(self.tickers, self._texts(), strict=True)
        return "[" + ",".join([f'{{"T":{orjson.dumps(ticker).decode()},{text[1:]}' for ticker, text in named]) + "]"

    def _texts(self) -> Iterator[str]:
        columns = (number_texts(self.columns[name]) for name in VALUES)
        for v, vw, o, c, h, low, t, n in zip(*columns, self.columns["t"], self.columns["n"], strict=True):
            vwap = f'"vw":{vw},' if vw != "null" else ""
            trades = f',"n":{n}' if n is not None else ""
            yield f'{{"v":{v},{vwap}"o":{o},"c":{c},"h":{h},"l":{low},"t":{t}{trades}}}'
