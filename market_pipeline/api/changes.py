"""The endpoint `/api/v1/changes`: rows that came, changed or went since a point, a page at a time."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from market_pipeline.api.context import InContext
from market_pipeline.api.generated.negotiation import read_header
from market_pipeline.api.generated.next_page import build_url
from market_pipeline.api.generated.query_params import (
    Parsers,
    create_choice_parser,
    create_value_parser,
    parse_each,
    parse_instant,
    parse_limit,
    read_query_string,
)
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.api.generated.value_types import find_value_kind
from market_pipeline.api.problems import Fault, ProblemError, build_parameter_problem
from market_pipeline.warehouse.changes import (
    BEGINNING,
    KINDS,
    STATEMENT,
    check_kinds,
    decode_cursor,
    encode_cursor,
    settle_since,
)
from market_pipeline.warehouse.loads import describe_point
from market_pipeline.warehouse.symbol_names import find_alias

PATH = "/api/v1/changes"
DEFAULT_CHANGES = 1_000
NDJSON = "application/x-ndjson"
PAGE = STATEMENT.format(since="%s::timestamptz", after="%s", most="%s", kinds="%s", symbol="%s")

router = APIRouter(tags=["changes"])


class Change(BaseModel):
    """A row that came, changed or went by the load of a point. `values` are the row's; of one that went, its last."""

    point: datetime
    kind: Literal["symbol", "security", "ticker", "bar", "split", "dividend", "factor"]
    change: Literal["came", "changed", "went"]
    key: dict[str, Any]
    values: dict[str, Any] | None


class Changes(BaseModel):
    """A page of changes. `next` is the URL of the following ones, also where there are none yet."""

    settled: datetime = Field(description="The settled point: no load to come has a point up to it.")
    count: int = Field(description="The changes in `data`.")
    truncated: bool = Field(description="True if there are more changes up to the settled point.")
    next: str
    data: list[Change]


def _parse_kinds(text: str) -> list[str]:
    kinds = text.split(",")
    check_kinds(kinds)
    return kinds


PARSERS: Parsers = {
    "since": parse_instant,
    "kind": _parse_kinds,
    "symbol": create_value_parser("text"),
    "limit": lambda text: parse_limit(text, MAX_COMPLETE_ROWS),
    "cursor": decode_cursor,
    "format": create_choice_parser("json", "ndjson"),
}


def _describe_parameter(name: str, description: str, example: str | None = None, **schema: Any) -> dict[str, Any]:
    documented = {"name": name, "in": "query", "description": description, "schema": {"type": "string", **schema}}
    return documented if example is None else {**documented, "example": example}


PARAMETERS = [
    _describe_parameter(
        "since", "The changes after this instant; all by default.", "2024-01-31T12:00:00Z",
        pattern=f"^{find_value_kind('timestamp with time zone').pattern}$",
    ),
    _describe_parameter(
        "kind", "Kinds of rows, separated by commas; all by default.", "bar,split",
        pattern=f"^(?:{'|'.join(KINDS)})(?:,(?:{'|'.join(KINDS)}))*$",
    ),
    _describe_parameter(
        "symbol", "Those of one symbol: its present name, or a ticker of it.", "AAPL", pattern=r"^[^\x00]*$"
    ),
    _describe_parameter(
        "limit", "The most changes.", type="integer", minimum=1, maximum=MAX_COMPLETE_ROWS, default=DEFAULT_CHANGES
    ),
    _describe_parameter("cursor", "The cursor of the page, as in `next`. It takes precedence over `since`."),
    _describe_parameter("format", "JSON, or a line of JSON for each change.", enum=["json", "ndjson"], default="json"),
]  # fmt: skip


@router.get(
    PATH,
    operation_id="changes",
    summary="Every row that came, changed or went since a point",
    response_model=None,
    openapi_extra={"parameters": PARAMETERS},
    responses={
        200: {"model": Changes, "content": {NDJSON: {"schema": {"type": "string"}}}, "description": "The changes."}
    },
)
async def changes(request: Request, context: InContext) -> Response:
    """Return the bars, splits, dividends, factors and identities that loads since a point have changed, in their order.

    Follow `next`: after the last change it leads to those of loads to come. A consumer that applies every change by its
    kind and key has the rows as of `settled` once a page is not truncated. As lines, the last one has the other fields.
    """
    values, faults = parse_each(read_query_string(request), PARSERS)
    if faults:
        raise build_parameter_problem(faults)
    since: datetime = values.get("since", BEGINNING)
    limit: int = values.get("limit", DEFAULT_CHANGES)
    cursor = values.get("cursor")
    if cursor is None:
        await asyncio.to_thread(settle_since, context.warehouse, since)
    symbol = await _find_tracked(context, values["symbol"]) if "symbol" in values else None
    async with context.reader.snapshot(long=False) as snapshot:
        if cursor is not None:
            await _check_cursor(snapshot.connection, cursor)
        parameters = [
            since if cursor is None else BEGINNING, cursor and json.dumps(cursor), limit + 1, values.get("kind"),
            symbol,
        ]  # fmt: skip
        rows = await (await snapshot.connection.execute(PAGE, parameters)).fetchall()
    truncated, page = len(rows) > limit, rows[:limit]
    settled = describe_point(snapshot.point)
    following = {"cursor": encode_cursor(page[-1][1])} if truncated else {"since": settled.replace("+00:00", "Z")}
    url = build_url(request, without=("since", "cursor"), added=following)
    envelope = {"settled": settled, "count": len(page), "truncated": truncated, "next": url}
    is_lines = values.get("format") == "ndjson" or (
        "format" not in values and NDJSON in read_header(request, b"accept")
    )
    headers = {"X-As-Of": settled, "Link": f'<{url}>; rel="next"', "Cache-Control": "no-cache", "Vary": "Accept"}
    body = _format_lines(page, envelope) if is_lines else _format_object(page, envelope)
    return Response(body, headers=headers, media_type=NDJSON if is_lines else "application/json")


def _format_lines(page: Sequence[tuple[str, Any]], envelope: Mapping[str, Any]) -> bytes:
    return "".join(f"{change}\n" for change, _ in page).encode() + orjson.dumps(envelope) + b"\n"


def _format_object(page: Sequence[tuple[str, Any]], envelope: Mapping[str, Any]) -> bytes:
    return orjson.dumps(envelope)[:-1] + b',"data":[' + ",".join(change for change, _ in page).encode() + b"]}"


async def _find_tracked(context: InContext, name: str) -> str:
    """Return the tracked symbol of a name: its own, or a ticker that its company has or had.

    Raises:
        ProblemError: 404, there is none.
    """
    [is_tracked] = await context.reader.row("SELECT EXISTS (SELECT FROM tracked_symbols WHERE symbol = %s)", [name])
    if is_tracked:
        return name
    alias = await asyncio.to_thread(find_alias, context.warehouse, name, active_only=False)
    if alias is None:
        raise ProblemError(404, f"{name} is not tracked: /api/v1/symbols lists all symbols")
    return alias.symbol.name


async def _check_cursor(connection: Any, cursor: Sequence[Any]) -> None:
    found = await connection.execute("SELECT FROM loads WHERE id = %s", [cursor[0]])
    if not found.rowcount:
        raise build_parameter_problem([Fault("cursor", "is not one of this database: begin again with `since`")])
