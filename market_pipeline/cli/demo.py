"""`market-pipeline demo`: five years of real bars in a new database, without a key, Docker or the network."""

import shutil
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from market_pipeline.cli.backfill import find_exit_code
from market_pipeline.cli.demo_market import demo_market
from market_pipeline.cli.summary import print_records
from market_pipeline.core import stop_signals
from market_pipeline.core.errors import UsageError
from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.settings import Settings, find_checkout_dir, load_settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dbt_project import find_output_folder, list_relations
from market_pipeline.operations.up_session import UpSession
from market_pipeline.sandbox.config import MOST_TICKERS
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, warehouse_of
from market_pipeline.warehouse.database_errors import read_first_line
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.foreign_data import KnownData, find_foreign_data
from market_pipeline.warehouse.tracked_symbols import add_symbols

if TYPE_CHECKING:
    from market_pipeline.cli.runs import LaunchResult

RANGES = {
    date(2008, 1, 2): ("AAPL", "IBM", "MSFT", "GOOG"),
    date(2012, 5, 18): ("FB",),  # its first session on the exchange
}
LAST_SESSION = date(2013, 3, 1)

DBT_FILES = ("target", "logs", "manifests")
DAGSTER_FILES = (
    "up",
    "dagster.yaml",
    "run_output",
    "storage",
    "schedules",
    "history",
    ".logs_queue",
    ".telemetry",
    ".nux",
)
"""Files and folders that dbt, Dagster and the project create in their folders."""

FORCE = "`market-pipeline demo --clean --force` removes all of it (make demo-clean FORCE=1)"

NEXT_STEPS = """
The bars are in a PostgreSQL of your own. From here{where}:

  query          market-pipeline db psql -c "select * from market_data where symbol = 'AAPL' order by date desc limit 5"
  browse         market-pipeline up --sandbox, then http://localhost:8000, and http://localhost:3000 for Dagster
  load more      market-pipeline sandbox, and in another terminal
                 POLYGON_BASE_URL=http://127.0.0.1:8900 market-pipeline backfill --symbols AAPL
                 (bars that the sandbox has not recorded are generated)
  market data    POLYGON_API_KEY in .env, and DATABASE_URL or MARKET_PIPELINE_DATA_DIR for another database
  stop           market-pipeline db stop
  remove all     {clean}
"""
IN_A_CHECKOUT = {"where": ", in the project's folder (`. .venv/bin/activate` first)", "clean": "make demo-clean"}
ANYWHERE = {"where": "", "clean": "market-pipeline demo --clean"}


class DemoError(UsageError):
    """The demo would use, or remove, a database that is not its own."""


def demo(
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Stop the demo's database and delete it, if it holds only the demo's data."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --clean: delete the database even if it holds other data.")
    ] = False,
    market: Annotated[
        bool, typer.Option("--market", help="Instead, load a year of a generated market, all tickers of each session.")
    ] = False,
    tickers: Annotated[
        int, typer.Option(help="With --market: about so many tickers a session.", min=1, max=MOST_TICKERS)
    ] = 11_000,
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
    if market:
        raise typer.Exit(demo_market(settings, tickers))
    typer.echo(f"Starting the embedded PostgreSQL in {settings.market_pipeline_data_dir}", err=True)
    with warehouse_of(settings) as warehouse:
        # Importing Dagster takes a second.
        from market_pipeline.cli.runs import build_marts

        result = _load(settings, warehouse)
        records = result.records
        print_records(records, result.actions)
        stop_signals.check()
        if all(record["success"] and record["loaded"] == record["revised"] == 0 for record in records):
            typer.echo("Nothing changed: every bar is stored already.")
        typer.echo("Building and testing the marts, the analysts' tables", err=True)
        build_marts(settings, warehouse, quiet=True)
    code = find_exit_code(result)
    if code == 0:
        typer.echo(NEXT_STEPS.format(**IN_A_CHECKOUT if find_checkout_dir() else ANYWHERE))
    raise typer.Exit(code)


def _clean(settings: Settings, *, force: bool) -> None:
    data_dir = settings.market_pipeline_data_dir
    last_up = UpSession.last(settings)
    if last_up is not None and last_up.running:
        raise DemoError(f"`market-pipeline up` is running on {data_dir}: stop it first")
    if not force and embedded.has_server(data_dir):
        _check_demo_only(settings)
    removed = embedded.destroy(data_dir)
    for folder, names in ((settings.dagster_dir, DAGSTER_FILES), (find_output_folder(settings), DBT_FILES)):
        _remove(folder, names)
    with suppress(OSError):  # it holds other files
        data_dir.rmdir()
    typer.echo(f"{'Removed the database in' if removed else 'There was no database in'} {data_dir}.")
    if data_dir.exists():
        left = ", ".join(sorted(path.name for path in data_dir.iterdir()))
        typer.echo(f"Left in place, as the demo did not create it: {left}.", err=True)


def _check_demo_only(settings: Settings) -> None:
    """Check that the database holds only the demo's data. A server that has to be started is stopped again.

    Raises:
        DemoError: it holds other data, or can't be read.
    """
    data_dir = settings.market_pipeline_data_dir
    first_dates = {name: first for first, names in RANGES.items() for name in names}
    was_running = embedded.find_running_server(data_dir) is not None
    try:
        engine = create_warehouse_engine(embedded.ensure_running(data_dir).url())
        try:
            other_data = find_foreign_data(engine, KnownData("sandbox", first_dates, LAST_SESSION, list_relations()))
        finally:
            engine.dispose()
    except DBAPIError as error:
        other_data = [f"data that this version can't read ({read_first_line(error)})"]
    except EmbeddedServerError as error:
        raise DemoError(f"{error} Nothing is removed, as its content can't be read; {FORCE}") from None
    if other_data:
        if not was_running:
            embedded.stop(data_dir)
        found = f"the database in {data_dir} holds more than the demo's data: {', '.join(other_data)}"
        raise DemoError(f"{found}. Nothing is removed; {FORCE}")


def _remove(folder: Path, names: Collection[str]) -> None:
    """Delete the named files of a folder, and the folder if it is empty then."""
    for name in names:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _load(settings: Settings, warehouse: Engine) -> "LaunchResult":
    from market_pipeline.cli.runs import launch_runs

    runs = []
    for first_session, names in RANGES.items():
        symbols = [Symbol.of(name, "stock") for name in names]
        add_symbols(warehouse, symbols)
        runs += plan_range_runs(symbols, first_session, LAST_SESSION, datetime.now(UTC))
    with running_sandbox() as base_url:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        return launch_runs(on_sandbox, warehouse, runs, quiet=False)
