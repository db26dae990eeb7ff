"""`market-pipeline demo`: the whole way from nothing to five years of real bars, without key, Docker or network."""

import shutil
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated

import typer
from sqlalchemy import Engine

from market_pipeline import interruption
from market_pipeline.cli.backfill import exit_code
from market_pipeline.cli.summary import Account, print_table
from market_pipeline.dbt_project import output_folder
from market_pipeline.errors import UsageError
from market_pipeline.runs import range_runs
from market_pipeline.sandbox.server import running_sandbox
from market_pipeline.settings import Settings, checkout_dir, load_settings
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import add_symbols

RANGES = {
    date(2008, 1, 2): ("AAPL", "IBM", "MSFT", "GOOG"),
    date(2012, 5, 18): ("FB",),  # its first session on the exchange
}
LAST_SESSION = date(2013, 3, 1)

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
    clean: Annotated[bool, typer.Option("--clean", help="Stop its database and delete all that it made.")] = False,
) -> None:
    """Load recorded real bars of five stocks, 2008 to 2013, from the sandbox into the embedded PostgreSQL."""
    settings = load_settings()
    if settings.database_url is not None or settings.dagster_database_url is not None:
        raise DemoError(
            "the demo uses the embedded PostgreSQL only: unset DATABASE_URL and DAGSTER_DATABASE_URL for it"
        )
    if clean:
        _clean(settings)
        return
    typer.echo(f"Starting the embedded PostgreSQL in {settings.market_pipeline_data_dir}", err=True)
    with warehouse_of(settings) as warehouse:
        # Dagster takes a second that the other commands needn't.
        from market_pipeline.cli.launching import build_marts

        accounts = _load(settings, warehouse)
        print_table(accounts)
        interruption.check()
        if all(account["success"] and account["loaded"] == account["revised"] == 0 for account in accounts):
            typer.echo("Nothing changed: every bar was there already.")
        typer.echo("Building and testing the analysts' tables", err=True)
        build_marts(settings, warehouse, quiet=True)
    code = exit_code(accounts)
    if code == 0:
        typer.echo(NEXT_STEPS.format(**IN_A_CHECKOUT if checkout_dir() else ANYWHERE))
    raise typer.Exit(code)


def _clean(settings: Settings) -> None:
    data_dir = settings.market_pipeline_data_dir
    removed = embedded.destroy(data_dir)
    for folder in (settings.dagster_dir, output_folder(settings)):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # somebody keeps a file of their own in it
        data_dir.rmdir()
    typer.echo(f"{'Removed the database in' if removed else 'There was no database in'} {data_dir}.")


def _load(settings: Settings, warehouse: Engine) -> list[Account]:
    from market_pipeline.cli.launching import launch_all, refresh_actions

    runs = []
    for first_session, names in RANGES.items():
        symbols = [Symbol.of(name, "stock") for name in names]
        add_symbols(warehouse, symbols)
        runs += range_runs(symbols, first_session, LAST_SESSION, datetime.now(UTC))
    with running_sandbox() as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        accounts = launch_all(on_sandbox, warehouse, runs, quiet=False)
        if interruption.requested():
            return accounts
        refresh_actions(on_sandbox, warehouse)
    return accounts
