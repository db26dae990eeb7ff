"""A query for a page of rows, and its SQL. How a request says one is in parameters.py.

Names come from the catalog and never from a request; values travel apart from the statement.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from market_pipeline.api.generated.catalog import Column


@dataclass(frozen=True)
class Condition:
    """One part of a WHERE, with the values for its placeholders."""

    sql: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Order:
    """One column to order by. NULLs are the largest of all, as PostgreSQL has it, unless `nulls_first` says where."""

    column: Column
    descending: bool = False
    nulls_first: bool | None = None

    @property
    def sql(self) -> str:
        """As in ORDER BY."""
        # What is said needlessly would keep PostgreSQL from using an index.
        elsewhere = self.column.nullable and self.nulls_first not in (None, self.descending)
        nulls = f" NULLS {'FIRST' if self.nulls_first else 'LAST'}" if elsewhere else ""
        return self.column.sql + (" DESC" if self.descending else "") + nulls

    @property
    def nulls_behind(self) -> bool:
        """Whether NULLs come behind what is none."""
        return self.column.nullable and not (self.descending if self.nulls_first is None else self.nulls_first)

    @property
    def written(self) -> str:
        """As in a request."""
        nulls = {None: "", True: ".nullsfirst", False: ".nullslast"}[self.nulls_first]
        return self.column.name + (".desc" if self.descending else "") + nulls


@dataclass(frozen=True)
class Query:
    """Which rows of what, in which order, how many, and the format if one is named. `source` is SQL for FROM.

    `by_key`: the conditions are on the key's first columns, so that one plan is as good as another.
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
    first = order[0]
    if not any(part.column.nullable or part.descending != first.descending for part in order):
        # The common case, in a form that an index answers at once.
        names = ", ".join(part.column.sql for part in order)
        marks = ", ".join(f"%s::{part.column.type}" for part in order)
        return Condition(f"({names}) {'<' if first.descending else '>'} ({marks})", list(values))
    alternatives: list[str] = []
    given: list[Any] = []
    for number, (part, value) in enumerate(zip(order, values, strict=True)):
        further = _further(part, value)
        if further is None:
            continue
        alternatives.append("(" + " AND ".join([*map(_equal, order[:number]), further.sql]) + ")")
        given += [*values[:number], *further.values]
    condition = "(" + " OR ".join(alternatives) + ")" if alternatives else "FALSE"
    if first.column.nullable:
        return Condition(condition, given)
    # It follows from the rest, but only so does an index know where to begin.
    begin = f"{first.column.sql} {'<=' if first.descending else '>='} %s::{first.column.type}"
    return Condition(f"{begin} AND {condition}", [values[0], *given])


def _equal(order: Order) -> str:
    equals = "IS NOT DISTINCT FROM" if order.column.nullable else "="
    return f"{order.column.sql} {equals} %s::{order.column.type}"


def _further(order: Order, value: str | None) -> Condition | None:
    """What holds for values behind this one. None where nothing is behind it."""
    name, kind = order.column.sql, order.column.type
    if value is None:
        return None if order.nulls_behind else Condition(f"{name} IS NOT NULL", ())
    further = f"{name} {'<' if order.descending else '>'} %s::{kind}"
    return Condition(f"({further} OR {name} IS NULL)" if order.nulls_behind else further, [value])
