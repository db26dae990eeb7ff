"""The endpoint `/rest/v1/{table}`: rows of a table for PostgREST's clients. It only reads.

Requests are parsed here; `rest_responses` has the rows.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market_pipeline.api.admin.auth import SHORT_HEADER, check_reader
from market_pipeline.api.context import Context
from market_pipeline.api.generated.catalog import Relation
from market_pipeline.api.generated.query_params import read_query_string
from market_pipeline.api.postgrest.preferences import choose_representation, parse_count
from market_pipeline.api.postgrest.rest_errors import (
    SCHEMAS,
    RestError,
    build_database_error,
    build_unknown_table_error,
    to_rest_error,
)
from market_pipeline.api.postgrest.rest_responses import RestRequest, respond_to
from market_pipeline.api.postgrest.table_read import parse_read
from market_pipeline.api.problems import to_problem

PATH = "/rest/v1/{table}"
READING = ("GET", "HEAD")
METHODS = (*READING, "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
HEADERS = frozenset({b"accept", b"prefer", b"range", b"accept-profile"})

SENT_HEADERS = (
    SHORT_HEADER,
    "Authorization",
    "Accept-Profile",
    "Prefer",
    "Range",
    "Range-Unit",
    "X-Client-Info",
    "X-Retry-Count",
)
"""Headers that a client in a browser sends, beside those that every page may send."""

EXPOSED_HEADERS = ("Content-Range", "Preference-Applied", "Proxy-Status")
"""Headers of responses that such a client reads."""


def build_rest_routes() -> list[Route]:
    """Return the routes: a table's, and those of PostgREST's other paths, for errors in its form."""
    return [
        Route(PATH, read_rows, methods=METHODS),
        Route("/rest/v1/rpc/{function}", _reject_function, methods=METHODS),
        Route("/rest/v1/{path:path}", _reject_path, methods=METHODS),
    ]


async def read_rows(request: Request) -> Response:
    """Return the rows of a table; an error is in PostgREST's form."""
    try:
        return await _respond(request)
    except RestError as error:
        return error.response
    except psycopg.Error as error:
        return build_database_error(error).response
    except Exception as error:
        problem = to_problem(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logging.getLogger(__name__).exception("%s %s", request.method, request.scope["path"])
        return to_rest_error(problem).response


async def _respond(request: Request) -> Response:
    method = request.scope["method"]
    if method == "OPTIONS":
        return Response(headers={"Allow": ", ".join((*READING, "OPTIONS"))})
    if method not in READING:
        hint = "This API only reads: use GET or HEAD"
        allowed = {"Allow": ", ".join(READING)}
        raise RestError(405, "PGRST117", f"Unsupported HTTP method: {method}", hint=hint, headers=allowed)
    context = await check_reader(request)
    headers = _read_headers(request)
    _check_schema(headers.get(b"accept-profile", SCHEMAS[0]))
    relation = await _find_relation(context, request.path_params["table"])
    range_header = headers.get(b"range", "") if method == "GET" else ""  # it has no other meaning: RFC 9110, 14.2
    rest = RestRequest(
        request,
        context,
        parse_read(relation, read_query_string(request), range_header),
        choose_representation(headers.get(b"accept", "")),
        parse_count(headers.get(b"prefer", "")),
    )
    return await respond_to(rest)


def _read_headers(request: Request) -> Mapping[bytes, str]:
    """Return the headers that have a meaning here; several of one name are joined by commas."""
    headers: dict[bytes, str] = {}
    for name, value in request.scope["headers"]:
        if name in HEADERS:
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def _check_schema(name: str) -> None:
    if name not in SCHEMAS:
        hint = f"Only the following schemas are exposed: {', '.join(SCHEMAS)}"
        raise RestError(406, "PGRST106", f"Invalid schema: {name}", hint=hint)


async def _find_relation(context: Context, name: str) -> Relation:
    relation = await context.catalog.find(name)
    if relation is None:
        raise build_unknown_table_error(name, context.catalog.relations)
    return relation


async def _reject_function(request: Request) -> Response:
    name = request.path_params["function"]
    hint = "This API has no functions: /api/v1/tables lists all tables"
    message = f"Could not find the function public.{name} in the schema cache"
    return RestError(404, "PGRST202", message, hint=hint).response


async def _reject_path(request: Request) -> Response:
    if not request.path_params["path"]:
        return RestError(404, "PGRST126", "Root endpoint metadata is disabled", hint="See /openapi.json").response
    return RestError(404, "PGRST125", "Invalid path specified in request URL").response
