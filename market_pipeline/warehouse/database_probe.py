"""Probe of the warehouse's database: its address, whether it accepts connections, and its schema's revision.

Nothing is started, made or migrated here, as `open_warehouse` would.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import describe
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import UnsupportedDatabaseError, build_unavailable_error
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.schema import find_head_revision, read_revision

NOT_STARTED = "the embedded PostgreSQL is not running: start it with `market-pipeline db start`"


@dataclass(frozen=True)
class WarehouseProbe:
    """The result of a probe. `where` holds no password, `engine` is None if the database can't be used.

    `revision` is None if it can't, or if there are no tables yet; `needed` is this version's.
    """

    where: str
    embedded: bool
    engine: Engine | None
    revision: str | None
    needed: str
    error: str | None

    @property
    def ready(self) -> bool:
        """True if its tables can be read."""
        return self.engine is not None and self.revision == self.needed

    @property
    def problem(self) -> str | None:
        """The reason why they can't, with the command that fixes it; None if they can."""
        if self.error or self.ready:
            return self.error
        state = f"is at revision {self.revision}" if self.revision else "has no tables yet"
        return f"the database {state}, this version needs {self.needed}: run `market-pipeline db migrate`"


@contextmanager
def probe_warehouse(settings: Settings) -> Iterator[WarehouseProbe]:
    """Probe the settings' database; its connections are closed on leaving."""
    needed = find_head_revision()
    if settings.database_url is not None:
        url, where = settings.database_url, describe(settings.database_url)
    else:
        try:
            server = embedded.find_running_server(settings.market_pipeline_data_dir)
        except EmbeddedServerError as error:
            yield WarehouseProbe(str(settings.market_pipeline_data_dir), True, None, None, needed, str(error))
            return
        if server is None:
            yield WarehouseProbe(str(settings.market_pipeline_data_dir), True, None, None, needed, NOT_STARTED)
            return
        url = server.url()
        where = f"{describe(url)}, data in {server.data_dir}"
    engine = create_warehouse_engine(url)
    try:
        yield _probe(engine, where, needed, is_embedded=settings.database_url is None)
    finally:
        engine.dispose()


def _probe(engine: Engine, where: str, needed: str, *, is_embedded: bool) -> WarehouseProbe:
    try:
        with engine.connect() as connection:
            return WarehouseProbe(where, is_embedded, engine, read_revision(connection), needed, None)
    except UnsupportedDatabaseError as error:
        return WarehouseProbe(where, is_embedded, None, None, needed, str(error))
    except DBAPIError as error:
        return WarehouseProbe(where, is_embedded, None, None, needed, str(build_unavailable_error(error, engine)))
