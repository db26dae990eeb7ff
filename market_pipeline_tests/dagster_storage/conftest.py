"""Empty databases, made on the server of the fixture `postgres_url`."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from market_pipeline.dagster_storage.event_log import BulkPostgresEventLogStorage


@pytest.fixture(scope="module")
def new_database(postgres_url: str) -> Iterator[Callable[..., str]]:
    """Yield a function that creates a database, empty or like a template, and returns its address for Dagster."""
    created: list[str] = []
    server = make_url(postgres_url).set(drivername="postgresql+psycopg2")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:

        def create(template: str = "template0") -> str:
            created.append(f"dagster_{uuid4().hex}")
            connection.execute(text(f"CREATE DATABASE {created[-1]} TEMPLATE {template}"))
            return server.set(database=created[-1]).render_as_string(hide_password=False)

        yield create
        for name in created:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """The address of an empty database of the test's own."""
    return new_database()


@pytest.fixture
def storage(url: str) -> Iterator[BulkPostgresEventLogStorage]:
    """An event log in that database."""
    opened = BulkPostgresEventLogStorage(url)
    yield opened
    opened.dispose()
