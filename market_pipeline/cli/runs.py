"""In-process runs: launch Dagster runs, show their progress, and read their load records back."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from uuid import uuid4

import psycopg2
import typer
from dagster import DagsterInstance
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from market_pipeline.cli.output import print_note
from market_pipeline.cli.progress import Report, show_progress
from market_pipeline.cli.summary import LoadRecord, read_result, read_row, record_unreached
from market_pipeline.core import stop_signals
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.settings import Settings
from market_pipeline.corporate_action_requests import ActionsResult
from market_pipeline.dagster_storage.pooling import giving_up_once_lost
from market_pipeline.orchestration.build import build_analytics, build_loading
from market_pipeline.orchestration.mart_assets import JOB as MARTS_JOB
from market_pipeline.orchestration.run_launch import close_abandoned_runs, launch_job, launch_range_run, open_instance
from market_pipeline.orchestration.schedules import CORPORATE_ACTIONS_JOB
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.warehouse.database_errors import describe_database_problem
from market_pipeline.warehouse.load_history import LoadResult, read_run_history


class DatabaseLostError(MarketPipelineError):
    """The database connection was lost, or the database ran out of space, during the work."""


class ActionsError(MarketPipelineError):
    """The run that fetches splits and dividends could not be executed."""


class MartsError(MarketPipelineError):
    """The marts could not be built."""


@dataclass
class _LaunchedRun:
    """A run to launch: its results so far, and the error if it ended early."""

    range: RangeRun
    run_id: str = field(default_factory=lambda: str(uuid4()))
    results: dict[str, LoadResult] = field(default_factory=dict)
    actions: list[ActionsResult] = field(default_factory=list)
    error: str | None = None

    def build_records(self, stored: Mapping[tuple[str, str], LoadRecord]) -> Iterator[LoadRecord]:
        """Yield each symbol's load record: the stored one, or one made from its load result, or an unreached one."""
        for symbol in self.range.symbols:
            if record := stored.get((self.run_id, symbol.name)):
                yield record
            elif result := self.results.get(symbol.name):
                yield read_result(result, self.run_id)
            else:
                yield record_unreached(symbol.name, self.run_id, self.range.sessions, self.error)


@dataclass(frozen=True)
class LaunchResult:
    """The load records of all symbols of some runs, and the results of their requests for splits and dividends."""

    records: Sequence[LoadRecord]
    actions: Sequence[ActionsResult] = ()


def launch_runs(settings: Settings, warehouse: Engine, runs: Sequence[RangeRun], *, quiet: bool) -> LaunchResult:
    """Launch runs one after the other, and return each symbol's load record and the results for its actions.

    If the database is lost or the command is stopped, the records of symbols that were not reached have that error.

    Raises:
        MissingKeyError: there is no vendor key; nothing is launched.
        DatabaseLostError: a database can't be used, and nothing was launched.
    """
    check_vendor_key(settings)
    total = sum(len(run.symbols) * len(run.sessions) for run in runs)
    to_launch = [_LaunchedRun(run) for run in runs]
    launched: list[_LaunchedRun] = []
    try:
        with (
            open_own_instance(settings, warehouse, quiet=quiet) as instance,
            show_progress(total, quiet=quiet) as report_progress,
        ):
            for run in to_launch:
                launched.append(run)
                _launch(settings, run, instance, warehouse, report_progress)
                if stop_signals.is_requested():
                    break
    except DatabaseLostError as lost:
        if not launched:
            raise
        print_note(str(lost), logging.ERROR)
        launched[-1].error = launched[-1].error or str(lost)
    for run in to_launch[len(launched) :]:
        run.error = launched[-1].error
    stored = _read_stored(warehouse, launched)
    records = [record for run in to_launch for record in run.build_records(stored)]
    return LaunchResult(records, [result for run in launched for result in run.actions])


