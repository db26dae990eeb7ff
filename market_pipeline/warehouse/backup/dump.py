"""One database in one file: dumped as it is at one instant, described, and brought back into a database of its own.

A dump is PostgreSQL's own (pg_dump, custom format), so pg_restore reads it without this project. Which databases are
dumped together, and how a restored one takes the place of another, is said elsewhere.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import DatabaseAddress, describe
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.warehouse.backup.client_programs import program_for, run_program
from market_pipeline.warehouse.connections import ENCODING
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import first_line, unavailable
from market_pipeline.warehouse.statements import statement

MAINTENANCE = "postgres"
"""The database that is connected to where another is made, renamed or dropped."""

LONGEST_NAME = 63


class DumpError(MarketPipelineError):
    """A dump is damaged, or what was restored from it is not what was dumped."""


@dataclass(frozen=True)
class Table:
    """What a table held. `content` is the sum of the first 64 bits of the md5 of each row's text: order has no say."""

    rows: int
    content: str


@dataclass(frozen=True)
class Dump:
    """A dump, and what was in the database (`tables`, by schema and name) at the instant it was made of."""

    file: str
    database: str
    bytes: int
    sha256: str
    tables: Mapping[str, Table]


@dataclass(frozen=True)
class Snapshot:
    """A database as it was at one instant, for as long as the connection's transaction is open."""

    url: SecretStr
    connection: Connection
    name: str


@contextmanager
def connected(url: SecretStr, *, any_encoding: bool = False) -> Iterator[Connection]:
    """A connection to the database at `url`, without making or migrating anything.

    Raises:
        DatabaseUnavailableError: it can't be reached, or has another encoding than UTF8 and not `any_encoding`.
    """
    engine = create_warehouse_engine(url, any_encoding=any_encoding)
    try:
        with explained(engine):
            connection = engine.connect()
        with connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def explained(engine: Engine) -> Iterator[None]:
    """Turns what the server says against it into one line."""
    try:
        yield
    except DBAPIError as error:
        raise unavailable(error, engine) from None


def server_of(url: SecretStr) -> AbstractContextManager[Connection]:
    """A connection to the server of `url`, to make, rename and drop databases on it; the rest as `connected`."""
    return connected(beside(url, MAINTENANCE), any_encoding=True)


def beside(url: SecretStr, database: str) -> SecretStr:
    """The address of another database on the same server."""
    return DatabaseAddress.of(url).beside(database).url()


def named(url: SecretStr) -> str:
    """The name of the database at `url`."""
    return DatabaseAddress.of(url).database


def suffixed(url: SecretStr, suffix: str) -> str:
    """The name of the database at `url` with `suffix`, cut to what PostgreSQL takes as a name."""
    return named(url)[: LONGEST_NAME - len(suffix)] + suffix


def exists(url: SecretStr) -> bool:
    """Whether the server of `url` has that database.

    Raises:
        DatabaseUnavailableError: the server can't be asked.
    """
    with server_of(url) as connection, explained(connection.engine):
        found = connection.execute(text("SELECT FROM pg_database WHERE datname = :name"), {"name": named(url)})
        return found.first() is not None


@contextmanager
def snapshot_of(url: SecretStr) -> Iterator[Snapshot]:
    """The database at `url` as it is now; others go on writing meanwhile.

    Raises:
        DatabaseUnavailableError: it can't be reached.
    """
    with connected(url) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with explained(connection.engine):
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            name: str = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        yield Snapshot(url, connection, name)


def save(snapshot: Snapshot, path: Path) -> Dump:
    """Write what the snapshot shows to `path`, which only we may read.

    Raises:
        ClientProgramError: pg_dump failed: the disk is full, the server is gone.
        DatabaseUnavailableError: the server is gone.
    """
    with explained(snapshot.connection.engine):
        program = program_for(snapshot.connection, "pg_dump")
        path.touch(mode=0o600, exist_ok=False)
        with path.open("wb") as output:
            arguments = ("--format=custom", "--no-password", f"--snapshot={snapshot.name}")
            run_program(program, snapshot.url, *arguments, output=output)
            os.fsync(output.fileno())
        tables = contents(snapshot.connection)
    return Dump(path.name, named(snapshot.url), path.stat().st_size, _sha256(path), tables)


def contents(connection: Connection) -> dict[str, Table]:
    """What is in every table and materialized view of the database, by schema and name."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL extra_float_digits = 1"))  # what the text of a row depends on, and may be set
    tables = connection.execute(statement("stored_tables")).all()
    return {f"{table.nspname}.{table.relname}": _content(connection, table.nspname, table.relname) for table in tables}


def _content(connection: Connection, schema: str, name: str) -> Table:
    query = statement("table_content").text.format(sql.Identifier(schema, name).as_string())
    found = connection.exec_driver_sql(query).one()
    return Table(found.rows, str(found.content))


def check_whole(path: Path, dump: Dump) -> None:
    """Make sure that the file is the one that was written.

    Raises:
        DumpError: it is missing, or its bytes have changed.
    """
    if not path.is_file():
        raise DumpError(f"{path} is missing: restore another backup")
    if _sha256(path) != dump.sha256:
        raise DumpError(f"{path} is damaged, its sha256 is not the one in its manifest: restore another backup")


@contextmanager
def restored(url: SecretStr, path: Path, dump: Dump, name: str) -> Iterator[SecretStr]:
    """The address of a new database `name`, on the server of `url`, that holds what was dumped: it is compared.

    It is dropped on leaving, unless it goes by another name by then; so is one that an earlier, killed process left.

    Raises:
        DumpError: it may not be made, or holds something else than was dumped.
        ClientProgramError: pg_restore failed.
    """
    copy = beside(url, name)
    with _new_database(url, name):
        with connected(copy) as connection, explained(connection.engine):
            program = program_for(connection, "pg_restore")
        arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--no-password")
        run_program(program, copy, *arguments, f"--dbname={name}", str(path))
        with connected(copy) as connection, explained(connection.engine):
            _compare(dump, contents(connection))
        yield copy


@contextmanager
def _new_database(url: SecretStr, name: str) -> Iterator[None]:
    quoted = sql.Identifier(name).as_string()
    with server_of(url) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        _reserve(connection, url, name)
        try:
            # With force: a killed process may have left a pg_restore, or what the server does for one, at work in it.
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {quoted} ENCODING '{ENCODING}' TEMPLATE template0")
        except DBAPIError as error:
            raise DumpError(
                f"the database {name} can't be made on {describe(url)}: {first_line(error)}. It takes a role that may "
                "make databases"
            ) from None
        try:
            yield
        finally:  # on a connection of its own: minutes have passed
            with server_of(url) as ending, explained(ending.engine):
                ending.execution_options(isolation_level="AUTOCOMMIT")
                ending.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


def _reserve(connection: Connection, url: SecretStr, name: str) -> None:
    """Keep others from making the same database for as long as the connection is open, which ends with this process.

    Raises:
        DumpError: another process is about it.
    """
    with explained(connection.engine):
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": name}):
            raise DumpError(
                f"another backup or restore is at work in the database {name} on {describe(url)}: wait until it has "
                "ended, and run the command again"
            )


def _compare(dump: Dump, found: Mapping[str, Table]) -> None:
    for name in sorted(dump.tables.keys() | found.keys()):
        if dump.tables.get(name) != found.get(name):
            raise DumpError(
                f"{dump.file} doesn't hold what was dumped: {name} has {found.get(name)}, and had "
                f"{dump.tables.get(name)}. Make another backup, or restore another"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
