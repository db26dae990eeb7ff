"""Queries for a page of rows, and their SQL. `query_params` builds them from requests.

Names come from the catalog and never from a request; values are parameters of the statement.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from market_pipeline.api.generated.catalog import Column


@dataclass(frozen=True)
class Condition:
    """One condition of a WHERE clause, with the values of its placeholders."""

    sql: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Order:
    """One column to order by. NULLs are the largest values, as in PostgreSQL, unless `nulls_first` is set."""

    column: Column
    descending: bool = False
    nulls_first: bool | None = None

    @property
    def sql(self) -> str:
        """Its form in ORDER BY."""
        # A needless NULLS clause would keep PostgreSQL from using an index.
        elsewhere = self.column.nullable and self.nulls_first not in (None, self.descending)
        nulls = f" NULLS {'FIRST' if self.nulls_first else 'LAST'}" if elsewhere else ""
        return self.column.sql + (" DESC" if self.descending else "") + nulls

    @property
    def nulls_last(self) -> bool:
        """True if NULLs come after other values."""
        return self.column.nullable and not (self.descending if self.nulls_first is None else self.nulls_first)

    @property
    def as_parameter(self) -> str:
        """Its form in a request."""
        nulls = {None: "", True: ".nullsfirst", False: ".nullslast"}[self.nulls_first]
        return self.column.name + (".desc" if self.descending else "") + nulls


@dataclass(frozen=True)
class Query:
    """A query: source (SQL for FROM), columns, conditions, order, limit, and the format if one is named.

    `limit` is the number of rows of a page. `is_limited`: the request has it; otherwise it is JSON's default, and a
    file has all rows. `by_key`: the conditions are on the key's first columns, so a generic plan is as good as a
    specific one.
    """

    source: str
    columns: Sequence[Column]
    conditions: Sequence[Condition]
    order: Sequence[Order]
    limit: int
    source_values: Sequence[Any] = ()
    can_be_continued: bool = True
    by_key: bool = False
    format: str | None = None
    as_of: datetime | None = None
    is_limited: bool = True

    def statement(self, columns: Iterable[Column], rows: str) -> tuple[str, list[Any]]:
        """Return the SELECT of some columns, with `rows` as its LIMIT clause, and its values."""
        parts = ["SELECT", ", ".join(column.sql for column in columns), "FROM", self.source]
        values = [*self.source_values]
        for number, condition in enumerate(self.conditions):
            parts += ["AND" if number else "WHERE", condition.sql]
            values += condition.values
        if self.order:
            parts += ["ORDER BY", ", ".join(order.sql for order in self.order)]
        return " ".join([*parts, rows]), values

    @cached_property
    def json_statement(self) -> tuple[str, Sequence[Any]]:
        """One statement for the page: rows as JSON, their number with the next row, the last sort key, the point.

        Columns of the order are read even if they are not selected, for the cursor.
        """
        hidden = [part.column for part in self.order if part.column not in self.columns]
        page, values = self.statement([*self.columns, *hidden], "LIMIT %s")
        shown = ", ".join(column.sql for column in self.columns)
        key = ", ".join(f"{part.column.sql}::text" for part in self.order)
        last = f"(SELECT ARRAY[{key}] FROM page OFFSET %s LIMIT 1)" if key else "NULL"  # noqa: S608 - as below
        statement = (
            f"WITH page AS MATERIALIZED ({page}) "  # noqa: S608 - names are the catalog's, values parameters
            "SELECT (SELECT string_agg(row_to_json(shown)::text, ',') "
            f"FROM (SELECT {shown} FROM page LIMIT %s) AS shown), (SELECT count(*) FROM page), {last}, settled_point()"
        )
        return statement, [*values, self.limit + 1, self.limit, *([self.limit - 1] if key else [])]

    def after(self, values: Sequence[str | None]) -> "Query":
        """Return the query of the rows after the one with this sort key."""
        return replace(self, conditions=[*self.conditions, _build_condition_after(self.order, values)])

    def cursor(self, values: Sequence[str | None]) -> str:
        """Encode the cursor of the page after the row with this sort key."""
        order_and_key = json.dumps([format_order(self.order), *values], separators=(",", ":"))
        return base64.urlsafe_b64encode(order_and_key.encode()).decode().rstrip("=")


def format_order(order: Sequence[Order]) -> str:
    """Return an order in its form in a request."""
    return ",".join(part.as_parameter for part in order)


def _build_condition_after(order: Sequence[Order], values: Sequence[str | None]) -> Condition:
    """Return the condition for rows after a sort key: after it in one column, and equal in the columns before."""
    first = order[0]
    if not any(part.column.nullable or part.descending != first.descending for part in order):
        # The common case, as a row comparison, which an index supports. That of a view's first column is one by itself.
        names = ", ".join(part.column.sql for part in order)
        marks = ", ".join(f"%s::{part.column.type}" for part in order)
        sign = "<" if first.descending else ">"
        begin = f"{first.column.sql} {sign}= %s::{first.column.type}"
        return Condition(f"{begin} AND ({names}) {sign} ({marks})", [values[0], *values])
    alternatives: list[str] = []
    given: list[Any] = []
    for number, (part, value) in enumerate(zip(order, values, strict=True)):
        after = _build_value_after(part, value)
        if after is None:
            continue
        alternatives.append("(" + " AND ".join([*map(_build_equality, order[:number]), after.sql]) + ")")
        given += [*values[:number], *after.values]
    condition = "(" + " OR ".join(alternatives) + ")" if alternatives else "FALSE"
    if first.column.nullable:
        return Condition(condition, given)
    # It follows from the rest, but an index needs it to find its first entry.
    begin = f"{first.column.sql} {'<=' if first.descending else '>='} %s::{first.column.type}"
    return Condition(f"{begin} AND {condition}", [values[0], *given])


def _build_equality(order: Order) -> str:
    equals = "IS NOT DISTINCT FROM" if order.column.nullable else "="
    return f"{order.column.sql} {equals} %s::{order.column.type}"


def _build_value_after(order: Order, value: str | None) -> Condition | None:
    """Return the condition for values after this one; None if there are none."""
    name, kind = order.column.sql, order.column.type
    if value is None:
        return None if order.nulls_last else Condition(f"{name} IS NOT NULL", ())
    after = f"{name} {'<' if order.descending else '>'} %s::{kind}"
    return Condition(f"({after} OR {name} IS NULL)" if order.nulls_last else after, [value])
