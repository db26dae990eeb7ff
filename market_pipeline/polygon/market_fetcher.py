"""Fetching of a market's sessions, in order, some ahead of their use: by grouped requests and from flat files.

The error of one session never costs the others; an error that would be every session's ends the run early.
"""

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Self

from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.plans import VendorPlan
from market_pipeline.core.settings import Settings, SettingsError
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetch_ahead import map_ahead
from market_pipeline.polygon.flat_file_reader import FlatFileReader
from market_pipeline.polygon.market_planning import PlannedSession, count_free_requests, needs_files, plan_market
from market_pipeline.polygon.plan_sessions import apply_plan, find_next_history_start, note_history_start, note_not_yet
from market_pipeline.polygon.sending import OnWait, SelfClosing, ignore_wait
from market_pipeline.polygon.vendor_errors import (
    BadKeyError,
    BadResponseError,
    MissingFileError,
    MissingKeyError,
    NotYetAvailableError,
    PlanError,
    PolygonError,
    UnknownEndpointError,
)

log = logging.getLogger(__name__)

SESSIONS_AHEAD = 4
"""Sessions that are being fetched, or wait for their use: some 2 MB each, and as many threads."""

MOST_ERRORS = 3
"""Errors in a row, of sessions that the plan serves, after which the others are not requested."""

_ERRORS_OF_ALL = (BadKeyError, MissingKeyError, UnknownEndpointError)
"""Errors that would be every session's."""
_ERRORS_OF_PLAN = (PlanError, NotYetAvailableError, MissingFileError)
"""Errors that say nothing about later sessions."""


@dataclass(frozen=True)
class MarketSessionError:
    """The error of a session without bars. `not_requested` are the later sessions that it keeps from being fetched."""

    session: date
    error: PolygonError
    not_requested: Sequence[date] = ()

    @property
    def message(self) -> str:
        """The error, and the sessions that it also costs."""
        if not self.not_requested:
            return str(self.error)
        return f"{self.error}. Not requested after it: {len(self.not_requested)} sessions from {self.not_requested[0]}"


