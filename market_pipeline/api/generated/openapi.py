"""OpenAPI documentation of the generated routes, built from the catalog like the routes themselves.

FastAPI documents the other routes; both together are `/openapi.json`, from which clients can be generated.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from market_pipeline.api.generated import historical, history_params, tables
from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat
from market_pipeline.api.generated.query_params import COMPARISONS, DEFAULT_ROWS, PATTERNS, is_values_of, operators_of
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.api.generated.value_types import VALUE_KINDS, value_kind
from market_pipeline.api.problems import MEDIA_TYPE, Problem
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse.snapshots import NAME

DESCRIPTION = """\
Daily market data, checked and complete, with its quality and its history of loads.

**Start here:** `/api/v1/historical/AAPL` returns a symbol's bars, with `?start=2012-01-01&end=2012-12-31` those of a
year; `/api/v1/tables` lists all tables, and each is served at `/api/v1/tables/{table}`.

**Filters** are PostgREST's: `symbol=eq.AAPL`, `symbol=in.(AAPL,MSFT)`, `date=gte.2012-01-01`, `validated=is.false`,
`name=like.App*`, `flags=cs.unexplained_move`; `not.` before an operator negates it, and a column may be given twice.
`select=symbol,date,close` chooses columns, `order=date.desc` sorts.

**Formats** by `format=json|csv|arrow|parquet` or `Accept`. **Pages:** JSON that is followed by more rows has
`truncated` and the URL of the next page in `next`. A file (CSV, Arrow, Parquet) has all rows, of one instant; with
`limit` it is a page too, and the header `Link` has the next one. **ETag** and `If-None-Match` save a repeated transfer.
Errors are `application/problem+json`, with a reason for every parameter.

Reading needs no key unless the server requires one; changes need a key of scope admin, in `X-API-Key`.
"""

PROBLEM: dict[str, Any] = {
    "description": "The error, and the next step.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
TAGS = {
    "bars": "One symbol's history, for charts and programs.",
    "changes": "Every row that came, changed or went, for copies elsewhere that follow.",
    "overview": "Status of the pipeline and its data, under the runbook's names.",
    "marts": "Marts, the analysts' tables: adjusted prices, returns, weeks, months, coverage, quality.",
    "tables": "Loaded data as it is stored.",
    "views": "Coverage, missing sessions with their reasons, and results of runs.",
    "administration": "Symbols, backfills and keys. Needs a key of scope admin; every request is in an audit trail.",
}
LIMIT = "The default is for JSON: without a limit a file (CSV, Arrow, Parquet) has all rows."
Json = dict[str, Any]
_, _problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")


def add_generated_routes(document: Json, relations: Iterable[Relation], settings: Settings) -> Json:
    """Return the document with the routes of these relations and of a symbol's bars."""
    document = {**_without_titles(document), "info": document["info"]}
    paths: Json = {
        historical.PATH: {"get": _historical_operation()},
        tables.PATH: document["paths"][tables.PATH],
        **{f"{tables.PATH}/{relation.name}": {"get": _table_operation(relation, settings)} for relation in relations},
    }
    schemas = {f"{relation.name}.row": _row_schema(relation.columns.values()) for relation in relations}
    components = document.get("components", {})
    return {
        **document,
        "paths": {**paths, **document["paths"]},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "components": {
            **components,
            "schemas": {
                **_problem["$defs"],
                "historical.row": _row_schema(history_params.COLUMNS),
                **schemas,
                **components.get("schemas", {}),
            },
        },
        **({"security": [{"APIKeyHeader": []}]} if settings.api_key_required else {}),
    }


def _without_titles(node: Any) -> Any:
    """Return a part of the document without titles, which pydantic makes of the names of fields.

    Two schemas had one title, and a client can't be generated with two classes of one name.
    """
    if isinstance(node, list):
        return [_without_titles(part) for part in node]
    if isinstance(node, dict):
        named = {name: part for name, part in node.items() if not (name == "title" and isinstance(part, str))}
        return {name: _without_titles(part) for name, part in named.items()}
    return node


def _table_operation(relation: Relation, settings: Settings) -> Json:
    names = list(relation.columns)
    ordered = [column.name for column in relation.columns.values() if column.is_ordered]
    most = settings.api_max_rows
    parameters = [
        *(_filter_parameter(column) for column in relation.columns.values()),
        _query("select", "The columns, separated by commas; all by default.", _list_schema(names), example=names[0]),
        _query(
            "order",
            "Columns to order by, each followed by .asc or .desc, .nullsfirst or .nullslast; the key by default.",
            _list_schema(ordered, suffix=r"(?:\.asc|\.desc)?(?:\.nullsfirst|\.nullslast)?"),
            example=f"{(relation.key or ordered)[0]}.desc",
        ),
        _query(
            "limit", f"The most rows of a page. {LIMIT}",
            {"type": "integer", "minimum": 1, "maximum": most, "default": min(DEFAULT_ROWS, most)},
        ),
        *(_instant_parameters() if relation.is_versioned else ()),
        *_paging_parameters(),
    ]  # fmt: skip
    envelope = _envelope_schema(f"{relation.name}.row", {})
    return {
        "tags": [{"table": "tables", "view": "views", "mart": "marts"}[relation.kind]],
        "operationId": f"read_{relation.name.replace('.', '_')}",
        "summary": _first_sentence(relation.description) or relation.name,
        "description": relation.description,
        "parameters": parameters,
        "responses": _responses(envelope),
    }


