"""Restoring of backups: into new databases, compared with their dumps, which then replace the old ones.

The old databases are kept under other names. Roles belong to the server, not to a backup: those of ours that the server
has get their rights again.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.database_address import describe
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.warehouse.backup.backup import WAREHOUSE, Backup, Report
from market_pipeline.warehouse.backup.dump import (
    build_suffixed_name,
    check_dump,
    has_database,
    open_connection,
    open_server_connection,
    read_database_name,
    restore_copy,
    translate_errors,
)
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.roles import ANALYST, READER, RoleError, grant_analyst_access, make_reading_role
from market_pipeline.warehouse.schema import check_known, find_head_revision, read_revision
from market_pipeline.warehouse.statements import read_statement


class RestoreError(MarketPipelineError):
    """A backup can't be restored; the databases are as they were."""


@dataclass(frozen=True)
class RestoreResult:
    """The databases that hold the backup now, and the names under which their old contents are kept."""

    databases: Sequence[str]
    kept: Mapping[str, str]
    roles: Sequence[str]
    """The reading roles of the server, which may read it again."""
    problems: Sequence[str]
    """Remaining problems, each with the command that fixes it."""


def restore(
    backup: Backup,
    names: Sequence[str],
    addresses: Mapping[str, SecretStr],
    now: datetime,
    *,
    replace: bool = False,
    report: Report,
) -> RestoreResult:
    """Restore databases of a backup to the addresses.

    Args:
        backup: the backup.
        names: those of its databases to restore.
        addresses: the address of each of them.
        now: the time in the old databases' new names.
        replace: replace a database that holds tables. Its clients are disconnected.
        report: called with each step.

    Raises:
        RestoreError: a database holds tables and `replace` isn't set.
        DumpError: a dump is damaged, or a database can't be made.
        SchemaError: the backup is of a version newer than this one.
        ClientProgramError: pg_restore failed.
        DatabaseUnavailableError: a server can't be reached, or no longer.
    """
    check_known(backup.manifest.revision)
    dumps = {name: backup.manifest.databases[name] for name in names}
    for dump in dumps.values():
        check_dump(backup.folder / dump.file, dump)
    full = [name for name in names if _holds_tables(addresses[name])]
    if full and not replace:
        raise RestoreError(
            f"the database at {describe(addresses[full[0]])} holds tables: --replace puts the backup in its place and "
            "keeps it under another name"
        )
    with ExitStack() as held:
        for name, dump in dumps.items():
            report(f"restoring {name}")
            held.enter_context(
                restore_copy(addresses[name], backup.folder / dump.file, dump, _build_new_name(addresses[name]))
            )
        kept = _swap({name: addresses[name] for name in names}, now)
    for name in set(kept) - set(full):
        _drop(addresses[name], kept.pop(name))
    return _finish(names, kept, addresses[WAREHOUSE])


def _build_new_name(url: SecretStr) -> str:
    return build_suffixed_name(url, "_restoring")


def _holds_tables(url: SecretStr) -> bool:
    if not has_database(url):
        return False
    with open_connection(url) as connection, translate_errors(connection.engine):
        return connection.execute(read_statement("stored_tables")).first() is not None


def _swap(addresses: Mapping[str, SecretStr], now: datetime) -> dict[str, str]:
    """Rename the new databases to the old ones' names, all or none, and return the old ones' new names."""
    kept = {}
    with ExitStack() as held:
        servers = {name: held.enter_context(open_server_connection(url)) for name, url in addresses.items()}
        for name, connection in servers.items():
            url = addresses[name]
            if has_database(url):
                kept[name] = build_suffixed_name(url, f"_before_{now:%Y%m%dT%H%M%SZ}")
                _move_away(connection, url, kept[name])
            with translate_errors(connection.engine):
                _rename(connection, _build_new_name(url), read_database_name(url))
        for connection in servers.values():
            connection.commit()
    return kept


def _move_away(connection: Connection, url: SecretStr, name: str) -> None:
    """Rename the database at `url`, which nobody may be connected to; PostgreSQL waits some seconds for that."""
    others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    try:
        connection.execute(others, {"name": read_database_name(url)})
        _rename(connection, read_database_name(url), name)
    except DBAPIError as error:
        raise RestoreError(
            f"the database at {describe(url)} can't be moved out of the way: {read_first_line(error)}. Stop its users, "
            "as the database's owner, and run the command again"
        ) from None


def _rename(connection: Connection, database: str, name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(database), sql.Identifier(name))
    connection.exec_driver_sql(statement.as_string())


def _drop(url: SecretStr, database: str) -> None:
    with open_server_connection(url) as connection, translate_errors(connection.engine):
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(sql.SQL("DROP DATABASE {}").format(sql.Identifier(database)).as_string())


def _finish(names: Sequence[str], kept: Mapping[str, str], warehouse: SecretStr) -> RestoreResult:
    """Grant the server's reading roles their rights, and check that the tables are those of this version."""
    if WAREHOUSE not in names:
        return RestoreResult(names, kept, [], [])
    with open_connection(warehouse) as connection, translate_errors(connection.engine):
        revision = read_revision(connection)
        existing: Sequence[str] = connection.execute(text("SELECT rolname FROM pg_roles")).scalars().all()
    outdated = [f"its tables are at revision {revision}: run `market-pipeline db migrate`"]
    problems = outdated if revision != find_head_revision() else []
    roles = [role for role in (ANALYST, READER) if role in existing]
    engine = create_warehouse_engine(warehouse)
    try:
        for role in roles:
            grant_analyst_access(engine) if role == ANALYST else make_reading_role(engine)
    except RoleError as error:
        return RestoreResult(names, kept, [], [*problems, str(error)])
    finally:
        engine.dispose()
    if ANALYST not in roles:
        problems = [
            *problems,
            f"{ANALYST} is not on this server: `market-pipeline db analysts` makes it, if you want it",
        ]
    return RestoreResult(names, kept, roles, problems)
