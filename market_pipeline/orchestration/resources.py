"""What the assets are handed: the warehouse and the vendor, opened for a run and closed after it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.core.plans import Plan
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.load_history import LoadResult

if TYPE_CHECKING:  # frames and HTTP, half a second, for runs alone
    from market_pipeline.polygon.client import PolygonClient
    from market_pipeline.polygon.fetcher import Fetcher

Loaded = Callable[[LoadResult], None]
"""Called with each symbol's outcome as soon as it is loaded."""

FAST_PLAN = 60
"""Requests a minute from which on it pays to have several under way: below, they would only wait for each other."""

REQUESTS_AT_ONCE = 8


class Pipeline:
    """The two ends of the main job, open for one run.

    Args:
        client: asks the vendor.
        warehouse: the database.
        at_once: how many symbols may be fetched at the same time.
        loaded: told each symbol's outcome.
        plan: the account's, where it is known.
    """

    def __init__(
        self, client: "PolygonClient", warehouse: Engine, at_once: int, loaded: Loaded, plan: Plan | None = None
    ) -> None:
        self.warehouse = warehouse
        self.at_once = at_once
        self.loaded = loaded
        self.client = client
        self._plan = plan
        self._fetcher: Fetcher | None = None

    def fetcher(self, symbols: Sequence[Symbol], sessions: Sequence[date]) -> "Fetcher":
        """The run's fetcher for all its symbols, the same for each of its steps: what one fetches serves the others."""
        from market_pipeline.polygon.fetcher import Fetcher

        if self._fetcher is None:
            self._fetcher = Fetcher(self.client, symbols, sessions, datetime.now(UTC), self._plan)
        return self._fetcher


@contextmanager
def open_pipeline(settings: Settings, loaded: Loaded) -> Iterator[Pipeline]:
    """The pipeline as the settings describe it, closed on leaving."""
    from market_pipeline.polygon.client import PolygonClient
    from market_pipeline.polygon.rate_limit import WINDOW_SECONDS
    from market_pipeline.warehouse.rate_limit import SharedLimiter

    at_once = REQUESTS_AT_ONCE if settings.requests_per_minute >= FAST_PLAN else 1
    with warehouse_of(settings) as warehouse:
        limiter = SharedLimiter(warehouse, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
        with PolygonClient.from_settings(settings, limiter) as client:
            yield Pipeline(client, warehouse, at_once, loaded, settings.plan)


def pipeline_resource(settings: Settings, loaded: Loaded) -> dg.ResourceDefinition:
    """The resource `pipeline`: one `Pipeline` a run. It takes no configuration that could be stored with the run."""

    @dg.resource(description="The vendor's client and the warehouse's engine.")  # type: ignore[untyped-decorator, unused-ignore]
    @contextmanager
    def pipeline(_context: dg.InitResourceContext) -> Iterator[Pipeline]:
        with open_pipeline(settings, loaded) as opened:
            yield opened

    return pipeline
