"""The generated market: all its securities as arrays, who trades on a session, and the bars of any of them.

A bar follows from its security and session alone (`counter_noise`), so a session of all tickers and a ticker's range
are made by the same function and agree. Nothing is kept but the securities: about 20 MB for a market of 11,000.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from market_pipeline.core.sessions import LAST_RECORDED_YEAR, list_sessions
from market_pipeline.sandbox.bar_arrays import PRICES, Bars, Days, Floats, make_zero_bars
from market_pipeline.sandbox.counter_noise import Places, Seeds, draw_bells, draw_uniforms, grow, walk
from market_pipeline.sandbox.issuers import Issue, generate_issues
from market_pipeline.sandbox.listings import FIRST_STOCK_SESSION, Listing, list_named_tickers
from market_pipeline.sandbox.pairs import generate_pair
from market_pipeline.sandbox.random_numbers import make_seed
from market_pipeline.sandbox.splits import SplitEvent

LINES_PER_SLOT = 1.4
"""Tickers that trade on a usual session for each slot."""

PAIRS_PER_TICKER = 0.05
HALF_PAIRS = 10
FIRST_FRACTIONAL = np.datetime64("2026-01-01")
"""The first day with fractional volumes, as at the vendor."""

TRADES, LEVEL, GAP, HIGH, LOW, VWAP, VOLUME = 0, 1, 7, 8, 9, 10, 11
"""Streams of random numbers; the walk takes six, the volume three."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Bounds of a kind of security: lowest start in dollars, spread and usual volume, and the powers of ten above."""

    start: float
    start_range: float
    spread: float
    spread_range: float
    volume: float
    volume_range: float


KINDS = {
    "CS": Kind(2.0, 2.3, 0.007, 0.6, 3e3, 4.0),
    "ADRC": Kind(4.0, 1.6, 0.008, 0.4, 3e3, 3.0),
    "ETF": Kind(15.0, 1.4, 0.003, 0.7, 2e3, 4.0),
    "PFD": Kind(15.0, 0.25, 0.002, 0.3, 5e2, 1.5),
    "WARRANT": Kind(0.1, 1.5, 0.025, 0.3, 1e3, 2.0),
    "UNIT": Kind(9.8, 0.06, 0.001, 0.3, 3e2, 2.0),
    "RIGHT": Kind(0.1, 1.0, 0.02, 0.3, 1e3, 2.0),
    "WHEN ISSUED": Kind(10.0, 1.0, 0.01, 0.3, 1e3, 2.0),
    "CRYPTO": Kind(0.002, 6.0, 0.018, 0.3, 1e3, 4.0),
}