def check_vendor_key(settings: Settings) -> None:
    """Check that there is a vendor key, before anything is launched.

    Raises:
        MissingKeyError: there is none.
    """
    PolygonClient.from_settings(settings, LocalLimiter(settings.requests_per_minute)).close()


def _launch(
    settings: Settings,
    run: _LaunchedRun,
    instance: DagsterInstance,
    warehouse: Engine,
    report_progress: Report,
) -> None:
    def collect_result(result: LoadResult) -> None:
        run.results[result.symbol] = result
        report_progress(result.symbol, result.sessions, result.error)

    definitions = build_loading(
        settings, collect_result, extra_symbols=run.range.symbols, on_refreshed=run.actions.append
    )
    run.error = launch_range_run(definitions, run.range, instance, warehouse, run.run_id).error


def _read_stored(warehouse: Engine, runs: Sequence[_LaunchedRun]) -> Mapping[tuple[str, str], LoadRecord]:
    """Read the load records of these runs by run and symbol; none if the database is still lost."""
    try:
        rows = read_run_history(warehouse, [run.run_id for run in runs])
    except DBAPIError:
        return {}
    return {(row.run_id, row.symbol): read_row(row) for row in rows}


def refresh_actions(settings: Settings, warehouse: Engine, *, quiet: bool) -> list[ActionsResult]:
    """Fetch the splits and dividends of all tracked symbols, as the nightly job does, and return the results.

    Raises:
        MissingKeyError: there is no vendor key; nothing is launched.
        ActionsError: the run could not be executed.
        DatabaseLostError: the connection to a database was lost.
    """
    check_vendor_key(settings)
    results: list[ActionsResult] = []
    definitions = build_loading(settings, on_refreshed=results.append)
    with open_own_instance(settings, warehouse, quiet=quiet) as instance:
        run = launch_job(definitions, CORPORATE_ACTIONS_JOB, instance, warehouse)
    if not run.success and not any(result.error for result in results) and not stop_signals.is_requested():
        message = f"the splits and dividends could not be fetched: {run.error}. Run the same command again"
        raise ActionsError(message)
    return results


def build_marts(settings: Settings, warehouse: Engine, *, quiet: bool = False) -> None:
    """Build the marts from the stored bars. dbt's output goes to standard error; if `quiet`, only if it fails.

    Raises:
        MartsError: dbt failed, or one of its models or tests did.
        DatabaseLostError: the connection to a database was lost.
    """
    output = StringIO() if quiet else sys.stderr
    with open_own_instance(settings, warehouse, quiet=quiet) as instance, redirect_stdout(output):
        result = launch_job(build_analytics(settings), MARTS_JOB, instance, warehouse)
    stop_signals.check()
    if not result.success:
        if isinstance(output, StringIO):
            typer.echo(output.getvalue(), err=True, nl=False)
        raise MartsError(
            f"the marts could not be built: {result.error or 'see above'}. Loaded bars are unchanged; once that is "
            "fixed, run `market-pipeline marts`"
        )


@contextmanager
def open_own_instance(settings: Settings, warehouse: Engine, *, quiet: bool) -> Iterator[DagsterInstance]:
    """Open Dagster's instance, mark interrupted runs as failed, and turn a lost database into one error.

    Raises:
        DatabaseLostError: the connection to a database was lost.
    """
    # Dagster's log is in its event log and the UI; here it would hide the progress.
    for name in ("dagster", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with giving_up_once_lost(stop_signals.is_requested), open_instance(settings) as instance:
            for run_id in close_abandoned_runs(instance, warehouse):
                if not quiet:
                    typer.echo(f"Run {run_id} was interrupted earlier; it is marked as failed now.", err=True)
            yield instance
    except (DBAPIError, PoolTimeoutError, psycopg2.Error) as error:
        raise DatabaseLostError(
            f"{describe_database_problem(error)} Symbols that were loaded are complete; run the same command again "
            "after that"
        ) from None
