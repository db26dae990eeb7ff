"""Batches of symbols that are loaded in one transaction, because each has few bars.

If a batch can't be loaded, each of its symbols is, in a transaction of its own: so that a symbol's failure is never its
neighbour's.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError
from structlog.contextvars import bound_contextvars

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.errors import MarketPipelineError, describe_defect
from market_pipeline.no_data import Explain
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.quality.bar_checks import CheckedBars
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_failure
from market_pipeline.warehouse.loading import CheckedLoad, RejectedBar, load_together
from market_pipeline.warehouse.tracked_symbols import NotTrackedError

log = logging.getLogger(__name__)

SYMBOLS_TOGETHER, BARS_TOGETHER = 200, 20_000
"""The most symbols of a transaction, and the bars from which on no further symbol is added to it.

With a quarter of the bars, loads of 250 sessions take half as long again; with twice as many, 10 MiB more.
"""

NEXT_WITHIN = 0.02
"""Seconds in which a response has to follow for its symbol to be loaded together with those before."""


@dataclass(frozen=True)
class FetchedSymbol:
    """A symbol's load request, and its response with the results of the rules, which may be still on its way."""

    load_request: LoadRequest
    response: Future[tuple[FetchedBars, CheckedBars]]


def compute_batch_limit(sessions: int) -> int:
    """Return the most symbols of a batch, each of so many sessions."""
    return min(SYMBOLS_TOGETHER, BARS_TOGETHER // sessions)


class LoadBatch:
    """Symbols whose responses have come, to be loaded in one transaction."""

    def __init__(self) -> None:
        self.responses: list[FetchedSymbol] = []
        self._bars = 0

    def accepts(self, following: FetchedSymbol) -> bool:
        """Return True if there is room for the next symbol, and its response has come or comes at once."""
        if not self.responses:
            return True
        is_full = len(self.responses) >= SYMBOLS_TOGETHER or self._bars >= BARS_TOGETHER
        return not is_full and bool(wait([following.response], timeout=NEXT_WITHIN).done)

    def add(self, each: FetchedSymbol) -> None:
        """Add a symbol whose response has come."""
        self.responses.append(each)
        if each.response.exception() is None:
            self._bars += len(each.response.result()[0].payloads)

    def load(self, explain: Explain, warehouse: Engine) -> list[LoadResult]:
        """Load the symbols whose responses are usable, and record the failures of the others.

        Raises:
            OperationalError, InterfaceError: the database can't be used.
        """
        prepared = [_prepare(each, explain, warehouse) for each in self.responses]
        loaded = iter(_load_together([each for each in prepared if isinstance(each, CheckedLoad)], warehouse))
        return [next(loaded) if isinstance(each, CheckedLoad) else each for each in prepared]


def _prepare(each: FetchedSymbol, explain: Explain, warehouse: Engine) -> CheckedLoad | LoadResult:
    """Return the load of a response; if that is no usable one, the recorded failure."""
    load_request = each.load_request
    with bound_contextvars(symbol=load_request.symbol.name):
        try:
            fetched, checked = each.response.result()
            load_request = replace(
                load_request,
                requests=fetched.requests,
                waited_seconds=fetched.waited_seconds,
                notes=(*load_request.notes, *fetched.notes),
                answered=fetched.answered,
            )
            if not fetched.payloads and load_request.due:
                load_request = explain(load_request)
            return CheckedLoad(load_request, checked.accepted, _list_rejected(checked, fetched))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            return _record_error(load_request, error, warehouse)


def _load_together(loads: Sequence[CheckedLoad], warehouse: Engine) -> list[LoadResult]:
    """Load symbols in one transaction; if it fails, each in one of its own, and record those that fail."""
    if not loads:
        return []
    try:
        results = load_together(warehouse, loads, find_flags)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(loads) == 1:
            return [_record_error(loads[0].load_request, error, warehouse)]
        return [result for each in loads for result in _load_together([each], warehouse)]
    return [
        _record_error(each.load_request, result, warehouse) if isinstance(result, NotTrackedError) else result
        for each, result in zip(loads, results, strict=True)
    ]


def _record_error(load_request: LoadRequest, error: Exception, warehouse: Engine) -> LoadResult:
    name = load_request.symbol.name
    match error:
        case PolygonError():
            load_request = replace(load_request, requests=error.requests, waited_seconds=error.waited_seconds)
            # It begins with the symbol, by which a retry's log line is known; the load record has a column for it.
            message = str(error).removeprefix(f"{name} ")
        case MarketPipelineError():
            message = str(error)
        case DataError() | IntegrityError():
            message = f"the database rejected its bars: {read_first_line(error)}"
        case _:  # a defect of ours, which must not cost the other symbols their bars
            log.error("A defect in loading %s", name, exc_info=error)
            message = describe_defect(error)
    return record_failure(warehouse, load_request, message)


def _list_rejected(checked: CheckedBars, fetched: FetchedBars) -> list[RejectedBar]:
    sessions = fetched.columns["date"][checked.rejected].tolist()
    payloads = [fetched.payloads[row] for row in checked.rejected]
    return [RejectedBar(*bar) for bar in zip(sessions, checked.reasons, payloads, strict=True)]
