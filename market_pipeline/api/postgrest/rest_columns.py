"""PostgREST's parameters `select` and `order`: columns with aliases and casts, and the order of rows.

See https://docs.postgrest.org/en/stable/references/api/tables_views.html#vertical-filtering
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.query_sql import Order
from market_pipeline.api.postgrest.rest_errors import (
    RestError,
    build_not_embedded_error,
    build_unknown_column_error,
    build_unknown_relationship_error,
    build_unsupported_error,
)
from market_pipeline.api.postgrest.scanner import Scanner
from market_pipeline.warehouse.spreadsheets import build_decimal_text, build_plain_text, is_textual

_SYNONYMS: Mapping[str, Sequence[str]] = {
    "text": (), "character varying": ("varchar",), "json": (), "jsonb": (), "date": (), "boolean": ("bool",),
    "smallint": ("int2",), "integer": ("int", "int4"), "bigint": ("int8",), "numeric": ("decimal",),
    "real": ("float4",), "double precision": ("float", "float8"), "interval": (),
    "timestamp without time zone": ("timestamp",), "timestamp with time zone": ("timestamptz",),
    "time without time zone": ("time",),
}  # fmt: skip
CASTS: Mapping[str, str] = {name: kind for kind, names in _SYNONYMS.items() for name in (kind, *names)}
"""Types that a column may be cast to, by the names that a request may have."""

_CAST = re.compile(r"[\w $]+")
_SEPARATOR = re.compile(":(?!:)")
_AGGREGATE = re.compile(r"\.(sum|avg|count|max|min)\(\)")
_DIRECTION = re.compile(r"\.(asc|desc)(?![^.,])")
_NULLS = re.compile(r"\.(nullsfirst|nullslast)(?![^,])")


@dataclass(frozen=True)
class SelectedColumn:
    """A column of a response: its name there, the table's column, and the type that it is cast to."""

    name: str
    column: Column
    cast: str | None = None

    @property
    def sql(self) -> str:
        """Its expression in SELECT."""
        return self._named(self._value)

    @property
    def csv_sql(self) -> str:
        """The same for CSV, whose readers know no types: no formulas, and one form of a column's numbers."""
        value, kind = self._value, self.cast or self.column.type
        return self._named(build_plain_text(value) if is_textual(kind) else build_decimal_text(value, kind) or value)

    @property
    def _value(self) -> str:
        return f"CAST({self.column.sql} AS {self.cast})" if self.cast else self.column.sql

    def _named(self, value: str) -> str:
        return f"{value} AS {sql.Identifier(self.name).as_string().replace('%', '%%')}"


def parse_select(relation: Relation, text: str) -> list[SelectedColumn]:
    """Parse the columns of a response; `*` is all of the table.

    Raises:
        RestError: a column or a type doesn't exist, or it is a feature that isn't supported.
    """
    scanner = Scanner(text, "select parameter")
    selected: list[SelectedColumn] = []
    if scanner.is_at_end:
        return selected
    while True:
        selected += _read_selected(scanner, relation)
        if not scanner.take(","):
            scanner.expect_end('expecting "," or end of input')
            return selected


def _read_selected(scanner: Scanner, relation: Relation) -> Sequence[SelectedColumn]:
    scanner.skip_spaces()
    if scanner.take("*"):
        scanner.skip_spaces()
        return [SelectedColumn(name, column) for name, column in relation.columns.items()]
    if scanner.take("..."):
        raise build_unknown_relationship_error(relation, scanner.read_name())
    name = scanner.read_name()
    alias = name if scanner.match(_SEPARATOR) else None
    if alias is not None:
        name = scanner.read_name()
    if name == "count" and scanner.take("()"):
        raise _build_aggregates_error()
    if scanner.take("!") or scanner.take("("):
        raise build_unknown_relationship_error(relation, name)
    if scanner.take("->"):
        raise build_unsupported_error("JSON paths in select are", "select the whole column")
    column = relation.columns.get(name)
    if column is None:
        raise build_unknown_column_error(relation, name)
    cast = _read_cast(scanner) if scanner.take("::") else None
    if scanner.match(_AGGREGATE):
        raise _build_aggregates_error()
    scanner.skip_spaces()
    return [SelectedColumn(alias or name, column, cast)]


def _read_cast(scanner: Scanner) -> str:
    name = scanner.read(_CAST).strip()
    if not name:
        scanner.fail("expecting letter or digit")
    if name not in CASTS:
        hint = f"Columns can be cast to {', '.join(CASTS)}"
        raise RestError(400, "42704", f'type "{name}" does not exist', hint=hint)
    return CASTS[name]


def _build_aggregates_error() -> RestError:
    return RestError(400, "PGRST123", "Use of aggregate functions is not allowed")


def parse_order(relation: Relation, text: str) -> Sequence[Order]:
    """Parse the order of rows, and append the key, so that pages by offset have each row once.

    Raises:
        RestError: it is not an order, or a column doesn't exist.
    """
    order: dict[str, Order] = {}
    scanner = Scanner(text, "order")
    while not scanner.is_at_end:
        part = _read_order(scanner, relation)
        order.setdefault(part.column.name, part)  # the second occurrence of a column has no effect
        if not scanner.take(","):
            scanner.expect_end('expecting delimiter (.), "," or end of input')
    for name in relation.key or ():
        order.setdefault(name, Order(relation.columns[name]))
    return [*order.values()]


def _read_order(scanner: Scanner, relation: Relation) -> Order:
    scanner.skip_spaces()
    name = scanner.read_name()
    if scanner.take("("):
        raise build_not_embedded_error(name)
    if scanner.take("->"):
        raise build_unsupported_error("JSON paths in order are")
    column = relation.columns.get(name)
    if column is None:
        raise build_unknown_column_error(relation, name)
    direction, nulls = scanner.match(_DIRECTION), scanner.match(_NULLS)
    scanner.skip_spaces()
    if not scanner.is_at_end and scanner.take("."):
        scanner.fail('expecting "asc", "desc", "nullsfirst" or "nullslast"')
    nulls_first = None if nulls is None else nulls[1] == "nullsfirst"
    return Order(column, direction is not None and direction[1] == "desc", nulls_first)
