"""The main job: bars of some symbols and sessions from the vendor into the warehouse.

    plan -> fetch -> check -> load -> account for it

One symbol after another, each in a transaction of its own, so that one's failure is never its neighbour's.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
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
    """Where bars come from."""

    source: Source

    def daily_bars(self, symbol: Symbol, start: date, end: date) -> FetchedBars:
        """The symbol's daily bars from `start` to `end`, both included, as traded."""
        ...


@dataclass(frozen=True)
class Run:
    """Who asks: the run's id, as Dagster shows it, and what started it."""

    run_id: str
    trigger: str


def ingest(
    symbols: Sequence[Symbol], sessions: Sequence[date], *, vendor: Vendor, warehouse: Engine, run: Run
) -> Iterator[Outcome]:
    """Load the bars of `symbols` for `sessions`, yielding each symbol's outcome as it is known.

    A symbol that fails is accounted for and yields an outcome with an `error`; the others go on.

    Args:
        symbols: of one calendar.
        sessions: of that calendar, oldest first, at least one.
        vendor: answers requests.
        warehouse: the database.
        run: who asks.

    Raises:
        MarketPipelineError: the database can't be used, so that nothing can be loaded or accounted for.
    """
    for symbol in symbols:
        log.info("Backfilling %s: %s to %s", symbol.name, sessions[0], sessions[-1])
        try:
            outcome = _ingest_symbol(symbol, sessions, vendor=vendor, warehouse=warehouse, run=run)
        except (OperationalError, InterfaceError) as error:
            raise unavailable(error, warehouse) from None
        _report(outcome)
        yield outcome


def _ingest_symbol(symbol: Symbol, sessions: Sequence[date], *, vendor: Vendor, warehouse: Engine, run: Run) -> Outcome:
    attempt = Attempt(symbol, sessions, vendor.source, run.run_id, run.trigger, started_at=datetime.now(UTC))
    try:
        fetched = vendor.daily_bars(symbol, sessions[0], sessions[-1])
        attempt = attempt.after(fetched.requests)
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
