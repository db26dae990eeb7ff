"""Empty sessions: those for which the vendor has confirmed that there is no bar.

A failed request, a rejected bar, and a session that the plan doesn't give say nothing about a bar. The view
`session_states` combines what is known of a session over all runs.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from market_pipeline.warehouse.load_history import LoadRequest

LATE_BARS = timedelta(days=7)
"""Days in which a session's bar may still come, as nights fetch five sessions again."""


def find_empty_sessions(
    load_request: LoadRequest, held: Sequence[date], rejected: Sequence[date | None]
) -> dict[date, str]:
    """Return the sessions that the vendor answered for without a bar, each with the reason, oldest first.

    Args:
        load_request: with the dates that the vendor answered for.
        held: the sessions of the symbol's stored bars, oldest first: requested ones, and some before and after.
        rejected: the sessions of the rejected bars, None where unreadable.
    """
    doubtful = {*held, *_list_claimed(load_request.sessions, rejected)}
    settled = load_request.started_at.date() - LATE_BARS
    newest = held[-1] if held else date.min
    return {
        session: _describe_reason(session, load_request.listed_on, held)
        for session in load_request.answered_sessions
        if session not in doubtful and (session < newest or session < settled)
    }


def find_ended_sessions(load_request: LoadRequest) -> dict[date, str]:
    """Return the sessions after the symbol's last day on the market, each with the reason, oldest first."""
    reason = f"after its last day on the market, {load_request.delisted_on}"
    return dict.fromkeys(load_request.sessions[len(load_request.due) :], reason)


def _list_claimed(sessions: Sequence[date], rejected: Sequence[date | None]) -> Iterator[date]:
    """Yield the sessions that rejected bars may be of: all if unreadable, else the session or its neighbours."""
    for day in rejected:
        if day is None:
            yield from sessions
        elif sessions[0] <= day <= sessions[-1]:
            after = bisect_left(sessions, day)
            yield from sessions[after : after + 1] if sessions[after] == day else sessions[after - 1 : after + 1]


def _describe_reason(session: date, listed_on: date | None, held: Sequence[date]) -> str:
    if listed_on is not None and session < listed_on:
        return f"before it was listed, on {listed_on}"
    if held and session < held[0]:
        return f"before its first bar, of {held[0]}"
    return "the vendor has no bar of it"
