"""`market-pipeline db`: start and stop the embedded PostgreSQL, and open, migrate or prune the database in use."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError, OperationalError

from market_pipeline.cli.lazy import PassthroughCommand
from market_pipeline.cli.output import print_note
from market_pipeline.core.database_address import describe
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.backup.client_programs import (
    NO_OPTIONS,
    build_client_environment,
    choose_session_options,
)
from market_pipeline.warehouse.database import create_warehouse_engine, find_database_url, warehouse_of
from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.roles import grant_analyst_access
from market_pipeline.warehouse.schema import MigrationPlan, plan_migration
from market_pipeline.warehouse.upgrade import upgrade

app = typer.Typer(
    help="The database: the embedded PostgreSQL, or the one that DATABASE_URL names.", no_args_is_help=True
)


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL, unless it is running."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_describe_external(settings.database_url))
        return
    typer.echo(_describe_server(embedded.ensure_running(settings.market_pipeline_data_dir)))


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL; its data stays."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_describe_external(settings.database_url))
        return
    stopped = embedded.stop(settings.market_pipeline_data_dir)
    typer.echo("stopped" if stopped else "was not running")


@app.command()
def status() -> None:
    """Check that the database accepts connections: exit code 0 if it does, 1 if not."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_describe_external(settings.database_url))
        _connect(settings.database_url)
        typer.echo("it accepts connections")
        return
    server = embedded.find_running_server(settings.market_pipeline_data_dir)
    if server is None:
        typer.echo(f"not running (data folder {settings.market_pipeline_data_dir})")
        raise typer.Exit(1)
    typer.echo(_describe_server(server))


@app.command()
def url() -> None:
    """Print the database's URL, with its password, for another tool. Starts the embedded server if needed."""
    typer.echo(find_database_url(load_settings()).get_secret_value())


@app.command()
def analysts(
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give the role a new password; the old one stops working.")
    ] = False,
) -> None:
    """Print the URL of the read-only role for analysts. The first call creates the role and includes the password."""
    with warehouse_of(load_settings()) as warehouse:
        access = grant_analyst_access(warehouse, new_password=new_password)
    typer.echo(access.url.get_secret_value())
    if access.has_password:
        typer.echo("Keep the password: it is stored nowhere, and not shown again.", err=True)
    else:
        typer.echo("The password was shown when it was created; --new-password creates another one.", err=True)


@app.command("migrate")
def migrate_tables(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the revisions that would run and their SQL; change nothing.")
    ] = False,
    backup: Annotated[
        bool, typer.Option("--backup/--no-backup", help="Save the warehouse before an upgrade that rewrites every bar.")
    ] = True,
) -> None:
    """Upgrade the tables to this version's revision. In a new database the first command creates them.

    An upgrade that is interrupted goes on where it was when the command is run again.
    """
    settings = load_settings()
    engine = create_warehouse_engine(find_database_url(settings))
    try:
        if dry_run:
            _print_plan(plan_migration(engine))
        else:
            revision = upgrade(engine, settings, backup=backup, report=print_note)
            typer.echo(f"the tables are at revision {revision}")
    finally:
        engine.dispose()


@app.command()
def prune(
    days: Annotated[int, typer.Option(help="Delete only records that are older than this many days.")] = 30,
) -> None:
    """Delete records that newer ones have replaced from Dagster's database, and the old output of runs.

    The materialized partitions, the results of checks and the list of runs stay the same.
    """
    from market_pipeline.dagster_storage.retention import OtherStorageError, TooSoonError, delete_replaced
    from market_pipeline.orchestration.run_launch import open_instance  # importing Dagster takes a second
    from market_pipeline.orchestration.run_output import delete_run_output

    now = datetime.now(UTC)
    with open_instance(load_settings()) as instance:
        try:
            deleted = delete_replaced(instance, days, now)
        except TooSoonError as error:
            raise UsageError(str(error)) from None
        except OtherStorageError as error:
            raise MarketPipelineError(f"{error}: use the project's dagster.yaml") from None
        runs = delete_run_output(instance, now - timedelta(days=days))
    typer.echo(
        f"deleted {format_count(deleted.events, 'event')} and {format_count(deleted.results, 'check result')} that "
        f"newer ones have replaced; PostgreSQL reuses the space. Deleted the output of {format_count(runs, 'run')}"
    )


@app.command()
def reflag() -> None:
    """Flag all stored bars by the rules of this version, once after an upgrade; loads flag their own bars."""
    from market_pipeline.quality.rules import find_flags  # imports pandas, 0.3 s
    from market_pipeline.warehouse.flagging import reflag_all

    with warehouse_of(load_settings()) as warehouse:
        symbols = reflag_all(warehouse, find_flags)
    typer.echo(f"flagged the bars of {format_count(symbols, 'symbol')} by the rules of this version")


def _print_plan(plan: MigrationPlan) -> None:
    typer.echo(f"the tables are at revision {plan.current}, this version needs {plan.needed}", err=True)
    for revision in plan.revisions:
        typer.echo(f"would run {revision}", err=True)
    typer.echo(plan.statements, nl=False)


@app.command(cls=PassthroughCommand)
def psql(ctx: typer.Context) -> NoReturn:
    """Open the database in psql. All arguments go to psql: `psql -c 'select 1'`, `psql --help`."""
    settings = load_settings()
    program = embedded.find_binary("psql")
    if settings.database_url is not None:
        program = Path(shutil.which("psql") or program)  # the wheel's has no TLS, which an external server may require
    address = find_database_url(settings)
    environment = build_client_environment(address, _read_session_options(address))
    os.execve(program, [str(program), *ctx.args], environment)  # noqa: S606, no shell is wanted


def _read_session_options(url: SecretStr) -> Mapping[str, str]:
    engine = create_warehouse_engine(url)
    try:
        with engine.connect() as connection:
            return choose_session_options(connection)
    except DBAPIError:  # psql reports it, and `psql --help` needs no database
        return NO_OPTIONS
    finally:
        engine.dispose()


def _connect(url: SecretStr) -> None:
    engine = create_warehouse_engine(url)
    try:
        engine.connect().close()
    except OperationalError as error:
        raise build_unavailable_error(error, engine) from None
    finally:
        engine.dispose()


def _describe_server(server: embedded.Server) -> str:
    return f"postgres is running on {server.host}:{server.port} (pid {server.pid}), data in {server.data_dir}"


def _describe_external(url: SecretStr) -> str:
    return f"DATABASE_URL names {describe(url)}: this command does not start or stop that server"
