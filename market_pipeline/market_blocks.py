"""Blocks of a market's sessions that are loaded in one transaction.

If a block can't be loaded, each of its sessions is, in a transaction of its own: so that a session's failure is never
its neighbour's.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError

from market_pipeline.core.errors import MarketPipelineError, describe_defect
from market_pipeline.core.market_bars import CheckedSession
from market_pipeline.core.markets import Market
from market_pipeline.polygon.market_fetcher import MarketSessionError
from market_pipeline.polygon.vendor_errors import NotYetAvailableError, PlanError, PolygonError
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.market_loading import load_sessions
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun, record_session_failure
from market_pipeline.warehouse.recent_bars import RecentBars

log = logging.getLogger(__name__)

NOT_YET = "not available yet on your plan: the next run fetches it"
NOT_IN_PLAN = "not in your plan"
"""Errors of sessions that the vendor's plan serves only later, or not at all. The view market_sessions knows them."""


@dataclass(frozen=True)
class DefectiveSession:
    """A session that could not be checked, by a defect of ours."""

    session: date
    error: Exception


def is_outside_plan(result: MarketLoadResult) -> bool:
    """Return True if a session couldn't be loaded because the vendor's plan doesn't serve it, or only later."""
    return result.error is not None and result.error.startswith((NOT_YET, NOT_IN_PLAN))


@dataclass(frozen=True)
class BlockLoader:
    """Loads blocks of one run's sessions; `accept_small`: also those with far fewer tickers than their neighbours."""

    warehouse: Engine
    market: Market
    run: MarketRun
    accept_small: bool
    recent: RecentBars = field(default_factory=RecentBars)

    def load(self, block: Sequence[CheckedSession | MarketSessionError | DefectiveSession]) -> list[MarketLoadResult]:
        """Load the sessions of a block that could be fetched, and record the failures of the others.

        Raises:
            OperationalError, InterfaceError: the database can't be used.
        """
        results = self._load_together([each for each in block if isinstance(each, CheckedSession)])
        for each in block:
            if not isinstance(each, CheckedSession):
                results.append(self._record(each.session, each.error, getattr(each, "message", str(each.error))))
        return sorted(results, key=attrgetter("session"))

    def _load_together(self, sessions: Sequence[CheckedSession]) -> list[MarketLoadResult]:
        """Load sessions in one transaction; if it fails, each in one of its own, and record those that fail."""
        if not sessions:
            return []
        try:
            return load_sessions(
                self.warehouse,
                self.market,
                sessions,
                self.run,
                find_flags,
                accept_small=self.accept_small,
                recent=self.recent,
            )
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            if len(sessions) == 1:
                return [self._record(sessions[0].fetched.session, error, str(error))]
            return [result for each in sessions for result in self._load_together([each])]

    def _record(self, session: date, error: Exception, text: str) -> MarketLoadResult:
        match error:
            case NotYetAvailableError():
                text = NOT_YET
            case PlanError():
                text = f"{NOT_IN_PLAN}: {text}"
            case DataError() | IntegrityError():
                text = f"the database rejected its bars: {read_first_line(error)}"
            case MarketPipelineError():
                # It begins with the session, by which a retry's log line is known; the record has a column for it.
                text = text.removeprefix(f"{self.market.title} on {session}: ")
            case _:  # a defect of ours, which must not cost the other sessions their bars
                log.error("A defect in loading %s of %s", session, self.market.option, exc_info=error)
                text = describe_defect(error)
        cost = error if isinstance(error, PolygonError) else PolygonError()
        return record_session_failure(
            self.warehouse,
            self.market,
            session,
            self.run,
            text,
            requests=cost.requests,
            waited_seconds=cost.waited_seconds,
        )
