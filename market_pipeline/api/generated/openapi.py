"""OpenAPI documentation of the generated routes, built from the catalog like the routes themselves.

FastAPI documents the other routes; both together are `/openapi.json`, from which clients can be generated.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from market_pipeline.api.generated import historical, history_params, tables, universe, universe_params
from market_pipeline.api.generated.bar_operations import describe_historical, describe_universe
from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.openapi_parts import (
    LIMIT,
    Json,
    build_envelope_schema,
    build_instant_schemas,
    build_row_schema,
    describe_paging,
    describe_parameter,
    describe_responses,
)
from market_pipeline.api.generated.query_params import COMPARISONS, DEFAULT_ROWS, PATTERNS, is_values_of, list_operators
from market_pipeline.api.generated.value_types import find_value_kind
from market_pipeline.api.problems import Problem
from market_pipeline.core.settings import Settings

DESCRIPTION = """\
Daily market data, checked and complete, with its quality and its history of loads.

**Start here:** `/api/v1/historical/AAPL` returns a symbol's bars, with `?start=2012-01-01&end=2012-12-31` those of a
year; `/api/v1/tables` lists all tables, and each is served at `/api/v1/tables/{table}`;
`/api/v1/universe?date=2024-03-15` returns the tickers that traded on a session of a whole market.

**Filters** are PostgREST's: `symbol=eq.AAPL`, `symbol=in.(AAPL,MSFT)`, `date=gte.2012-01-01`, `validated=is.false`,
`name=like.App*`, `flags=cs.unexplained_move`; `not.` before an operator negates it, and a column may be given twice.
`select=symbol,date,close` chooses columns, `order=date.desc` sorts.

**Formats** by `format=json|csv|arrow|parquet` or `Accept`. **Pages:** JSON that is followed by more rows has
`truncated` and the URL of the next page in `next`. A file (CSV, Arrow, Parquet) has all rows, of one instant; with
`limit` it is a page too, and the header `Link` has the next one. **ETag** and `If-None-Match` save a repeated transfer.
Errors are `application/problem+json`, with a reason for every parameter.

Reading needs no key unless the server requires one; changes need a key of scope admin, in `X-API-Key`.
"""

TAGS = {
    "bars": "One symbol's history, for charts and programs.",
    "markets": "Whole markets: all tickers that traded on a session, those that are gone now among them.",
    "changes": "Every row that came, changed or went, for copies elsewhere that follow.",
    "overview": "Status of the pipeline and its data, under the runbook's names.",
    "marts": "Marts, the analysts' tables: adjusted prices, returns, weeks, months, coverage, quality.",
    "tables": "Loaded data as it is stored.",
    "views": "Coverage, missing sessions with their reasons, and results of runs.",
    "administration": "Symbols, backfills and keys. Needs a key of scope admin; every request is in an audit trail.",
}
_, _problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")


def add_generated_routes(document: Json, relations: Iterable[Relation], settings: Settings) -> Json:
    """Return the document with the routes of these relations and of a symbol's bars."""
    document = {**_remove_titles(document), "info": document["info"]}
    paths: Json = {
        historical.PATH: {"get": describe_historical()},
        universe.PATH: {"get": describe_universe()},
        tables.PATH: document["paths"][tables.PATH],
        **{f"{tables.PATH}/{relation.name}": {"get": _describe_table(relation, settings)} for relation in relations},
    }
    schemas = {f"{relation.name}.row": build_row_schema(relation.columns.values()) for relation in relations}
    components = document.get("components", {})
    return {
        **document,
        "paths": {**paths, **document["paths"]},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "components": {
            **components,
            "schemas": {
                **_problem["$defs"],
                "historical.row": build_row_schema(history_params.COLUMNS),
                "universe.row": build_row_schema(universe_params.COLUMNS),
                **schemas,
                **components.get("schemas", {}),
            },
        },
        **({"security": [{"APIKeyHeader": []}]} if settings.api_key_required else {}),
    }


