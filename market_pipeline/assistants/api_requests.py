"""Requests to the read API's endpoints within this process, so that tools give the same rows, notes and errors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from market_pipeline.api.context import ReadingContext
from market_pipeline.api.generated import historical, tables
from market_pipeline.assistants.results import Rows

Endpoint = Callable[[Request], Awaitable[Response]]
Parameters = Sequence[tuple[str, object]]


class ApiRequests:
    """Requests rows of the endpoints as JSON. The caller is trusted: a key was checked before, or none is needed."""

    def __init__(self, context: ReadingContext) -> None:
        self._app = Starlette()
        settings = context.settings.model_copy(update={"api_key_required": False})
        self._app.state.context = ReadingContext(
            settings=settings, reader=context.reader, catalog=context.catalog, warehouse=context.warehouse
        )

    async def request_table(self, name: str, *parameters: tuple[str, object]) -> dict[str, Any]:
        """Request the rows of a table or view, with the parameters of its endpoint.

        Raises:
            ProblemError: the request is rejected, or the database can't be reached.
        """
        return await self._get(tables.read_table, {"table": name}, parameters)

    async def request_bars(self, symbol: str, parameters: Parameters) -> dict[str, Any]:
        """Request a symbol's bars, with the parameters of `/historical`.

        Raises:
            ProblemError: the request is rejected, there are no bars, or the database can't be reached.
        """
        return await self._get(historical.read_historical, {"symbol": symbol}, parameters)

    async def _get(self, endpoint: Endpoint, path: Mapping[str, str], parameters: Parameters) -> dict[str, Any]:
        given = [(name, value) for name, value in parameters if value is not None]
        scope = {
            "type": "http", "method": "GET", "path": "", "headers": [], "app": self._app, "path_params": dict(path),
            "query_string": urlencode(given).encode(), "state": {},
        }  # fmt: skip
        response = await endpoint(Request(scope))
        body: dict[str, Any] = orjson.loads(bytes(response.body))
        return body


def to_rows(body: Mapping[str, Any], columns: Sequence[str], notes: Sequence[str | None], more: str) -> Rows:
    """Return some columns of a response's rows; its note is `notes` as sentences, and `more` if there are more rows."""
    data = body["data"]
    notes = [*notes, f"These are the first {len(data):,} rows of more: {more}." if body["truncated"] else None]
    return Rows(
        columns=list(columns),
        rows=[[record[name] for name in columns] for record in data],
        count=len(data),
        truncated=body["truncated"],
        note=" ".join(f"{each.removesuffix('.')}." for each in notes if each) or None,
    )
