"""The endpoints of health, status, metrics, symbols and links, under the runbook's paths and names.

Every value is read at the time of the request; none is a constant or of this process only.
"""

from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from market_pipeline.api.admin.auth import may_read
from market_pipeline.api.context import Context, InContext
from market_pipeline.api.problems import ProblemError
from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.scheduler_status import SchedulerState, read_scheduler_state
from market_pipeline.warehouse.statements import read_statement

health_router = APIRouter(tags=["overview"])
router = APIRouter(tags=["overview"])

STATUS, SYMBOLS, LAST_RUN = (str(read_statement(name)) for name in ("warehouse_status", "symbols_held", "last_run"))


class Scheduler(BaseModel):
    """State of the nightly runs' scheduler; `reason` has the cause and the next step if it isn't running."""

    running: bool
    reason: str | None
    last_heartbeat: datetime | None
    next_run: datetime | None


class Health(BaseModel):
    """Health: unhealthy if the database can't be reached (503), degraded if only the nightly runs won't happen.

    `scheduler` is absent if reading needs a key and the request has none.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    timestamp: datetime
    scheduler_running: bool
    database: Literal["reachable", "unreachable"]
    scheduler: Scheduler | None = None


class Records(BaseModel):
    """Contents of market_data. `latest_data` is the newest session of any symbol's bars."""

    symbols_available: int
    latest_data: date | None
    total_records: int
    validated_records: int
    validation_rate_pct: float | None


class DataQuality(BaseModel):
    """Data quality. `last_backfill` is the end of the last run."""

    records_with_gaps_flagged: int
    scheduler_status: Literal["running", "stopped"]
    last_backfill: datetime | None


class Status(BaseModel):
    """The runbook's status."""

    api_version: str
    status: Literal["healthy", "degraded"]
    database: Records
    data_quality: DataQuality


class Schedule(BaseModel):
    """Start of the nightly runs, from Dagster or, before they are deployed there, from the settings."""

    running: bool
    schedule: str
    next_run: datetime | None


class LastBackfill(BaseModel):
    """The last run that ended, by any trigger. All null before the first."""

    time: datetime | None
    successful_symbols: int | None
    failed_symbols: int | None
    total_records_imported: int | None
    run_id: str | None
    trigger: str | None


class ApiHealth(BaseModel):
    """Health of API and database. `no_data`: the database is reachable and has no bar."""

    api: Literal["healthy", "degraded"]
    database: Literal["healthy", "no_data"]


class Metrics(BaseModel):
    """The runbook's metrics."""

    timestamp: datetime
    scheduler: Schedule
    last_backfill: LastBackfill
    database: Records
    health: ApiHealth


class HeldSymbol(BaseModel):
    """A symbol and its stored bars."""

    symbol: str
    asset_class: str
    calendar: str
    name: str | None
    active: bool
    first_date: date | None
    last_date: date | None
    bars: int


class Symbols(BaseModel):
    """Symbols: `symbols_available` counts those with bars, as in the status; `symbols` lists all ever tracked."""

    symbols_available: int
    latest_data: date | None
    symbols: list[HeldSymbol]


class Links(BaseModel):
    """URLs of the documentation and of Dagster's UI."""

    docs: str
    dagster: str


@health_router.get(
    "/health",
    operation_id="health",
    response_model_exclude_unset=True,
    responses={503: {"model": Health, "description": "The database can't be reached."}},
)
async def health(context: InContext, request: Request, response: Response) -> Health:
    """Check that the database can be reached and that the nightly runs will happen."""
    found = await _find_health(context, response)
    return found if await may_read(request) else Health(**found.model_dump(exclude={"scheduler"}))


async def _find_health(context: Context, response: Response) -> Health:
    try:
        await context.reader.row("SELECT 1")
        scheduler = Scheduler.model_validate(await _read_scheduler(context), from_attributes=True)
    except (ProblemError, SQLAlchemyError):
        response.status_code = 503
        unknown = Scheduler(running=False, reason="the database can't be reached", last_heartbeat=None, next_run=None)
        return _build_health(unknown, reachable=False)
    return _build_health(scheduler, reachable=True)


def _build_health(scheduler: Scheduler, *, reachable: bool) -> Health:
    return Health(
        status="unhealthy" if not reachable else "healthy" if scheduler.running else "degraded",
        timestamp=datetime.now(UTC),
        scheduler_running=scheduler.running,
        database="reachable" if reachable else "unreachable",
        scheduler=scheduler,
    )


@router.get("/api/v1/status", operation_id="status")
async def status(context: InContext) -> Status:
    """Return the number of symbols and bars, of flagged gaps, and the state of the scheduler."""
    records, gaps = await _count_records(context)
    scheduler, last = await _read_scheduler(context), await _read_last_backfill(context)
    return Status(
        api_version=version("market-pipeline"),
        status="healthy" if scheduler.running else "degraded",
        database=records,
        data_quality=DataQuality(
            records_with_gaps_flagged=gaps,
            scheduler_status="running" if scheduler.running else "stopped",
            last_backfill=last.time,
        ),
    )


@router.get("/api/v1/metrics", operation_id="metrics")
async def metrics(context: InContext) -> Metrics:
    """Return the last run, the schedule, and the number of symbols and bars."""
    records, _ = await _count_records(context)
    scheduler = await _read_scheduler(context)
    return Metrics(
        timestamp=datetime.now(UTC),
        scheduler=Schedule(
            running=scheduler.running,
            schedule=f"{scheduler.time_of_day or _format_configured_time(context.settings)} UTC daily",
            next_run=scheduler.next_run,
        ),
        last_backfill=await _read_last_backfill(context),
        database=records,
        health=ApiHealth(
            api="healthy" if scheduler.running else "degraded",
            database="healthy" if records.total_records else "no_data",
        ),
    )


@router.get("/api/v1/symbols", operation_id="symbols")
async def symbols(context: InContext) -> Symbols:
    """List every symbol that was ever tracked, with its stored bars."""
    rows = await context.reader.rows(SYMBOLS)
    held = [HeldSymbol(**dict(zip(HeldSymbol.model_fields, row, strict=True))) for row in rows]
    return Symbols(
        symbols_available=sum(symbol.bars > 0 for symbol in held),
        latest_data=max((symbol.last_date for symbol in held if symbol.last_date), default=None),
        symbols=held,
    )


@router.get("/api/v1/links", operation_id="links")
async def links(context: InContext) -> Links:
    """Return the URLs of the documentation and of Dagster's UI."""
    return Links(docs="/docs", dagster=context.settings.dagster_ui_url or context.settings.dagster_webserver_url)


async def _count_records(context: Context) -> tuple[Records, int]:
    held, latest, total, validated, gaps = await context.reader.row(STATUS)
    rate = round(100 * validated / total, 2) if total else None
    return Records(
        symbols_available=held,
        latest_data=latest,
        total_records=total,
        validated_records=validated,
        validation_rate_pct=rate,
    ), gaps


async def _read_last_backfill(context: Context) -> LastBackfill:
    found = await context.reader.rows(LAST_RUN)
    row = found[0] if found else (None,) * len(LastBackfill.model_fields)
    return LastBackfill(**dict(zip(LastBackfill.model_fields, row, strict=True)))


def _format_configured_time(settings: Settings) -> str:
    return f"{settings.backfill_schedule_hour:02}:{settings.backfill_schedule_minute:02}"


async def _read_scheduler(context: Context) -> SchedulerState:
    return await run_in_threadpool(read_scheduler_state, context.instance, datetime.now(UTC))
