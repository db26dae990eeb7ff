"""State of the pipeline for `status`: database, Dagster, services, last run, missing sessions, problems. Read-only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import choose_verb, format_count, name_some, quote_command
from market_pipeline.operations.dagster_state import DagsterState, probe_dagster
from market_pipeline.operations.market_state import MarketState, read_market_states
from market_pipeline.operations.service_probes import ServiceState
from market_pipeline.operations.up_session import probe_services
from market_pipeline.orchestration.scheduler_status import NOT_RUNNING
from market_pipeline.warehouse.adjustment import UnknownAdjustment, find_unknown_adjustments
from market_pipeline.warehouse.corporate_action_refresh import ActionsBehind, find_actions_behind
from market_pipeline.warehouse.coverage import FILLABLE, HEALTHS, Row, read_coverage
from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.database_probe import WarehouseProbe, probe_warehouse
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tracked_symbols import list_active_symbols


@dataclass(frozen=True)
class DatabaseState:
    """State of the warehouse's database; `revision` is its schema's, `needed_revision` this version's."""

    where: str
    embedded: bool
    reachable: bool
    revision: str | None
    needed_revision: str
    problem: str | None


@dataclass(frozen=True)
class LastRun:
    """The run that ended last, by its load records: counts of symbols and bars, instants in UTC."""

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
    """The tracked symbols: their number, also by `health`, and their names by what is wrong.

    `behind` names those whose newest bar is old, whatever their health; `failed` has the error of each one's last load.
    """

    tracked: int
    by_health: Mapping[str, int]
    behind: Sequence[str]
    never_loaded: Sequence[str]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class PipelineState:
    """State of everything at `at`. Parts that are read from the database are None if it can't be read.

    `vendor` is the URL that bars are requested from; each of `problems` names its fix.
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
    markets: Sequence[MarketState] | None
    sessions_to_fetch: Mapping[str, int] | None
    actions_behind: Sequence[ActionsBehind] | None
    unknown_adjustments: Sequence[UnknownAdjustment] | None
    problems: Sequence[str]


def read_pipeline_state(settings: Settings, api_url: str | None, now: datetime) -> PipelineState:
    """Read the state of everything.

    Args:
        settings: of the pipeline.
        api_url: URL of the API; None for that of the last `up` or the usual one.
        now: with a time zone.
    """
    api, ui = probe_services(settings, api_url)
    with probe_warehouse(settings) as found:
        dagster = _read_dagster(settings, found.engine, now) if found.engine else None
        rows, last_run, behind, unknown, markets, read_error = _read_tables(settings, found, now)
    database = DatabaseState(
        found.where, found.embedded, found.engine is not None, found.revision, found.needed, found.problem or read_error
    )
    return PipelineState(
        at=now,
        vendor=settings.vendor_url,
        vendor_is_sandbox=settings.source == "sandbox",
        database=database,
        dagster=dagster,
        dagster_ui=ui,
        api=api,
        last_run=last_run,
        symbols=_summarize_symbols(rows) if rows is not None else None,
        markets=markets,
        sessions_to_fetch={name: sum(row[name] for row in rows) for name in FILLABLE} if rows is not None else None,
        actions_behind=behind,
        unknown_adjustments=unknown,
        problems=[
            *_find_service_problems(database, dagster, ui, api),
            *(find_data_problems(rows) if rows or (rows is not None and not markets) else []),
            *find_action_problems(behind or []),
            *(each.problem for each in markets or [] if each.problem),
        ],
    )


def _read_tables(
    settings: Settings, found: WarehouseProbe, now: datetime
) -> tuple[
    Sequence[Row] | None,
    LastRun | None,
    Sequence[ActionsBehind] | None,
    Sequence[UnknownAdjustment] | None,
    Sequence[MarketState] | None,
    str | None,
]:
    """Read symbols' coverage, the last run, actions behind, unknown adjustments and markets, or the error."""
    if found.engine is None or not found.ready:
        return None, None, None, None, None, None
    try:
        rows = read_coverage(found.engine, [symbol.name for symbol in list_active_symbols(found.engine)])
        behind = find_actions_behind(found.engine, now)
        with found.engine.connect() as connection:
            last = connection.execute(read_statement("newest_run")).mappings().first()
        unknown = find_unknown_adjustments(found.engine)
        markets = read_market_states(found.engine, settings, now)
    except DBAPIError as error:
        return None, None, None, None, None, str(build_unavailable_error(error, found.engine))
    last_run = LastRun(**{name: _to_plain(value) for name, value in last.items()}) if last else None
    return rows, last_run, behind, unknown, markets, None


