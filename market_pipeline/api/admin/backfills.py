"""Backfills over HTTP: each is a backfill of Dagster's over a range of partitions, as if launched in its UI."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from market_pipeline.api.admin.auth import NO_NULL, AuditedRoute, key_header
from market_pipeline.api.context import Context, InContext
from market_pipeline.api.problems import ProblemError
from market_pipeline.orchestration.backfill_launch import (
    cancel_backfill,
    find_backfill,
    find_same_backfill,
    list_backfills,
    list_unfinished_backfills,
    start_backfill,
)
from market_pipeline.orchestration.backfill_status import BackfillJob
from market_pipeline.warehouse.tracked_symbols import active_symbols, find_active

PREFIX = "/api/v1/admin/backfills"
router = APIRouter(prefix=PREFIX, tags=["administration"], route_class=AuditedRoute, dependencies=[Depends(key_header)])

Id = Annotated[str, Path(description="The backfill's id, as in Dagster's UI.", max_length=100, pattern=NO_NULL)]


class Wanted(BaseModel):
    """What to backfill."""

    model_config = ConfigDict(extra="forbid")

    symbols: Annotated[list[str], Field(min_length=1)] | Literal["*"] = Field(
        description="Tracked symbols, or * for all.", examples=[["AAPL", "MSFT"]]
    )
    start: date = Field(description="The first date.", examples=["2020-01-01"])
    end: date = Field(description="The last date, included.", examples=["2023-12-31"])


class Progress(BaseModel):
    """How far it has come: sessions are symbols times sessions, the last five are bars."""

    model_config = ConfigDict(from_attributes=True)

    sessions_total: int
    sessions_done: int
    symbols_total: int
    symbols_succeeded: int
    symbols_failed: int
    loaded: int
    revised: int
    unchanged: int
    rejected: int
    missing: int


class Job(BaseModel):
    """A backfill and how it goes. `errors` says why symbols failed, `error` why the backfill did."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    status: Literal["requested", "running", "succeeded", "failed", "cancelling", "cancelled"]
    symbols: list[str]
    start: date
    end: date
    created_at: datetime
    ended_at: datetime | None
    run_ids: list[str]
    progress: Progress
    errors: dict[str, str]
    error: str | None
    note: str | None


_LINKS = {
    operation: {"operationId": f"{operation}_backfill", "parameters": {"backfill_id": "$response.body#/id"}}
    for operation in ("show", "cancel")
}


@router.post(
    "",
    status_code=202,
    operation_id="start_backfill",
    responses={
        200: {"model": Job, "description": "The same backfill has been started and has not ended: this is it."},
        202: {"links": _LINKS},
    },
)
async def start(context: InContext, response: Response, wanted: Wanted) -> Job:
    """Start a backfill of some symbols over some dates, both included; its status is at the `Location`.

    The same again, before it has ended, is answered with the one there is.
    """
    async with context.one_backfill:
        job, is_new = await run_in_threadpool(_started, context, wanted)
    if not is_new:
        response.status_code = 200
    response.headers["location"] = f"{PREFIX}/{job.id}"
    return Job.model_validate(job)


def _started(context: Context, wanted: Wanted) -> tuple[BackfillJob, bool]:
    """The backfill that is wanted, and whether it is a new one."""
    warehouse, instance, now = context.warehouse, context.instance, datetime.now(UTC)
    symbols = active_symbols(warehouse) if wanted.symbols == "*" else find_active(warehouse, wanted.symbols)
    if not symbols:
        raise ProblemError(400, "there is no symbol to backfill: name some that are tracked")
    unfinished = list_unfinished_backfills(instance, warehouse)
    if known := find_same_backfill(unfinished, symbols, wanted.start, wanted.end, now):
        return known, False
    most = context.settings.api_max_backfills
    if len(unfinished) >= most:
        detail = f"{len(unfinished)} backfills have not ended, and {most} are the most at once: wait, or cancel some"
        raise ProblemError(429, detail, headers={"Retry-After": "60"})
    return start_backfill(context.settings, instance, warehouse, symbols, wanted.start, wanted.end, now=now), True


@router.get("", operation_id="list_backfills")
def newest(
    context: InContext,
    limit: Annotated[int, Query(ge=1, le=100, description="How many.")] = 20,
) -> list[Job]:
    """The newest backfills, whoever started them."""
    return [Job.model_validate(job) for job in list_backfills(context.instance, context.warehouse, limit)]


@router.get("/{backfill_id}", operation_id="show_backfill")
def show(context: InContext, backfill_id: Id) -> Job:
    """How a backfill goes."""
    return _known(find_backfill(context.instance, context.warehouse, backfill_id), backfill_id)


@router.post("/{backfill_id}/cancel", status_code=202, operation_id="cancel_backfill")
def cancel(context: InContext, backfill_id: Id) -> Job:
    """Cancel a backfill. What it has loaded stays."""
    return _known(cancel_backfill(context.instance, context.warehouse, backfill_id), backfill_id)


def _known(job: BackfillJob | None, backfill_id: str) -> Job:
    if job is None:
        raise ProblemError(404, f"there is no backfill {backfill_id!r}: {PREFIX} lists the newest")
    return Job.model_validate(job)
