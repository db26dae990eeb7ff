"""The main job: bars of some symbols and sessions from the vendor into the warehouse.

    plan -> fetch -> check -> load -> record

Each symbol is loaded in a transaction of its own, so that its failure is never its neighbour's, and while some are
loaded the next are fetched.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import islice
from typing import Any, Protocol

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from structlog.contextvars import bound_contextvars

from market_pipeline.core import stop_signals
from market_pipeline.core.bars import FetchedBars, empty_frame
from market_pipeline.core.errors import MarketPipelineError, describe_defect
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import counted, under
from market_pipeline.no_data import Explain, FetchListDate, FetchReference, end_at_delisting, explain_no_data
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.quality.rules import CheckedBars, check_bars, find_flags
from market_pipeline.warehouse.database_errors import first_line, unavailable_error
from market_pipeline.warehouse.load_history import COUNTERS, LoadRequest, LoadResult, record_failure
from market_pipeline.warehouse.loading import RejectedBar, load
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)


FetchedSymbol = Future[tuple[FetchedBars, CheckedBars]]
"""A symbol's bars, which may be still on their way, and the results of the rules."""


LOADS_AT_ONCE = 3
"""Symbols loaded at the same time: while PostgreSQL writes one's bars, another's are prepared."""


ENDING_SECONDS = 1.0
"""Time limit for the loads under way once the command was asked to stop."""


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
) -> Iterator[LoadResult]:
    """Load the bars of `symbols` for `sessions`, and yield each symbol's result as soon as it is known.

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
                load_result = future.result()
            except (OperationalError, InterfaceError) as error:
                raise unavailable_error(error, warehouse) from None
            with bound_contextvars(symbol=load_result.symbol):
                _report(load_result)
            yield load_result


def _load_ahead(
    fetched: Iterator[tuple[LoadRequest, FetchedSymbol]], explain: Explain, warehouse: Engine
) -> Generator["Future[LoadResult]", None, None]:
    """Yield the load of each request, in their order, once it has ended; a few run at once.

    None waits for a response that is still on its way, so that all of them end soon whenever the run does.
    """
    loads: deque[Future[LoadResult]] = deque()
    pool = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
    try:
        for load_request, response in fetched:
            while loads and (len(loads) == LOADS_AT_ONCE or not response.done()):
                either: list[Future[Any]] = [loads[0]] if len(loads) == LOADS_AT_ONCE else [loads[0], response]
                wait(either, return_when=FIRST_COMPLETED)
                if loads[0].done():
                    yield loads.popleft()
            wait([response])
            loads.append(pool.submit(_load, load_request, response, explain, warehouse))
        while loads:
            wait([loads[0]])
            yield loads.popleft()
    finally:
        while wait(loads, timeout=ENDING_SECONDS).not_done and not stop_signals.requested():
            continue
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch_ahead(
    load_requests: Iterator[LoadRequest], vendor: Vendor, at_once: int
) -> Iterator[tuple[LoadRequest, FetchedSymbol]]:
    """Yield each load request with its fetched bars, which may be still on their way while others are loaded.

    At most `at_once` responses are under way or waiting, so that memory doesn't grow with the number of symbols.
    """
    waiting: deque[tuple[LoadRequest, FetchedSymbol]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    try:
        while True:
            for load_request in islice(load_requests, at_once - len(waiting)):
                waiting.append((load_request, pool.submit(_fetch, load_request, vendor)))
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
        fetched = FetchedBars(empty_frame(), (), requests=0)
    return fetched, check_bars(fetched, load_request.symbol, due or load_request.sessions)


def _load(load_request: LoadRequest, response: FetchedSymbol, explain: Explain, warehouse: Engine) -> LoadResult:
    with bound_contextvars(symbol=load_request.symbol.name):
        return _load_or_record_failure(load_request, response, explain, warehouse)


def _load_or_record_failure(
    load_request: LoadRequest, response: FetchedSymbol, explain: Explain, warehouse: Engine
) -> LoadResult:
    try:
        fetched, checked = response.result()
        load_request = replace(
            load_request,
            requests=fetched.requests,
            waited_seconds=fetched.waited_seconds,
            notes=(*load_request.notes, *fetched.notes),
            answered=fetched.answered,
        )
        if fetched.frame.empty and load_request.due:
            load_request = explain(load_request)
        return load(warehouse, load_request, checked.accepted, _rejected(checked, fetched), find_flags)
    except PolygonError as error:
        load_request = replace(load_request, requests=error.requests, waited_seconds=error.waited_seconds)
        # It begins with the symbol, by which a retry's log line is known; the load record has a column for it.
        return record_failure(warehouse, load_request, str(error).removeprefix(f"{load_request.symbol.name} "))
    except MarketPipelineError as error:
        return record_failure(warehouse, load_request, str(error))
    except (DataError, IntegrityError) as error:
        return record_failure(warehouse, load_request, f"the database rejected its bars: {first_line(error)}")
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a defect of ours, which must not cost the other symbols their bars
        log.exception("A defect in loading %s", load_request.symbol.name)
        return record_failure(warehouse, load_request, describe_defect(error))


def _rejected(checked: CheckedBars, fetched: FetchedBars) -> list[RejectedBar]:
    sessions = [None if pd.isna(day) else day.date() for day in checked.rejected["date"]]
    payloads = [fetched.payloads[row] for row in checked.rejected.index]
    return [RejectedBar(*bar) for bar in zip(sessions, checked.reasons, payloads, strict=True)]


def _report(load_result: LoadResult) -> None:
    if load_result.error is not None:
        log.error("Failed %s", under(load_result.symbol, load_result.error))
        return
    by_counter = ", ".join(f"{getattr(load_result, name):,} {name}" for name in COUNTERS)
    counters = f"fetched {counted(load_result.fetched, 'bar')} ({by_counter}), {load_result.flagged:,} flagged"
    log.info("Successfully backfilled %s: %s", load_result.symbol, counters)
    if load_result.missing:
        log.warning(
            "%s: no bar of %d of %s", load_result.symbol, load_result.missing, counted(load_result.sessions, "session")
        )
    for note in load_result.notes:
        log.warning("%s", under(load_result.symbol, note))
