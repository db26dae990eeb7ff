"""Running Dagster's runs in this process to their end, with progress shown, and reading back the account they left."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import typer
from dagster import DagsterInstance
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from market_pipeline.cli.progress import shown_progress
from market_pipeline.cli.summary import Account, symbol_account, unreached
from market_pipeline.errors import MarketPipelineError
from market_pipeline.orchestration.build import build_analytics, build_loading
from market_pipeline.orchestration.launch import Launched, close_abandoned_runs, launch, launch_job, open_instance
from market_pipeline.orchestration.marts import JOB as MARTS_JOB
from market_pipeline.orchestration.schedules import CORPORATE_ACTIONS_JOB
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.rate_limit import LocalLimiter
from market_pipeline.runs import RangeRun
from market_pipeline.settings import Settings
from market_pipeline.warehouse.errors import disk_is_full, first_line
from market_pipeline.warehouse.reading import run_history


class DatabaseLostError(MarketPipelineError):
    """A database has gone away, or has no room left, in the middle of the work."""


class ActionsError(MarketPipelineError):
    """The splits and dividends could not be had."""


class MartsError(MarketPipelineError):
    """The analysts' tables could not be built."""


def launch_all(settings: Settings, warehouse: Engine, runs: Sequence[RangeRun], *, quiet: bool) -> list[Account]:
    """Launch these runs one after the other, and return each symbol's account, as stored with its bars.

    Raises:
        MissingKeyError: there is no key for the vendor; nothing is launched then.
        DatabaseLostError: a database went away in the middle of a run.
    """
    PolygonClient.from_settings(settings, LocalLimiter(settings.requests_per_minute)).close()
    total = sum(len(run.symbols) * len(run.sessions) for run in runs)
    with _instance(settings, warehouse) as instance, shown_progress(total, quiet=quiet) as progress:
        definitions = build_loading(settings, progress)
        launched = [(run, launch(definitions, run, instance, warehouse)) for run in runs]
    return [account for run, ended in launched for account in _accounts(warehouse, run, ended)]


def refresh_actions(settings: Settings, warehouse: Engine) -> None:
    """Ask for the splits and dividends of all tracked symbols, without which no price can be adjusted.

    Raises:
        ActionsError: the vendor gave no usable answer.
        DatabaseLostError: a database went away in the middle of it.
    """
    with _instance(settings, warehouse) as instance:
        ended = launch_job(build_loading(settings), CORPORATE_ACTIONS_JOB, instance, warehouse)
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
    with _instance(settings, warehouse) as instance, redirect_stdout(said):
        ended = launch_job(build_analytics(settings), MARTS_JOB, instance, warehouse)
    if not ended.success:
        if isinstance(said, StringIO):
            typer.echo(said.getvalue(), err=True, nl=False)
        raise MartsError(
            f"the analysts' tables could not be built: {ended.error or 'see above'}. What was loaded is not touched; "
            "once that is mended, run `market-pipeline marts`"
        )


@contextmanager
def _instance(settings: Settings, warehouse: Engine) -> Iterator[DagsterInstance]:
    """Dagster's instance, tidied up, with the going away of a database in one line."""
    # What Dagster logs goes to its event log and the UI; here it would drown the progress.
    for name in ("dagster", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with open_instance(settings) as instance:
            for run_id in close_abandoned_runs(instance, warehouse):
                typer.echo(f"Run {run_id} was interrupted earlier; it is marked as failed now.", err=True)
            yield instance
    except (OperationalError, InterfaceError) as error:
        raise _lost(error) from None


def _lost(error: DBAPIError) -> DatabaseLostError:
    if disk_is_full(error):
        what, until = "the database's disk is full", "there is room"
    else:
        what, until = "the database went away", "the database is back"
    return DatabaseLostError(
        f"{what}: {first_line(error)}. What was loaded is whole; run the same command again once {until}"
    )


def _accounts(warehouse: Engine, run: RangeRun, ended: Launched) -> list[Account]:
    stored = {row.symbol: symbol_account(row) for row in run_history(warehouse, [ended.run_id])}
    names = [symbol.name for symbol in run.symbols]
    return [stored.get(name) or unreached(name, ended.run_id, run.sessions, ended.error) for name in names]
