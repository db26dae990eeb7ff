"""Dumps: one database at one instant in one file, with its description, and restored into a new database.

A dump is PostgreSQL's own (pg_dump, custom format), so pg_restore reads it without this project. `backup` dumps the
databases together; `restore` puts a restored one in the place of another.
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
from market_pipeline.warehouse.backup.client_programs import find_program, run_program
from market_pipeline.warehouse.connections import ENCODING
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import build_unavailable_error, read_first_line
from market_pipeline.warehouse.statements import read_statement

MAINTENANCE = "postgres"
"""The database to connect to while another is made, renamed or dropped."""

LONGEST_NAME = 63


class DumpError(MarketPipelineError):
    """A dump is damaged, or a database restored from it is not equal to it."""


@dataclass(frozen=True)
class TableContent:
    """A table's content: `content` sums the first 64 bits of the md5 of each row's text, in any order."""

    rows: int
    content: str


@dataclass(frozen=True)
class Dump:
    """A dump, with the content of the database's tables (by schema and name) at its instant."""

    file: str
    database: str
    bytes: int
    sha256: str
    tables: Mapping[str, TableContent]


@dataclass(frozen=True)
class Snapshot:
    """A database at one instant, for as long as the connection's transaction is open."""

    url: SecretStr
    connection: Connection
    name: str


@contextmanager
def open_connection(url: SecretStr, *, any_encoding: bool = False) -> Iterator[Connection]:
    """Open a connection to the database at `url`, without making or migrating anything.

    Raises:
        DatabaseUnavailableError: it can't be reached, or has another encoding than UTF8 and not `any_encoding`.
    """
    engine = create_warehouse_engine(url, any_encoding=any_encoding)
    try:
        with translate_errors(engine):
            connection = engine.connect()
        with connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def translate_errors(engine: Engine) -> Iterator[None]:
    """Raise the server's errors as one line."""
    try:
        yield
    except DBAPIError as error:
        raise build_unavailable_error(error, engine) from None


def open_server_connection(url: SecretStr) -> AbstractContextManager[Connection]:
    """Open a connection to the server of `url`, to make, rename and drop databases; the rest as `open_connection`."""
    return open_connection(build_sibling_url(url, MAINTENANCE), any_encoding=True)


def build_sibling_url(url: SecretStr, database: str) -> SecretStr:
    """Return the address of another database on the same server."""
    return DatabaseAddress.parse(url).for_database(database).url()


def read_database_name(url: SecretStr) -> str:
    """Return the name of the database at `url`."""
    return DatabaseAddress.parse(url).database


def build_suffixed_name(url: SecretStr, suffix: str) -> str:
    """Return the name of the database at `url` with `suffix`, cut to the length that PostgreSQL allows."""
    return read_database_name(url)[: LONGEST_NAME - len(suffix)] + suffix


def has_database(url: SecretStr) -> bool:
    """Return True if the server of `url` has that database.

    Raises:
        DatabaseUnavailableError: the server can't be reached.
    """
    with open_server_connection(url) as connection, translate_errors(connection.engine):
        found = connection.execute(
            text("SELECT FROM pg_database WHERE datname = :name"), {"name": read_database_name(url)}
        )
        return found.first() is not None


@contextmanager
def open_snapshot(url: SecretStr) -> Iterator[Snapshot]:
    """Open a snapshot of the database at `url` as it is now; others go on writing meanwhile.

    Raises:
        DatabaseUnavailableError: it can't be reached.
    """
    with open_connection(url) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with translate_errors(connection.engine):
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            name: str = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        yield Snapshot(url, connection, name)


