"""Bars as rows of a response: columns until they are encoded; 11,000 dictionaries would take longer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from market_pipeline.vendor_format.encoding import UNKNOWN, JsonText, number_texts, plain_texts

VALUES = ("v", "vw", "o", "c", "h", "l")
"""A row's keys in the vendor's order; `T` comes before them, `t` and `n` after."""

NO_VWAP, NO_COUNT = f'"vw":{UNKNOWN},', f',"n":{UNKNOWN}'
"""Left out of a row. No ticker has this text, as its quotation marks are escaped."""

BarColumns = Mapping[str, Any]
"""Columns of bars by the vendor's keys, and `day`, the number of days since 1970. `vw` and `n` are None if unknown.

Instead of numbers they may have texts as the vendor writes numbers, in which `null` stands for unknown.
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
        v, vw, o, c, h, low = (_to_texts(self.columns[key], number_texts) for key in VALUES)
        t, n = self.columns["t"], _to_texts(self.columns["n"], plain_texts)
        rows = zip(v, vw, o, c, h, low, t, n, strict=True)
        texts = [
            f'{{"v":{v},"vw":{vw},"o":{o},"c":{c},"h":{h},"l":{low},"t":{t},"n":{n}}}'
            for v, vw, o, c, h, low, t, n in rows
        ]
        if self.tickers is not None:
            named = zip(self.tickers, texts, strict=True)
            texts = [f'{{"T":{orjson.dumps(ticker).decode()},{text[1:]}' for ticker, text in named]
        return f"[{','.join(texts)}]".replace(NO_VWAP, "").replace(NO_COUNT, "")


def _to_texts(column: Sequence[Any], convert: Callable[[Sequence[Any]], list[str]]) -> Sequence[Any]:
    return column if column and isinstance(column[0], str) else convert(column)
