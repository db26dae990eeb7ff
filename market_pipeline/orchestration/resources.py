"""What the assets are handed: the warehouse and the vendor, opened for a run and closed after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from sqlalchemy import Engine

from market_pipeline.ingest import Vendor
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.rate_limit import LocalLimiter
from market_pipeline.settings import Settings
from market_pipeline.warehouse.database import open_warehouse
from market_pipeline.warehouse.loading import Outcome

Progress = Callable[[Outcome], None]
"""Called with each symbol's outcome as soon as it is loaded."""


@dataclass(frozen=True)
class Pipeline:
    """The two ends of the main job, open."""

    vendor: Vendor
    warehouse: Engine
    progress: Progress


@contextmanager
def open_pipeline(settings: Settings, progress: Progress) -> Iterator[Pipeline]:
    """The pipeline as the settings describe it, closed on leaving."""
    warehouse = open_warehouse(settings)
    try:
        with PolygonClient.from_settings(settings, LocalLimiter(settings.requests_per_minute)) as vendor:
            yield Pipeline(vendor, warehouse, progress)
    finally:
        warehouse.dispose()


def pipeline_resource(settings: Settings, progress: Progress) -> dg.ResourceDefinition:
    """The resource `pipeline`: one `Pipeline` a run. It takes no configuration that could be stored with the run."""

    @dg.resource(description="The vendor's client and the warehouse's engine.")  # type: ignore[untyped-decorator, unused-ignore]
    @contextmanager
    def pipeline(_context: dg.InitResourceContext) -> Iterator[Pipeline]:
        with open_pipeline(settings, progress) as opened:
            yield opened

    return pipeline
