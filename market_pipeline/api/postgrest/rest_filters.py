"""PostgREST's filters: `column=op.value`, and trees of them by `and=(...)` and `or=(...)`, as conditions.

A condition's SQL has names of the catalog and operators of this module; values are its parameters, which PostgreSQL
checks. See https://docs.postgrest.org/en/stable/references/api/tables_views.html#horizontal-filtering
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.query_sql import Condition
from market_pipeline.api.postgrest.rest_errors import (
    build_not_embedded_error,
    build_unknown_column_error,
    build_unsupported_error,
)
from market_pipeline.api.postgrest.scanner import Scanner

COMPARISONS: Mapping[str, str] = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
PATTERNS: Mapping[str, str] = {"like": "LIKE", "ilike": "ILIKE", "match": "~", "imatch": "~*"}
OTHERS: Mapping[str, str] = {
    "neq": "<>", "isdistinct": "IS DISTINCT FROM", "cs": "@>", "cd": "<@", "ov": "&&",
    "sl": "<<", "sr": ">>", "nxr": "&<", "nxl": "&>", "adj": "-|-",
}  # fmt: skip
SEARCHES: Mapping[str, str] = {
    "fts": "to_tsquery", "plfts": "plainto_tsquery", "phfts": "phraseto_tsquery", "wfts": "websearch_to_tsquery",
}  # fmt: skip
QUANTIFIERS: Mapping[str, str] = {"any": "ANY", "all": "ALL"}
IS: Mapping[str, str] = {
    "null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN",
}  # fmt: skip

DEPTH = 40
"""Of nested trees: a deeper one is rejected, before it exhausts the stack."""

_OPERATOR = re.compile(r"([a-z]+)(?:\(([\w $]+)\))?\.")
_ANYTHING = re.compile(".*", re.DOTALL)
_PLAIN = re.compile("[^,)]*")
_ARRAY = re.compile("{[^{}]*}")
_OPERATOR_EXPECTED = 'expecting "not" or operator (eq, gt, ...)'

ReadValue = Callable[[Scanner], str]


def parse_filter(relation: Relation, name: str, text: str) -> Condition:
    """Parse the parameter `name=text`, a filter of one column.

    Raises:
        RestError: it is not a filter, or there is no such column.
    """
    names = Scanner(name, "tree path")
    column_name = names.read_name()
    if names.take("->"):
        raise build_unsupported_error("JSON paths in filters are")
    if names.take("."):
        raise build_not_embedded_error(column_name)
    names.expect_end("expecting delimiter (.) or end of input")
    scanner = Scanner(text, "filter")
    condition = _read_operation(scanner, _find_column(relation, column_name), _read_rest)
    scanner.expect_end("expecting end of input")
    return condition


def parse_logic(relation: Relation, name: str, text: str) -> Condition:
    """Parse the parameter `and=(...)`, `or=(...)`, `not.and=(...)` or `not.or=(...)`.

    Raises:
        RestError: it is not a tree of filters, or there is no such column.
    """
    *path, operator = name.split(".")
    if path not in ([], ["not"]):
        raise build_not_embedded_error(path[0])
    scanner = Scanner(text, "logic tree")
    condition = _read_members(scanner, relation, operator, 1)
    scanner.expect_end("expecting end of input")
    return _negate(condition) if path else condition


def _read_members(scanner: Scanner, relation: Relation, operator: str, depth: int) -> Condition:
    """Read the filters and trees in parentheses."""
    if depth > DEPTH:
        scanner.fail(f"expecting at most {DEPTH} nested trees")
    scanner.skip_spaces()
    if not scanner.take("("):
        scanner.fail('expecting "("')
    members = [_read_member(scanner, relation, depth)]
    while scanner.take(","):
        members.append(_read_member(scanner, relation, depth))
    if not scanner.take(")"):
        scanner.fail('expecting "," or ")"')
    scanner.skip_spaces()
    joined = f" {operator.upper()} ".join(member.sql for member in members)
    return Condition(f"({joined})", [value for member in members for value in member.values])


_TREE = re.compile(r"(not\.)?(and|or)(?=[ \t]*\()")


def _read_member(scanner: Scanner, relation: Relation, depth: int) -> Condition:
    scanner.skip_spaces()
    tree = scanner.match(_TREE)
    if tree is not None:
        inner = _read_members(scanner, relation, tree[2], depth + 1)
        return _negate(inner) if tree[1] else inner
    name = scanner.read_name()
    if scanner.take("->"):
        raise build_unsupported_error("JSON paths in filters are")
    if not scanner.take("."):
        scanner.fail("expecting delimiter (.)")
    return _read_operation(scanner, _find_column(relation, name), _read_member_value)


def _read_rest(scanner: Scanner) -> str:
    return scanner.read(_ANYTHING)


def _read_member_value(scanner: Scanner) -> str:
    """Read a value that ends with a comma or a parenthesis, unless it is quoted or an array."""
    quoted = scanner.read_quoted()
    return quoted if quoted is not None else scanner.read(_ARRAY) or scanner.read(_PLAIN)


def _read_operation(scanner: Scanner, column: Column, read_value: ReadValue) -> Condition:
    negated = scanner.take("not.")
    found = scanner.match(_OPERATOR)
    if found is None:
        scanner.fail(_OPERATOR_EXPECTED)
    operator, modifier = found[1], found[2]
    if operator in SEARCHES:
        condition = _build_search(column, operator, modifier, read_value(scanner))
    elif operator in COMPARISONS or operator in PATTERNS:
        condition = _build_comparison(scanner, column, operator, modifier, read_value)
    elif modifier is not None:
        scanner.fail(_OPERATOR_EXPECTED, found.start())
    elif operator in OTHERS:
        condition = Condition(f"{column.sql} {OTHERS[operator]} %s::{column.type}", [read_value(scanner)])
    elif operator == "is":
        condition = Condition(f"{column.sql} IS {_read_is(scanner)}", ())
    elif operator == "in":
        condition = Condition(f"{column.sql} = ANY (%s::{column.type}[])", [_read_list(scanner)])
    else:
        scanner.fail(_OPERATOR_EXPECTED, found.start())
    return _negate(condition) if negated else condition


def _build_comparison(
    scanner: Scanner, column: Column, operator: str, modifier: str | None, read_value: ReadValue
) -> Condition:
    if modifier is not None and modifier not in QUANTIFIERS:
        scanner.fail(_OPERATOR_EXPECTED)
    value = read_value(scanner)
    kind, sign = column.type, COMPARISONS.get(operator, "")
    if operator in PATTERNS:
        kind, sign = "text", PATTERNS[operator]
        value = value.replace("*", "%") if operator.endswith("like") else value
    if modifier is not None:
        return Condition(f"{column.sql} {sign} {QUANTIFIERS[modifier]} (%s::{kind}[])", [value])
    return Condition(f"{column.sql} {sign} %s::{kind}", [value])


def _build_search(column: Column, operator: str, language: str | None, value: str) -> Condition:
    words = "%s::regconfig, " if language else ""
    condition = f"to_tsvector({words}{column.sql}) @@ {SEARCHES[operator]}({words}%s)"
    return Condition(condition, [language, language, value] if language else [value])


def _read_is(scanner: Scanner) -> str:
    word = scanner.read(_PLAIN)
    if word.lower() not in IS:
        scanner.fail("expecting isVal: (null, not_null, true, false, unknown)", scanner.position - len(word))
    return IS[word.lower()]


def _read_list(scanner: Scanner) -> list[str]:
    """Read the values of `(a,b,"c,d")`; `()` has none."""
    scanner.skip_spaces()
    if not scanner.take("("):
        scanner.fail('expecting "("')
    values = [_read_element(scanner)]
    while scanner.take(","):
        values.append(_read_element(scanner))
    if not scanner.take(")"):
        scanner.fail('expecting "," or ")"')
    scanner.skip_spaces()
    return [] if values == [""] else values


def _read_element(scanner: Scanner) -> str:
    quoted = scanner.read_quoted()
    return scanner.read(_PLAIN) if quoted is None else quoted


def _find_column(relation: Relation, name: str) -> Column:
    column = relation.columns.get(name)
    if column is None:
        raise build_unknown_column_error(relation, name)
    return column


def _negate(condition: Condition) -> Condition:
    return replace(condition, sql=f"NOT ({condition.sql})")
