"""Running partition-range runs to their end with progress shown, and reading back the account they left."""

import logging
from collections.abc import Sequence

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from market_pipeline.cli.progress import shown_progress
from market_pipeline.cli.summary import Account, symbol_account, unreached
from market_pipeline.errors import MarketPipelineError
from market_pipeline.orchestration.build import build_definitions
from market_pipeline.orchestration.launch import Launched, close_abandoned_runs, launch, open_instance
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.rate_limit import LocalLimiter
from market_pipeline.runs import RangeRun
from market_pipeline.settings import Settings
from market_pipeline.warehouse.database import first_line
from market_pipeline.warehouse.reading import run_history


class DatabaseLostError(MarketPipelineError):
    """A database that was there has gone away in the middle of the work."""


def launch_all(settings: Settings, warehouse: Engine, runs: Sequence[RangeRun], *, quiet: bool) -> list[Account]:
    """Launch these runs one after the other, and return each symbol's account, as stored with its bars.

    Raises:
        MissingKeyError: there is no key for the vendor; nothing is launched then.
        DatabaseLostError: a database went away in the middle of a run.
    """
    PolygonClient.from_settings(settings, LocalLimiter(settings.requests_per_minute)).close()
    # What Dagster logs goes to its event log and the UI; here it would drown the progress.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    total = sum(len(run.symbols) * len(run.sessions) for run in runs)
    try:
        with open_instance(settings) as instance, shown_progress(total, quiet=quiet) as progress:
            for run_id in close_abandoned_runs(instance, warehouse):
                typer.echo(f"Run {run_id} was interrupted earlier; it is marked as failed now.", err=True)
            definitions = build_definitions(settings, progress)
            launched = [launch(definitions, run, instance, warehouse) for run in runs]
    except (OperationalError, InterfaceError) as error:
        raise DatabaseLostError(
            f"the database went away: {first_line(error)}. What was loaded is whole; run the same command again once "
            "the database is back"
        ) from None
    return [account for run in launched for account in _accounts(warehouse, run)]


def _accounts(warehouse: Engine, launched: Launched) -> list[Account]:
    stored = {row.symbol: symbol_account(row) for row in run_history(warehouse, [launched.run_id])}
    names = [symbol.name for symbol in launched.range_run.symbols]
    sessions = launched.range_run.sessions
    return [stored.get(name) or unreached(name, launched.run_id, sessions, launched.error) for name in names]
