"""Checks of the database for `doctor`: version, pooler, API role, schema, disk, clock, time zones, rights, writes."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import Engine, text

from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.core.settings import Settings
from market_pipeline.operations.findings import (
    Finding,
    error,
    judge_clock,
    judge_connections,
    judge_space,
    judge_writable,
    ok,
)
from market_pipeline.warehouse.connections import OLDEST_SERVER, is_direct
from market_pipeline.warehouse.database_probe import WarehouseProbe
from market_pipeline.warehouse.read_only_connections import reading_connection
from market_pipeline.warehouse.roles import READER
from market_pipeline.warehouse.statements import read_statement

STATEMENT_SECONDS = 15.0
"""Time limit of a statement, in seconds, as in the API's sessions."""
NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class CheckContext:
    """The objects that a check may use: settings, an engine on the reachable database, and the probe's result."""

    settings: Settings
    warehouse: Engine
    found: WarehouseProbe

    def scalar(self, query: str) -> str:
        """Run a query and return its only value."""
        with self.warehouse.connect() as connection:
            return str(connection.scalar(text(query)))


Check = Callable[[str, CheckContext], Finding]
"""A check: takes its name and a context, and returns its finding."""


def check_server_version(check: str, context: CheckContext) -> Finding:
    """Report PostgreSQL's version and encoding. Unsupported ones are rejected when connecting."""
    query = "SELECT current_setting('server_version_num') || ' ' || current_setting('server_encoding')"
    version, encoding = context.scalar(query).split()
    number = f"{int(version) // 10_000}.{int(version) % 10_000}"
    return ok(check, f"PostgreSQL {number}, {encoding}; {OLDEST_SERVER} or newer is supported")


def check_pooler(check: str, context: CheckContext) -> Finding:
    """Report a pooler in front of PostgreSQL. One that shares sessions is rejected when connecting."""
    with context.warehouse.connect() as connection:
        if is_direct(connection):
            return ok(check, "none: connections lead to PostgreSQL itself")
    return ok(check, "there is one, in session mode")


def check_api_role(check: str, context: CheckContext) -> Finding:
    """Connect as the API does, read, and check that writing is forbidden."""
    # The role belongs to the server, its rights to each database.
    may_read = (
        "SELECT has_table_privilege(oid, to_regclass('market_data'), 'SELECT') FROM pg_roles WHERE rolname = :role"
    )
    with context.warehouse.connect() as connection:
        if not connection.scalar(text(may_read), {"role": READER}):
            return ok(check, f"the role {READER} gets its rights when the API first starts")
    address = DatabaseAddress.from_engine_url(context.warehouse.url)
    try:
        with reading_connection(address, READER, STATEMENT_SECONDS) as session:
            session.execute("SELECT FROM market_data LIMIT 1")
            may_write = session.execute(
                "SELECT has_table_privilege('market_data', 'INSERT, UPDATE, DELETE')"
            ).fetchone()
    except psycopg.Error as problem:
        fix = "start the API once: it creates the role and its rights"
        return error(check, str(problem).partition("\n")[0], fix)
    if may_write == (True,):
        return error(
            check, f"the role {READER} may write to market_data", "revoke these rights: it is for reading only"
        )
    return ok(check, f"read-only as {READER}, with its time limits")


def check_schema(check: str, context: CheckContext) -> Finding:
    """Check that the schema is at this version's revision."""
    problem = context.found.problem
    return error(check, problem) if problem else ok(check, f"at revision {context.found.revision}, this version's")


def check_database_space(check: str, context: CheckContext) -> Finding:
    """Check the free space of the embedded server's disk; that of another server can't be seen."""
    if not context.found.embedded:
        return ok(check, "not visible from here: DATABASE_URL is set")
    folder = Path(context.scalar("SHOW data_directory"))
    return judge_space(check, str(folder), shutil.disk_usage(folder).free)


def check_clock(check: str, context: CheckContext) -> Finding:
    """Compare this machine's clock with the database's."""
    before = datetime.now(UTC)
    theirs = datetime.fromisoformat(context.scalar("SELECT clock_timestamp()::text"))
    halfway = before + (datetime.now(UTC) - before) / 2
    return judge_clock(check, "the database's clock", (halfway - theirs).total_seconds())


def check_time_zones(check: str, context: CheckContext) -> Finding:
    """Compare this machine's time zone data for New York with the database's, in winter and summer."""
    instants = [datetime(datetime.now(UTC).year, month, 1, 12, tzinfo=UTC) for month in (1, 7)]
    query = "SELECT (CAST(:instant AS timestamptz) AT TIME ZONE :zone)::text"
    with context.warehouse.connect() as connection:
        theirs = [connection.scalar(text(query), {"instant": instant, "zone": NEW_YORK}) for instant in instants]
    ours = [instant.astimezone(ZoneInfo(NEW_YORK)).strftime("%Y-%m-%d %H:%M:%S") for instant in instants]
    if theirs != ours:
        found = f"in {NEW_YORK} it is {ours} by this machine and {theirs} by the database"
        return error(check, found, "update the time zone data (tzdata) of the older one")
    return ok(check, f"this machine and the database agree on {NEW_YORK}")


GRANTS = {
    "make_tables_in_public": "GRANT CREATE ON SCHEMA public TO {role}",
    "make_schemas": "GRANT CREATE ON DATABASE {database} TO {role}",
    "read_and_write_all_tables_in_public": "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
    "work_as_the_reading_role": f"CREATE ROLE {READER} NOLOGIN (unless it is there); GRANT {READER} TO {{role}}",
    "make_dagsters_own_database": "ALTER ROLE {role} CREATEDB",
}
"""The statement that an administrator runs for each missing right, by its column in `missing_rights`."""


def check_rights(check: str, context: CheckContext) -> Finding:
    """Check that our role has the rights that loading, dbt, Dagster and the API need."""
    elsewhere = context.settings.dagster_database_url is not None
    with context.warehouse.connect() as connection:
        row = connection.execute(read_statement("missing_rights"), {"reader": READER, "elsewhere": elsewhere}).one()
    lacking = [name for name in GRANTS if not getattr(row, name)]
    if not lacking:
        return ok(check, f"the role {row.role} has all rights that are needed")
    needs = ", ".join(name.replace("_", " ") for name in lacking)
    grants = "; ".join(GRANTS[name].format(role=row.role, database=row.database) for name in lacking)
    return error(check, f"the role {row.role} may not {needs}", f"have an administrator run: {grants}")


def check_writable(check: str, context: CheckContext) -> Finding:
    """Check that the server accepts writes: a standby, or one set read-only after a failover, doesn't."""
    with context.warehouse.connect() as connection:
        row = connection.execute(
            text("SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only")
        ).one()
    return judge_writable(check, standby=row.standby, read_only=row.read_only)


def check_connections(check: str, context: CheckContext) -> Finding:
    """Check that the server has enough free connections for a run."""
    with context.warehouse.connect() as connection:
        limits = connection.execute(read_statement("free_connections")).one()
    return judge_connections(check, {name: left for name, left in limits._asdict().items() if left is not None})


DATABASE_CHECKS: Sequence[tuple[str, Check]] = (
    ("PostgreSQL", check_server_version),
    ("pooler", check_pooler),
    ("API's sessions", check_api_role),
    ("schema", check_schema),
    ("database's disk", check_database_space),
    ("clock", check_clock),
    ("time zones", check_time_zones),
    ("rights", check_rights),
    ("writing", check_writable),
    ("connections", check_connections),
)
