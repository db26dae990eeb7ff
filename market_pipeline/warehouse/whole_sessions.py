"""Suspicious sessions of a market: responses that can't be a whole session, of which nothing is stored.

A session far smaller than its neighbours, or than what is stored of it, was published early or cut off; one whose bars
were mostly rejected is another day's.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median

from sqlalchemy import Connection

from market_pipeline.core.market_bars import CheckedSession
from market_pipeline.core.markets import Market
from market_pipeline.warehouse.statements import read_statement

NEIGHBOURS = 5
"""Loaded sessions before, and after, that a session's number of tickers is compared with."""

SMALLEST_SHARE = 0.8
"""Share of its neighbours' median that a session has to have. An early close has as many tickers as any session."""

MOST_WITHDRAWN, MOST_WITHDRAWN_SHARE = 10, 0.02
"""Tickers, or their share, that a session fetched again may lack: a vendor withdraws bars one by one."""

_REACH = timedelta(days=60)


def find_suspicious_sessions(
    connection: Connection, market: Market, sessions: Sequence[CheckedSession], *, fewest: int, accept_small: bool
) -> Mapping[date, str]:
    """Return those of some sessions that can't be whole, each with the reason and the next step.

    Args:
        connection: with the number of tickers of the sessions loaded before.
        market: the sessions' market.
        sessions: checked, oldest first.
        fewest: number of tickers below which none can be whole.
        accept_small: accept any number of tickers but none, and not mostly rejected bars.
    """
    days = [each.fetched.session for each in sessions]
    parameters = {"market": market.name, "first": days[0] - _REACH, "last": days[-1] + _REACH}
    loaded = {row.date: row.tickers for row in connection.execute(read_statement("session_tickers"), parameters)}
    offered = {each.fetched.session: len(each.tickers) for each in sessions}
    found = {}
    for each in sessions:
        day = each.fetched.session
        kept = "what is stored stays" if loaded.get(day) else "nothing of it is stored"
        command = f"market-pipeline market backfill {market.option} --start {day} --end {day}"
        reason = _describe_rejected(each, kept, command)
        if reason is None and not offered[day]:
            reason = f"it has no ticker at all; {kept}. `{command}` fetches it again"
        if reason is None and not accept_small:
            reason = _describe_small(day, {**loaded, **offered}, fewest) or _describe_lacking(
                offered[day], loaded.get(day, 0)
            )
            if reason is not None:
                reason = f"{reason}; {_describe_next_step(command, loaded.get(day))}"
        if reason is not None:
            found[day] = reason
    return found


def _describe_rejected(session: CheckedSession, kept: str, command: str) -> str | None:
    if len(session.rejected) <= len(session.tickers):
        return None
    (reason, _), *_ = Counter(row.reasons[0] for row in session.rejected).most_common(1)
    (day, count), *_ = Counter(session.fetched.columns["date"].tolist()).most_common(1)
    number, all_bars = len(session.rejected), len(session.rejected) + len(session.tickers)
    if day is not None and day != session.fetched.session and 2 * count > all_bars:
        reason = f"it has the bars of {day}"
    return (
        f"{number:,} of its {all_bars:,} bars can't be true: {reason}; {kept}. Once the vendor has replaced it, "
        f"`{command}` fetches it again"
    )


def _describe_small(day: date, tickers: Mapping[date, int], fewest: int) -> str | None:
    days = sorted(tickers)
    place = bisect_left(days, day)
    neighbours = [
        tickers[each] for each in (*days[max(place - NEIGHBOURS, 0) : place], *days[place + 1 :][:NEIGHBOURS])
    ]
    usual = median(neighbours) if neighbours else 0
    if tickers[day] >= max(fewest, SMALLEST_SHARE * usual):
        return None
    few = f"the sessions beside it have {usual:,.0f}" if tickers[day] >= fewest else f"no session has under {fewest:,}"
    return f"it has only {tickers[day]:,} tickers, and {few}"


def _describe_lacking(offered: int, stored: int) -> str | None:
    if stored - offered <= max(MOST_WITHDRAWN, MOST_WITHDRAWN_SHARE * stored):
        return None
    return f"it has only {offered:,} tickers, and {stored:,} are stored"


def _describe_next_step(command: str, stored: int | None) -> str:
    if stored:
        purpose = "what is stored stays. To replace it anyway, and withdraw the bars that are lacking"
    else:
        purpose = "nothing of it is stored. To store it anyway"
    return f"{purpose}: `{command} --accept-small`"
