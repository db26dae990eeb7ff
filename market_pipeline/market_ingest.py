"""Whole markets: sessions with all their tickers from the vendor into the warehouse.

    plan -> fetch -> check -> load -> record

Sessions are loaded in blocks, a transaction each, while the next ones are fetched and checked. A block is what has come
by then: a slow vendor's sessions are stored one by one, a fast one's many at once.
"""

import logging
from collections import deque
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import date
from typing import Protocol, TypeAlias

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from market_pipeline.core import stop_signals
from market_pipeline.core.allocator import share_arenas
from market_pipeline.core.market_bars import CheckedSession, MarketSession
from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Source
from market_pipeline.core.wording import format_count, prefix_symbol
from market_pipeline.ingest import ENDING_SECONDS, Run
from market_pipeline.market_blocks import BlockLoader, DefectiveSession, is_outside_plan
from market_pipeline.polygon.market_fetcher import MarketSessionError
from market_pipeline.quality.market_rules import check_market_session
from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.load_history import COUNTERS
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun

log = logging.getLogger(__name__)

SESSIONS_TOGETHER = 20
"""The most sessions of a transaction: 220,000 bars of US stocks. Twice as many take 60 MB more."""

SESSIONS_AHEAD = 20
"""The most sessions that are fetched and checked while others are loaded, so that memory stays flat."""

NEXT_WITHIN = 0.2
"""Seconds in which a session has to follow to be loaded together with those before."""


class MarketVendor(Protocol):
    """The source of a market's sessions."""

    @property
    def source(self) -> Source:
        """The vendor or the sandbox."""
        ...

    def iterate(
        self, sessions: Sequence[date], from_files: Collection[date] = ()
    ) -> Iterator[MarketSession | MarketSessionError]:
        """Yield each session's bars, or its error, oldest first; those of `from_files` from their flat file."""
        ...


Checked: TypeAlias = CheckedSession | MarketSessionError | DefectiveSession


def ingest_market(
    market: Market,
    sessions: Sequence[date],
    *,
    vendor: MarketVendor,
    warehouse: Engine,
    run: Run,
    changed_files: Collection[date] = (),
    accept_small: bool = False,
) -> Iterator[list[MarketLoadResult]]:
    """Load sessions of a market, each whole or not at all, and yield the results block by block.

    A session that fails is recorded and yields a result with an `error`; the others go on.

    Args:
        market: the market.
        sessions: to load, oldest first.
        vendor: the source of sessions.
        warehouse: the database.
        run: its id and trigger.
        changed_files: those of the sessions whose flat file was replaced since its load.
        accept_small: store sessions too that have far fewer tickers than their neighbours.

    Raises:
        MarketPipelineError: the database can't be used, so that nothing can be loaded or recorded.
    """
    share_arenas()
    loader = BlockLoader(warehouse, market, MarketRun(run.run_id, run.trigger, vendor.source), accept_small)
    with (
        closing(_CheckedSessions(vendor.iterate(sessions, changed_files), market)) as checked,
        closing(_load_ahead(checked, loader)) as blocks,
    ):
        for loading in blocks:
            try:
                results = loading.result()
            except (OperationalError, InterfaceError) as error:
                raise build_unavailable_error(error, warehouse) from None
            for result in results:
                _report(market, result)
            yield results


class _CheckedSessions:
    """The sessions of a run, fetched and checked by a thread while others are loaded."""

    def __init__(self, fetched: Iterator[MarketSession | MarketSessionError], market: Market) -> None:
        self._fetched = fetched
        self._market = market
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._ahead: deque[Future[Checked | None]] = deque()

    def take_block(self) -> list[Checked]:
        """Return the next sessions that are to be loaded together, at least one; empty at the end.

        An error of the vendor's that is no single session's is raised once the sessions before it were returned.
        """
        block: list[Checked] = []
        while len(block) < SESSIONS_TOGETHER:
            while len(self._ahead) < SESSIONS_AHEAD:
                self._ahead.append(self._pool.submit(self._check_next))
            following = self._ahead[0]
            if block and (not wait([following], NEXT_WITHIN).done or following.exception() is not None):
                break
            checked = following.result()
            if checked is None:
                break
            self._ahead.popleft()
            block.append(checked)
        return block

    def _check_next(self) -> Checked | None:
        fetched = next(self._fetched, None)
        if fetched is None or isinstance(fetched, MarketSessionError):
            return fetched
        try:
            return check_market_session(fetched, self._market)
        except Exception as error:  # of this session alone
            return DefectiveSession(fetched.session, error)

    def close(self) -> None:
        """Fetch no further session."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _load_ahead(
    checked: _CheckedSessions, loader: BlockLoader
) -> Generator["Future[list[MarketLoadResult]]", None, None]:
    """Yield the loads of blocks once they have ended, one after the other, while the next sessions are fetched."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="load")
    loading: Future[list[MarketLoadResult]] | None = None
    try:
        while block := checked.take_block():
            loading = pool.submit(loader.load, block)
            wait([loading])
            yield loading
    finally:
        while loading and wait([loading], timeout=ENDING_SECONDS).not_done and not stop_signals.is_requested():
            continue
        pool.shutdown(wait=False, cancel_futures=True)


def _report(market: Market, result: MarketLoadResult) -> None:
    name = f"{market.option} {result.session}"
    if result.error is not None:
        log.log(
            logging.WARNING if is_outside_plan(result) else logging.ERROR,
            "Failed %s",
            prefix_symbol(name, result.error),
        )
        return
    counters = ", ".join(f"{getattr(result, counter):,} {counter}" for counter in COUNTERS)
    log.info("Loaded %s, %s: %s (%s)", name, result.origin, format_count(result.fetched, "bar"), counters)
    for note in result.notes:
        log.warning("%s", prefix_symbol(name, note))