def _instant_parameters() -> list[Json]:
    instant, name = _instant_schemas()
    return [
        _query("as_of", "The rows as they were at this instant.", instant),
        _query("snapshot", "The rows as of a snapshot, by its name; instead of as_of.", name),
    ]


def _instant_schemas() -> tuple[Json, Json]:
    """Return the schemas of an instant and of a snapshot's name."""
    kind = VALUE_KINDS["timestamp with time zone"]
    return {"type": "string", "pattern": f"^{kind.pattern}$"}, {"type": "string", "pattern": f"^{NAME.pattern}$"}


def _first_sentence(text: str) -> str:
    return re.split(r"[.:;,](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def _historical_operation() -> Json:
    day = {"type": "string", "format": "date", "pattern": f"^{VALUE_KINDS['date'].pattern}$"}
    instant, name = _instant_schemas()
    adjustment = {"type": "string", "enum": list(history_params.SOURCES)}
    parameters = [
        {"name": "symbol", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
         "example": "AAPL"},
        _query("start", "The first date; all by default.", day, example="2012-01-01"),
        _query("end", "The last date, included; all by default.", day, example="2012-12-31"),
        _query("adjustment", "Adjusted for splits, for nothing (as traded), or for splits and dividends. Default: "
               "splits, or as traded if that is known for none of the bars (see `adjustment`).", adjustment),
        _query("as_of", "The bars and their adjustment as they were at this instant; as traded by default.", instant),
        _query("snapshot", "The same as of a snapshot, by its name; instead of as_of.", name),
        _query("validated_only", "Leave out flagged bars.", {"type": "boolean", "default": False}),
        _query("min_quality", "Leave out bars of a lower quality_score.",
               {"type": "number", "minimum": 0, "maximum": 1, "default": 0}),
        _query("limit", f"The most bars of a page. {LIMIT}", {"type": "integer", "minimum": 1,
               "maximum": MAX_COMPLETE_ROWS, "default": MAX_COMPLETE_ROWS}),
        *_paging_parameters(),
    ]  # fmt: skip
    envelope = _envelope_schema(
        "historical.row",
        {
            "symbol": {"type": "string"},
            "start_date": {"type": ["string", "null"], "format": "date"},
            "end_date": {"type": ["string", "null"], "format": "date"},
            "adjustment": adjustment,
            "known_from": {"type": ["string", "null"], "format": "date"},
            "note": {"type": ["string", "null"]},
        },
    )
    return {
        "tags": ["bars"],
        "operationId": "read_historical",
        "summary": "A symbol's daily bars",
        "description": "By date. Times are UTC; prices are US dollars, null before `known_from`, where their "
        "adjustment isn't known: `note` has the reason. 404 without bars; 409 if the requested adjustment is not known "
        "at all.",
        "parameters": parameters,
        "responses": _responses(envelope),
    }


def _filter_parameter(column: Column) -> Json:
    kind = value_kind(column.type)
    alternatives = [_pattern(operator, column) for operator in operators_of(column)]
    text = f"{column.description} ({column.type}) Compared as op.value; op is one of {', '.join(operators_of(column))}."
    example = "is.null" if "eq" not in operators_of(column) else f"eq.{kind.example}"
    return _query(
        column.name, text, {"type": "string", "pattern": f"^(?:not\\.)?(?:{'|'.join(alternatives)})$"}, example=example
    )


def _pattern(operator: str, column: Column) -> str:
    value = value_kind(column.type).pattern
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


def _query(name: str, text: str, schema: Json, *, example: str | None = None) -> Json:
    parameter = {"name": name, "in": "query", "description": text, "required": False, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}


def _list_schema(names: Sequence[str], suffix: str = "") -> Json:
    """Return the schema of one or more of these names, each followed by the pattern `suffix`."""
    one = f"(?:{'|'.join(map(_escape, names))}){suffix}"
    return {"type": "string", "pattern": f"^{one}(?:,{one})*$"}


def _escape(text: str) -> str:
    """Escape text for a pattern, in the syntax common to all kinds of regular expressions."""
    return re.sub(r"[.\\()\[\]{}*+?^$|]", r"\\\g<0>", text)


def _paging_parameters() -> list[Json]:
    formats = {"type": "string", "enum": [str(kind) for kind in ResponseFormat], "default": "json"}
    return [
        _query("cursor", "The cursor of the page, as in `next`.", {"type": "string"}),
        _query("format", "The format; it takes precedence over Accept.", formats),
    ]


def _envelope_schema(row: str, around: Mapping[str, Any]) -> Json:
    rows = {
        "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
        "count": {"type": "integer", "description": "The rows in `data`."},
        "truncated": {"type": "boolean", "description": "True if there are more rows."},
        "next": {"type": ["string", "null"], "description": "URL of the next page; null on the last."},
    }
    return {"type": "object", "required": [*around, *rows], "properties": {**around, **rows}}


def _responses(envelope: Json) -> Json:
    files = {
        MEDIA_TYPES[kind]: {"schema": {"type": "string"}} for kind in ResponseFormat if kind is not ResponseFormat.JSON
    }
    content = {"application/json": {"schema": envelope}, **files}
    return {
        "200": {"description": "The rows.", "content": content},
        "304": {"description": "The client's copy is current."},
        "default": PROBLEM,
    }


def _row_schema(columns: Iterable[Column]) -> Json:
    properties = {column.name: _column_schema(column) for column in columns}
    return {"type": "object", "properties": properties}


def _column_schema(column: Column) -> Json:
    schema = {**value_kind(column.type).schema, "description": column.description}
    if column.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema
