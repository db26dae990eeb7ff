"""Rows of a response about a whole session: arrays until they are encoded; 11,000 dictionaries would take longer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from market_pipeline.sandbox.bar_arrays import PRICES, Floats, Row, SessionBars, to_rows
from market_pipeline.sandbox.encoding import MILLION, JsonText, go_number

SMALLEST = 1e-4
"""Below it the vendor's format has an exponent."""


@dataclass(frozen=True)
class SessionRows(JsonText):
    """Bars of one session as rows of a response, all with the same `t` (milliseconds)."""

    session: SessionBars
    time: int

    def __len__(self) -> int:
        return len(self.session.tickers)

    def to_list(self) -> list[Row]:
        """Return the rows as dictionaries, with the vendor's order of keys."""
        tickers, bars = self.session.tickers, self.session.bars
        return [
            {"T": ticker, **row} for ticker, row in zip(tickers, to_rows(bars, [self.time] * len(bars)), strict=True)
        ]

    def to_json(self) -> str:
        """Encode the rows as JSON, as `encoding.to_json` encodes the dictionaries."""
        return "[" + ",".join(self._texts()) + "]"

    def _texts(self) -> Iterator[str]:
        tickers, bars = self.session.tickers, self.session.bars
        texts = {name: number_texts(bars[name]) for name in ("v", "vw", *PRICES)}
        counts = bars["n"].tolist()
        columns = (texts[name] for name in ("v", "vw", "o", "c", "h", "l"))
        for ticker, v, vw, o, c, h, low, n in zip(tickers, *columns, counts, strict=True):
            vwap = f'"vw":{vw},' if vw != "null" else ""
            trades = f',"n":{n}' if n else ""
            yield f'{{"T":"{ticker}","v":{v},{vwap}"o":{o},"c":{c},"h":{h},"l":{low},"t":{self.time}{trades}}}'


def number_texts(values: Floats, *, exponents: bool = True) -> Sequence[str]:
    """Return numbers as the vendor writes them; NaN is `null`.

    Args:
        values: positive numbers or NaN.
        exponents: write a million and more with an exponent, as in JSON; the flat files have none.
    """
    if not len(values):
        return []
    array = np.ascontiguousarray(values, dtype=np.float64)
    text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    texts = text[1:-1].replace(".0,", ",").removesuffix(".0").split(",")
    special = (array < SMALLEST) | ((array >= MILLION) if exponents else False)
    for place in np.flatnonzero(special).tolist():
        number = float(array[place])
        texts[place] = go_number(number) if exponents else f"{number:.12f}".rstrip("0").rstrip(".")
    return texts
