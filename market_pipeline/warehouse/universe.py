"""Universes: the tickers that traded on a session of a market, and the reason where a session has none.

The SQL function `universe` returns the tickers. Only a session that is loaded whole has any.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Engine, text

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.markets import Market
from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.core.wording import choose_verb, quote_command
from market_pipeline.warehouse.loads import describe_point

NEAR = timedelta(days=14)
"""The longest closure of New York's exchange since 1933 had six days: 2001-09-11 to 2001-09-16."""

SESSION_FACTS = text("""
    SELECT
        EXISTS (SELECT FROM markets WHERE market = :market) AS is_known,
        (now() AT TIME ZONE 'UTC')::date AS today,
        session.state, session.reason,
        (
            SELECT min(coalesce(began.point, l.ended_at))
            FROM market_loads AS l LEFT JOIN loads AS began ON began.id = l.load_id
            WHERE l.market = :market AND l.date = :day AND l.success
        ) AS first_loaded_at
    FROM (VALUES (1)) AS one
    LEFT JOIN market_sessions AS session ON session.market = :market AND session.date = :day
""")


TYPES = text("""
    SELECT
        traded.type,
        count(*) AS tickers,
        (SELECT max(fetched_at) FROM reference_tickers WHERE market = :market) AS listed_at
    FROM universe(:day, :market, as_of => :as_of) AS traded
    GROUP BY traded.type
    ORDER BY traded.type
""")


class NoUniverseError(MarketPipelineError):
    """A date has no universe: it is no session, or the session is not stored whole."""


def require_universe(engine: Engine, market: Market, day: date, as_of: datetime | None = None) -> None:
    """Check that a session of a market is stored whole, or was at an instant.

    Raises:
        NoUniverseError: it is not; the message has the reason and the next step.
    """
    with engine.connect() as connection:
        row = connection.execute(SESSION_FACTS, {"market": market.name, "day": day}).one()
    there_is_none = f"there is no universe of {market.option} on {day}"
    backfill = quote_command("market-pipeline", "market", "backfill", market.option)
    if not row.is_known:
        track = quote_command("market-pipeline", "market", "track", market.option)
        raise NoUniverseError(f"{there_is_none}: the market is not tracked; `{track}`, then `{backfill}`")
    if day >= row.today:
        newest = list_sessions(market.calendar, row.today - NEAR, row.today - timedelta(days=1))[-1]
        raise NoUniverseError(f"{there_is_none}: the session is not over; the newest that is over is of {newest}")
    if reason := _find_no_session(market, day):
        raise NoUniverseError(f"{there_is_none}: {reason}")
    if row.first_loaded_at is None:
        raise NoUniverseError(f"{there_is_none}: {_describe_gap(row.state, row.reason, day, backfill)}")
    if as_of is not None and as_of < row.first_loaded_at:
        raise NoUniverseError(
            f"{there_is_none} as of {describe_point(as_of)}: it was first loaded at "
            f"{describe_point(row.first_loaded_at)}; use that instant or a later one"
        )


def describe_types(
    engine: Engine, market: Market, day: date, types: Sequence[str], as_of: datetime | None = None
) -> Sequence[str]:
    """Return sentences on a filter by type: tickers without a known type, and types that no ticker has.

    Args:
        engine: the warehouse.
        market: the session's market.
        day: a session that is stored whole.
        types: the vendor's type codes that are selected.
        as_of: an instant that the session is read as of; types are those of the security master then.

    Returns:
        The sentences; none if the filter misses nothing.
    """
    with engine.connect() as connection:
        rows = connection.execute(TYPES, {"market": market.name, "day": day, "as_of": as_of}).all()
    tickers = {row.type: row.tickers for row in rows}
    total, unknown = sum(tickers.values()), tickers.pop(None, 0)
    notes = []
    if absent := sorted(set(types).difference(tickers)):
        known = f"; the types there are {', '.join(tickers)}" if tickers else ""
        notes.append(f"No ticker of {day} is known to have the type {' or '.join(absent)}{known}.")
    if unknown:
        refresh = quote_command("market-pipeline", "market", "refresh-list", market.option)
        if as_of:
            fix = "types of the vendor's list are not given as of an instant"
        elif listed_at := rows[0].listed_at:
            fix = f"the vendor's list of {listed_at:%Y-%m-%d} has none of them; `{refresh}` fetches it again"
        else:
            fix = f"`{refresh}` fetches the vendor's list"
        notes.append(
            f"{unknown:,} of the {total:,} tickers of {day} {'has' if unknown == 1 else 'have'} no known type and "
            f"{choose_verb(unknown)} left out; {fix}."
        )
    return notes


def _find_no_session(market: Market, day: date) -> str | None:
    """Return why a date is no session of a market; None if it is one."""
    first = find_calendar(market.calendar).first_session
    if day < first:
        return f"the first session of {market.calendar} here is {first}; choose it or a later one"
    near = list_sessions(market.calendar, max(day - NEAR, first), day + NEAR)
    if day in near:
        return None
    before, after = max(each for each in near if each < day), min(each for each in near if each > day)
    return f"it is no session of {market.calendar}; the nearest ones are {before} and {after}"


def _describe_gap(state: str | None, reason: str | None, day: date, backfill: str) -> str:
    """Return why a session is not stored, and the next step."""
    again = f"`{backfill} --start {day} --end {day}`"
    if state in (None, "never_asked"):
        return f"the session is not loaded; {again} loads it"
    if state == "not_in_plan":  # no command can fetch it
        return reason or "the vendor's plan doesn't include it"
    return f"the session is not stored whole ({state}: {reason}); {again} fetches it again"
