"""Running Dagster's runs in this process to their end, with progress shown, and reading back their load records."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from market_pipeline.cli.progress import shown_progress
from market_pipeline.cli.summary import Account, outcome_account, symbol_account, unreached
from market_pipeline.core import stop_signals
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.run_planning import RangeRun
from market_pipeline.core.settings import Settings
from market_pipeline.dagster_storage.pooling import giving_up_once_lost
from market_pipeline.orchestration.build import build_analytics, build_loading
from market_pipeline.orchestration.mart_assets import JOB as MARTS_JOB
from market_pipeline.orchestration.run_launch import close_abandoned_runs, launch, launch_job, open_instance
from market_pipeline.orchestration.schedules import CORPORATE_ACTIONS_JOB
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.rate_limit import LocalLimiter
from market_pipeline.warehouse.database_errors import database_problem
from market_pipeline.warehouse.load_history import LoadResult, run_history


class DatabaseLostError(MarketPipelineError):
    """A database has gone away, or has no room left, in the middle of the work."""


class ActionsError(MarketPipelineError):
    """The splits and dividends could not be had."""


class MartsError(MarketPipelineError):
    """The analysts' tables could not be built."""


@dataclass
class _Run:
    """A run that was launched, or was to be: the outcomes of its symbols as they came in, and why it ended early."""

    range: RangeRun
    run_id: str = field(default_factory=lambda: str(uuid4()))
    outcomes: dict[str, LoadResult] = field(default_factory=dict)
    error: str | None = None

    def accounts(self, stored: Mapping[tuple[str, str], Account]) -> Iterator[Account]:
        """Each symbol's account: as stored, else by its outcome, else that the run ended before it was reached."""
        for symbol in self.range.symbols:
            if account := stored.get((self.run_id, symbol.name)):
                yield account
            elif outcome := self.outcomes.get(symbol.name):
                yield outcome_account(outcome, self.run_id)
            else:
                yield unreached(symbol.name, self.run_id, self.range.sessions, self.error)


def launch_all(settings: Settings, warehouse: Engine, runs: Sequence[RangeRun], *, quiet: bool) -> list[Account]:
    """Launch these runs one after the other, and return each symbol's account, as stored with its bars.

    Where a database goes away, or the command is told to stop, the accounts of what wasn't reached say so.

    Raises:
        MissingKeyError: there is no key for the vendor; nothing is launched then.
        DatabaseLostError: a database can't be used, and nothing was launched.
    """
    PolygonClient.from_settings(settings, LocalLimiter(settings.requests_per_minute)).close()
    total = sum(len(run.symbols) * len(run.sessions) for run in runs)
    to_launch = [_Run(run) for run in runs]
    launched: list[_Run] = []
    try:
        with _instance(settings, warehouse, quiet=quiet) as instance, shown_progress(total, quiet=quiet) as progress:
            for run in to_launch:
                launched.append(run)
                _launch(settings, run, instance, warehouse, progress)
                if stop_signals.requested():
                    break
    except DatabaseLostError as lost:
        if not launched:
            raise
        print_note(str(lost), logging.ERROR)
        launched[-1].error = launched[-1].error or str(lost)
    for run in to_launch[len(launched) :]:
        run.error = launched[-1].error
    stored = _stored(warehouse, launched)
    return [account for run in to_launch for account in run.accounts(stored)]


def _launch(
    settings: Settings, run: _Run, instance: DagsterInstance, warehouse: Engine, progress: Callable[[LoadResult], None]
) -> None:
    def loaded(outcome: LoadResult) -> None:
        run.outcomes[outcome.symbol] = outcome
        progress(outcome)

    definitions = build_loading(settings, loaded, also=run.range.symbols)
    run.error = launch(definitions, run.range, instance, warehouse, run.run_id).error


def _stored(warehouse: Engine, runs: Sequence[_Run]) -> Mapping[tuple[str, str], Account]:
    """The stored accounts of these runs by run and symbol; none where the database is still away."""
    try:
        rows = run_history(warehouse, [run.run_id for run in runs])
    except DBAPIError:
        return {}
    return {(row.run_id, row.symbol): symbol_account(row) for row in rows}


def refresh_actions(settings: Settings, warehouse: Engine, *, quiet: bool = False) -> None:
    """Ask for the splits and dividends of all tracked symbols, without which no price can be adjusted.

    Raises:
        ActionsError: the vendor gave no usable answer.
        DatabaseLostError: a database went away in the middle of it.
    """
    with _instance(settings, warehouse, quiet=quiet) as instance:
        ended = launch_job(build_loading(settings), CORPORATE_ACTIONS_JOB, instance, warehouse)
    stop_signals.check()
    if not ended.success:
        raise ActionsError(f"the splits and dividends could not be had: {ended.error}. Run the same command again")


def build_marts(settings: Settings, warehouse: Engine, *, quiet: bool = False) -> None:
    """Build the analysts' tables from what is loaded.

    What dbt has to say goes to standard error; if `quiet`, only where it has failed.

    Raises:
        MartsError: dbt failed, or one of its models or tests did.
        DatabaseLostError: a database went away in the middle of it.
    """
    said = StringIO() if quiet else sys.stderr
    with _instance(settings, warehouse, quiet=quiet) as instance, redirect_stdout(said):
        ended = launch_job(build_analytics(settings), MARTS_JOB, instance, warehouse)
    stop_signals.check()
    if not ended.success:
        if isinstance(said, StringIO):
            typer.echo(said.getvalue(), err=True, nl=False)
        raise MartsError(
            f"the analysts' tables could not be built: {ended.error or 'see above'}. What was loaded is not touched; "
            "once that is mended, run `market-pipeline marts`"
        )


@contextmanager
def _instance(settings: Settings, warehouse: Engine, *, quiet: bool) -> Iterator[DagsterInstance]:
    """Dagster's instance, tidied up, with the going away of a database in one line."""
    # What Dagster logs goes to its event log and the UI; here it would drown the progress.
    for name in ("dagster", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with giving_up_once_lost(), open_instance(settings) as instance:
            for run_id in close_abandoned_runs(instance, warehouse):
                if not quiet:
                    typer.echo(f"Run {run_id} was interrupted earlier; it is marked as failed now.", err=True)
            yield instance
    except (DBAPIError, PoolTimeoutError, psycopg2.Error) as error:
        raise DatabaseLostError(
            f"{database_problem(error)} What was loaded is whole; run the same command again after that"
        ) from None
