"""What every endpoint works with: the settings, the warehouse to read and to change, and Dagster's instance."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from dagster import DagsterInstance
from fastapi import Depends, Request
from sqlalchemy import Engine

from market_pipeline.api.download_slots import Downloads
from market_pipeline.api.generated.catalog import Catalog
from market_pipeline.api.generated.reader import Reader
from market_pipeline.core.settings import Settings


@dataclass(frozen=True)
class Context:
    """`reader` may only read and serves everyone; `warehouse` may write and is for administrators' requests."""

    settings: Settings
    reader: Reader
    catalog: Catalog
    warehouse: Engine
    instance: DagsterInstance
    downloads: Downloads = field(default_factory=Downloads)
    one_backfill: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One backfill is started at a time, so that a second of the same finds the first."""


def context_of(request: Request) -> Context:
    """The context of the application that a request was made to."""
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(context_of)]
