"""What a request asks of a table, read from its parameters in PostgREST's conventions.

`select=a,b`, `column=op.value`, `order=a.desc,b`, `limit=n`, `cursor=...`. See
https://docs.postgrest.org/en/stable/references/api/tables_views.html
"""

import base64
import binascii
import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.query_sql import Condition, Order, Query, written_order
from market_pipeline.api.generated.value_types import is_not_finite, is_valid, kind_of
from market_pipeline.api.problems import Fault, wrong_parameters

COMPARISONS: Mapping[str, str] = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
PATTERNS: Mapping[str, str] = {"like": "LIKE", "ilike": "ILIKE"}
IS: Mapping[str, str] = {"null": "NULL", "not_null": "NOT NULL"}
IS_BOOLEAN: Mapping[str, str] = {**IS, "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
RESERVED = frozenset({"select", "order", "limit", "cursor", "format"})
DEFAULT_ROWS = 1_000

KEPT = 1_000
"""How many of the last requests' readings are kept: clients ask for the same again and again."""


def parameters(query_string: str) -> list[tuple[str, str]]:
    """The parameters of a request as they are written."""
    return parse_qsl(query_string, keep_blank_values=True)


@lru_cache(KEPT)
def parse_query(relation: Relation, query_string: str, most: int) -> Query:
    """What a request asks of a relation, of which there can be `most` rows at once.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    reading = _Reading(relation, most)
    for name, value in parameters(query_string):
        reading.take(name, value)
    return reading.query()


class _Reading:
    """The reading of one request's parameters; what is wrong with them is collected, so that it is told at once."""

    def __init__(self, relation: Relation, most: int) -> None:
        self._relation = relation
        self._most = most
        self._faults: list[Fault] = []
        self._conditions: list[Condition] = []
        self._plain: dict[str, str] = {}

    def take(self, name: str, value: str) -> None:
        if name in RESERVED:
            if name in self._plain:
                self._faults.append(Fault(name, "is there more than once"))
            self._plain[name] = value
            return
        column = self._relation.columns.get(name)
        if column is None:
            self._faults.append(Fault(name, f"{self._relation.name} has no such column: it has {self._names()}"))
            return
        try:
            self._conditions.append(condition(column, value))
        except ValueError as error:
            self._faults.append(Fault(name, str(error)))

    def query(self) -> Query:
        columns = self._try("select", self._select, tuple(self._relation.columns.values()))
        order = self._try("order", self._order, tuple(map(Order, self._key())))
        limit = self._try("limit", lambda text: read_limit(text, self._most), min(DEFAULT_ROWS, self._most))
        query = Query(
            source=self._relation.sql,
            columns=columns,
            conditions=self._conditions,
            order=order,
            limit=limit,
            can_be_continued=self._relation.key is not None,
            format=self._plain.get("format"),
        )
        last: list[str | None] | None = self._try("cursor", lambda text: read_cursor(text, order), None)
        if self._faults:
            raise wrong_parameters(self._faults)
        return query.after(last) if last else query

    def _try(self, name: str, read: Any, otherwise: Any) -> Any:
        if name not in self._plain:
            return otherwise
        try:
            return read(self._plain[name])
        except ValueError as error:
            self._faults.append(Fault(name, str(error)))
            return otherwise

    def _select(self, text: str) -> Sequence[Column]:
        if text == "*":
            return tuple(self._relation.columns.values())
        return [self._column(name) for name in dict.fromkeys(text.split(","))]

    def _order(self, text: str) -> Sequence[Order]:
        named = [self._ordered(part) for part in text.split(",")]
        # With the key behind it no two rows are equal, and a page can begin behind any. Of a column that is there
        # twice, what comes later decides nothing.
        order: dict[str, Order] = {}
        for part in (*named, *map(Order, self._key())):
            order.setdefault(part.column.name, part)
        return [*order.values()]

    def _ordered(self, part: str) -> Order:
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
            raise ValueError(f"{self._relation.name} has no column {name!r}: it has {self._names()}")
        return column

    def _names(self) -> str:
        return ", ".join(self._relation.columns)


def condition(column: Column, text: str) -> Condition:
    """The condition of `column=text`.

    Raises:
        ValueError: it isn't one; the message says what is.
    """
    negated = text.startswith("not.")
    operator, dot, value = text.removeprefix("not.").partition(".")
    if not dot:
        raise ValueError(f"is not of the form op.value, such as eq.{kind_of(column.type).example}")
    made = _condition(column, operator, value)
    return replace(made, sql=f"NOT ({made.sql})") if negated else made


def operators(column: Column) -> Sequence[str]:
    """The operators that a column can be compared with."""
    if column.type.endswith("[]"):
        return ("cs", "is")
    if not column.is_ordered:
        return ("is",)
    return (*COMPARISONS, "in", *(PATTERNS if column.type == "text" else ()), "is")


def is_values(column: Column) -> Mapping[str, str]:
    """What a column can be, by the words behind `is.`."""
    return IS_BOOLEAN if column.type == "boolean" else IS


def _condition(column: Column, operator: str, value: str) -> Condition:
    known = operators(column)
    if operator not in known:
        raise ValueError(f"{operator!r} is no operator for {column.type}: use one of {', '.join(known)}")
    if operator == "is":
        if value not in is_values(column):
            raise ValueError(f"is. takes one of {', '.join(is_values(column))}")
        return Condition(f"{column.sql} IS {is_values(column)[value]}", ())
    if operator == "in":
        return Condition(f"{column.sql} = ANY (%s::{column.type}[])", [_listed(column, value)])
    _check(column, value)
    if operator == "cs":
        return Condition(f"{column.sql} @> %s::{column.type}", [value.strip("{}").split(",")])
    if operator in PATTERNS:
        return Condition(f"{column.sql} {PATTERNS[operator]} %s", [value.replace("*", "%")])
    return Condition(f"{column.sql} {COMPARISONS[operator]} %s::{column.type}", [value])


def _listed(column: Column, text: str) -> list[str]:
    """The values of `(a,b,"c,d")`; none of `()`."""
    if text == "()":
        return []
    if not (text.startswith("(") and text.endswith(")") and len(text) > 2):
        raise ValueError("in. takes a list in parentheses, such as in.(AAPL,MSFT)")
    if "\n" in text or "\r" in text:
        raise ValueError("a list is one line")
    values = next(csv.reader([text[1:-1]], doublequote=False, escapechar="\\"))
    for value in values:
        _check(column, value)
    return values


def _check(column: Column, value: str) -> None:
    if not is_valid(column.type, value):
        raise ValueError(f"{value!r} is not {kind_of(column.type).called}")


def read_limit(text: str, most: int) -> int:
    """How many rows are wanted.

    Raises:
        ValueError: it is no number, or too large a one.
    """
    if not re.fullmatch("[1-9][0-9]{0,8}", text) or int(text) > most:
        raise ValueError(f"{text!r} is not a number from 1 to {most}")
    return int(text)


def read_cursor(text: str, order: Sequence[Order]) -> list[str | None]:
    """The values in the columns of the order that a cursor continues behind.

    Raises:
        ValueError: it is no cursor of this API's, or one of another order.
    """
    try:
        written, *found = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=="))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ValueError("is not one that this API has given out: follow `next`") from None
    if written != written_order(order) or len(found) != len(order) or not order:
        raise ValueError("is of another order: follow `next`, which holds both")
    values: list[str | None] = [value for part, value in zip(order, found, strict=True) if _fits(part, value)]
    if len(values) != len(found):
        raise ValueError("is not one that this API has given out: follow `next`")
    return values


def _fits(order: Order, value: object) -> bool:
    kind = order.column.type
    return value is None or (isinstance(value, str) and (is_valid(kind, value) or is_not_finite(kind, value)))
