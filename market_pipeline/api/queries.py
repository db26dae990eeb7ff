"""A query for a page of rows, and its SQL. How a request says one is in parameters.py.

Names come from the catalog and never from a request; values travel apart from the statement.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from market_pipeline.api.catalog import Column


@dataclass(frozen=True)
class Condition:
    """One part of a WHERE, with the values for its placeholders."""

    sql: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Order:
    """One column to order by."""

    column: Column
    descending: bool = False

    @property
    def sql(self) -> str:
        """As in ORDER BY; NULLs are largest, as PostgreSQL has it."""
        return f"{self.column.sql} DESC" if self.descending else self.column.sql

    @property
    def written(self) -> str:
        """As in a request."""
        return f"{self.column.name}.desc" if self.descending else self.column.name


@dataclass(frozen=True)
class Query:
    """Which rows of what, in which order, how many, and the format if one is named. `source` is SQL for FROM."""

    source: str
    columns: Sequence[Column]
    conditions: Sequence[Condition]
    order: Sequence[Order]
    limit: int
    source_values: Sequence[Any] = ()
    can_be_continued: bool = True
    format: str | None = None

    def statement(self, columns: Iterable[Column], rows: str) -> tuple[str, list[Any]]:
        """The SELECT of some columns, with `rows` as its LIMIT clause, and its values."""
        parts = ["SELECT", ", ".join(column.sql for column in columns), "FROM", self.source]
        values = [*self.source_values]
        for word, condition in zip(_words(), self.conditions, strict=False):
            parts += [word, condition.sql]
            values += condition.values
        if self.order:
            parts += ["ORDER BY", ", ".join(order.sql for order in self.order)]
        return " ".join([*parts, rows]), values

    @cached_property
    def json_statement(self) -> tuple[str, Sequence[Any]]:
        """One statement for the page: its rows as JSON, how many with the one behind it, the last one's key.

        What is ordered by has to be read even where it isn't shown, for the cursor.
        """
        hidden = [part.column for part in self.order if part.column not in self.columns]
        page, values = self.statement([*self.columns, *hidden], "LIMIT %s")
        shown = ", ".join(column.sql for column in self.columns)
        key = ", ".join(f"{part.column.sql}::text" for part in self.order)
        last = f"(SELECT ARRAY[{key}] FROM page OFFSET %s LIMIT 1)" if key else "NULL"  # noqa: S608 - as below
        statement = (
            f"WITH page AS MATERIALIZED ({page}) "  # noqa: S608 - names are the catalog's, values travel apart
            "SELECT (SELECT string_agg(row_to_json(shown)::text, ',') "
            f"FROM (SELECT {shown} FROM page LIMIT %s) AS shown), (SELECT count(*) FROM page), {last}"
        )
        return statement, [*values, self.limit + 1, self.limit, *([self.limit - 1] if key else [])]

    def after(self, values: Sequence[str | None]) -> "Query":
        """The query of the rows behind the one that has these values in the columns it is ordered by."""
        return replace(self, conditions=[*self.conditions, _behind(self.order, values)])

    def cursor(self, values: Sequence[str | None]) -> str:
        """What `cursor=` continues from: behind the row with these values."""
        told = json.dumps([written_order(self.order), *values], separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def _words() -> Iterator[str]:
    yield "WHERE"
    while True:
        yield "AND"


def written_order(order: Sequence[Order]) -> str:
    """An order as in a request."""
    return ",".join(part.written for part in order)


def _behind(order: Sequence[Order], values: Sequence[str | None]) -> Condition:
    """What holds for the rows behind the one with these values: behind it in one column, and equal in those before."""
    if all(not part.descending and not part.column.nullable for part in order):
        # The common case, in a form that an index answers at once.
        names = ", ".join(part.column.sql for part in order)
        marks = ", ".join(f"%s::{part.column.type}" for part in order)
        return Condition(f"({names}) > ({marks})", list(values))
    alternatives: list[str] = []
    given: list[Any] = []
    for number, (part, value) in enumerate(zip(order, values, strict=True)):
        further = _further(part, value)
        if further is None:
            continue
        equal = [f"{part.column.sql} IS NOT DISTINCT FROM %s::{part.column.type}" for part in order[:number]]
        alternatives.append("(" + " AND ".join([*equal, further.sql]) + ")")
        given += [*values[:number], *further.values]
    return Condition("(" + " OR ".join(alternatives) + ")" if alternatives else "FALSE", given)


def _further(order: Order, value: str | None) -> Condition | None:
    """What holds for values behind this one; NULL is the largest of all. None where nothing is behind it."""
    name, kind = order.column.sql, order.column.type
    if value is None:
        return Condition(f"{name} IS NOT NULL", ()) if order.descending else None
    if order.descending:
        return Condition(f"{name} < %s::{kind}", [value])
    if not order.column.nullable:
        return Condition(f"{name} > %s::{kind}", [value])
    return Condition(f"({name} > %s::{kind} OR {name} IS NULL)", [value])