class Population:
    """The generated securities of one calendar.

    `issues` are the securities; the arrays have one row for each of their tickers: `tickers` (str), `issue_of` (place
    in `issues`), `seeds`, `first` and `last` (places in `days`).
    """

    def __init__(self, calendar: str, days: Days, issues: Sequence[Issue]) -> None:
        self.calendar, self.days, self.issues = calendar, days, issues
        rows = [(ticker, place, *period) for place, issue in enumerate(issues) for ticker, *period in issue.periods]
        self.tickers = np.array([row[0] for row in rows], dtype=object)
        self.issue_of, self.first, self.last = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 3).T
        self.seeds: Seeds = self._gather([make_seed(issue.key) for issue in issues], np.uint64)
        self._liquidity: Floats = self._gather([issue.liquidity for issue in issues], np.float64)
        halts = [issue.halt or (-1, -2) for issue in issues]
        self._halt_first, self._halt_last = (self._gather([halt[end] for halt in halts], np.int64) for end in (0, 1))
        splits = [issue.split or (len(days), 1.0, 1.0) for issue in issues]
        self._split_place: Places = self._gather([split[0] for split in splits], np.int64)
        self._split_from, self._split_to = (self._gather([split[end] for split in splits], float) for end in (1, 2))
        self._make_characters()

    def _gather(self, values: Sequence[object], kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the issues' values as an array with a row for each ticker."""
        return np.array(values, dtype=kind)[self.issue_of]

    def _make_characters(self) -> None:
        kinds = [KINDS[issue.kind] for issue in self.issues]
        zero = np.zeros(len(self.tickers), dtype=np.int64)

        def scale(stream: int, base: str, power: str) -> Floats:
            bases, powers = (self._gather([getattr(kind, name) for kind in kinds], float) for name in (base, power))
            exponent = powers * draw_uniforms(self.seeds, stream, zero - 1)
            return bases * grow(exponent * np.log(10.0))

        self._start = scale(LEVEL, "start", "start_range")
        self._spread = scale(GAP, "spread", "spread_range")
        self._volume = scale(VOLUME, "volume", "volume_range")
        self._trade_size = 20.0 + 200.0 * draw_uniforms(self.seeds, VWAP, zero - 1)
        self._scale = np.select([self._start < 0.1, self._start < 2.0], [1e6, 1e4], 1e2)

    @cached_property
    def rows_by_ticker(self) -> Mapping[str, list[int]]:
        """The rows of each ticker, oldest first."""
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row in np.argsort(self.first, kind="stable").tolist():
            rows[self.tickers[row]].append(row)
        return dict(rows)

    @cached_property
    def listings(self) -> Sequence[Listing]:
        """The listing of each row."""
        return [listing for issue in self.issues for listing in self._build_listings(issue)]

    def _build_listings(self, issue: Issue) -> list[Listing]:
        days, end = self.days, len(self.days) - 1
        periods = [
            (ticker, days[first].item(), None if last == end else days[last].item())
            for ticker, first, last in issue.periods
        ]
        whole = Listing(periods[0][0], periods[0][1], periods[-1][2], issue=issue)
        if len(periods) == 1:
            return [whole]
        return [Listing(*period, whole, issue=issue) for period in periods]

    def find_listings(self, ticker: str) -> list[Listing]:
        """Return the listings of a ticker, oldest first."""
        return [self.listings[row] for row in self.rows_by_ticker.get(ticker, ())]

    def find_splits(self, issue: Issue) -> tuple[SplitEvent, ...]:
        """Return the splits of a security: one or none."""
        if issue.split is None:
            return ()
        place, before, after = issue.split
        return (SplitEvent(issue.periods[0][0], self.days[place].item(), before, after),)

    def make_session_bars(self, day: date) -> tuple[Rows, Bars]:
        """Return the rows that trade on a day, and their bars as traded and final."""
        rows, places = self.find_traded_rows(day)
        return rows, self._make_bars(rows, places)

    def find_traded_rows(self, day: date) -> tuple[Rows, Places]:
        """Return the rows that trade on a day, and the day's place for each."""
        place = int(np.searchsorted(self.days, np.datetime64(day)))
        if place == len(self.days) or self.days[place] != np.datetime64(day):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        rows = np.flatnonzero((self.first <= place) & (place <= self.last))
        return self._select_traded(rows, np.full(len(rows), place))

    def make_ticker_bars(self, listing: Listing, first: date, last: date) -> Bars:
        """Return one listing's bars of a range of days, as traded and final."""
        row = next(row for row in self.rows_by_ticker[listing.ticker] if self.listings[row] == listing)
        start, stop = np.searchsorted(self.days, np.array([first, last], dtype="M8[D]") + np.array([0, 1]))
        places = np.arange(max(start, self.first[row]), min(stop, self.last[row] + 1))
        return self._make_bars(*self._select_traded(np.full(len(places), row), places))

    def adjust(self, rows: Rows, bars: Bars, today: date) -> Bars:
        """Adjust bars of one session for the splits that are later and executed by `today`."""
        split_days = np.append(self.days, np.datetime64("NaT"))[self._split_place[rows]]
        touched = (bars["day"] < split_days) & (split_days <= np.datetime64(today))
        factor = (self._split_from[rows] / self._split_to[rows])[touched]
        result = bars.copy()
        for name in (*PRICES, "vw"):
            result[name][touched] = np.round(bars[name][touched] * factor, 4)
        result["v"][touched] = np.round(bars["v"][touched] / factor, 4)
        return result

    def _select_traded(self, rows: Rows, places: Places) -> tuple[Rows, Places]:
        """Return the pairs of row and place that trade. All pairs must be within the listings."""
        halted = (self._halt_first[rows] <= places) & (places <= self._halt_last[rows])
        kept = (draw_uniforms(self.seeds[rows], TRADES, places) < self._liquidity[rows]) & ~halted
        return rows[kept], places[kept]

    def _make_bars(self, rows: Rows, places: Places) -> Bars:
        seeds, spread, scale = self.seeds[rows], self._spread[rows], self._scale[rows]
        shares = np.where(places >= self._split_place[rows], self._split_to[rows] / self._split_from[rows], 1.0)
        start = self._start[rows] / shares
        close, before = (start * grow(spread * walk(seeds, LEVEL, at)) for at in (places, places - 1))
        opening = before * grow(spread * (draw_uniforms(seeds, GAP, places) - 0.5))
        high = np.maximum(opening, close) * (1.0 + spread * draw_uniforms(seeds, HIGH, places))
        low = np.minimum(opening, close) * (1.0 - spread * draw_uniforms(seeds, LOW, places))

        bars = make_zero_bars(len(rows))
        bars["day"] = self.days[places]
        for name, prices in zip(PRICES, (opening, high, low, close), strict=True):
            bars[name] = np.maximum(np.rint(prices * scale), 1.0) / scale
        inside = draw_uniforms(seeds, VWAP, places)
        vwap = bars["l"] + (bars["h"] - bars["l"]) * inside
        bars["vw"] = np.clip(np.rint(vwap * scale * 100.0) / (scale * 100.0), bars["l"], bars["h"])
        volume = self._volume[rows] * grow(0.4 * draw_bells(seeds, VOLUME, places)) * shares
        whole = (bars["day"] < FIRST_FRACTIONAL) & (self.calendar == "XNYS")
        bars["v"] = np.where(whole, np.maximum(np.rint(volume), 1.0), np.rint(volume * 1e6) / 1e6)
        bars["n"] = np.maximum(1, volume / self._trade_size[rows])
        return bars


@lru_cache(maxsize=4)
def build_population(calendar: str, tickers: int, seed: int) -> Population:
    """Return the generated market of a calendar, of which about `tickers` trade on a usual session (of crypto, 5 %)."""
    first = FIRST_STOCK_SESSION if calendar == "XNYS" else date(2013, 11, 1)
    days = np.array(list_sessions(calendar, first, date(LAST_RECORDED_YEAR, 12, 31)), dtype="M8[D]")
    if calendar == "XNYS":
        taken = frozenset(ticker.partition(".")[0] for ticker in list_named_tickers())
        slots = round(tickers / LINES_PER_SLOT)
        issues = [issue for slot in range(slots) for issue in generate_issues(seed, slot, len(days), taken)]
    else:
        pairs = round(tickers * PAIRS_PER_TICKER) + HALF_PAIRS if tickers else 0
        issues = [issue for pair in range(pairs) for issue in generate_pair(seed, pair, len(days))]
    return Population(calendar, days, issues)
