"""The main job: bars of some symbols and sessions from the vendor into the warehouse.

    plan -> fetch -> check -> load -> record

Symbols of few bars are loaded together, in one transaction; if it fails, each in one of its own, so that a symbol's
failure is never its neighbour's. While some are loaded the next are fetched.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from structlog.contextvars import bound_contextvars

from market_pipeline.core import stop_signals
from market_pipeline.core.bars import FetchedBars, make_empty_bars
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import format_count, prefix_symbol
from market_pipeline.load_batches import FetchedSymbol, LoadBatch, compute_batch_limit
from market_pipeline.no_data import Explain, FetchListDate, FetchReference, end_at_delisting, explain_no_data
from market_pipeline.quality.bar_checks import CheckedBars, check_bars
from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.load_history import COUNTERS, LoadRequest, LoadResult
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)


LOADS_AT_ONCE = 3
"""Transactions at the same time: while PostgreSQL writes some symbols' bars, others' are prepared."""

ENDING_SECONDS = 1.0
"""Time limit for the loads under way once the command has received a signal to stop."""


class Vendor(Protocol):
    """The source of a run's bars."""

    @property
    def source(self) -> Source:
        """The vendor or the sandbox."""
        ...

    def fetch_bars(self, symbol: Symbol, last: date) -> FetchedBars:
        """Return the symbol's daily bars of the run's sessions up to `last`, as traded."""
        ...


@dataclass(frozen=True)
class Run:
    """A run's id, as Dagster shows it, and its trigger."""

    run_id: str
    trigger: str


def ingest(
    symbols: Sequence[Symbol],
    sessions: Sequence[date],
    *,
    vendor: Vendor,
    fetch_reference: FetchReference,
    delisted: Mapping[str, Reference],
    warehouse: Engine,
    run: Run,
    at_once: int = 1,
    fetch_list_date: FetchListDate = lambda _symbol: None,
) -> Iterator[list[LoadResult]]:
    """Load the bars of `symbols` for `sessions`, and yield the results of those loaded together as soon as known.

    A symbol that fails is recorded and yields a result with an `error`; the others go on. One that has left the market
    hasn't failed: its sessions end with it, and a note says so.

    Args:
        symbols: of one calendar.
        sessions: of that calendar, oldest first, at least one.
        vendor: the source of bars.
        fetch_reference: called once for a symbol without data whose delisting isn't known.
        delisted: reference data of the symbols that have left the market, by name.
        warehouse: the database.
        run: its id and trigger.
        at_once: symbols fetched at the same time.
        fetch_list_date: called for a symbol without data that is on the market.

    Raises:
        MarketPipelineError: the database can't be used, so that nothing can be loaded or recorded.
    """
    load_requests = (
        end_at_delisting(
            LoadRequest(symbol, sessions, vendor.source, run.run_id, run.trigger, started_at=datetime.now(UTC)),
            delisted.get(symbol.name),
        )
        for symbol in symbols
    )
    explain = partial(
        explain_no_data, warehouse=warehouse, fetch_reference=fetch_reference, fetch_list_date=fetch_list_date
    )
    with closing(_load_ahead(_fetch_ahead(load_requests, vendor, at_once), explain, warehouse)) as loads:
        for future in loads:
            try:
                load_results = future.result()
            except (OperationalError, InterfaceError) as error:
                raise build_unavailable_error(error, warehouse) from None
            for load_result in load_results:
                with bound_contextvars(symbol=load_result.symbol):
                    _report(load_result)
            yield load_results


def _load_ahead(
    fetched: Iterator[FetchedSymbol], explain: Explain, warehouse: Engine
) -> Generator["Future[list[LoadResult]]", None, None]:
    """Yield the loads of the requests, in their order, once they have ended; a few run at once.

    None waits for a response that is still on its way, so that all of them end soon whenever the run does.
    """
    loads: deque[Future[list[LoadResult]]] = deque()
    pool = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
    batch = LoadBatch()
    try:
        for each in fetched:
            response = each.response
            if not batch.accepts(each):
                while len(loads) == LOADS_AT_ONCE:
                    wait([loads[0]])
                    yield loads.popleft()
                loads.append(pool.submit(batch.load, explain, warehouse))
                batch = LoadBatch()
            while loads and not response.done():
                either: list[Future[Any]] = [loads[0], response]
                wait(either, return_when=FIRST_COMPLETED)
                if loads[0].done():
                    yield loads.popleft()
            wait([response])
            batch.add(each)
        if batch.responses:
            loads.append(pool.submit(batch.load, explain, warehouse))
        while loads:
            wait([loads[0]])
            yield loads.popleft()
    finally:
        while wait(loads, timeout=ENDING_SECONDS).not_done and not stop_signals.is_requested():
            continue
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch_ahead(load_requests: Iterator[LoadRequest], vendor: Vendor, at_once: int) -> Iterator[FetchedSymbol]:
    """Yield each load request with its fetched bars, which may be still on their way while others are loaded.

    At most `at_once` responses are under way. Only those of few bars wait for each other, so that memory doesn't grow
    with the number of symbols.
    """
    waiting: deque[FetchedSymbol] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    ahead = at_once
    try:
        while True:
            for load_request in islice(load_requests, max(at_once, ahead) - len(waiting)):
                ahead = compute_batch_limit(len(load_request.sessions))
                waiting.append(FetchedSymbol(load_request, pool.submit(_fetch, load_request, vendor)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch(load_request: LoadRequest, vendor: Vendor) -> tuple[FetchedBars, CheckedBars]:
    """Fetch and check the bars; checked here, as another symbol's bars are on their way into the database meanwhile."""
    due = load_request.due
    if due:
        with bound_contextvars(symbol=load_request.symbol.name):  # for what is logged of its requests and waits too
            log.info("Backfilling %s: %s to %s", load_request.symbol.name, due[0], due[-1])
            fetched = vendor.fetch_bars(load_request.symbol, due[-1])
    else:
        fetched = FetchedBars(make_empty_bars(), (), requests=0)
    return fetched, check_bars(fetched, load_request.symbol, due or load_request.sessions)


def _report(load_result: LoadResult) -> None:
    if load_result.error is not None:
        log.error("Failed %s", prefix_symbol(load_result.symbol, load_result.error))
        return
    by_counter = ", ".join(f"{getattr(load_result, name):,} {name}" for name in COUNTERS)
    counters = f"fetched {format_count(load_result.fetched, 'bar')} ({by_counter}), {load_result.flagged:,} flagged"
    log.info("Successfully backfilled %s: %s", load_result.symbol, counters)
    if load_result.missing:
        log.warning(
            "%s: no bar of %d of %s",
            load_result.symbol,
            load_result.missing,
            format_count(load_result.sessions, "session"),
        )
    for note in load_result.notes:
        log.warning("%s", prefix_symbol(load_result.symbol, note))
