"""Parsing of a table request's parameters, in PostgREST's conventions, to a query.

`select=a,b`, `column=op.value`, `order=a.desc,b`, `limit=n`, `cursor=...`. See
https://docs.postgrest.org/en/stable/references/api/tables_views.html
"""

import base64
import binascii
import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.query_sql import Condition, Order, Query, format_order
from market_pipeline.api.generated.value_types import find_value_kind, is_not_finite, is_valid
from market_pipeline.api.problems import Fault, build_parameter_problem

COMPARISONS: Mapping[str, str] = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
PATTERNS: Mapping[str, str] = {"like": "LIKE", "ilike": "ILIKE"}
IS: Mapping[str, str] = {"null": "NULL", "not_null": "NOT NULL"}
IS_BOOLEAN: Mapping[str, str] = {**IS, "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
RESERVED = frozenset({"select", "order", "limit", "cursor", "format", "as_of"})
DEFAULT_ROWS = 1_000

CACHED_QUERIES = 1_000
"""Size of the cache of parsed requests: clients repeat the same requests."""


Parsers = Mapping[str, Callable[[str], Any]]
"""The parser of each parameter, which raises ValueError for a wrong value."""


def parse_parameters(query_string: str) -> list[tuple[str, str]]:
    """Return the parameters of a query string as name and value, in order."""
    return parse_qsl(query_string, keep_blank_values=True)


def parse_each(
    query_string: str, parsers: Parsers, *, others: Sequence[str] = ()
) -> tuple[dict[str, Any], list[Fault]]:
    """Parse each parameter of a query string by the parser of its name.

    Returns:
        The values by name, and a fault for each parameter that is wrong, unknown or repeated. `others` are parameters
        without a parser here, to be named with the known ones.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, value in parse_parameters(query_string):
        if name not in parsers:
            faults.append(Fault(name, f"there is no such parameter, only {', '.join([*parsers, *others])}"))
            continue
        if name in values:
            faults.append(Fault(name, "is given more than once"))
        try:
            values[name] = parsers[name](value)
        except ValueError as error:
            faults.append(Fault(name, str(error)))
    return values, faults


def create_value_parser(kind: str) -> Callable[[str], str]:
    """Return the parser that accepts the values of a PostgreSQL type, as they are written."""

    def parse(text: str) -> str:
        if not is_valid(kind, text):
            raise ValueError(f"{text!r} is not {find_value_kind(kind).called}")
        return text

    return parse


def create_choice_parser(*names: str) -> Callable[[str], str]:
    """Return the parser that accepts one of these values."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return parse


def parse_instant(text: str) -> datetime:
    """Return the instant that a parameter stands for.

    Raises:
        ValueError: it is not one.
    """
    return datetime.fromisoformat(create_value_parser("timestamp with time zone")(text))


def read_query_string(request: Request) -> str:
    """Return a request's query string as it was sent."""
    encoded: bytes = request.scope["query_string"]
    return encoded.decode("latin-1")


@lru_cache(CACHED_QUERIES)
def parse_query(relation: Relation, text: str, max_rows: int) -> Query:
    """Parse a query string to the query of a relation, of at most `max_rows` rows.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    parser = _QueryParser(relation, max_rows)
    for name, value in parse_parameters(text):
        parser.add(name, value)
    return parser.build_query()


class _QueryParser:
    """Parser of one request's parameters. It collects all errors, so that one response reports them together."""

    def __init__(self, relation: Relation, max_rows: int) -> None:
        self._relation = relation
        self._max_rows = max_rows
        self._faults: list[Fault] = []
        self._conditions: list[Condition] = []
        self._plain: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        if name in RESERVED:
            if name in self._plain:
                self._faults.append(Fault(name, "is given more than once"))
            self._plain[name] = value
            return
        column = self._relation.columns.get(name)
        if column is None:
            self._faults.append(Fault(name, f"{self._relation.name} has no such column: it has {self._column_names()}"))
            return
        try:
            self._conditions.append(parse_condition(column, value))
        except ValueError as error:
            self._faults.append(Fault(name, str(error)))

    def build_query(self) -> Query:
        columns = self._parse_with("select", self._parse_select, tuple(self._relation.columns.values()))
        order = self._parse_with("order", self._parse_order, tuple(map(Order, self._key())))
        limit = self._parse_with(
            "limit", lambda text: parse_limit(text, self._max_rows), min(DEFAULT_ROWS, self._max_rows)
        )
        as_of: datetime | None = self._parse_with("as_of", self._parse_as_of, None)
        query = Query(
            source=self._relation.sql if as_of is None else self._relation.sql_as_of,
            source_values=[] if as_of is None else [as_of],
            as_of=as_of,
            columns=columns,
            conditions=self._conditions,
            order=order,
            limit=limit,
            is_limited="limit" in self._plain,
            can_be_continued=self._relation.key is not None,
            format=self._plain.get("format"),
        )
        last: list[str | None] | None = self._parse_with("cursor", lambda text: parse_cursor(text, order), None)
        if self._faults:
            raise build_parameter_problem(self._faults)
        return query.after(last) if last else query

    def _parse_with(self, name: str, parse: Any, default: Any) -> Any:
        if name not in self._plain:
            return default
        try:
            return parse(self._plain[name])
        except ValueError as error:
            self._faults.append(Fault(name, str(error)))
            return default

    def _parse_as_of(self, text: str) -> datetime:
        if not self._relation.is_versioned:
            raise ValueError(f"earlier states of {self._relation.name} are not kept")
        return parse_instant(text)

    def _parse_select(self, text: str) -> Sequence[Column]:
        if text == "*":
            return tuple(self._relation.columns.values())
        return [self._column(name) for name in dict.fromkeys(text.split(","))]

    def _parse_order(self, text: str) -> Sequence[Order]:
        named = [self._parse_order_part(part) for part in text.split(",")]
        # With the key appended, no two rows are equal, so a page can begin after any row. The second occurrence of a
        # column has no effect.
        order: dict[str, Order] = {}
        for part in (*named, *map(Order, self._key())):
            order.setdefault(part.column.name, part)
        return [*order.values()]

    def _parse_order_part(self, part: str) -> Order:
        form = re.fullmatch(r"([^.]*)(\.asc|\.desc)?(\.nullsfirst|\.nullslast)?", part)
        if form is None:
            raise ValueError(f"{part!r} is not of the form column, column.asc or column.desc, with .nullsfirst or so")
        column = self._column(form[1])
        if not column.is_ordered:
            raise ValueError(f"rows have no order by {column.name}, which is {column.type}")
        nulls_first = None if form[3] is None else form[3] == ".nullsfirst"
        return Order(column, form[2] == ".desc", nulls_first)

    def _key(self) -> Sequence[Column]:
        return [self._relation.columns[name] for name in self._relation.key or ()]

    def _column(self, name: str) -> Column:
        column = self._relation.columns.get(name)
        if column is None:
            raise ValueError(f"{self._relation.name} has no column {name!r}: it has {self._column_names()}")
        return column

    def _column_names(self) -> str:
        return ", ".join(self._relation.columns)


def parse_condition(column: Column, text: str) -> Condition:
    """Parse the condition `column=text`.

    Raises:
        ValueError: the text is not a condition; the message names the expected form.
    """
    negated = text.startswith("not.")
    operator, dot, value = text.removeprefix("not.").partition(".")
    if not dot:
        operator = list_operators(column)[0]
        example = "null" if operator == "is" else find_value_kind(column.type).example
        raise ValueError(f"is not of the form op.value, such as {operator}.{example}")
    condition = _build_condition(column, operator, value)
    return replace(condition, sql=f"NOT ({condition.sql})") if negated else condition


def list_operators(column: Column) -> Sequence[str]:
    """Return the operators for a column's type."""
    if column.type.endswith("[]"):
        return ("cs", "is")
    if not column.is_ordered:
        return ("is",)
    return (*COMPARISONS, "in", *(PATTERNS if column.type == "text" else ()), "is")


def is_values_of(column: Column) -> Mapping[str, str]:
    """Return the words after `is.` for a column's type, each with its SQL."""
    return IS_BOOLEAN if column.type == "boolean" else IS


def _build_condition(column: Column, operator: str, value: str) -> Condition:
    known = list_operators(column)
    if operator not in known:
        raise ValueError(f"{operator!r} is no operator for {column.type}: use one of {', '.join(known)}")
    if operator == "is":
        if value not in is_values_of(column):
            raise ValueError(f"is. takes one of {', '.join(is_values_of(column))}")
        return Condition(f"{column.sql} IS {is_values_of(column)[value]}", ())
    if operator == "in":
        return Condition(f"{column.sql} = ANY (%s::{column.type}[])", [_parse_list(column, value)])
    _check_value(column, value)
    if operator == "cs":
        return Condition(f"{column.sql} @> %s::{column.type}", [value.strip("{}").split(",")])
    if operator in PATTERNS:
        return Condition(f"{column.sql} {PATTERNS[operator]} %s", [value.replace("*", "%")])
    return Condition(f"{column.sql} {COMPARISONS[operator]} %s::{column.type}", [value])


def _parse_list(column: Column, text: str) -> list[str]:
    """Parse the values of `(a,b,"c,d")`; `()` has none."""
    if text == "()":
        return []
    if not (text.startswith("(") and text.endswith(")") and len(text) > 2):
        raise ValueError("in. takes a list in parentheses, such as in.(AAPL,MSFT)")
    if "\n" in text or "\r" in text:
        raise ValueError("a list is one line")
    values = next(csv.reader([text[1:-1]], doublequote=False, escapechar="\\"))
    for value in values:
        _check_value(column, value)
    return values


def _check_value(column: Column, value: str) -> None:
    if not is_valid(column.type, value):
        raise ValueError(f"{value!r} is not {find_value_kind(column.type).called}")


def parse_limit(text: str, most: int) -> int:
    """Parse the number of rows.

    Raises:
        ValueError: the text is not a number from 1 to `most`.
    """
    if not re.fullmatch("[1-9][0-9]{0,8}", text) or int(text) > most:
        raise ValueError(f"{text!r} is not a number from 1 to {most}")
    return int(text)


def parse_cursor(text: str, order: Sequence[Order]) -> list[str | None]:
    """Decode a cursor to the values of the sort key after which the page begins.

    Raises:
        ValueError: it is not a cursor of this API, or one of another order.
    """
    try:
        order_text, *found = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=="))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValueError("is not a cursor of this API: follow `next`") from None
    if order_text != format_order(order) or len(found) != len(order) or not order:
        raise ValueError("is of another order: follow `next`, which holds both")
    values: list[str | None] = [value for part, value in zip(order, found, strict=True) if _is_key_value(part, value)]
    if len(values) != len(found):
        raise ValueError("is not a cursor of this API: follow `next`")
    return values


def _is_key_value(order: Order, value: object) -> bool:
    kind = order.column.type
    return value is None or (isinstance(value, str) and (is_valid(kind, value) or is_not_finite(kind, value)))
