"""Endpoints of backfills: each is a Dagster backfill over a range of partitions, as if launched in its UI."""

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
from market_pipeline.warehouse.symbol_names import find_active
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

PREFIX = "/api/v1/admin/backfills"
router = APIRouter(prefix=PREFIX, tags=["administration"], route_class=AuditedRoute, dependencies=[Depends(key_header)])

Id = Annotated[str, Path(description="The backfill's id, as in Dagster's UI.", max_length=100, pattern=NO_NULL)]


class BackfillRequest(BaseModel):
    """The symbols and dates to backfill."""

    model_config = ConfigDict(extra="forbid")

    symbols: Annotated[list[str], Field(min_length=1)] | Literal["*"] = Field(
        description="Tracked symbols, or * for all.", examples=[["AAPL", "MSFT"]]
    )
    start: date = Field(description="The first date.", examples=["2020-01-01"])
    end: date = Field(description="The last date, included.", examples=["2023-12-31"])


class Progress(BaseModel):
    """Progress of a backfill: `sessions_*` count sessions of each symbol, the last five fields count bars."""

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
    """A backfill and its state. `errors` has the reason for each failed symbol, `error` that of the backfill."""

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
async def start(context: InContext, response: Response, backfill: BackfillRequest) -> Job:
    """Start a backfill of some symbols over some dates, both included; its status is at the `Location`.

    If the same backfill has not ended yet, it is returned instead.
    """
    async with context.one_backfill:
        job, is_new = await run_in_threadpool(_start_or_find, context, backfill)
    if not is_new:
        response.status_code = 200
    response.headers["location"] = f"{PREFIX}/{job.id}"
    return Job.model_validate(job)


def _start_or_find(context: Context, backfill: BackfillRequest) -> tuple[BackfillJob, bool]:
    """Start the backfill, or find the same unfinished one; return it, and True if it is new."""
    warehouse, instance, now = context.warehouse, context.instance, datetime.now(UTC)
    symbols = list_active_symbols(warehouse) if backfill.symbols == "*" else find_active(warehouse, backfill.symbols)
    if not symbols:
        raise ProblemError(400, "there is no symbol to backfill: name some that are tracked")
    unfinished = list_unfinished_backfills(instance, warehouse)
    if known := find_same_backfill(unfinished, symbols, backfill.start, backfill.end, now):
        return known, False
    most = context.settings.api_max_backfills
    if len(unfinished) >= most:
        detail = f"{len(unfinished)} backfills have not ended, and {most} are the most at once: wait, or cancel some"
        raise ProblemError(429, detail, headers={"Retry-After": "60"})
    return start_backfill(context.settings, instance, warehouse, symbols, backfill.start, backfill.end, now=now), True


@router.get("", operation_id="list_backfills")
def list_newest(
    context: InContext,
    limit: Annotated[int, Query(ge=1, le=100, description="How many.")] = 20,
) -> list[Job]:
    """List the newest backfills, started by anyone."""
    return [Job.model_validate(job) for job in list_backfills(context.instance, context.warehouse, limit)]


@router.get("/{backfill_id}", operation_id="show_backfill")
def show(context: InContext, backfill_id: Id) -> Job:
    """Return a backfill's state and progress."""
    return _require_job(find_backfill(context.instance, context.warehouse, backfill_id), backfill_id)


@router.post("/{backfill_id}/cancel", status_code=202, operation_id="cancel_backfill")
def cancel(context: InContext, backfill_id: Id) -> Job:
    """Cancel a backfill. Bars that it has loaded are kept."""
    return _require_job(cancel_backfill(context.instance, context.warehouse, backfill_id), backfill_id)


def _require_job(job: BackfillJob | None, backfill_id: str) -> Job:
    if job is None:
        raise ProblemError(404, f"there is no backfill {backfill_id!r}: {PREFIX} lists the newest")
    return Job.model_validate(job)
