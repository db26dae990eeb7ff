"""The main job: bars of some symbols and sessions from the vendor into the warehouse.

    plan -> fetch -> check -> load -> account for it

Each symbol is loaded in a transaction of its own, so that one's failure is never its neighbour's, and while some are
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
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import counted, under
from market_pipeline.no_data import Explain, ListedOn, WhoIs, explained, until_its_end
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.quality.rules import Checked, check, examine
from market_pipeline.warehouse.database_errors import first_line, unavailable
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_failure
from market_pipeline.warehouse.loading import RejectedBar, load
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)


FetchedSymbol = Future[tuple[FetchedBars, Checked]]
"""A symbol's bars, which may be still on their way, and what the rules say of them."""


LOADS_AT_ONCE = 3
"""How many symbols may be loaded at the same time: while PostgreSQL writes one's bars, another's are made ready."""


ENDING_SECONDS = 1.0
"""Seconds that the loads under way may take to end once the command was told to stop."""


class Vendor(Protocol):
    """Where a run's bars come from."""

    @property
    def source(self) -> Source:
        """Vendor or sandbox that the bars come from."""
        ...

    def bars(self, symbol: Symbol, last: date) -> FetchedBars:
        """The symbol's daily bars of the run's sessions up to `last`, as traded."""
        ...


@dataclass(frozen=True)
class Run:
    """Who asks: the run's id, as Dagster shows it, and what started it."""

    run_id: str
    trigger: str


def ingest(
    symbols: Sequence[Symbol],
    sessions: Sequence[date],
    *,
    vendor: Vendor,
    who_is: WhoIs,
    delisted: Mapping[str, Reference],
    warehouse: Engine,
    run: Run,
    at_once: int = 1,
    listed_on: ListedOn = lambda _symbol: None,
) -> Iterator[LoadResult]:
    """Load the bars of `symbols` for `sessions`, yielding each symbol's outcome as it is known.

    A symbol that fails is accounted for and yields an outcome with an `error`; the others go on. One that has left the
    market hasn't failed: its sessions end with it, and a note says so.

    Args:
        symbols: of one calendar.
        sessions: of that calendar, oldest first, at least one.
        vendor: answers requests.
        who_is: asked, once, about a symbol of which there is no data and whose delisting isn't known.
        delisted: what is known of the symbols that have left the market, by their names.
        warehouse: the database.
        run: who asks.
        at_once: how many symbols may be fetched at the same time.
        listed_on: asked about a symbol of which there is no data, though it is on the market.

    Raises:
        MarketPipelineError: the database can't be used, so that nothing can be loaded or accounted for.
    """
    attempts = (
        until_its_end(
            LoadRequest(symbol, sessions, vendor.source, run.run_id, run.trigger, started_at=datetime.now(UTC)),
            delisted.get(symbol.name),
        )
        for symbol in symbols
    )
    explain = partial(explained, warehouse=warehouse, who_is=who_is, listed_on=listed_on)
    with closing(_loaded_ahead(_fetched_ahead(attempts, vendor, at_once), explain, warehouse)) as loads:
        for load_of in loads:
            try:
                outcome = load_of.result()
            except (OperationalError, InterfaceError) as error:
                raise unavailable(error, warehouse) from None
            with bound_contextvars(symbol=outcome.symbol):
                _report(outcome)
            yield outcome


def _loaded_ahead(
    fetched: Iterator[tuple[LoadRequest, FetchedSymbol]], explain: Explain, warehouse: Engine
) -> Generator["Future[LoadResult]", None, None]:
    """The load of each attempt, in their order, once it has ended; a few are under way at the same time.

    None waits for an answer that is still on its way, so that all of them end soon whenever the run does.
    """
    loads: deque[Future[LoadResult]] = deque()
    pool = ThreadPoolExecutor(LOADS_AT_ONCE, thread_name_prefix="load")
    try:
        for attempt, answer in fetched:
            while loads and (len(loads) == LOADS_AT_ONCE or not answer.done()):
                either: list[Future[Any]] = [loads[0]] if len(loads) == LOADS_AT_ONCE else [loads[0], answer]
                wait(either, return_when=FIRST_COMPLETED)
                if loads[0].done():
                    yield loads.popleft()
            wait([answer])
            loads.append(pool.submit(_load, attempt, answer, explain, warehouse))
        while loads:
            wait([loads[0]])
            yield loads.popleft()
    finally:
        while wait(loads, timeout=ENDING_SECONDS).not_done and not stop_signals.requested():
            continue
        pool.shutdown(wait=False, cancel_futures=True)