def _remove_titles(node: Any) -> Any:
    """Return a part of the document without titles, which pydantic makes of the names of fields.

    Two schemas had one title, and a client can't be generated with two classes of one name.
    """
    if isinstance(node, list):
        return [_remove_titles(part) for part in node]
    if isinstance(node, dict):
        named = {name: part for name, part in node.items() if not (name == "title" and isinstance(part, str))}
        return {name: _remove_titles(part) for name, part in named.items()}
    return node


def _describe_table(relation: Relation, settings: Settings) -> Json:
    names = list(relation.columns)
    ordered = [column.name for column in relation.columns.values() if column.is_ordered]
    most = settings.api_max_rows
    parameters = [
        *(_describe_filter(column) for column in relation.columns.values()),
        describe_parameter(
            "select", "The columns, separated by commas; all by default.", _build_list_schema(names), example=names[0]
        ),
        describe_parameter(
            "order",
            "Columns to order by, each followed by .asc or .desc, .nullsfirst or .nullslast; the key by default.",
            _build_list_schema(ordered, suffix=r"(?:\.asc|\.desc)?(?:\.nullsfirst|\.nullslast)?"),
            example=f"{(relation.key or ordered)[0]}.desc",
        ),
        describe_parameter(
            "limit", f"The most rows of a page. {LIMIT}",
            {"type": "integer", "minimum": 1, "maximum": most, "default": min(DEFAULT_ROWS, most)},
        ),
        *(_describe_instants() if relation.is_versioned else ()),
        *describe_paging(),
    ]  # fmt: skip
    envelope = build_envelope_schema(f"{relation.name}.row", {})
    return {
        "tags": [{"table": "tables", "view": "views", "mart": "marts"}[relation.kind]],
        "operationId": f"read_{relation.name.replace('.', '_')}",
        "summary": _take_first_sentence(relation.description) or relation.name,
        "description": relation.description,
        "parameters": parameters,
        "responses": describe_responses(envelope),
    }


def _describe_instants() -> list[Json]:
    instant, name = build_instant_schemas()
    return [
        describe_parameter("as_of", "The rows as they were at this instant.", instant),
        describe_parameter("snapshot", "The rows as of a snapshot, by its name; instead of as_of.", name),
    ]


def _take_first_sentence(text: str) -> str:
    return re.split(r"[.:;,](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def _describe_filter(column: Column) -> Json:
    kind = find_value_kind(column.type)
    alternatives = [_build_pattern(operator, column) for operator in list_operators(column)]
    text = (
        f"{column.description} ({column.type}) Compared as op.value; op is one of {', '.join(list_operators(column))}."
    )
    example = "is.null" if "eq" not in list_operators(column) else f"eq.{kind.example}"
    return describe_parameter(
        column.name, text, {"type": "string", "pattern": f"^(?:not\\.)?(?:{'|'.join(alternatives)})$"}, example=example
    )


def _build_pattern(operator: str, column: Column) -> str:
    value = find_value_kind(column.type).pattern
    if operator == "is":
        return f"is\\.(?:{'|'.join(is_values_of(column))})"
    if operator == "in":
        # A quoted value may hold anything; only the plain form is documented.
        part = '[^\\x00-\\x1f(),"\\\\]+' if column.type == "text" else f"(?:{value})"
        return f"in\\.\\({part}(?:,{part})*\\)"
    if operator in PATTERNS:
        return f"{operator}\\.[^\\x00\\\\]*"
    assert operator in COMPARISONS or operator == "cs"  # noqa: S101 - no other is left
    return f"{operator}\\.(?:{value})"


def _build_list_schema(names: Sequence[str], suffix: str = "") -> Json:
    """Return the schema of one or more of these names, each followed by the pattern `suffix`."""
    one = f"(?:{'|'.join(map(_escape, names))}){suffix}"
    return {"type": "string", "pattern": f"^{one}(?:,{one})*$"}


def _escape(text: str) -> str:
    """Escape text for a pattern, in the syntax common to all kinds of regular expressions."""
    return re.sub(r"[.\\()\[\]{}*+?^$|]", r"\\\g<0>", text)
