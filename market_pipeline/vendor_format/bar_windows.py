"""Windows of days: bars of several days, weeks, months, quarters or years, made of daily ones.

Source: the vendor's knowledge base. Weeks begin on Sunday; a range's first day is moved back to the beginning of its
unit, and windows of several units are counted from there. The vendor doesn't document the last; it is an assumption.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from market_pipeline.vendor_format.bar_rows import BarColumns

UNITS = ("day", "week", "month", "quarter", "year")
MONTHS = {"month": 1, "quarter": 3, "year": 12}
EPOCH = date(1970, 1, 1)
DECIMALS = 4
"""Of a vwap, as the vendor's."""


@dataclass(frozen=True)
class Windows:
    """Windows of `multiplier` units each, one of which begins with the unit of the day `anchor`."""

    multiplier: int
    unit: str
    anchor: date

    @property
    def is_daily(self) -> bool:
        """True if each window is a day."""
        return self.multiplier == 1 and self.unit == "day"

    def start_of(self, day: date) -> date:
        """Return the first day of the window that a day is in."""
        try:
            return self._first_day(self._number(day))
        except (ValueError, OverflowError):
            return date.min  # the window begins before the first date, as the week of 0001-01-01 does

    def end_of(self, day: date) -> date:
        """Return the last day of the window that a day is in."""
        try:
            return self._first_day(self._number(day) + 1) - timedelta(days=1)
        except (ValueError, OverflowError):
            return date.max

    def _number(self, day: date) -> int:
        return (self._unit_number(day) - self._unit_number(self.anchor)) // self.multiplier

    def _unit_number(self, day: date) -> int:
        if self.unit in MONTHS:
            return (12 * day.year + day.month - 1) // MONTHS[self.unit]
        return day.toordinal() // (7 if self.unit == "week" else 1)  # the ordinals of Sundays are multiples of 7

    def _first_day(self, number: int) -> date:
        unit = self._unit_number(self.anchor) + number * self.multiplier
        if self.unit not in MONTHS:
            return date.fromordinal(unit * (7 if self.unit == "week" else 1))
        year, month = divmod(unit * MONTHS[self.unit], 12)
        return date(year, month + 1, 1)


def merge_bars(windows: Windows, columns: BarColumns) -> BarColumns:
    """Merge daily bars, oldest first, to one bar a window; its `day` is the first one of the window.

    Open is the first bar's, close the last one's; volumes and transactions are added up. vwap is weighted by volume.
    What isn't known of one bar (vwap, transactions) isn't known of the window.
    """
    starts = [windows.start_of(EPOCH + timedelta(days=day)) for day in columns["day"]]
    merged = [
        {"day": (start - EPOCH).days, **_merge({name: columns[name][slice(*span)] for name in columns})}
        for start, span in _list_spans(starts)
    ]
    return {name: [bar[name] for bar in merged] for name in columns}


def _list_spans(starts: Sequence[date]) -> Iterator[tuple[date, tuple[int, int]]]:
    begin = 0
    for start, same in groupby(starts):
        end = begin + len(list(same))
        yield start, (begin, end)
        begin = end


def _merge(bars: BarColumns) -> Mapping[str, Any]:
    volume = math.fsum(bars["v"])
    return {
        "v": volume,
        "vw": _compute_average(bars["vw"], bars["v"], volume),
        "o": bars["o"][0],
        "c": bars["c"][-1],
        "h": max(bars["h"]),
        "l": min(bars["l"]),
        "n": None if None in bars["n"] else sum(bars["n"]),
    }


def _compute_average(prices: Sequence[float | None], volumes: Sequence[float], volume: float) -> float | None:
    """Return the average price weighted by volume; None if one isn't known, or nothing was traded."""
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or not volume:
        return None
    return round(math.fsum(price * part for price, part in zip(known, volumes, strict=True)) / volume, DECIMALS)
