"""Splits and dividends from the vendor into the warehouse: of all tracked symbols, or of a run's beside its bars.

`warehouse.corporate_action_refresh` plans the requests, `warehouse.corporate_actions` stores the responses.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial, reduce
from itertools import chain, pairwise
from operator import add
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from market_pipeline.core.errors import MarketPipelineError, describe_defect
from market_pipeline.core.symbols import AssetClass, Symbol, find_ticker_symbol
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.core.wording import format_count, name_some
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.reference import FetchedEvents
from market_pipeline.polygon.request_planning import TICKERS_PER_REQUEST
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.corporate_action_refresh import (
    DIVIDENDS,
    FIRST_DAY,
    LAST_DAY,
    NEXT_STEP,
    SPLITS,
    TABLES,
    Action,
    ActionTable,
    RefreshPlan,
    UnreadableAction,
    plan_run_refresh,
)
from market_pipeline.warehouse.corporate_actions import RefreshResult, refresh
from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.securities import read_securities

log = logging.getLogger(__name__)

SPLITS_FIRST_SECONDS = 5.0
"""Longest delay of a run's first load until its splits are stored: a jump that one explains is then never flagged."""

UNSHARED: AbstractContextManager[Any] = nullcontext()

FetchActions = Callable[[date, date, Sequence[Symbol] | None], FetchedEvents[Any]]

FETCHED_BY: Mapping[str, Callable[[PolygonClient], FetchActions]] = {
    SPLITS.name: lambda client: client.fetch_splits,
    DIVIDENDS.name: lambda client: client.fetch_dividends,
}
"""The method of the vendor's client that fetches each table's rows."""


@dataclass(frozen=True)
class ActionsResult:
    """Result of the requests for one table's actions of some symbols.

    `stored` are the counters of the refresh, None after a failure, whose reason is `error`. `requests` is the number of
    HTTP requests, `waited_seconds` the time that they waited for the rate limit.
    """

    kind: str
    plan: RefreshPlan
    requests: int
    waited_seconds: float
    stored: RefreshResult | None = None
    error: str | None = None

    def __add__(self, later: "ActionsResult") -> "ActionsResult":
        """Return the result of two parts, both stored."""
        assert self.stored is not None and later.stored is not None  # noqa: S101, PT018 - for mypy
        return ActionsResult(
            self.kind,
            self.plan + later.plan,
            self.requests + later.requests,
            self.waited_seconds + later.waited_seconds,
            self.stored + later.stored,
        )

    @property
    def note(self) -> str | None:
        """The failure, for the load record of each symbol."""
        return self.error and f"its {self.kind} could not be fetched ({self.error}); {NEXT_STEP}"

    @property
    def failure(self) -> str | None:
        """The failure, for the run as a whole."""
        names = name_some(self.plan.symbols)
        return self.error and f"the {self.kind} of {names} could not be fetched ({self.error}); {NEXT_STEP}"


def refresh_actions(
    client: PolygonClient,
    warehouse: Engine,
    actions: ActionTable,
    plan: RefreshPlan,
    symbols: Iterable[Symbol],
    *,
    run_id: str,
    storing: AbstractContextManager[Any] = UNSHARED,
) -> ActionsResult:
    """Make the requests of a plan, and store the responses.

    Args:
        client: the vendor's client.
        warehouse: the database.
        actions: the table.
        plan: the requests.
        symbols: all symbols of the plan, and maybe others.
        run_id: the run.
        storing: held while the responses are stored.

    Raises:
        PolygonError: a request failed; nothing is changed then.
        MarketPipelineError: the database can't store a row; nothing is changed then.
    """
    by_name = {symbol.name: symbol for symbol in symbols}
    records = read_securities(warehouse, [by_name[name] for name in plan.symbols])
    histories = {symbol.name: record.history for symbol, record in records.items()}
    tickers = {
        symbol.name: [find_ticker_symbol(ticker, symbol.asset_class) for ticker in sorted(record.history.tickers)]
        for symbol, record in records.items()
    }
    fetched = list(_fetch_planned(plan, tickers, FETCHED_BY[actions.name](client)))
    listed = list(_name_actions(actions, histories, fetched))
    with storing:
        stored = refresh(warehouse, actions, plan, listed, source=client.source, run_id=run_id, find_flags=find_flags)
    requests, waited = (sum(getattr(each, name) for each in fetched) for name in ("requests", "waited_seconds"))
    return ActionsResult(actions.name, plan, requests, waited, stored)


def refresh_in_parts(
    client: PolygonClient,
    warehouse: Engine,
    actions: ActionTable,
    plan: RefreshPlan,
    symbols: Sequence[Symbol],
    *,
    run_id: str,
    storing: AbstractContextManager[Any] = UNSHARED,
) -> list[ActionsResult]:
    """Refresh as `refresh_actions` does, TICKERS_PER_REQUEST symbols at a time, so that memory doesn't grow with them.

    Returns one result for the parts stored and, if a part failed, one with the `error` for it and those after it.

    Raises:
        sqlalchemy.exc.OperationalError: the database can't be used.
        sqlalchemy.exc.InterfaceError: the same.
    """
    stored: list[ActionsResult] = []
    parts = plan.parts(TICKERS_PER_REQUEST)
    for number, part in enumerate(parts):
        try:
            result = refresh_actions(client, warehouse, actions, part, symbols, run_id=run_id, storing=storing)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            failed = _describe_failure(actions, reduce(add, parts[number:]), error)
            return [*([reduce(add, stored)] if stored else []), failed]
        stored.append(result)
    return [reduce(add, stored)]


def _describe_failure(actions: ActionTable, plan: RefreshPlan, error: Exception) -> ActionsResult:
    if isinstance(error, PolygonError):
        return ActionsResult(actions.name, plan, error.requests, error.waited_seconds, error=str(error))
    if isinstance(error, MarketPipelineError):
        return ActionsResult(actions.name, plan, 0, 0.0, error=str(error))
    # A defect of ours, which must not cost the symbols their bars.
    log.error("A defect in loading %s", actions.name, exc_info=error)
    return ActionsResult(actions.name, plan, 0, 0.0, error=describe_defect(error))


def _fetch_planned(
    plan: RefreshPlan, tickers: Mapping[str, Sequence[Symbol]], fetch: FetchActions
) -> Iterator[FetchedEvents[Any]]:
    """Yield the responses for a plan's symbols, each requested under all its tickers."""
    if plan.in_full:
        whole = fetch(FIRST_DAY, LAST_DAY, _list_tickers([tickers[name] for name in plan.in_full]))
        yield whole
        yield from _fetch_again(plan, FIRST_DAY, {name: tickers[name] for name in plan.in_full}, whole, fetch)
    if plan.recent:
        market = fetch(plan.since, LAST_DAY, None)
        yield market
        recent = {name: tickers[name] for name in sorted(plan.recent)}
        yield from _fetch_again(plan, plan.since, recent, market, fetch)


def _list_tickers(tickers: Iterable[Sequence[Symbol]]) -> list[Symbol]:
    """Return all tickers, each once, in order."""
    return list(dict.fromkeys(chain.from_iterable(tickers)))


def _fetch_again(
    plan: RefreshPlan,
    start: date,
    tickers: Mapping[str, Sequence[Symbol]],
    first: FetchedEvents[Any],
    fetch: FetchActions,
) -> Iterator[FetchedEvents[Any]]:
    """Request symbols again that have rows, and none in the response: under load the vendor leaves some out."""
    listed = {event.ticker for event in first.events}
    absent = [
        own
        for name, own in tickers.items()
        if name in plan.holding and listed.isdisjoint(ticker.vendor_ticker for ticker in own)
    ]
    if absent:
        yield fetch(start, LAST_DAY, _list_tickers(absent))


def _name_actions(
    actions: ActionTable, histories: Mapping[str, TickerHistory], fetched: Sequence[FetchedEvents[Any]]
) -> Iterator[Action | UnreadableAction]:
    """Yield these symbols' events under the names of their table's columns; not those of a ticker's other holders.

    One without a readable ticker counts for each that was requested, as it may be any of theirs; one without a readable
    date for each holder of its ticker.
    """
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for name, history in histories.items():
        for ticker in history.tickers:
            holders[ticker].append(name)
    late = _find_late_splits(actions, histories, fetched)
    is_own = partial(_is_own, histories, late)
    for each in fetched:
        for one in each.unreadable:
            tickers = (each.tickers or ()) if one.ticker is None else [one.ticker]
            concerned = dict.fromkeys(name for ticker in tickers for name in holders.get(ticker, ()))
            for name in concerned:
                if one.ticker is None or one.date is None or is_own(name, one.ticker, one.date):
                    yield UnreadableAction(name, one.date, one.record, one.problem)
        for event in each.events:
            values = asdict(event)
            ticker, day = values.pop("ticker"), values[actions.date]
            for name in holders.get(ticker, ()):
                if is_own(name, ticker, day):
                    yield {"symbol": name, **values}


def _is_own(
    histories: Mapping[str, TickerHistory], late: Set[tuple[str, str, date]], name: str, ticker: str, day: date
) -> bool:
    """Return True if what is listed under a ticker on a day is the symbol's."""
    return histories[name].has_event(ticker, day) or (name, ticker, day) in late


def _find_late_splits(
    actions: ActionTable, histories: Mapping[str, TickerHistory], fetched: Sequence[FetchedEvents[Any]]
) -> frozenset[tuple[str, str, date]]:
    """Find splits listed under the former ticker on the first day under a new one: symbol, former ticker and date.

    None where the new ticker has a split on that day, or another of these symbols has the former ticker. Dividends have
    no such exception: without one of its own a series is slightly off, with another company's it is wrong.
    """
    if actions is not SPLITS:
        return frozenset()
    listed = {(event.ticker, event.execution_date) for each in fetched for event in each.events}
    listed |= {(one.ticker, one.date) for each in fetched for one in each.unreadable if one.ticker and one.date}
    return frozenset(
        (name, before.ticker, day)
        for name, history in histories.items()
        for before, day in ((before, period.first) for before, period in pairwise(history.periods))
        if day is not None
        and (before.ticker, day) in listed
        and history.is_first_day_after(before.ticker, day)
        and (history.ticker_on(day), day) not in listed
        and not any(other.has_event(before.ticker, day) for other in histories.values())
    )


class RunActions:
    """Requests for the splits and dividends of a run's symbols, in threads beside the requests for its bars.

    Each table is requested once, for the symbols for which it is due. A failure costs no bars: it is a result.

    Args:
        client: the vendor's client.
        warehouse: the database.
        symbols: the run's, of any asset class.
        run_id: the run.
        scheduled: True for a nightly run.
    """

    def __init__(
        self, client: PolygonClient, warehouse: Engine, symbols: Sequence[Symbol], *, run_id: str, scheduled: bool
    ) -> None:
        self._client = client
        self._warehouse = warehouse
        self._symbols = [symbol for symbol in symbols if symbol.asset_class is not AssetClass.CRYPTO]
        self._run_id = run_id
        self._scheduled = scheduled
        self._deadline = time.monotonic() + SPLITS_FIRST_SECONDS
        self._storing = threading.Lock()  # both tables' changes concern the same symbols' bars
        self._pool = ThreadPoolExecutor(len(TABLES), thread_name_prefix="actions")
        self._results: list[Future[list[ActionsResult]]] = [
            self._pool.submit(self._request, actions) for actions in TABLES if self._symbols
        ]
        self._collected = False

    def close(self) -> None:
        """Start no further request; one under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wait_for_splits(self) -> None:
        """Wait until the splits are stored or have failed, but no longer than SPLITS_FIRST_SECONDS after the start."""
        wait(self._results[:1], timeout=max(self._deadline - time.monotonic(), 0.0))

    def results(self) -> list[ActionsResult]:
        """Wait for the responses and return the results; there is none for a table that was due for no symbol.

        Raises:
            MarketPipelineError: the database can't be used.
        """
        return [result for future in self._results for result in future.result()]

    def collect(self) -> list[ActionsResult]:
        """Return the results to the first caller, and none to later ones."""
        results = [] if self._collected else self.results()
        self._collected = True
        return results

    def _request(self, actions: ActionTable) -> list[ActionsResult]:
        try:
            plan = plan_run_refresh(
                self._warehouse, actions, self._symbols, datetime.now(UTC), scheduled=self._scheduled
            )
            if not plan.symbols:
                return []
            log.info("Requesting the %s of %s", actions.name, format_count(len(plan.symbols), "symbol"))
            return refresh_in_parts(
                self._client, self._warehouse, actions, plan, self._symbols, run_id=self._run_id, storing=self._storing
            )
        except (OperationalError, InterfaceError) as error:
            raise build_unavailable_error(error, self._warehouse) from None
