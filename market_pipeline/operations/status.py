"""The state of the whole, looked up when asked for: database, Dagster, API, last run, what is missing, what is wrong.

Nothing is started, made or changed by looking. How it is shown is the command line's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.run_planning import trigger_of
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import are, counted, pasteable
from market_pipeline.dagster_storage.internals import FINISHED_STATUSES
from market_pipeline.operations.service_probes import API, DAGSTER_UI, answers
from market_pipeline.operations.up_session import service_urls
from market_pipeline.orchestration.instance import existing_instance
from market_pipeline.orchestration.scheduler_status import NOT_RUNNING, SchedulerState, ScheduleState, scheduler_state
from market_pipeline.orchestration.sensors import UNDER_WAY
from market_pipeline.warehouse.coverage import FILLABLE, Row, coverage
from market_pipeline.warehouse.database_errors import unavailable
from market_pipeline.warehouse.database_probe import Found, probe_warehouse
from market_pipeline.warehouse.statements import statement
from market_pipeline.warehouse.tracked_symbols import active_symbols

LATELY = 20
"""The most runs that are looked through for the last one that nobody typed."""

NAMED = 5
"""The most symbols that a problem names."""


@dataclass(frozen=True)
class DatabaseState:
    """Where the warehouse is, and whether it can be used. `revision` is its schema's, the other this version's."""

    where: str
    embedded: bool
    reachable: bool
    revision: str | None
    needed_revision: str
    problem: str | None


@dataclass(frozen=True)
class ServiceState:
    """A server: its address, and whether it is the one that answers there."""

    url: str
    answers: bool


@dataclass(frozen=True)
class DagsterState:
    """Whether the nightly runs will happen (`problem` says why not), when (UTC), and how many runs there are now.

    `failed_run` is the id of the newest run that has ended, where it failed and nobody sat before it.
    """

    running: bool
    problem: str | None
    last_heartbeat: datetime | None = None
    next_run: datetime | None = None
    schedules: Sequence[ScheduleState] = ()
    runs_under_way: int = 0
    failed_run: str | None = None


@dataclass(frozen=True)
class LastRun:
    """The run that ended last, by the account it left: symbols and bars, instants in UTC."""

    run_id: str
    trigger: str
    started_at: datetime
    ended_at: datetime
    symbols: int
    succeeded: int
    failed: int
    loaded: int
    revised: int
    rejected: int


@dataclass(frozen=True)
class SymbolsState:
    """The tracked symbols: how many, which lack their newest bars or have none at all, and why which failed last."""

    tracked: int
    behind: Sequence[str]
    never_loaded: Sequence[str]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class State:
    """All of it. Where the database can't be read, what is in it is None. `problems` name what mends them.

    `vendor` is the address that is asked for bars.
    """

    at: datetime
    vendor: str
    vendor_is_sandbox: bool
    database: DatabaseState
    dagster: DagsterState | None
    dagster_ui: ServiceState
    api: ServiceState
    last_run: LastRun | None
    symbols: SymbolsState | None
    sessions_to_fetch: Mapping[str, int] | None
    problems: Sequence[str]


def state_of_all(settings: Settings, api_url: str | None, now: datetime) -> State:
    """What there is to know at `now`, which has a time zone, with the API at `api_url` or where `up` has it."""
    found_api, ui_url = service_urls(settings)
    ui = ServiceState(ui_url, answers(ui_url, DAGSTER_UI))
    api = ServiceState(api_url or found_api, answers(api_url or found_api, API))
    with probe_warehouse(settings) as found:
        dagster = _dagster(settings, found.engine, now) if found.engine else None
        rows, last_run, lost = _tables(found)
    database = DatabaseState(
        found.where, found.embedded, found.engine is not None, found.revision, found.needed, found.problem or lost
    )
    return State(
        at=now,
        vendor=settings.vendor_url,
        vendor_is_sandbox=settings.source == "sandbox",
        database=database,
        dagster=dagster,
        dagster_ui=ui,
        api=api,
        last_run=last_run,
        symbols=_symbols(rows) if rows is not None else None,
        sessions_to_fetch={name: sum(row[name] for row in rows) for name in FILLABLE} if rows is not None else None,
        problems=[*_service_problems(database, dagster, ui, api), *(data_problems(rows) if rows is not None else [])],
    )


def _tables(found: Found) -> tuple[Sequence[Row] | None, LastRun | None, str | None]:
    """The coverage of every tracked symbol and the last run; None, and why, where they can't be read."""
    if found.engine is None or not found.ready:
        return None, None, None
    try:
        rows = coverage(found.engine, [symbol.name for symbol in active_symbols(found.engine)])
        with found.engine.connect() as connection:
            last = connection.execute(statement("last_account")).mappings().first()
    except DBAPIError as error:
        return None, None, str(unavailable(error, found.engine))
    return rows, LastRun(**{name: _plain(value) for name, value in last.items()}) if last else None, None