def _to_plain(value: Any) -> Any:
    """Convert a sum of PostgreSQL's, which is a whole Decimal, to int."""
    return value if isinstance(value, str | datetime) else int(value)


def _read_dagster(settings: Settings, warehouse: Engine, now: datetime) -> DagsterState:
    never_ran = f"{NOT_RUNNING} and never has: start it with `market-pipeline up`"
    try:
        return probe_dagster(settings, warehouse, now) or DagsterState(running=False, problem=never_ran)
    except MarketPipelineError as error:
        return DagsterState(running=False, problem=str(error))


def _summarize_symbols(rows: Sequence[Row]) -> SymbolsState:
    return SymbolsState(
        tracked=len(rows),
        by_health={name: sum(row["health"] == name for row in rows) for name in HEALTHS},
        behind=[row["symbol"] for row in rows if row["behind"] and row["loaded"]],
        never_loaded=[row["symbol"] for row in rows if row["last_session"] is None],
        failed={row["symbol"]: row["last_error"] for row in rows if row["last_error"]},
    )


def _find_service_problems(
    database: DatabaseState, dagster: DagsterState | None, ui: ServiceState, api: ServiceState
) -> list[str]:
    problems = [database.problem, dagster and dagster.problem]
    if dagster is not None and dagster.failed_run is not None:
        problems.append(
            f"Dagster's last run failed: see {ui.url}/runs/{dagster.failed_run}; the next night loads the rest"
        )
    if not ui.answers:
        problems.append(
            f"Dagster's UI does not respond at {ui.url}: start it with `market-pipeline up`, or set "
            "DAGSTER_WEBSERVER_URL"
        )
    if not api.answers:
        problems.append(f"the API does not respond at {api.url}: start it with `market-pipeline up`, or give --api-url")
    return [problem for problem in problems if problem]


def find_data_problems(rows: Sequence[Row]) -> list[str]:
    """Return the problems of the data that need a command: one line for each kind, with the command.

    Args:
        rows: of the view `coverage`, one for each tracked symbol; those with `health` "attention" have problems.
    """
    if not rows:
        return ["no symbols are tracked: run `market-pipeline symbols init`"]
    concerned = [row for row in rows if row["health"] == "attention"]
    failed = {row["symbol"]: row["last_error"] for row in concerned if row["last_error"] and row["fetchable"]}
    fetchable = {row["symbol"]: row["fetchable"] for row in concerned if row["fetchable"] and not row["last_error"]}
    without_bar = [row["symbol"] for row in concerned if not row["fetchable"]]
    problems = []
    if failed:
        problems.append(
            f"the last load of {name_some(list(failed))} failed ({next(iter(failed.values()))}): "
            f"run `{quote_command('market-pipeline', 'backfill', '--missing', '--symbols', ','.join(failed))}`"
        )
    if total := sum(fetchable.values()):
        problems.append(
            f"{format_count(total, 'session')} of {name_some(list(fetchable))} {choose_verb(total)} missing and can be "
            "fetched: run `market-pipeline backfill --missing`"
        )
    if without_bar:
        problems.append(
            f"the vendor has no bar of {name_some(without_bar)}: "
            f"run `{quote_command('market-pipeline', 'symbols', 'check', ','.join(without_bar))}`"
        )
    return problems


def find_action_problems(behind: Sequence[ActionsBehind]) -> list[str]:
    """Return the problems of splits and dividends that are not known or behind: one line for those in one state."""
    kinds: defaultdict[tuple[bool, str], list[str]] = defaultdict(list)
    for each in behind:
        kinds[each.never, each.symbol].append(each.kind)
    names: defaultdict[tuple[bool, str], list[str]] = defaultdict(list)
    for (never, symbol), missing in sorted(kinds.items()):
        names[never, " and ".join(missing)].append(symbol)
    return [
        f"the {missing} of {name_some(symbols)} "
        f"{'have never been fetched, and there are bars since' if never else 'were last fetched on'} "
        f"{min(each.since for each in behind if each.symbol in symbols):%Y-%m-%d %H:%M} UTC: "
        "run `market-pipeline backfill --missing`"
        for (never, missing), symbols in names.items()
    ]
