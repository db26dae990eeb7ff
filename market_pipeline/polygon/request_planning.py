"""Which requests to make: the fewest that bring every bar wanted. Pure functions; nothing is asked here.

One request brings all of one symbol's sessions, another one session of all symbols. Wanted bars are thus the edges
between symbols and sessions, and the requests chosen must touch every edge: a minimum vertex cover of a bipartite
graph, which is as large as its maximum matching (Koenig, 1931).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.rate_limit import WINDOW_SECONDS


@dataclass(frozen=True)
class RangeRequest:
    """All bars of one symbol from `start` to `end`, both included."""

    symbol: Symbol
    start: date
    end: date


@dataclass(frozen=True)
class GroupedRequest:
    """The bars of one session of the calendar's whole market."""

    calendar: str
    session: date


@dataclass(frozen=True)
class Plan:
    """The requests to make. A symbol that has a range request gets all it wants from that."""

    requests: tuple[RangeRequest | GroupedRequest, ...]


def waiting_seconds(requests: int, requests_per_minute: int) -> float:
    """How long the rate limit holds up so many requests, if nothing else is asked and nothing goes wrong.

    The first minute's worth goes out at once; each further one waits for the window to pass.
    """
    return max(requests - 1, 0) // requests_per_minute * WINDOW_SECONDS


def plan_requests(wanted: Mapping[Symbol, Collection[date]]) -> Plan:
    """The fewest requests for the wanted bars; among equals, those with the most range requests, which are smaller.

    Args:
        wanted: the sessions wanted of each symbol; all of one calendar.

    Raises:
        UsageError: the symbols are of several calendars.
    """
    calendars = {symbol.calendar for symbol in wanted}
    if len(calendars) > 1:
        raise UsageError(f"bars of several calendars can't be planned together: {', '.join(sorted(calendars))}")
    distinct = {id(sessions): sessions for sessions in wanted.values()}  # most often all symbols share theirs
    days = sorted({day for sessions in distinct.values() for day in sessions})
    place = {day: 1 << number for number, day in enumerate(days)}
    masks_of = {key: sum(place[day] for day in set(sessions)) for key, sessions in distinct.items()}
    masks = [masks_of[id(sessions)] for sessions in wanted.values()]
    grouped = _days_for_all(masks)
    ranges = [
        RangeRequest(symbol, min(sessions), max(sessions))
        for (symbol, sessions), mask in zip(wanted.items(), masks, strict=True)
        if mask & ~grouped
    ]
    return Plan((*ranges, *(GroupedRequest(calendar, days[day]) for calendar in calendars for day in _bits(grouped))))


def _days_for_all(masks: Sequence[int]) -> int:
    """The days to fetch for all symbols at once, as a set of bits; symbols with other days need their own request.

    By Koenig's theorem these are the days that alternating paths reach from the symbols a maximum matching leaves out.
    A search that finds no partner for its symbol has reached such days, and no later one needs to come by there.

    Args:
        masks: each symbol's wanted days, a bit each.
    """
    matching = _Matching(masks)
    for symbol in range(len(masks)):
        matching.find_partner(symbol)
    return matching.settled


class _Matching:
    """A matching of symbols with days, grown one augmenting path at a time. Sets of days are the bits of an int."""

    def __init__(self, masks: Sequence[int]) -> None:
        self._masks = masks
        self._day_of: dict[int, int] = {}
        self._symbol_of: dict[int, int] = {}
        self._taken = 0
        self.settled = 0

    def find_partner(self, start: int) -> None:
        """Match the symbol, moving others to other days where needed; where impossible, settle the days it reaches."""
        reached = self.settled
        came_from: dict[int, int] = {}
        queue = [start]
        for symbol in queue:
            fresh = self._masks[symbol] & ~reached
            free = fresh & ~self._taken
            if free:
                self._rematch(symbol, next(_bits(free)), came_from)
                return
            reached |= fresh
            for day in _bits(fresh):
                came_from[self._symbol_of[day]] = symbol
                queue.append(self._symbol_of[day])
        self.settled = reached

    def _rematch(self, symbol: int, day: int, came_from: Mapping[int, int]) -> None:
        """Give `symbol` the free `day`, its old day to the symbol it was reached from, and so on to the start."""
        self._taken |= 1 << day
        taker: int | None = symbol
        while taker is not None:
            previous = self._day_of.get(taker)
            self._day_of[taker], self._symbol_of[day] = day, taker
            taker = came_from.get(taker)
            if previous is not None:
                day = previous


def _bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
