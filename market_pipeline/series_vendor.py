"""The vendor as a run sees it: each symbol's series under all its tickers.

A history is looked up when a symbol is first loaded, in turn at night, and when a symbol lacks its newest bar, as on
the night after its ticker has changed.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from threading import Lock

from sqlalchemy import Engine

from market_pipeline.core import stop_signals
from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import AssetClass, Symbol, find_ticker_symbol
from market_pipeline.core.ticker_corrections import TickerCorrections
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.core.wording import format_count
from market_pipeline.lookup_planning import plan_lookups
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.vendor_errors import PolygonError, UnknownTickerError
from market_pipeline.security_lookup import find_correction
from market_pipeline.security_refresh import refresh_reference, refresh_security, store_finding
from market_pipeline.warehouse.securities import SecurityRecord, read_securities
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)

LOOKED_UP_A_NIGHT = 5
"""Symbols whose history is looked up again each night in turn, those never looked up first."""

AGAIN_AFTER = timedelta(hours=20)
"""A symbol without its newest bar, such as one that seldom trades, is looked up once a night at most."""

MOST_WITHOUT_NEWEST = 20
"""Symbols without their newest bar that a run looks up; more of them mean that the vendor is late, not renamings."""


class SecurityLookups:
    """Looks up the histories of a run's symbols. Safe to share between threads.

    Args:
        client: the vendor's client.
        warehouse: the database.
        corrections: manual histories.
        run_id: the run.
    """

    def __init__(self, client: PolygonClient, warehouse: Engine, corrections: TickerCorrections, run_id: str) -> None:
        self._client = client
        self._warehouse = warehouse
        self._corrections = corrections
        self._run_id = run_id
        self._records: dict[Symbol, SecurityRecord] = {}
        self._without_newest = 0
        self._lock = Lock()

    def prepare(
        self, symbols: Sequence[Symbol], sessions: Sequence[date], *, nightly: bool
    ) -> Mapping[Symbol, TickerHistory]:
        """Return the histories of a run's symbols, after those that are due were looked up.

        A night that fetches whole market days looks no more than LOOKED_UP_A_NIGHT symbols up.

        Args:
            symbols: of the run.
            sessions: of the run, oldest first.
            nightly: True for the nightly run.
        """
        self._records = dict(read_securities(self._warehouse, symbols))
        self._apply_corrections()
        self._look_up(plan_lookups(self._records, self._corrections, sessions))
        if nightly:
            self._look_up(self._next_in_turn())
        return self._histories()

    def _histories(self) -> dict[Symbol, TickerHistory]:
        return {symbol: record.history for symbol, record in self._records.items()}

    def _apply_corrections(self) -> None:
        for symbol, record in self._records.items():
            correction = find_correction(self._corrections, symbol)
            if correction is not None and correction.history != record.history:
                self._records[symbol] = store_finding(self._warehouse, record, correction, run_id=self._run_id)

    def _next_in_turn(self) -> list[Symbol]:
        begin = datetime.min.replace(tzinfo=UTC)
        waiting = [
            record
            for record in self._records.values()
            if record.symbol.asset_class is not AssetClass.CRYPTO and not record.ended and not record.is_manual
        ]
        due = [record for record in waiting if self._is_old(record)]
        due.sort(key=lambda record: (record.checked_at or begin, record.symbol))
        return [record.symbol for record in due[:LOOKED_UP_A_NIGHT]]

    def _is_old(self, record: SecurityRecord) -> bool:
        return record.checked_at is None or datetime.now(UTC) - record.checked_at > AGAIN_AFTER

    def _look_up(self, symbols: Sequence[Symbol]) -> None:
        """Look symbols up, until a request fails: those left keep their histories, and are due again."""
        if symbols:
            log.info("Looking the ticker history of %s up", format_count(len(symbols), "symbol"))
        for symbol in symbols:
            if stop_signals.is_requested():
                return
            try:
                self._refresh(symbol, thorough=False)
            except UnknownTickerError:
                continue  # reported with the response that it explains
            except PolygonError as error:
                log.warning("%s: its ticker history could not be looked up: %s", symbol.name, error)
                return  # the vendor is down, or rejects the key: each further request would wait for its retries

    def _refresh(self, symbol: Symbol, *, thorough: bool) -> SecurityRecord:
        found = refresh_security(
            self._client, self._warehouse, symbol, self._corrections, run_id=self._run_id, thorough=thorough
        )
        self._records[symbol] = found
        return found

    def find_new_history(self, symbol: Symbol) -> TickerHistory | None:
        """Look up a symbol that lacks its newest bar; return its history if that has changed, else None."""
        record = self._records.get(symbol)
        with self._lock:
            if record is None or not self._is_doubtful(record):
                return None
            self._without_newest += 1
        try:
            found = self._refresh(symbol, thorough=True)
        except UnknownTickerError:
            return None  # reported with the response that it explains
        except PolygonError as error:
            log.warning("%s: it lacks its newest bar, and could not be looked up: %s", symbol.name, error)
            return None
        return found.history if found.history != record.history else None

    def _is_doubtful(self, record: SecurityRecord) -> bool:
        is_open = record.symbol.asset_class is not AssetClass.CRYPTO and not record.ended and not record.is_manual
        return is_open and self._is_old(record) and self._without_newest < MOST_WITHOUT_NEWEST

    def fetch_reference(self, symbol: Symbol) -> Reference:
        """Fetch the reference data of a symbol's present ticker, store and return them.

        Raises:
            UnknownTickerError: the vendor has no such ticker.
            PolygonError: there is no usable response.
        """
        record = self._records.get(symbol)
        return refresh_reference(self._client, self._warehouse, symbol, record.history if record else None)

    def fetch_list_date(self, symbol: Symbol) -> date | None:
        """Return the first day of a symbol's history; if that isn't known, fetch its list date.

        Raises:
            PolygonError: there is no usable response.
        """
        record = self._records.get(symbol)
        history = record.history if record else TickerHistory.assume(symbol)
        present = find_ticker_symbol(history.current.ticker, symbol.asset_class)
        return history.periods[0].first or self._client.fetch_list_date(present)


@dataclass(frozen=True)
class SeriesVendor:
    """A run's fetcher that looks a symbol up if it lacks its newest bar."""

    fetcher: Fetcher
    lookups: SecurityLookups

    @property
    def source(self) -> Source:
        """The vendor or the sandbox."""
        return self.fetcher.source

    def fetch_bars(self, symbol: Symbol, last: date) -> FetchedBars:
        """Fetch the symbol's bars of the run's sessions up to `last`.

        Raises:
            PolygonError: there is no usable response.
        """
        fetched = self.fetcher.fetch_bars(symbol, last)
        if fetched.answered is None or _reaches(fetched, fetched.answered[1]):
            return fetched
        history = self.lookups.find_new_history(symbol)
        if history is None:
            return fetched
        again = self.fetcher.fetch_bars(symbol, last, history)
        note = f"its ticker is {history.current.ticker} since {history.current.first}"
        return replace(
            again,
            requests=fetched.requests + again.requests,
            waited_seconds=fetched.waited_seconds + again.waited_seconds,
            notes=(*again.notes, *([note] if history.current.last is None and history.current.first else [])),
        )


def _reaches(fetched: FetchedBars, newest: date) -> bool:
    """Return True if there is a bar of the newest session that the vendor answered for."""
    return fetched.dates is not None and fetched.dates[1] >= newest
