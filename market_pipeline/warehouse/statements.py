"""SQL longer than a line, each statement in a file in the folder `sql`, and the execution of COPY."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, TextClause, text

if TYPE_CHECKING:  # 0.1 s, which only loads need
    from numpy.typing import NDArray

VIEW_KEYS = {
    "adjustment_states": ["symbol"],
    "coverage": ["symbol"],
    "coverage_by_month": ["symbol", "month"],
    "day_conditions": ["calendar", "date"],
    "daily_bars_adjusted": ["symbol", "date"],
    "listings": ["market", "symbol"],
    "listings_by_month": ["market", "month"],
    "market_sessions": ["market", "date"],
    "runs": ["run_id"],
    "session_actions": ["symbol", "session"],
    "session_states": ["symbol", "date"],
}
"""The views and their keys, which PostgreSQL doesn't know."""


@cache
def read_statement(name: str) -> TextClause:
    """Return the statement in `sql/<name>.sql`; its first lines name its purpose and its parameters."""
    return text(_read(f"{name}.sql"))


def read_driver_statement(name: str) -> str:
    """Return the statement in `sql/<name>.sql` with psycopg's placeholders, for connections without SQLAlchemy."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", _read(f"{name}.sql").replace("%", "%%"))


def format_array(values: "NDArray[Any]") -> str:
    """Return numbers or days as the text of an array, for a parameter that is CAST to one. A missing day is NULL.

    psycopg takes 2 us for each element of a list, which is a tenth of a market's load.
    """
    texts = values.astype(str) if values.dtype.kind == "M" else map(str, values.tolist())
    return f"{{{','.join(texts).replace('NaT', 'NULL')}}}"


@contextmanager
def open_copy(
    connection: Connection, command: str, parameters: Mapping[str, Any] | None = None
) -> Iterator[psycopg.Copy]:
    """Execute a COPY, for which SQLAlchemy has nothing, in the connection's transaction, and yield its data channel.

    Raises:
        psycopg.Error: PostgreSQL rejects the command or the data.
    """
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    with driver.cursor() as cursor, cursor.copy(command, parameters) as copy:
        yield copy


def read_views() -> list[str]:
    """Return the statements that make the views and functions, in the order they build on each other."""
    folder = files("market_pipeline.warehouse") / "sql" / "views"
    return [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


def _read(name: str) -> str:
    return (files("market_pipeline.warehouse") / "sql" / name).read_text(encoding="utf-8")
