"""Parts of OpenAPI documents that several routes share: parameters, rows, envelopes, responses."""

from collections.abc import Iterable, Mapping
from typing import Any

from market_pipeline.api.generated.catalog import Column
from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat
from market_pipeline.api.generated.value_types import VALUE_KINDS, find_value_kind
from market_pipeline.api.problems import MEDIA_TYPE
from market_pipeline.warehouse.snapshots import NAME

Json = dict[str, Any]

PROBLEM: dict[str, Any] = {
    "description": "The error, and the next step.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
LIMIT = "The default is for JSON: without a limit a file (CSV, Arrow, Parquet) has all rows."


def build_instant_schemas() -> tuple[Json, Json]:
    """Return the schemas of an instant and of a snapshot's name."""
    kind = VALUE_KINDS["timestamp with time zone"]
    return {"type": "string", "pattern": f"^{kind.pattern}$"}, {"type": "string", "pattern": f"^{NAME.pattern}$"}


def describe_parameter(
    name: str, text: str, schema: Json, *, example: str | None = None, required: bool = False
) -> Json:
    """Describe a parameter of the query string."""
    parameter = {"name": name, "in": "query", "description": text, "required": required, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}


def describe_paging() -> list[Json]:
    """Describe the parameters `cursor` and `format`."""
    formats = {"type": "string", "enum": [str(kind) for kind in ResponseFormat], "default": "json"}
    return [
        describe_parameter("cursor", "The cursor of the page, as in `next`.", {"type": "string"}),
        describe_parameter("format", "The format; it takes precedence over Accept.", formats),
    ]


def build_envelope_schema(row: str, around: Mapping[str, Any]) -> Json:
    """Return the schema of a page of rows, whose envelope has these fields too."""
    rows = {
        "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
        "count": {"type": "integer", "description": "The rows in `data`."},
        "truncated": {"type": "boolean", "description": "True if there are more rows."},
        "next": {"type": ["string", "null"], "description": "URL of the next page; null on the last."},
    }
    return {"type": "object", "required": [*around, *rows], "properties": {**around, **rows}}


def describe_responses(envelope: Json) -> Json:
    """Describe the responses of a route with rows."""
    files = {
        MEDIA_TYPES[kind]: {"schema": {"type": "string"}} for kind in ResponseFormat if kind is not ResponseFormat.JSON
    }
    content = {"application/json": {"schema": envelope}, **files}
    return {
        "200": {"description": "The rows.", "content": content},
        "304": {"description": "The client's copy is current."},
        "default": PROBLEM,
    }


def build_row_schema(columns: Iterable[Column]) -> Json:
    """Return the schema of a row."""
    properties = {column.name: _build_column_schema(column) for column in columns}
    return {"type": "object", "properties": properties}


def _build_column_schema(column: Column) -> Json:
    schema = {**find_value_kind(column.type).schema, "description": column.description}
    if column.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema
