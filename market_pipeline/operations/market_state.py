"""State of the tracked markets, as `status` and `doctor` report it: stored and missing sessions, and problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Engine

from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import choose_verb, format_count, quote_command
from market_pipeline.orchestration.freshness import find_last_due_session
from market_pipeline.warehouse.tracked_markets import MarketSessionState, list_tracked_markets, read_market_sessions


@dataclass(frozen=True)
class MarketState:
    """A tracked market: its stored and missing sessions, and the problem with its next step.

    `last_load` is the end of the newest load of a session that is stored.
    """

    market: str
    newest_session: date | None
    stored: int
    missing: int
    last_load: datetime | None
    problem: str | None


def read_market_states(engine: Engine, settings: Settings, now: datetime) -> list[MarketState]:
    """Return the states of the tracked markets at `now`, which has a time zone.

    A session that is over counts as missing once the night that should have loaded it is over.
    """
    return [
        _judge(market, read_market_sessions(engine, market), find_last_due_session(market.calendar, settings, now))
        for market in list_tracked_markets(engine)
    ]


def _judge(market: Market, sessions: Sequence[MarketSessionState], due: date) -> MarketState:
    stored = [each.date for each in sessions if each.is_loaded]
    missing = [each for each in sessions if each.is_fetchable and each.date <= due]
    return MarketState(
        market=market.option,
        newest_session=max(stored, default=None),
        stored=len(stored),
        missing=len(missing),
        last_load=max((each.loaded_at for each in sessions if each.loaded_at), default=None),
        problem=_find_problem(market, stored, missing),
    )


def _find_problem(market: Market, stored: Sequence[date], missing: Sequence[MarketSessionState]) -> str | None:
    command = quote_command("market-pipeline", "market", "backfill", market.option)
    if missing:
        newest = missing[-1]
        reason = f", {newest.reason}" if newest.reason else ""
        count = (
            f"{format_count(len(missing), 'session')} of the market {market.option} {choose_verb(len(missing))} missing"
        )
        return f"{count} (newest: {newest.date}{reason}): run `{command} --missing`"
    return None if stored else f"the market {market.option} was never loaded: run `{command}`"
