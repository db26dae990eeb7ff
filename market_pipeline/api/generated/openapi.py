"""The documentation of the generated routes, in OpenAPI: made from the catalog, like the routes themselves.

FastAPI documents the others; both together are `/openapi.json`, which clients can be generated from.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from market_pipeline.api.generated import historical, tables
from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.formats import MEDIA_TYPES, Format
from market_pipeline.api.generated.query_params import COMPARISONS, DEFAULT_ROWS, PATTERNS, is_values, operators
from market_pipeline.api.generated.responses import WHOLE
from market_pipeline.api.generated.value_types import KINDS, kind_of
from market_pipeline.api.problems import MEDIA_TYPE, Problem
from market_pipeline.core.settings import Settings

DESCRIPTION = """\
Daily market data, checked and complete, and what is known of it.

**Start here:** `/api/v1/historical/AAPL?start=2024-01-01&end=2024-12-31` gives a symbol's bars, `/api/v1/tables` lists
every table, and each is served at `/api/v1/tables/{table}`.

**Filters** are PostgREST's: `symbol=eq.AAPL`, `symbol=in.(AAPL,MSFT)`, `date=gte.2024-01-01`, `validated=is.false`,
`name=like.App*`, `flags=cs.price_jump`; `not.` before an operator turns it round, and a column may be there twice.
`select=symbol,date,close` chooses columns, `order=date.desc` sorts.

**Formats** by `format=json|csv|arrow|parquet` or `Accept`. **Pages:** an answer with more rows behind it says
`truncated` and has the next page at `next`, which is in the header `Link` too. **ETag** and `If-None-Match` save asking
twice. Errors are `application/problem+json`, with a reason for every parameter.