def _plain(value: Any) -> Any:
    """A sum of PostgreSQL's, which is a Decimal, as the whole number that it is."""
    return value if isinstance(value, str | datetime) else int(value)


def _dagster(settings: Settings, warehouse: Engine, now: datetime) -> DagsterState:
    try:
        with existing_instance(settings, warehouse) as instance:
            if instance is None:
                never = f"{NOT_RUNNING} and never has: start it with `market-pipeline up`"
                return DagsterState(running=False, problem=never)
            under_way = instance.get_runs_count(RunsFilter(statuses=UNDER_WAY))
            return _scheduler(scheduler_state(instance, now), under_way, _failed_run(instance))
    except MarketPipelineError as error:
        return DagsterState(running=False, problem=str(error))


def _scheduler(state: SchedulerState, under_way: int, failed_run: str | None) -> DagsterState:
    return DagsterState(
        state.running, state.reason, state.last_heartbeat, state.next_run, list(state.schedules), under_way, failed_run
    )


def _failed_run(instance: DagsterInstance) -> str | None:
    ended = instance.get_runs(RunsFilter(statuses=FINISHED_STATUSES), limit=LATELY)
    newest = next((run for run in ended if trigger_of(run.tags) != "cli"), None)
    return newest.run_id if newest is not None and newest.status is DagsterRunStatus.FAILURE else None


def _symbols(rows: Sequence[Row]) -> SymbolsState:
    return SymbolsState(
        tracked=len(rows),
        behind=[row["symbol"] for row in rows if row["behind"] and row["loaded"]],
        never_loaded=[row["symbol"] for row in rows if row["last_session"] is None],
        failed={row["symbol"]: row["last_error"] for row in rows if row["last_error"]},
    )


def _service_problems(
    database: DatabaseState, dagster: DagsterState | None, ui: ServiceState, api: ServiceState
) -> list[str]:
    said = [database.problem, dagster and dagster.problem]
    if dagster is not None and dagster.failed_run is not None:
        said.append(
            f"Dagster's last run failed: {ui.url}/runs/{dagster.failed_run} says why; the next night loads the rest"
        )
    if not ui.answers:
        said.append(
            f"Dagster's UI does not answer at {ui.url}: start it with `market-pipeline up`, or set "
            "DAGSTER_WEBSERVER_URL"
        )
    if not api.answers:
        said.append(f"the API does not answer at {api.url}: start it with `market-pipeline up`, or give --api-url")
    return [problem for problem in said if problem]


def data_problems(rows: Sequence[Row]) -> list[str]:
    """Return what somebody has to do about the data: a line a kind, with the command.

    Args:
        rows: the rows of the view `coverage`, one for each tracked symbol. Its `health` decides who needs attention.
    """
    if not rows:
        return ["no symbols are tracked: run `market-pipeline symbols init`"]
    concerned = [row for row in rows if row["health"] == "attention"]
    failed = {row["symbol"]: row["last_error"] for row in concerned if row["last_error"]}
    fetchable = {row["symbol"]: row["fetchable"] for row in concerned if row["fetchable"] and not row["last_error"]}
    without_bar = [row["symbol"] for row in concerned if not row["fetchable"] and not row["last_error"]]
    problems = []
    if failed:
        problems.append(
            f"{_named(list(failed))} failed last ({next(iter(failed.values()))}): "
            f"run `{pasteable('market-pipeline', 'backfill', '--missing', '--symbols', ','.join(failed))}`"
        )
    if total := sum(fetchable.values()):
        problems.append(
            f"{counted(total, 'session')} of {_named(list(fetchable))} {are(total)} missing and can be fetched: "
            "run `market-pipeline backfill --missing`"
        )
    if without_bar:
        problems.append(
            f"the vendor has no bar of {_named(without_bar)}: "
            f"run `{pasteable('market-pipeline', 'symbols', 'check', ','.join(without_bar))}`"
        )
    return problems


def _named(names: Sequence[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
