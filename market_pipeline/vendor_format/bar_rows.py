"""Bars as rows of a response: columns until they are encoded; 11,000 dictionaries would take longer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from market_pipeline.vendor_format.encoding import UNKNOWN, JsonText, NumberText

VALUES = ("v", "vw", "o", "c", "h", "l")
"""A row's keys in the vendor's order; `T` comes before them, `t` and `n` after."""

BarColumns = Mapping[str, Any]
"""Columns of bars by the vendor's keys, and `day`, the number of days since 1970. `vw` and `n` are None if unknown.

Columns of numbers may be texts, in which `null` stands for unknown.
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
        texts = self._texts()
        if self.tickers is not None:
            named = zip(self.tickers, texts, strict=True)
            texts = [f'{{"T":{orjson.dumps(ticker).decode()},{text[1:]}' for ticker, text in named]
        return f"[{','.join(texts)}]"

    def _texts(self) -> list[str]:
        texts = {name: _to_text(self.columns[name]) for name in (*VALUES, "n")}
        v, vw, o, c, h, low = (texts[name].rewritten() for name in VALUES)
        t, n = self.columns["t"], texts["n"].text.split(",")
        if texts["vw"].has_unknown or texts["n"].has_unknown:
            vwaps = ["" if each == UNKNOWN else f'"vw":{each},' for each in vw]
            counts = ["" if each == UNKNOWN else f',"n":{each}' for each in n]
            rows = zip(v, vwaps, o, c, h, low, t, counts, strict=True)
            return [
                f'{{"v":{v},{vw}"o":{o},"c":{c},"h":{h},"l":{low},"t":{t}{n}}}' for v, vw, o, c, h, low, t, n in rows
            ]
        rows = zip(v, vw, o, c, h, low, t, n, strict=True)
        return [
            f'{{"v":{v},"vw":{vw},"o":{o},"c":{c},"h":{h},"l":{low},"t":{t},"n":{n}}}'
            for v, vw, o, c, h, low, t, n in rows
        ]


def _to_text(column: Sequence[Any]) -> NumberText:
    return column if isinstance(column, NumberText) else NumberText.of(column)