Reading takes no key unless the server says so; changing anything takes one of scope admin, in `X-API-Key`.
"""

PROBLEM: dict[str, Any] = {
    "description": "What is wrong, and what to do.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
TAGS = {
    "bars": "One symbol's history, for charts and programs.",
    "overview": "What the whole is like, under the runbook's names.",
    "marts": "The analysts' tables, which dbt builds: adjusted prices, returns, weeks, months, coverage, quality.",
    "tables": "What is loaded, as it is stored.",
    "views": "What is there, what is missing and why, and how runs went.",
    "administration": "Symbols and backfills. Takes a key of scope admin, and leaves an audit trail.",
}
Json = dict[str, Any]
_, _problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")


def with_generated(document: Json, relations: Iterable[Relation], settings: Settings) -> Json:
    """The document with the routes of these relations and the bars of a symbol."""
    paths: Json = {
        historical.PATH: {"get": _historical()},
        tables.PATH: document["paths"][tables.PATH],
        **{f"{tables.PATH}/{relation.name}": {"get": _table(relation, settings)} for relation in relations},
    }
    schemas = {f"{relation.name}.row": _row(relation.columns.values()) for relation in relations}
    components = document.get("components", {})
    return {
        **document,
        "paths": {**paths, **document["paths"]},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "components": {
            **components,
            "schemas": {
                **_problem["$defs"],
                "historical.row": _row(historical.COLUMNS),
                **schemas,
                **components.get("schemas", {}),
            },
        },
        **({"security": [{"APIKeyHeader": []}]} if settings.api_key_required else {}),
    }


def _table(relation: Relation, settings: Settings) -> Json:
    names = list(relation.columns)
    ordered = [column.name for column in relation.columns.values() if column.is_ordered]
    most = settings.api_max_rows
    parameters = [
        *(_filter(column) for column in relation.columns.values()),
        _query("select", "The columns, with commas between; all if left out.", _listed(names), example=names[0]),
        _query(
            "order",
            "Columns to order by, each with .asc or .desc, .nullsfirst or .nullslast behind it; the key if left out.",
            _listed(ordered, behind=r"(?:\.asc|\.desc)?(?:\.nullsfirst|\.nullslast)?"),
            example=f"{(relation.key or ordered)[0]}.desc",
        ),
        _query(
            "limit", "The most rows.",
            {"type": "integer", "minimum": 1, "maximum": most, "default": min(DEFAULT_ROWS, most)},
        ),
        *_paging(),
    ]  # fmt: skip
    envelope = _envelope(f"{relation.name}.row", {})
    return {
        "tags": [{"table": "tables", "view": "views", "mart": "marts"}[relation.kind]],
        "operationId": f"read_{relation.name.replace('.', '_')}",
        "summary": _first_sentence(relation.description) or relation.name,
        "description": relation.description,
        "parameters": parameters,
        "responses": _responses(envelope),
    }


def _first_sentence(text: str) -> str:
    return re.split(r"[.:;,](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def _historical() -> Json:
    day = {"type": "string", "format": "date", "pattern": f"^{KINDS['date'].pattern}$"}
    instant = {"type": "string", "pattern": f"^{KINDS['timestamp with time zone'].pattern}$"}
    adjustment = {"type": "string", "enum": list(historical.SOURCES)}
    parameters = [
        {"name": "symbol", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
         "example": "AAPL"},
        _query("start", "The first date.", day, required=True, example="2024-01-01"),
        _query("end", "The last date, included.", day, required=True, example="2024-12-31"),
        _query("adjustment", "Adjusted for splits, for nothing (as traded), or for splits and dividends. If left out: "
               "splits, or as traded where the splits are not known yet, and `adjustment` says which.", adjustment),
        _query("as_of", "The bars as traded as they were stored at this instant.", instant),
        _query("validated_only", "Leave out bars that a rule flagged.", {"type": "boolean", "default": False}),
        _query("min_quality", "Leave out bars of a lower quality_score.",
               {"type": "number", "minimum": 0, "maximum": 1, "default": 0}),
        _query("limit", "The most bars.", {"type": "integer", "minimum": 1, "maximum": WHOLE, "default": WHOLE}),
        *_paging(),
    ]  # fmt: skip
    envelope = _envelope(
        "historical.row",
        {
            "symbol": {"type": "string"},
            "start_date": {"type": "string", "format": "date"},
            "end_date": {"type": "string", "format": "date"},
            "adjustment": adjustment,
            "note": {"type": ["string", "null"]},
        },
    )
    return {
        "tags": ["bars"],
        "operationId": "read_historical",
        "summary": "A symbol's daily bars",
        "description": "By date. Times are UTC; prices are US dollars, null where an adjustment can't be worked out. "
        "404 where there is no bar; 409 where an adjustment is asked for that is not known yet.",
        "parameters": parameters,
        "responses": _responses(envelope),
    }


def _filter(column: Column) -> Json:
    kind = kind_of(column.type)
    alternatives = [_pattern(operator, column) for operator in operators(column)]
    text = f"{column.description} ({column.type}) Compared as op.value; op is one of {', '.join(operators(column))}."
    example = "is.null" if "eq" not in operators(column) else f"eq.{kind.example}"
    return _query(
        column.name, text, {"type": "string", "pattern": f"^(?:not\\.)?(?:{'|'.join(alternatives)})$"}, example=example
    )


def _pattern(operator: str, column: Column) -> str:
    value = kind_of(column.type).pattern
    if operator == "is":
        return f"is\\.(?:{'|'.join(is_values(column))})"
    if operator == "in":
        # What is quoted may hold anything; the plain form is what is promised.
        part = '[^\\x00-\\x1f(),"\\\\]+' if column.type == "text" else f"(?:{value})"
        return f"in\\.\\({part}(?:,{part})*\\)"
    if operator in PATTERNS:
        return f"{operator}\\.[^\\x00\\\\]*"
    assert operator in COMPARISONS or operator == "cs"  # noqa: S101 - no other is left
    return f"{operator}\\.(?:{value})"


def _query(name: str, text: str, schema: Json, *, required: bool = False, example: str | None = None) -> Json:
    told = {"name": name, "in": "query", "description": text, "required": required, "schema": schema}
    return told if example is None else {**told, "example": example}


def _listed(names: Sequence[str], behind: str = "") -> Json:
    """One or more of these names, with what may be behind each."""
    one = f"(?:{'|'.join(map(_literal, names))}){behind}"
    return {"type": "string", "pattern": f"^{one}(?:,{one})*$"}


def _literal(text: str) -> str:
    """A pattern of just this text, in the little that all kinds of regular expressions agree on."""
    return re.sub(r"[.\\()\[\]{}*+?^$|]", r"\\\g<0>", text)


def _paging() -> list[Json]:
    formats = {"type": "string", "enum": [str(kind) for kind in Format], "default": "json"}
    return [
        _query("cursor", "Where to go on: as in `next`.", {"type": "string"}),
        _query("format", "The format, whatever is accepted.", formats),
    ]


def _envelope(row: str, around: Mapping[str, Any]) -> Json:
    rows = {
        "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
        "count": {"type": "integer", "description": "The rows in `data`."},
        "truncated": {"type": "boolean", "description": "Whether there are more."},
        "next": {"type": ["string", "null"], "description": "Where they are."},
    }
    return {"type": "object", "required": [*around, *rows], "properties": {**around, **rows}}


def _responses(envelope: Json) -> Json:
    files = {MEDIA_TYPES[kind]: {"schema": {"type": "string"}} for kind in Format if kind is not Format.JSON}
    content = {"application/json": {"schema": envelope}, **files}
    return {
        "200": {"description": "The rows.", "content": content},
        "304": {"description": "What the client has is what there is."},
        "default": PROBLEM,
    }


def _row(columns: Iterable[Column]) -> Json:
    properties = {column.name: _property(column) for column in columns}
    return {"type": "object", "properties": properties}


def _property(column: Column) -> Json:
    schema = {**kind_of(column.type).schema, "description": column.description}
    if column.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema
