"""Requests that the planner needs for symbols x sessions, beside one per symbol and one per session.

python -m benchmarks.requests_needed
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from benchmarks.report import Finding, require_at_most, run_command_line
from benchmarks.stage import list_stocks
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.polygon.request_planning import plan_requests

SESSIONS = list_sessions("XNYS", date(2004, 1, 2), date(2023, 12, 29))
Missing = Mapping[Symbol, Collection[date]]


@dataclass(frozen=True)
class Size:
    """Rectangles of symbols x sessions, and the number of ragged cases compared with the best of all plans."""

    rectangles: Sequence[tuple[int, int]] = ((1, 1_260), (15, 1_260), (500, 5), (500, 1_260), (5_000, 21), (1_500, 252))
    ragged: int = 300


def run(size: Size) -> Finding:
    """Count the requests of each case."""
    rows = []
    over: list[float] = []
    for symbols, sessions in size.rectangles:
        missing = dict.fromkeys(list_stocks(symbols), SESSIONS[-sessions:])
        ours = len(plan_requests(missing).requests)
        over.append(ours - min(symbols, sessions))
        rows.append([f"{symbols:,} x {sessions:,}", f"{ours:,}", f"{symbols:,}", f"{sessions:,}"])
    chance = random.Random(1)
    ragged = [draw_ragged(chance) for _ in range(size.ragged)]
    ours, best, by_symbol, by_day = (
        sum(map(count, ragged)) for count in (count_planned, count_fewest, count_by_symbol, count_by_day)
    )
    over += [count_planned(missing) - count_fewest(missing) for missing in ragged]
    rows.append([f"{size.ragged} ragged cases together", f"{ours:,}", f"{by_symbol:,}", f"{by_day:,}"])
    return Finding(
        "6. Requests for symbols x sessions",
        "A request brings all sessions of one symbol, or one session of all symbols. In the ragged cases each of up to "
        "six symbols lacks sessions of its own, as after outages; what they take at the least is found by trying all "
        f"combinations of requests: {best:,}.",
        ["symbols x sessions", "the planner", "symbol by symbol", "day by day"],
        rows,
        [require_at_most("requests over the fewest possible, worst case", [max(over)], 0, "requests")],
    )


def draw_ragged(chance: random.Random) -> Missing:
    """Return some symbols with some missing sessions each."""
    return {
        symbol: chance.sample(SESSIONS[:7], chance.randint(1, 7)) for symbol in list_stocks(6)[: chance.randint(1, 6)]
    }


def count_planned(missing: Missing) -> int:
    """Count the project's requests."""
    return len(plan_requests(missing).requests)


def count_by_symbol(missing: Missing) -> int:
    """Count one request per symbol."""
    return len(missing)


def count_by_day(missing: Missing) -> int:
    """Count one request per session that any symbol misses."""
    return len({day for days in missing.values() for day in days})


def count_fewest(missing: Missing) -> int:
    """Count the fewest possible: for each choice of whole sessions to request, add the symbols that miss others."""
    days = {day for sessions in missing.values() for day in sessions}
    return min(
        len(whole) + sum(not set(sessions) <= set(whole) for sessions in missing.values())
        for count in range(len(days) + 1)
        for whole in combinations(days, count)
    )


FULL, TINY = Size(), Size(rectangles=((3, 5),), ragged=5)

if __name__ == "__main__":
    run_command_line(run, FULL, TINY)
