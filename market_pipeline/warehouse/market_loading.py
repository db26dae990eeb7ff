"""Loading of a market's checked sessions, some at once, with their load records, in one transaction.

Each session is loaded whole or not at all. New bars are inserted, different ones replaced, those that the vendor no
longer gives withdrawn; flags, listings, names and the adjustment factors of tracked symbols follow, and the records of
the market and of its tracked symbols are written last.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from market_pipeline.core.market_bars import CheckedSession
from market_pipeline.core.markets import Market
from market_pipeline.core.sessions import list_sessions
from market_pipeline.warehouse.consecutive_sessions import ConsecutiveSessions
from market_pipeline.warehouse.flagging import FindFlags
from market_pipeline.warehouse.loading import claim_source
from market_pipeline.warehouse.market_identities import split_reused_tickers
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun, record_market_loads
from market_pipeline.warehouse.market_symbols import MarketSymbols, lock_market
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.whole_sessions import find_suspicious_sessions


def load_sessions(
    engine: Engine,
    market: Market,
    sessions: Sequence[CheckedSession],
    run: MarketRun,
    find_flags: FindFlags,
    *,
    accept_small: bool = False,
    recent: RecentBars | None = None,
) -> list[MarketLoadResult]:
    """Load checked sessions of a market in one transaction, each whole or not at all, and return their results.

    Args:
        engine: the warehouse.
        market: the sessions' market.
        sessions: at least one, different ones; 20 US sessions take 80 MB.
        run: its id, trigger and source.
        find_flags: finds the suspicious bars.
        accept_small: load sessions of far fewer tickers than their neighbours too.
        recent: what the run's load before has left, and this one leaves, for the sessions that follow.

    Returns:
        The results by session, oldest first. One that can't be whole has an error, and nothing of it is stored.

    Raises:
        MixedSourcesError: the database holds bars of the other source.
    """
    started_at = datetime.now(UTC)
    in_order = sorted(sessions, key=lambda each: each.fetched.session)
    recent = RecentBars() if recent is None else recent
    # The sandbox's market is of any size.
    fewest = market.fewest_tickers if run.source == "polygon" else 1
    with engine.begin() as connection:
        claim_source(connection, run.source)
        lock_market(connection, market)
        suspicious = find_suspicious_sessions(connection, market, in_order, fewest=fewest, accept_small=accept_small)
        results = [
            _reject(market, each, suspicious[each.fetched.session])
            for each in in_order
            if each.fetched.session in suspicious
        ]
        whole = [each for each in in_order if each.fetched.session not in suspicious]
        symbols = MarketSymbols(connection, market) if whole else None
        for consecutive in _split(market, whole):
            assert symbols is not None  # noqa: S101 - there is a whole session
            results += ConsecutiveSessions(
                connection, market, symbols, consecutive, run, started_at, recent=recent
            ).load(find_flags)
        if whole and split_reused_tickers(connection, market, run, find_flags):
            recent.forget()
        results.sort(key=lambda result: result.session)
        record_market_loads(connection, run, results, started_at)
        if symbols is not None and (unlisted := symbols.unlisted):
            connection.execute(read_statement("list_symbols"), {"symbol_ids": unlisted})
    return results


def _split(market: Market, sessions: Sequence[CheckedSession]) -> Iterator[list[CheckedSession]]:
    """Yield sessions in runs without another session of the calendar between them."""
    run: list[CheckedSession] = []
    for each in sessions:
        if run and len(list_sessions(market.calendar, run[-1].fetched.session, each.fetched.session)) > 2:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _reject(market: Market, session: CheckedSession, reason: str) -> MarketLoadResult:
    fetched = session.fetched
    return MarketLoadResult(
        market=market.name,
        session=fetched.session,
        origin=fetched.origin,
        version=fetched.version,
        requests=fetched.requests,
        waited_seconds=fetched.waited_seconds,
        notes=fetched.notes,
        error=reason,
        suspicious=True,
    )
