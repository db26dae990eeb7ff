"""How many requests the planner needs for symbols x sessions, beside asking symbol by symbol and day by day.

python -m benchmarks.requests_needed
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from benchmarks.report import Finding, at_most, command
from benchmarks.stage import stocks
from market_pipeline.core.sessions import sessions_between
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.request_planning import plan_requests

SESSIONS = sessions_between("XNYS", date(2004, 1, 2), date(2023, 12, 29))
Wanted = Mapping[Symbol, Collection[date]]


@dataclass(frozen=True)
class Size:
    """Rectangles of symbols x sessions, and how many ragged cases are compared with the best of all plans."""

    rectangles: Sequence[tuple[int, int]] = ((1, 1_260), (15, 1_260), (500, 5), (500, 1_260), (5_000, 21), (1_500, 252))
    ragged: int = 300


def run(size: Size) -> Finding:
    """Count."""
    rows = []
    over: list[float] = []
    for symbols, sessions in size.rectangles:
        wanted = dict.fromkeys(stocks(symbols), SESSIONS[-sessions:])
        ours = len(plan_requests(wanted).requests)
        over.append(ours - min(symbols, sessions))
        rows.append([f"{symbols:,} x {sessions:,}", f"{ours:,}", f"{symbols:,}", f"{sessions:,}"])
    chance = random.Random(1)
    ragged = [anyhow(chance) for _ in range(size.ragged)]
    ours, best, by_symbol, by_day = (
        sum(map(count, ragged)) for count in (planned, fewest, symbol_by_symbol, day_by_day)
    )
    over += [planned(wanted) - fewest(wanted) for wanted in ragged]
    rows.append([f"{size.ragged} ragged cases together", f"{ours:,}", f"{by_symbol:,}", f"{by_day:,}"])
    return Finding(
        "6. Requests for symbols x sessions",
        "A request brings all sessions of one symbol, or one session of all symbols. In the ragged cases each of up to "
        "six symbols lacks sessions of its own, as after outages; what they take at the least is found by trying all "
        f"combinations of requests: {best:,}.",
        ["symbols x sessions", "the planner", "symbol by symbol", "day by day"],
        rows,
        [at_most("requests over the fewest possible, worst case", [max(over)], 0, "requests")],
    )


def anyhow(chance: random.Random) -> Wanted:
    """Some symbols that want some sessions each."""
    return {symbol: chance.sample(SESSIONS[:7], chance.randint(1, 7)) for symbol in stocks(6)[: chance.randint(1, 6)]}


def planned(wanted: Wanted) -> int:
    """What the project asks."""
    return len(plan_requests(wanted).requests)


def symbol_by_symbol(wanted: Wanted) -> int:
    """A request a symbol."""
    return len(wanted)


def day_by_day(wanted: Wanted) -> int:
    """A request a session that any symbol wants."""
    return len({day for days in wanted.values() for day in days})


def fewest(wanted: Wanted) -> int:
    """The least there can be: for each choice of days that are asked as a whole, the symbols that want others too."""
    days = {day for wants in wanted.values() for day in wants}
    return min(
        len(whole) + sum(not set(wants) <= set(whole) for wants in wanted.values())
        for count in range(len(days) + 1)
        for whole in combinations(days, count)
    )


FULL, TINY = Size(), Size(rectangles=((3, 5),), ragged=5)

if __name__ == "__main__":
    command(run, FULL, TINY)