def _fetched_ahead(
    attempts: Iterator[LoadRequest], vendor: Vendor, at_once: int
) -> Iterator[tuple[LoadRequest, FetchedSymbol]]:
    """Each attempt with its answer, which may be still on its way: while one is loaded, the next are fetched.

    No more than `at_once` answers are under way or waiting, so that memory doesn't grow with the number of symbols.
    """
    waiting: deque[tuple[LoadRequest, FetchedSymbol]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    try:
        while True:
            for attempt in islice(attempts, at_once - len(waiting)):
                waiting.append((attempt, pool.submit(_fetch, attempt, vendor)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fetch(attempt: LoadRequest, vendor: Vendor) -> tuple[FetchedBars, Checked]:
    """What the vendor has, checked here too: another symbol's bars are meanwhile on their way into the database."""
    due = attempt.due
    if due:
        with bound_contextvars(symbol=attempt.symbol.name):  # for what is logged of its requests and waits too
            log.info("Backfilling %s: %s to %s", attempt.symbol.name, due[0], due[-1])
            fetched = vendor.bars(attempt.symbol, due[-1])
    else:
        fetched = FetchedBars(empty_frame(), (), requests=0)
    return fetched, check(fetched, attempt.symbol, due or attempt.sessions)


def _load(attempt: LoadRequest, answer: FetchedSymbol, explain: Explain, warehouse: Engine) -> LoadResult:
    with bound_contextvars(symbol=attempt.symbol.name):
        return _accounted_for(attempt, answer, explain, warehouse)


def _accounted_for(attempt: LoadRequest, answer: FetchedSymbol, explain: Explain, warehouse: Engine) -> LoadResult:
    try:
        fetched, checked = answer.result()
        attempt = replace(
            attempt,
            requests=fetched.requests,
            waited_seconds=fetched.waited_seconds,
            notes=(*attempt.notes, *fetched.notes),
            answered=fetched.answered,
        )
        if fetched.frame.empty and attempt.due:
            attempt = explain(attempt)
        return load(warehouse, attempt, checked.accepted, _rejected(checked, fetched), examine)
    except PolygonError as error:
        attempt = replace(attempt, requests=error.requests, waited_seconds=error.waited_seconds)
        # It begins with what was asked for, so that a retry can be told by it; the account has the symbol already.
        return record_failure(warehouse, attempt, str(error).removeprefix(f"{attempt.symbol.name} "))
    except MarketPipelineError as error:
        return record_failure(warehouse, attempt, str(error))
    except (DataError, IntegrityError) as error:
        return record_failure(warehouse, attempt, f"the database refused its bars: {first_line(error)}")
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a defect of ours, which must not cost the other symbols their bars
        log.exception("A defect in loading %s", attempt.symbol.name)
        told = f"a defect of Market Pipeline ({type(error).__name__}): report it with the log of the run"
        return record_failure(warehouse, attempt, told)


def _rejected(checked: Checked, fetched: FetchedBars) -> list[RejectedBar]:
    sessions = [None if pd.isna(day) else day.date() for day in checked.rejected["date"]]
    payloads = [fetched.payloads[row] for row in checked.rejected.index]
    return [RejectedBar(*bar) for bar in zip(sessions, checked.reasons, payloads, strict=True)]


def _report(outcome: LoadResult) -> None:
    if outcome.error is not None:
        log.error("Failed %s", under(outcome.symbol, outcome.error))
        return
    counters = (
        f"fetched {counted(outcome.fetched, 'bar')} ({outcome.loaded:,} loaded, {outcome.revised:,} revised, "
        f"{outcome.unchanged:,} unchanged, {outcome.rejected:,} rejected), {outcome.flagged:,} flagged"
    )
    log.info("Successfully backfilled %s: %s", outcome.symbol, counters)
    if outcome.missing:
        log.warning("%s: no bar of %d of %s", outcome.symbol, outcome.missing, counted(outcome.sessions, "session"))
    for note in outcome.notes:
        log.warning("%s", under(outcome.symbol, note))
