"""Errors in PostgREST's form: an object of code, details, hint and message.

Codes are PostgREST's (PGRST...) or PostgreSQL's (SQLSTATE). See https://docs.postgrest.org/en/stable/references/errors.html
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from http import HTTPStatus

import orjson
import psycopg
from starlette.responses import Response

from market_pipeline.api.generated.catalog import Relation
from market_pipeline.api.problems import ProblemError

SCHEMAS = ("public", "analytics")
"""Names that a client may give as the schema. Both stand for all tables, whose names are unique."""

SIMILARITY = 0.75
"""Of a name to the one that a hint suggests, from 0 to 1; PostgREST's number."""

MEDIA_TYPE = "application/json; charset=utf-8"
NOT_SUPPORTED = "PGRST127"
TIMEOUT = "57014"

STATUSES: Mapping[str, int] = {
    "42883": HTTPStatus.NOT_FOUND,  # undefined function, also of an operator
    TIMEOUT: HTTPStatus.GATEWAY_TIMEOUT,  # PostgREST's clients repeat a 503 three times, which wouldn't help
}
"""Statuses of PostgreSQL's errors other than 400, as far as reading causes them."""

CODES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "PGRST301",
    HTTPStatus.FORBIDDEN: "42501",
    HTTPStatus.NOT_FOUND: "PGRST125",
    HTTPStatus.INTERNAL_SERVER_ERROR: "XX000",
    HTTPStatus.SERVICE_UNAVAILABLE: "PGRST000",
}
"""Codes of problems that PostgreSQL has not reported; others have PGRST100, a wrong parameter."""


class RestError(Exception):
    """A rejected request: the status, and PostgREST's four fields."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.hint, self.headers = details, hint, headers or {}

    @property
    def response(self) -> Response:
        """The response with the error; the header Proxy-Status has the code for HEAD, whose response has no body."""
        body = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        headers = {"cache-control": "no-store", "proxy-status": f"PostgREST; error={self.code}", **self.headers}
        return Response(orjson.dumps(body), self.status, headers, MEDIA_TYPE)


def build_unsupported_error(feature: str, hint: str | None = None) -> RestError:
    """Return the error of a feature of PostgREST that this API doesn't have."""
    return RestError(400, NOT_SUPPORTED, "Feature not implemented", details=f"{feature} not supported", hint=hint)


def build_unknown_table_error(name: str, known: Iterable[str]) -> RestError:
    """Return the error of a table that doesn't exist."""
    nearest = _find_nearest(name, known)
    hint = f"Perhaps you meant the table 'public.{nearest}'" if nearest else "/api/v1/tables lists all tables"
    return RestError(404, "PGRST205", f"Could not find the table 'public.{name}' in the schema cache", hint=hint)


def build_unknown_column_error(relation: Relation, name: str) -> RestError:
    """Return PostgreSQL's error of a column that doesn't exist."""
    nearest = _find_nearest(name, relation.columns)
    hint = f'Perhaps you meant to reference the column "{relation.name}.{nearest}".' if nearest else None
    return RestError(400, "42703", f"column {relation.name}.{name} does not exist", hint=hint)


def build_unknown_relationship_error(relation: Relation, name: str) -> RestError:
    """Return the error of an embedded table: the warehouse's tables have no foreign keys to follow."""
    between = f"'{relation.name}' and '{name}'"
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between {between} in the schema cache",
        details=f"Searched for a foreign key relationship between {between} in the schema 'public', but no matches "
        "were found.",
        hint="Tables can't be embedded here: request each by itself",
    )


def build_not_embedded_error(name: str) -> RestError:
    """Return the error of a filter or an order of an embedded table."""
    return RestError(
        400, "PGRST108", f"'{name}' is not an embedded resource in this request",
        hint="Tables can't be embedded here: request each by itself",
    )  # fmt: skip


def to_rest_error(error: ProblemError) -> RestError:
    """Convert a problem, and the database's error that caused it, to PostgREST's form."""
    cause = error.__cause__
    if isinstance(cause, psycopg.Error) and cause.sqlstate:
        return build_database_error(cause)
    return RestError(error.status, CODES.get(error.status, "PGRST100"), error.detail, headers=error.headers)


def build_database_error(error: psycopg.Error) -> RestError:
    """Convert an error that PostgreSQL reports about a statement."""
    code = error.sqlstate or "XX000"
    status = STATUSES.get(code, HTTPStatus.BAD_REQUEST if code[:2] in ("22", "42") else HTTPStatus.SERVICE_UNAVAILABLE)
    diagnosis = error.diag
    return RestError(
        status, code, diagnosis.message_primary or "the query is invalid",
        details=diagnosis.message_detail, hint=diagnosis.message_hint,
    )  # fmt: skip


def _find_nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(name, known, 1, SIMILARITY)), None)