class MarketFetcher(SelfClosing):
    """Fetches sessions of one market. A context manager that closes the sockets of the flat files.

    Args:
        client: the vendor's client, for grouped requests.
        market: the market.
        now: the instant that the plan's limits are counted from.
        requests_per_minute: the rate limit of grouped requests.
        plan: the vendor plan if it is known; if None, its limits are learnt from rejected requests.
        files: the flat files, if there are keys.

    Raises:
        SettingsError: bars would come from a sandbox and from the vendor.
    """

    def __init__(
        self,
        client: PolygonClient,
        market: Market,
        *,
        now: datetime,
        requests_per_minute: int,
        plan: VendorPlan | None = None,
        files: FlatFileReader | None = None,
    ) -> None:
        if files is not None and files.source != client.source:
            raise SettingsError(
                "POLYGON_S3_ENDPOINT and POLYGON_BASE_URL must both be the vendor's, or both a sandbox's: their bars "
                "are never mixed. Fix one of them in the environment or in .env."
            )
        self.source = client.source
        self._client = client
        self._market = market
        self._now = now
        self._free_requests = count_free_requests(requests_per_minute)
        self._plan = plan
        self._files = files
        self._history_start = date.min
        self._replaced_files = 0
        self._list_requests = 0
        self._lock = threading.Lock()

    @classmethod
    def from_settings(
        cls, settings: Settings, client: PolygonClient, market: Market, now: datetime, on_wait: OnWait = ignore_wait
    ) -> Self:
        """Create the fetcher that the settings describe.

        Raises:
            BadKeyError: there is only one of the two keys of flat files, or it has characters that no key has.
            SettingsError: bars would come from a sandbox and from the vendor.
        """
        return cls(
            client,
            market,
            now=now,
            requests_per_minute=settings.requests_per_minute,
            plan=settings.plan,
            files=FlatFileReader.from_settings(settings, on_wait),
        )

    def close(self) -> None:
        """Close the sockets of the flat files."""
        if self._files is not None:
            self._files.close()

    def find_changed_files(self, versions: Mapping[date, str]) -> list[date]:
        """Return the sessions whose flat file was replaced since its load, oldest first; none without keys.

        Its requests count with the session that is fetched next.

        Args:
            versions: ETags of the loaded files by session.

        Raises:
            PolygonError: there is no usable response.
        """
        if self._files is None or not versions:
            return []
        published = self._list_files(self._files, min(versions), max(versions))
        return sorted(day for day, version in versions.items() if published.get(day, version) != version)

    def iterate(
        self, sessions: Sequence[date], from_files: Collection[date] = ()
    ) -> Iterator[MarketSession | MarketSessionError]:
        """Yield the bars, or the error, of each session, oldest first; fetch SESSIONS_AHEAD meanwhile.

        After an error that would be every session's, the others are not requested: it names them.

        Args:
            sessions: the sessions.
            from_files: those that are read from their flat file if there is one, such as `find_changed_files` returns.
        """
        limits = apply_plan(self._plan, self._market.calendar, sorted(sessions), self._now)
        for session in limits.too_old:
            yield MarketSessionError(session, PlanError(note_history_start(limits.history_start)))
        yield from self._iterate_available(limits.available, from_files)
        for session in limits.not_yet:
            yield MarketSessionError(session, NotYetAvailableError(note_not_yet(session)))

    def _iterate_available(
        self, sessions: Sequence[date], from_files: Collection[date]
    ) -> Iterator[MarketSession | MarketSessionError]:
        if not sessions:
            return
        try:
            planned = self._plan_sessions(sessions, from_files)
        except PolygonError as error:
            yield MarketSessionError(sessions[0], error, sessions[1:])
            return
        errors = 0
        for place, result in enumerate(map_ahead(self._fetch, planned, SESSIONS_AHEAD)):
            counted_result = self._count_list_requests(result)
            if isinstance(counted_result, MarketSession):
                errors = 0
            elif not isinstance(counted_result.error, _ERRORS_OF_PLAN):
                errors += 1
                if errors == MOST_ERRORS or isinstance(counted_result.error, _ERRORS_OF_ALL):
                    yield replace(counted_result, not_requested=sessions[place + 1 :])
                    return
            yield counted_result

    def _plan_sessions(self, sessions: Sequence[date], from_files: Collection[date]) -> list[PlannedSession]:
        published: Collection[date] = ()
        if self._files is not None and needs_files(sessions, self._free_requests, from_files):
            try:
                published = self._list_files(self._files, sessions[0], sessions[-1])
            except MissingFileError as error:
                self._list_requests += error.requests
                log.warning("Without flat files: %s", error)
        return plan_market(sessions, published, self._free_requests, from_files)

    def _list_files(self, files: FlatFileReader, first: date, last: date) -> Mapping[date, str]:
        listed = files.list_files(self._market, first, last)
        self._list_requests += listed.requests
        return listed.versions

    def _count_list_requests(self, result: MarketSession | MarketSessionError) -> MarketSession | MarketSessionError:
        """Add the requests of lists to the first session after them."""
        requests, self._list_requests = self._list_requests, 0
        if isinstance(result, MarketSession):
            return replace(result, requests=result.requests + requests)
        result.error.requests += requests
        return result

    def _fetch(self, planned: PlannedSession) -> MarketSession | MarketSessionError:
        try:
            if planned.session < self._history_start:
                raise PlanError(note_history_start(self._history_start))
            if planned.origin is Origin.FLAT_FILE and self._files is not None:
                return self._read_file(self._files, planned.session)
            return self._client.fetch_market_session(self._market, planned.session)
        except PolygonError as error:
            if isinstance(error, PlanError):
                self._skip_older_sessions(planned.session)
            return MarketSessionError(planned.session, error)

    def _skip_older_sessions(self, rejected: date) -> None:
        """Request no session that a plan whose history begins after the rejected one doesn't have either."""
        start = find_next_history_start(rejected, self._now.date())
        if start < date.max:
            with self._lock:
                self._history_start = max(self._history_start, start)

    def _read_file(self, files: FlatFileReader, session: date) -> MarketSession:
        """Read a session's file; if there is none, or it can't be used, make a grouped request instead."""
        try:
            return files.read_session(self._market, session)
        except (MissingFileError, BadResponseError) as error:
            if not self._may_replace(error):
                raise
            problem = error
        log.warning("%s. A grouped request takes its place", problem)
        try:
            grouped = self._client.fetch_market_session(self._market, session)
        except PolygonError as error:
            error.requests += problem.requests
            error.args = (f"{error} (in place of its flat file: {problem})",)
            raise
        notes = (*grouped.notes, f"{problem}. A grouped request took its place")
        return replace(grouped, requests=grouped.requests + problem.requests, notes=notes)

    def _may_replace(self, error: PolygonError) -> bool:
        """Return True for a missing file, and for the first unusable ones. For many, the rate limit would wait."""
        if isinstance(error, MissingFileError):
            return True
        with self._lock:
            self._replaced_files += 1
            return self._replaced_files <= self._free_requests
