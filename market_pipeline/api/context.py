"""Context of the endpoints: the settings, the warehouse to read and to change, and Dagster's instance."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from dagster import DagsterInstance
from fastapi import Depends, Request
from sqlalchemy import Engine

from market_pipeline.api.download_slots import DownloadSlots
from market_pipeline.api.generated.catalog import Catalog
from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.kept_files import KeptFiles
from market_pipeline.core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ReadingContext:
    """The context of reading endpoints: `reader` only reads, `warehouse` has the rights of DATABASE_URL's user."""

    settings: Settings
    reader: Reader
    catalog: Catalog
    warehouse: Engine
    downloads: DownloadSlots = field(default_factory=DownloadSlots)
    files: KeptFiles = field(default_factory=KeptFiles)


@dataclass(frozen=True, kw_only=True)
class Context(ReadingContext):
    """The context of all endpoints."""

    instance: DagsterInstance
    one_backfill: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One backfill is started at a time, so that a second request for the same backfill finds the first."""


def get_context(request: Request) -> Context:
    """Return the context of a request's application."""
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(get_context)]
