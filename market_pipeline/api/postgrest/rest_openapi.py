"""OpenAPI documentation of `/rest/v1/{table}`: one operation for all tables, whose filters PostgREST documents."""

from collections.abc import Iterable
from typing import Any

from market_pipeline.api.postgrest.preferences import ARRAY, COUNTS, CSV, SINGLE
from market_pipeline.api.postgrest.rest_tables import PATH

Json = dict[str, Any]
ERROR_SCHEMA: Json = {
    "type": "object",
    "description": "An error in PostgREST's form.",
    "required": ["code", "details", "hint", "message"],
    "properties": {
        "code": {"type": "string", "description": "PostgREST's code, or PostgreSQL's SQLSTATE.", "example": "42703"},
        "details": {"type": ["string", "null"]},
        "hint": {"type": ["string", "null"]},
        "message": {"type": "string"},
    },
}
DESCRIPTION = """\
The same tables for the clients of PostgREST and Supabase. A filter is `column=op.value`; `or=(...)` and `and=(...)`
combine filters; `select=alias:column::type` renames and casts. Without a limit the response has all rows.
"""


def add_rest_operation(document: Json, tables: Iterable[str]) -> Json:
    """Return the document with the operation that reads one of these tables."""
    components = document["components"]
    return {
        **document,
        "paths": {**document["paths"], PATH: {"get": _describe_operation(sorted(tables))}},
        "components": {**components, "schemas": {**components["schemas"], "RestError": ERROR_SCHEMA}},
    }


def _describe_operation(tables: list[str]) -> Json:
    whole, text = {"type": "integer", "minimum": 0}, {"type": "string"}
    row = {"type": "object", "additionalProperties": True}
    content = {
        ARRAY.media_type: {"schema": {"type": "array", "items": row}},
        SINGLE.media_type: {"schema": row},
        CSV.media_type: {"schema": {"type": "string"}},
    }
    error = {
        "description": "The error.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RestError"}}},
    }
    return {
        "tags": ["tables"],
        "operationId": "read_rest",
        "summary": "Rows of a table, under PostgREST's conventions",
        "description": DESCRIPTION,
        "parameters": [
            {"name": "table", "in": "path", "required": True, "schema": {"type": "string", "enum": tables}},
            _describe_parameter("select", "The columns, with aliases and casts.", text, example="*"),
            _describe_parameter("order", "The order, such as date.desc.nullslast; the key by default.", text),
            _describe_parameter("limit", "The most rows; all by default.", whole),
            _describe_parameter("offset", "The number of rows to leave out.", whole),
            _describe_parameter("or", "Filters of which one has to be true: (close.lt.1,close.gt.2).", text),
            _describe_parameter("and", "Filters that all have to be true.", text),
            _describe_parameter(
                "Prefer", "How to count all rows, for Content-Range.",
                {"type": "string", "enum": [f"count={count}" for count in COUNTS]}, place="header",
            ),
        ],
        "responses": {
            "200": {"description": "The rows.", "content": content},
            "206": {"description": "A part of the rows that match, if they were counted.", "content": content},
            "default": error,
        },
    }  # fmt: skip


def _describe_parameter(
    name: str, text: str, schema: Json, *, place: str = "query", example: str | None = None
) -> Json:
    parameter = {"name": name, "in": place, "description": text, "required": False, "schema": schema}
    return parameter if example is None else {**parameter, "example": example}