def write_dump(snapshot: Snapshot, path: Path) -> Dump:
    """Dump the snapshot to `path`, which only we may read.

    Raises:
        ClientProgramError: pg_dump failed: the disk is full, the server is gone.
        DatabaseUnavailableError: the server is gone.
    """
    with translate_errors(snapshot.connection.engine):
        program = find_program(snapshot.connection, "pg_dump")
        path.touch(mode=0o600, exist_ok=False)
        with path.open("wb") as output:
            arguments = ("--format=custom", "--no-password", f"--snapshot={snapshot.name}")
            run_program(program, snapshot.url, *arguments, output=output)
            os.fsync(output.fileno())
        tables = read_table_contents(snapshot.connection)
    return Dump(path.name, read_database_name(snapshot.url), path.stat().st_size, _compute_sha256(path), tables)


def read_table_contents(connection: Connection) -> dict[str, TableContent]:
    """Return the content of every table and materialized view of the database, by schema and name."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(
        text("SET LOCAL extra_float_digits = 1")
    )  # a row's text depends on it, and it may be set otherwise
    tables = connection.execute(read_statement("stored_tables")).all()
    return {
        f"{table.nspname}.{table.relname}": _read_content(connection, table.nspname, table.relname) for table in tables
    }


def _read_content(connection: Connection, schema: str, name: str) -> TableContent:
    query = read_statement("table_content").text.format(sql.Identifier(schema, name).as_string())
    found = connection.exec_driver_sql(query).one()
    return TableContent(found.rows, str(found.content))


def check_dump(path: Path, dump: Dump) -> None:
    """Check that the file is the one that was written.

    Raises:
        DumpError: it is missing, or its bytes have changed.
    """
    if not path.is_file():
        raise DumpError(f"{path} is missing: restore another backup")
    if _compute_sha256(path) != dump.sha256:
        raise DumpError(f"{path} is damaged, its sha256 is not the one in its manifest: restore another backup")


@contextmanager
def restore_copy(url: SecretStr, path: Path, dump: Dump, name: str) -> Iterator[SecretStr]:
    """Restore a dump into a new database `name` on the server of `url`, compare them, and yield its address.

    It is dropped on leaving, unless it has been renamed by then; so is one that an earlier, killed process left.

    Raises:
        DumpError: it may not be made, or is not equal to the dump.
        ClientProgramError: pg_restore failed.
    """
    copy = build_sibling_url(url, name)
    with _new_database(url, name):
        with open_connection(copy) as connection, translate_errors(connection.engine):
            program = find_program(connection, "pg_restore")
        arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--no-password")
        run_program(program, copy, *arguments, f"--dbname={name}", str(path))
        with open_connection(copy) as connection, translate_errors(connection.engine):
            _compare(dump, read_table_contents(connection))
        yield copy


@contextmanager
def _new_database(url: SecretStr, name: str) -> Iterator[None]:
    quoted = sql.Identifier(name).as_string()
    with open_server_connection(url) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        _reserve(connection, url, name)
        try:
            # With force: a killed process may have left a pg_restore, or its server process, at work in it.
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {quoted} ENCODING '{ENCODING}' TEMPLATE template0")
        except DBAPIError as error:
            raise DumpError(
                f"the database {name} can't be made on {describe(url)}: {read_first_line(error)}. It takes a role that "
                "may make databases"
            ) from None
        try:
            yield
        finally:  # on a new connection: minutes have passed
            with open_server_connection(url) as ending, translate_errors(ending.engine):
                ending.execution_options(isolation_level="AUTOCOMMIT")
                ending.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


def _reserve(connection: Connection, url: SecretStr, name: str) -> None:
    """Lock the name of a database until the connection closes, which it does when this process ends.

    Raises:
        DumpError: another process holds the lock.
    """
    with translate_errors(connection.engine):
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": name}):
            raise DumpError(
                f"another backup or restore is at work in the database {name} on {describe(url)}: wait until it has "
                "ended, and run the command again"
            )


def _compare(dump: Dump, found: Mapping[str, TableContent]) -> None:
    for name in sorted(dump.tables.keys() | found.keys()):
        if dump.tables.get(name) != found.get(name):
            raise DumpError(
                f"{dump.file} doesn't hold what was dumped: {name} has {found.get(name)}, and had "
                f"{dump.tables.get(name)}. Make another backup, or restore another"
            )


def _compute_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
