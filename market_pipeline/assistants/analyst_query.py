"""Queries in an assistant's own SQL: one statement that only reads, with limits on time, rows and text."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import psycopg
from psycopg import errors

from market_pipeline.assistants.results import Rows, ToolProblem
from market_pipeline.core.database_address import DatabaseAddress
from market_pipeline.warehouse.assistant_role import AssistantLogin
from market_pipeline.warehouse.connections import build_session_statement
from market_pipeline.warehouse.read_only_connections import build_reading_settings, check_reading_session

SECONDS = 15.0
"""Time limit of a query, that of the API's."""

QUERIES = 4
"""Queries at once; others wait."""

MOST_BYTES = 200_000
"""Of a result's rows as JSON, some 50,000 tokens."""

_DECLARE = b'DECLARE "query" NO SCROLL CURSOR FOR '
"""A cursor can be made of a query alone, so every other statement is a syntax error."""

_SCHEMA = "read the resource warehouse://schema for the tables and their columns"
_CAST = "a result has dates of the years 1 to 9999, and not infinity: cast such a value to text, as in last_day::text"
_NEXT_STEPS: Sequence[tuple[type[psycopg.Error] | tuple[type[psycopg.Error], ...], str]] = (
    ((errors.UndefinedTable, errors.InvalidSchemaName), f"{_SCHEMA}; marts are in the schema analytics once built"),
    (errors.UndefinedColumn, _SCHEMA),
    (errors.QueryCanceled, f"a query may take {SECONDS:.0f} seconds: filter by symbol and date, or aggregate less"),
    (errors.InsufficientPrivilege, "select from the schemas public and analytics alone"),
    (errors.ReadOnlySqlTransaction, "only select: market-pipeline's commands make changes"),
    ((errors.SyntaxError, errors.InvalidCursorDefinition, errors.FeatureNotSupported),
     "give one query in PostgreSQL's SQL that begins with SELECT, WITH, VALUES or TABLE"),
)  # fmt: skip


class AnalystQueries:
    """Executes assistants' queries, each on a connection of its own that only reads."""

    def __init__(self, login: AssistantLogin) -> None:
        self._login = login
        self._slots = asyncio.Semaphore(QUERIES)

    async def execute(self, statement: str, limit: int) -> Rows:
        """Execute a query and return its first rows, at most `limit`.

        Raises:
            ToolProblem: the statement is rejected, or takes too long.
            RoleError: the assistants' role can't be used.
            DatabaseUnavailableError: the database can't be reached.
        """
        async with self._slots:
            return await asyncio.to_thread(self._execute, statement, limit)

    def _execute(self, statement: str, limit: int) -> Rows:
        if "\x00" in statement:
            raise ToolProblem("the statement has a null character: remove it")
        with self._login.open("market_pipeline_assistant") as connection:
            _limit_session(connection)
            try:
                columns, rows = _fetch(connection, statement, limit + 1)
            except OverflowError as error:  # of an interval
                raise ToolProblem(f"{error}: {_CAST}") from None
            except psycopg.Error as error:
                raise ToolProblem(_describe(error)) from None
        return _build_result(columns, rows, limit)


def _limit_session(connection: psycopg.Connection) -> None:
    """Make a session read-only, with a time limit, and check it as the API's are checked."""
    info = connection.info
    statement = build_session_statement(build_reading_settings(info.user, SECONDS), info.server_version)
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None  # noqa: S101 - it returns one
    address = DatabaseAddress.from_parameters({"host": info.host, "port": str(info.port), "dbname": info.dbname})
    check_reading_session(address, info.backend_pid, row, info.user)
    connection.read_only = True


def _fetch(
    connection: psycopg.Connection, statement: str, count: int
) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
    """Return the columns and the first rows of a query; whatever it did is rolled back.

    All rows come by one FETCH, so that the time limit holds for the query as a whole, whatever it sets.
    """
    with connection.transaction(force_rollback=True):
        # A prepared statement can't be several: https://www.postgresql.org/docs/current/protocol-flow.html.
        connection.execute(_DECLARE + statement.encode(), prepare=True)
        cursor = connection.execute(f'FETCH FORWARD {count} FROM "query"'.encode())
        return [column.name for column in cursor.description or ()], cursor.fetchall()


def _build_result(columns: Sequence[str], rows: Sequence[tuple[Any, ...]], limit: int) -> Rows:
    kept: list[list[Any]] = []
    left = MOST_BYTES
    for row in rows[:limit]:
        encoded = orjson.dumps(row, default=_convert, option=orjson.OPT_NON_STR_KEYS)
        left -= len(encoded)
        if left < 0:
            break
        kept.append(orjson.loads(encoded))
    if rows and not kept:
        raise ToolProblem(f"one row has more than {MOST_BYTES:,} bytes: select fewer columns, or use left()")
    note = None
    if len(kept) < len(rows):
        note = f"These are the first {len(kept):,} rows of more: add conditions, or aggregate."
    return Rows(columns=list(columns), rows=kept, count=len(kept), truncated=note is not None, note=note)


def _convert(value: Any) -> Any:
    """Convert a value of PostgreSQL's that JSON lacks; dates and times become ISO 8601 without us."""
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)  # one of more digits would be another number
    return value.hex() if isinstance(value, bytes) else str(value)


def _describe(error: psycopg.Error) -> str:
    """Return an error of PostgreSQL's as a message with the next step."""
    text = error.diag.message_primary or str(error).partition("\n")[0] or type(error).__name__
    if error.sqlstate is None and isinstance(error, psycopg.DataError):  # the driver's, of a value that Python lacks
        return f"{text}: {_CAST}"
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    step = next((step for kinds, step in _NEXT_STEPS if isinstance(error, kinds)), "fix the query and send it again")
    return f"{text}{hint}: {step}"
