"""Endpoints of tables and marts: their list, and one handler that serves all of them from the catalog.

Queries are in `query_sql`, their documentation in `openapi`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.admin.auth import check_reader
from market_pipeline.api.context import InContext
from market_pipeline.api.generated.catalog import Column, Relation
from market_pipeline.api.generated.instants import resolve_snapshot, settle_instant
from market_pipeline.api.generated.negotiation import negotiate_format
from market_pipeline.api.generated.query_params import list_operators, parse_query, read_query_string
from market_pipeline.api.generated.responses import respond
from market_pipeline.api.problems import ProblemError
from market_pipeline.orchestration.freshness import read_last_mart_builds
from market_pipeline.warehouse.statements import read_statement

PATH = "/api/v1/tables"
LAST_LOADED = str(read_statement("last_loaded"))


class ListedColumn(BaseModel):
    """A column, its PostgreSQL type, its meaning, and the operators that filter by it."""

    name: str
    type: str
    nullable: bool
    description: str
    operators: Sequence[str]


class Table(BaseModel):
    """A table, a view or a mart. `key` identifies its rows; estimate and time are null if unknown."""

    name: str
    schema_name: str = Field(serialization_alias="schema")
    kind: Literal["table", "view", "mart"]
    description: str
    columns: list[ListedColumn]
    key: Sequence[str] | None
    row_estimate: int | None
    last_materialized: datetime | None
    href: str


class Tables(BaseModel):
    """Every table."""

    tables: list[Table]


router = APIRouter(tags=["tables"])


@router.get(PATH, operation_id="list_tables", summary="Every table and mart")
async def list_tables(context: InContext) -> Tables:
    """List tables and marts with columns, types, estimated rows, and the time of the last load or build."""
    await context.catalog.refresh()
    relations = context.catalog.relations.values()
    loaded: dict[str, datetime] = dict(await context.reader.rows(LAST_LOADED))
    marts = [relation.name for relation in relations if relation.kind == "mart"]
    built = await run_in_threadpool(read_last_mart_builds, context.instance, marts)
    when = {**loaded, **built}
    return Tables(tables=[_describe_relation(relation, when.get(relation.name)) for relation in relations])


def _describe_relation(relation: Relation, when: datetime | None) -> Table:
    return Table(
        name=relation.name,
        schema_name=relation.schema,
        kind=relation.kind,
        description=relation.description,
        columns=[_describe_column(column) for column in relation.columns.values()],
        key=relation.key,
        row_estimate=relation.row_estimate,
        last_materialized=when,
        href=f"{PATH}/{relation.name}",
    )


def _describe_column(column: Column) -> ListedColumn:
    return ListedColumn(
        name=column.name,
        type=column.type,
        nullable=column.nullable,
        description=column.description,
        operators=list_operators(column),
    )


async def read_table(request: Request) -> Response:
    """Return the rows of a table that match a request."""
    context = await check_reader(request)
    name = request.path_params["table"]
    relation = await context.catalog.find(name)
    if relation is None:
        raise ProblemError(404, f"there is no table {name!r}: {PATH} lists all tables; a mart exists once it is built")
    text = await resolve_snapshot(context, read_query_string(request))
    query = parse_query(relation, text, context.settings.api_max_rows)
    await settle_instant(context, query.as_of)
    return await respond(request, context, query, negotiate_format(request, query.format))
