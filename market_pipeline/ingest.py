"""The main job: bars of some symbols and sessions from the vendor into the warehouse.

    plan -> fetch -> check -> load -> account for it

Each symbol is loaded in a transaction of its own, so that one's failure is never its neighbour's, and while one is
loaded the next are fetched.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Protocol

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError

from market_pipeline.bars import FetchedBars
from market_pipeline.errors import MarketPipelineError
from market_pipeline.polygon.errors import PolygonError
from market_pipeline.quality.rules import Checked, check
from market_pipeline.settings import Source
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.database import first_line, unavailable
from market_pipeline.warehouse.loading import Attempt, Outcome, RejectedBar, load, record_failure

log = logging.getLogger(__name__)


class NoDataError(MarketPipelineError):
    """The vendor has no bar at all of a symbol for the sessions asked."""


class Vendor(Protocol):
    """Where a run's bars come from."""

    source: Source

    def bars(self, symbol: Symbol) -> FetchedBars:
        """The symbol's daily bars of the run's sessions, as traded."""
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
    warehouse: Engine,
    run: Run,
    at_once: int = 1,
) -> Iterator[Outcome]:
    """Load the bars of `symbols` for `sessions`, yielding each symbol's outcome as it is known.

    A symbol that fails is accounted for and yields an outcome with an `error`; the others go on.

    Args:
        symbols: of one calendar.
        sessions: of that calendar, oldest first, at least one.
        vendor: answers requests.
        warehouse: the database.
        run: who asks.
        at_once: how many symbols may be fetched at the same time.

    Raises:
        MarketPipelineError: the database can't be used, so that nothing can be loaded or accounted for.
    """
    attempts = (
        Attempt(symbol, sessions, vendor.source, run.run_id, run.trigger, started_at=datetime.now(UTC))
        for symbol in symbols
    )
    for attempt, answer in _fetched_ahead(attempts, vendor, at_once):
        try:
            outcome = _load(attempt, answer, warehouse)
        except (OperationalError, InterfaceError) as error:
            raise unavailable(error, warehouse) from None
        _report(outcome)
        yield outcome


def _fetched_ahead(
    attempts: Iterator[Attempt], vendor: Vendor, at_once: int
) -> Iterator[tuple[Attempt, "Future[FetchedBars]"]]:
    """Each attempt with its answer, which may be still on its way: while one is loaded, the next are fetched.

    No more than `at_once` answers are under way or waiting, so that memory doesn't grow with the number of symbols.
    """
    waiting: deque[tuple[Attempt, Future[FetchedBars]]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    try:
        while True:
            for attempt in islice(attempts, at_once - len(waiting)):
                log.info("Backfilling %s: %s to %s", attempt.symbol.name, attempt.sessions[0], attempt.sessions[-1])
                waiting.append((attempt, pool.submit(vendor.bars, attempt.symbol)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load(attempt: Attempt, answer: "Future[FetchedBars]", warehouse: Engine) -> Outcome:
    symbol, sessions = attempt.symbol, attempt.sessions
    try:
        fetched = answer.result()
        attempt = attempt.after(fetched.requests, fetched.notes)
        if fetched.frame.empty:
            raise NoDataError(
                f"No data returned for symbol {symbol.name} from {sessions[0]} to {sessions[-1]}: check that "
                f"the vendor knows {symbol.vendor_ticker} and that it was listed then"
            )
        checked = check(fetched, symbol, sessions)
        return load(warehouse, attempt, checked.accepted, _rejected(checked, fetched))
    except PolygonError as error:
        return record_failure(warehouse, attempt.after(error.requests), str(error))
    except MarketPipelineError as error:
        return record_failure(warehouse, attempt, str(error))
    except (DataError, IntegrityError) as error:
        return record_failure(warehouse, attempt, f"the database refused its bars: {first_line(error)}")


def _rejected(checked: Checked, fetched: FetchedBars) -> list[RejectedBar]:
    sessions = [None if pd.isna(day) else day.date() for day in checked.rejected["date"]]
    payloads = [fetched.payloads[row] for row in checked.rejected.index]
    return [RejectedBar(*bar) for bar in zip(sessions, checked.reasons, payloads, strict=True)]


def _report(outcome: Outcome) -> None:
    if outcome.error is not None:
        log.error("Failed %s: %s", outcome.symbol, outcome.error)
        return
    log.info(
        "Successfully backfilled %s: fetched %d bars (%d loaded, %d revised, %d unchanged, %d rejected)",
        outcome.symbol, outcome.fetched, outcome.loaded, outcome.revised, outcome.unchanged, outcome.rejected,
    )  # fmt: skip
    if outcome.missing:
        log.warning("%s: %d of %d sessions have no bar", outcome.symbol, outcome.missing, outcome.sessions)
    for note in outcome.notes:
        log.warning("%s: %s", outcome.symbol, note)
