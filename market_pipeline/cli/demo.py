"""`market-pipeline demo`: the whole way from nothing to five years of real bars, without key, Docker or network."""

import shutil
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.cli.backfill import exit_code
from market_pipeline.cli.summary import Account, print_table
from market_pipeline.core import stop_signals
from market_pipeline.core.errors import UsageError
from market_pipeline.core.run_planning import range_runs
from market_pipeline.core.settings import Settings, checkout_dir, load_settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dbt_project import model_names, output_folder
from market_pipeline.operations.up_session import UpSession
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, warehouse_of
from market_pipeline.warehouse.database_errors import first_line
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.foreign_data import KnownData, foreign_data
from market_pipeline.warehouse.tracked_symbols import add_symbols

RANGES = {
    date(2008, 1, 2): ("AAPL", "IBM", "MSFT", "GOOG"),
    date(2012, 5, 18): ("FB",),  # its first session on the exchange
}
LAST_SESSION = date(2013, 3, 1)

DBTS = ("target", "logs", "manifests")
DAGSTERS = ("up", "dagster.yaml", "run_output", "storage", "schedules", "history", ".logs_queue", ".telemetry", ".nux")
"""Names of the files that the project and Dagster make in those two folders."""

FORCE = "`market-pipeline demo --clean --force` removes all of it (make demo-clean FORCE=1)"

NEXT_STEPS = """
The bars are in a PostgreSQL of your own. From here{where}:

  query them     market-pipeline db psql -c "select * from market_data where symbol = 'AAPL' order by date desc limit 5"
  look at it     market-pipeline up --sandbox, then http://localhost:8000, and http://localhost:3000 for Dagster
  load more      market-pipeline sandbox, and beside it
                 POLYGON_BASE_URL=http://127.0.0.1:8900 market-pipeline backfill --symbols AAPL
                 (what the sandbox did not record it generates: not the market's)
  the real thing POLYGON_API_KEY in .env, and DATABASE_URL or MARKET_PIPELINE_DATA_DIR for another database
  stop           market-pipeline db stop
  remove it all  {clean}
"""
IN_A_CHECKOUT = {"where": ", in the project's folder (`. .venv/bin/activate` first)", "clean": "make demo-clean"}
ANYWHERE = {"where": "", "clean": "market-pipeline demo --clean"}


class DemoError(UsageError):
    """The demo would not stay in a database of its own."""


def demo(
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Stop its database and delete all that it made, if there is nothing else in it."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --clean: delete whatever is in the database.")] = False,
) -> None:
    """Load recorded real bars of five stocks, 2008 to 2013, from the sandbox into the embedded PostgreSQL."""
    settings = load_settings()
    if settings.database_url is not None or settings.dagster_database_url is not None:
        raise DemoError(
            "the demo uses the embedded PostgreSQL only: unset DATABASE_URL and DAGSTER_DATABASE_URL for it"
        )
    if clean:
        _clean(settings, force=force)
        return
    typer.echo(f"Starting the embedded PostgreSQL in {settings.market_pipeline_data_dir}", err=True)
    with warehouse_of(settings) as warehouse:
        # Dagster takes a second that the other commands needn't.
        from market_pipeline.cli.runs import build_marts

        accounts = _load(settings, warehouse)
        print_table(accounts)
        stop_signals.check()
        if all(account["success"] and account["loaded"] == account["revised"] == 0 for account in accounts):
            typer.echo("Nothing changed: every bar was there already.")
        typer.echo("Building and testing the analysts' tables", err=True)
        build_marts(settings, warehouse, quiet=True)
    code = exit_code(accounts)
    if code == 0:
        typer.echo(NEXT_STEPS.format(**IN_A_CHECKOUT if checkout_dir() else ANYWHERE))
    raise typer.Exit(code)


def _clean(settings: Settings, *, force: bool) -> None:
    data_dir = settings.market_pipeline_data_dir
    last_up = UpSession.last(settings)
    if last_up is not None and last_up.running:
        raise DemoError(f"`market-pipeline up` is running on {data_dir}: stop it first")
    if not force and embedded.was_made(data_dir):
        _check_that_it_is_the_demos(settings)
    removed = embedded.destroy(data_dir)
    for folder, ours in ((settings.dagster_dir, DAGSTERS), (output_folder(settings), DBTS)):
        _remove(folder, ours)
    with suppress(OSError):  # it holds what somebody else keeps in it
        data_dir.rmdir()
    typer.echo(f"{'Removed the database in' if removed else 'There was no database in'} {data_dir}.")
    if data_dir.exists():
        left = ", ".join(sorted(path.name for path in data_dir.iterdir()))
        typer.echo(f"Left there, as the demo didn't make it: {left}.", err=True)


def _check_that_it_is_the_demos(settings: Settings) -> None:
    """Let a database pass that holds nothing but the demo's data; one that was stopped is stopped again if it isn't.

    Raises:
        DemoError: it holds something else, or can't be looked at.
    """
    data_dir = settings.market_pipeline_data_dir
    first_dates = {name: first for first, names in RANGES.items() for name in names}
    was_running = embedded.running(data_dir) is not None
    try:
        engine = create_warehouse_engine(embedded.ensure_running(data_dir).url())
        try:
            beside = foreign_data(engine, KnownData("sandbox", first_dates, LAST_SESSION, model_names()))
        finally:
            engine.dispose()
    except DBAPIError as error:
        beside = [f"what this version can't look at ({first_line(error)})"]
    except EmbeddedServerError as error:
        raise DemoError(f"{error} Nothing is removed, as what it holds can't be looked at; {FORCE}") from None
    if beside:
        if not was_running:
            embedded.stop(data_dir)
        told = f"the database in {data_dir} holds more than the demo's data: {', '.join(beside)}"
        raise DemoError(f"{told}. Nothing is removed; {FORCE}")


def _remove(folder: Path, ours: Collection[str]) -> None:
    """Delete what we make in a folder, and the folder if that is all."""
    for name in ours:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _load(settings: Settings, warehouse: Engine) -> list[Account]:
    from market_pipeline.cli.runs import launch_all, refresh_actions

    runs = []
    for first_session, names in RANGES.items():
        symbols = [Symbol.of(name, "stock") for name in names]
        add_symbols(warehouse, symbols)
        runs += range_runs(symbols, first_session, LAST_SESSION, datetime.now(UTC))
    with running_sandbox() as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        accounts = launch_all(on_sandbox, warehouse, runs, quiet=False)
        if stop_signals.requested():
            return accounts
        refresh_actions(on_sandbox, warehouse)
    return accounts
