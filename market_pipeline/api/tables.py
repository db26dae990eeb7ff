"""Every table and mart, listed and served: one handler for all of them, made for each from the catalog.

What can be asked of them is in queries.py, how they are documented in openapi.py.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.answers import answer, query_string, wanted_format
from market_pipeline.api.catalog import Relation
from market_pipeline.api.context import Context, context_of
from market_pipeline.api.keys import check_reader
from market_pipeline.api.parameters import parse_query
from market_pipeline.api.problems import ProblemError
from market_pipeline.orchestration.materialized import last_built
from market_pipeline.warehouse.statements import statement

PATH = "/api/v1/tables"
LAST_LOADED = str(statement("last_loaded"))


async def list_tables(request: Request) -> Response:
    """The tables there are, with their columns and when they were last loaded or built."""
    await check_reader(request)
    context = context_of(request)
    await context.catalog.refresh()
    relations = context.catalog.relations.values()
    loaded: dict[str, datetime] = dict(await context.reader.rows(LAST_LOADED))
    marts = [relation.name for relation in relations if relation.kind == "mart"]
    built = await run_in_threadpool(last_built, context.instance, marts)
    when = {**loaded, **built}
    tables = [_described(relation, when.get(relation.name)) for relation in relations]
    return Response(orjson.dumps({"tables": tables}), media_type="application/json")


def _described(relation: Relation, when: datetime | None) -> Mapping[str, Any]:
    return {
        "name": relation.name,
        "schema": relation.schema,
        "kind": relation.kind,
        "description": relation.description,
        "columns": [
            {"name": c.name, "type": c.type, "nullable": c.nullable, "description": c.description}
            for c in relation.columns.values()
        ],
        "key": relation.key,
        "row_estimate": relation.row_estimate,
        "last_materialized": when,
        "href": f"{PATH}/{relation.name}",
    }


async def read_table(request: Request) -> Response:
    """The rows of a table that a request asks for."""
    await check_reader(request)
    context = context_of(request)
    relation = await _relation(context, request.path_params["table"])
    query = parse_query(relation, query_string(request), context.settings.api_max_rows)
    return await answer(request, context.reader, query, wanted_format(request, query.format))


async def _relation(context: Context, name: str) -> Relation:
    relation = await context.catalog.find(name)
    if relation is None:
        raise ProblemError(404, f"there is no table {name!r}: {PATH} lists those there are; marts are there once built")
    return relation
