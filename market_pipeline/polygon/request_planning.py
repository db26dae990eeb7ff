"""Request planning: the fewest requests that fetch all bars of a run. Pure functions without HTTP.

A range request fetches all sessions of one symbol, a grouped request one session of all symbols. The bars are the edges
of a bipartite graph of symbols and sessions, and the requests must cover every edge: a minimum vertex cover, which is
as large as a maximum matching (Koenig, 1931).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, Protocol, TypeVar

from market_pipeline.core.errors import UsageError
from market_pipeline.polygon.limiter import WINDOW_SECONDS

TICKERS_PER_REQUEST = 250
"""Tickers of one `ticker.any_of`: the vendor's own limit where it documents one (snapshots); some 2 kB of URL."""


class Planned(Protocol):
    """A symbol, or one of its tickers: its bars are requested together."""

    @property
    def calendar(self) -> str:
        """The trading calendar."""
        ...

    def __hash__(self) -> int: ...


P = TypeVar("P", bound=Planned)


@dataclass(frozen=True)
class RangeRequest(Generic[P]):
    """All bars of one symbol, or of one of its tickers, from `start` to `end`, both included."""

    symbol: P
    start: date
    end: date


@dataclass(frozen=True)
class GroupedRequest:
    """The bars of one session of the calendar's whole market."""

    calendar: str
    session: date


@dataclass(frozen=True)
class RequestPlan(Generic[P]):
    """The requests to make. A symbol with a range request gets all its bars from that one."""

    requests: tuple[RangeRequest[P] | GroupedRequest, ...]


def estimate_wait(requests: int, requests_per_minute: int) -> float:
    """Return how many seconds the rate limit delays so many requests, without other requests or retries.

    The first window's requests are sent at once; each further window's wait for the one before.
    """
    return max(requests - 1, 0) // requests_per_minute * WINDOW_SECONDS


def split_into_batches(names: Sequence[str]) -> list[Sequence[str]]:
    """Return the names in batches, one per request."""
    starts = range(0, len(names), TICKERS_PER_REQUEST)
    return [names[first : first + TICKERS_PER_REQUEST] for first in starts]


def plan_requests(sessions_by_symbol: Mapping[P, Collection[date]]) -> RequestPlan[P]:
    """Plan the fewest requests; among equal plans, the one with the most range requests, which are smaller.

    Args:
        sessions_by_symbol: the sessions to fetch of each symbol; all of one calendar.

    Raises:
        UsageError: the symbols are of several calendars.
    """
    calendars = {symbol.calendar for symbol in sessions_by_symbol}
    if len(calendars) > 1:
        several = ", ".join(sorted(calendars))
        raise UsageError(f"bars of several calendars can't be planned together: load those of {several} one by one")
    distinct = {id(sessions): sessions for sessions in sessions_by_symbol.values()}  # most often only one
    days = sorted({day for sessions in distinct.values() for day in sessions})
    place = {day: 1 << number for number, day in enumerate(days)}
    masks_of = {key: sum(place[day] for day in set(sessions)) for key, sessions in distinct.items()}
    masks = [masks_of[id(sessions)] for sessions in sessions_by_symbol.values()]
    grouped = _find_grouped_days(masks)
    ranges = [
        RangeRequest(symbol, min(sessions), max(sessions))
        for (symbol, sessions), mask in zip(sessions_by_symbol.items(), masks, strict=True)
        if mask & ~grouped
    ]
    grouped_requests = (GroupedRequest(calendar, days[day]) for calendar in calendars for day in _list_bits(grouped))
    return RequestPlan((*ranges, *grouped_requests))


def _find_grouped_days(masks: Sequence[int]) -> int:
    """Return the days for grouped requests, as a set of bits; symbols with other days need a range request.

    By Koenig's theorem these are the days that alternating paths reach from the symbols without a partner in a maximum
    matching. A search that finds no partner for its symbol reaches such days, and no later search needs to visit them.

    Args:
        masks: each symbol's days, a bit each.
    """
    matching = _Matching(masks)
    for symbol in range(len(masks)):
        matching.find_partner(symbol)
    return matching.settled


class _Matching:
    """A matching of symbols with days, extended by augmenting paths. Sets of days are the bits of an int."""

    def __init__(self, masks: Sequence[int]) -> None:
        self._masks = masks
        self._day_of: dict[int, int] = {}
        self._symbol_of: dict[int, int] = {}
        self._taken = 0
        self.settled = 0

    def find_partner(self, start: int) -> None:
        """Match the symbol, moving others to other days if needed; if impossible, settle the days it reaches."""
        reached = self.settled
        came_from: dict[int, int] = {}
        queue = [start]
        for symbol in queue:
            fresh = self._masks[symbol] & ~reached
            free = fresh & ~self._taken
            if free:
                self._rematch(symbol, next(_list_bits(free)), came_from)
                return
            reached |= fresh
            for day in _list_bits(fresh):
                came_from[self._symbol_of[day]] = symbol
                queue.append(self._symbol_of[day])
        self.settled = reached

    def _rematch(self, symbol: int, day: int, came_from: Mapping[int, int]) -> None:
        """Assign the free `day` to `symbol`, its former day to its predecessor, and so on up to the start."""
        self._taken |= 1 << day
        taker: int | None = symbol
        while taker is not None:
            previous = self._day_of.get(taker)
            self._day_of[taker], self._symbol_of[day] = day, taker
            taker = came_from.get(taker)
            if previous is not None:
                day = previous


def _list_bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
