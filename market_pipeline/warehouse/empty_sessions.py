"""Empty sessions: those of which the vendor has answered that there is no bar, told from those whose bar is missing.

A failed request, a rejected bar, and a session that the plan doesn't give say nothing of whether there is one. What is
known of every session over all runs, the view `session_states` says.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from market_pipeline.warehouse.load_history import LoadRequest

LATE_BARS = timedelta(days=7)
"""Days in which a session's bar may still come, as nights fetch five sessions again."""


def empty_sessions(attempt: LoadRequest, held: Sequence[date], rejected: Sequence[date | None]) -> dict[date, str]:
    """The sessions that the vendor answered for with nothing, each with the reason, oldest first.

    Args:
        attempt: what was asked and answered.
        held: the sessions of the symbol's stored bars, oldest first: the attempt's, and some before and after them.
        rejected: the sessions of the rejected bars, None where unreadable.
    """
    doubtful = {*held, *_claimed(attempt.sessions, rejected)}
    settled = attempt.started_at.date() - LATE_BARS
    newest = held[-1] if held else date.min
    return {
        session: _reason(session, attempt.listed_on, held)
        for session in attempt.answered_sessions
        if session not in doubtful and (session < newest or session < settled)
    }


def ended_sessions(attempt: LoadRequest) -> dict[date, str]:
    """The attempt's sessions after the symbol's last day on the market, each with the reason, oldest first."""
    reason = f"after its last day on the market, {attempt.delisted_on}"
    return dict.fromkeys(attempt.sessions[len(attempt.due) :], reason)


def _claimed(sessions: Sequence[date], rejected: Sequence[date | None]) -> Iterator[date]:
    """The sessions that rejected bars may be of: all for an unreadable date, both neighbours for a day without one."""
    for day in rejected:
        if day is None:
            yield from sessions
        elif sessions[0] <= day <= sessions[-1]:
            after = bisect_left(sessions, day)
            yield from sessions[after : after + 1] if sessions[after] == day else sessions[after - 1 : after + 1]


def _reason(session: date, listed_on: date | None, held: Sequence[date]) -> str:
    if listed_on is not None and session < listed_on:
        return f"before it was listed, on {listed_on}"
    if held and session < held[0]:
        return f"before its first bar, of {held[0]}"
    return "the vendor has no bar of it"
