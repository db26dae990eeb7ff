"""The resource `pipeline`: the warehouse and the vendor's client, opened for a run and closed after it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_corrections import read_configured_corrections
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.tracked_symbols import Reference, list_active_symbols, read_delistings

if TYPE_CHECKING:  # frames and HTTP take half a second, and only runs need them
    from market_pipeline.corporate_action_requests import ActionsResult, RunActions
    from market_pipeline.polygon.client import PolygonClient
    from market_pipeline.polygon.market_fetcher import MarketFetcher
    from market_pipeline.series_vendor import SeriesVendor
    from market_pipeline.warehouse.market_records import MarketLoadResult

OnLoaded = Callable[[LoadResult], None]
"""Called with each symbol's load result as soon as it is stored."""

OnSessionLoaded = Callable[["MarketLoadResult"], None]
"""Called with the load result of each session of a market as soon as it is stored."""

OnRefreshed = Callable[["ActionsResult"], None]
"""Called with the result of a run's requests for splits, and of those for dividends."""

FAST_PLAN = 60
"""Requests per minute from which on several run at once; below, they would only wait for the rate limit."""

REQUESTS_AT_ONCE = 8


class Pipeline:
    """The vendor's client and the warehouse, open for one run.

    It is no ConfigurableResource: it has no configuration of Dagster's, as all settings come from the environment.

    Args:
        settings: of the pipeline.
        client: the vendor's client.
        warehouse: the database.
        on_loaded: called with each symbol's load result.
        on_refreshed: called with the results for splits and dividends.
        on_session_loaded: called with the load result of each session of a market.
    """

    def __init__(
        self,
        settings: Settings,
        client: "PolygonClient",
        warehouse: Engine,
        on_loaded: OnLoaded,
        on_refreshed: OnRefreshed,
        on_session_loaded: OnSessionLoaded,
    ) -> None:
        self.settings = settings
        self.client = client
        self.warehouse = warehouse
        self.at_once = REQUESTS_AT_ONCE if settings.requests_per_minute >= FAST_PLAN else 1
        self.on_loaded = on_loaded
        self.on_refreshed = on_refreshed
        self.on_session_loaded = on_session_loaded
        self._corrections = read_configured_corrections(settings)
        self._run: tuple[SeriesVendor, RunActions] | None = None

    def open_run(
        self, find_symbols: Callable[[], Sequence[Symbol]], sessions: Sequence[date], run_id: str, *, scheduled: bool
    ) -> tuple["SeriesVendor", "RunActions"]:
        """Return the run's vendor, and its requests for splits and dividends, of all its symbols.

        The first step plans and starts them. All steps share them, and the market days that were fetched.
        """
        if self._run is None:
            symbols = find_symbols()
            vendor = self.open_vendor(symbols, sessions, run_id, nightly=scheduled)
            self._run = vendor, self._start_actions(symbols, run_id, scheduled=scheduled)
        return self._run

    def open_vendor(
        self, symbols: Sequence[Symbol], sessions: Sequence[date], run_id: str, *, nightly: bool
    ) -> "SeriesVendor":
        """Return the vendor of some symbols' bars, after the ticker histories that are due were looked up."""
        from market_pipeline.polygon.fetcher import Fetcher
        from market_pipeline.series_vendor import SecurityLookups, SeriesVendor

        trading = _select_trading(symbols, read_delistings(self.warehouse), sessions[0]) or symbols
        lookups = SecurityLookups(self.client, self.warehouse, self._corrections, run_id)
        histories = lookups.prepare(trading, sessions, nightly=nightly)
        fetcher = Fetcher(self.client, trading, sessions, datetime.now(UTC), self.settings.plan, histories)
        return SeriesVendor(fetcher, lookups)

    def open_market(self, market: Market) -> "MarketFetcher":
        """Return the vendor of a market's sessions, which is to be closed."""
        from market_pipeline.polygon.market_fetcher import MarketFetcher

        return MarketFetcher.from_settings(self.settings, self.client, market, datetime.now(UTC))

    def _start_actions(self, symbols: Sequence[Symbol], run_id: str, *, scheduled: bool) -> "RunActions":
        from market_pipeline.corporate_action_requests import RunActions

        tracked = frozenset(list_active_symbols(self.warehouse))
        known = [symbol for symbol in symbols if symbol in tracked]
        return RunActions(self.client, self.warehouse, known, run_id=run_id, scheduled=scheduled)

    def close(self) -> None:
        """Start no further request."""
        if self._run is not None:
            self._run[1].close()


def _select_trading(symbols: Sequence[Symbol], delisted: Mapping[str, Reference], first: date) -> list[Symbol]:
    """Return the symbols that were not delisted before the run's first session: the others need no request."""
    ended = {name for name, known in delisted.items() if known.delisted_on is not None and known.delisted_on < first}
    return [symbol for symbol in symbols if symbol.name not in ended]


@contextmanager
def open_pipeline(
    settings: Settings, on_loaded: OnLoaded, on_refreshed: OnRefreshed, on_session_loaded: OnSessionLoaded
) -> Iterator[Pipeline]:
    """Open the pipeline that the settings describe, and close it at the end."""
    from market_pipeline.polygon.client import PolygonClient
    from market_pipeline.polygon.limiter import WINDOW_SECONDS
    from market_pipeline.warehouse.rate_limit import SharedLimiter

    with warehouse_of(settings) as warehouse:
        limiter = SharedLimiter(warehouse, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
        with (
            PolygonClient.from_settings(settings, limiter) as client,
            closing(Pipeline(settings, client, warehouse, on_loaded, on_refreshed, on_session_loaded)) as opened,
        ):
            yield opened


def build_pipeline_resource(
    settings: Settings,
    on_loaded: OnLoaded = lambda _result: None,
    on_refreshed: OnRefreshed = lambda _result: None,
    on_session_loaded: OnSessionLoaded = lambda _result: None,
) -> dg.ResourceDefinition:
    """Build the resource: one `Pipeline` per run, without configuration, which would be stored with the run."""

    @dg.resource(description="The vendor's client and the warehouse's engine.")  # type: ignore[untyped-decorator, unused-ignore]
    @contextmanager
    def pipeline(_context: dg.InitResourceContext) -> Iterator[Pipeline]:
        with open_pipeline(settings, on_loaded, on_refreshed, on_session_loaded) as opened:
            yield opened

    return pipeline
