"""Planning of a market's sessions: which to request by grouped requests, which to read from flat files.

Pure functions without HTTP. A grouped request counts in the rate limit, has vwap, and is there on every plan; a flat
file counts in no limit and is read in a fifth of the time, but needs keys and is published later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from market_pipeline.core.markets import Origin

MOST_GROUPED = 25
"""Sessions of about a month: so many are requested, if the rate limit allows it, though their files could be read."""


@dataclass(frozen=True)
class PlannedSession:
    """A session and the vendor's interface that brings it."""

    session: date
    origin: Origin


def count_free_requests(requests_per_minute: int) -> int:
    """Return how many grouped requests are made though flat files could be read: none of them waits."""
    return min(requests_per_minute, MOST_GROUPED)


def needs_files(sessions: Sequence[date], free_requests: int, from_files: Collection[date] = ()) -> bool:
    """Return True if a list of the published files could change the plan."""
    return len(sessions) > free_requests or bool(set(from_files) & set(sessions))


def plan_market(
    sessions: Sequence[date],
    published: Collection[date],
    free_requests: int,
    from_files: Collection[date] = (),
) -> list[PlannedSession]:
    """Plan each session: a flat file where there is one, but for the newest within the free requests.

    Sessions without a file take of the free requests first; those beyond wait for the rate limit.

    Args:
        sessions: the sessions, oldest first.
        published: sessions that have a flat file; empty without keys.
        free_requests: grouped requests that don't wait.
        from_files: sessions that are read from their file if there is one, such as those whose file was replaced.
    """
    without_file = {day for day in sessions if day not in published}
    free = max(free_requests - len(without_file), 0)
    spared = [day for day in sessions if day in published and day not in from_files]
    grouped = without_file | set(spared[len(spared) - min(free, len(spared)) :])
    return [PlannedSession(day, Origin.GROUPED if day in grouped else Origin.FLAT_FILE) for day in sessions]
