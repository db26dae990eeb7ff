"""`market-pipeline db`: the embedded PostgreSQL on the command line, and the way into whichever database is in use."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError, OperationalError

from market_pipeline.cli.passthrough import PassthroughCommand
from market_pipeline.core.database_address import describe
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import counted
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.backup.client_programs import NO_OPTIONS, environment_for, session_options
from market_pipeline.warehouse.database import create_warehouse_engine, database_url, warehouse_of
from market_pipeline.warehouse.database_errors import unavailable
from market_pipeline.warehouse.roles import analysts_access
from market_pipeline.warehouse.schema import MigrationPlan, migrate, plan_migration

app = typer.Typer(
    help="The database: the embedded PostgreSQL, or the one that DATABASE_URL names.", no_args_is_help=True
)


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL, if it isn't running."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_not_ours(settings.database_url))
        return
    typer.echo(_whereabouts(embedded.ensure_running(settings.market_pipeline_data_dir)))


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL; its data stays."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_not_ours(settings.database_url))
        return
    stopped = embedded.stop(settings.market_pipeline_data_dir)
    typer.echo("stopped" if stopped else "was not running")


@app.command()
def status() -> None:
    """Say whether the database is there: exit code 0 if it is, 1 if not."""
    settings = load_settings()
    if settings.database_url is not None:
        typer.echo(_not_ours(settings.database_url))
        _connect(settings.database_url)
        typer.echo("it takes connections")
        return
    server = embedded.running(settings.market_pipeline_data_dir)
    if server is None:
        typer.echo(f"not running (data folder {settings.market_pipeline_data_dir})")
        raise typer.Exit(1)
    typer.echo(_whereabouts(server))


@app.command()
def url() -> None:
    """Print the database's URL, with its password, for another tool; starts the embedded server if need be."""
    typer.echo(database_url(load_settings()).get_secret_value())


@app.command()
def analysts(
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give the role a new password; the old one no longer works.")
    ] = False,
) -> None:
    """Print the address of the read-only role for analysts, which is made the first time, with its password then."""
    with warehouse_of(load_settings()) as warehouse:
        access = analysts_access(warehouse, new_password=new_password)
    typer.echo(access.url.get_secret_value())
    if access.has_password:
        typer.echo("Keep the password: it is stored nowhere, and shown only now.", err=True)
    else:
        typer.echo("The password was shown when it was made; --new-password makes another.", err=True)


@app.command("migrate")
def migrate_tables(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the revisions that would run and their SQL; change nothing.")
    ] = False,
) -> None:
    """Bring the tables to what this version works with. A new database is brought there by whatever uses it first."""
    engine = create_warehouse_engine(database_url(load_settings()))
    try:
        if dry_run:
            _print_plan(plan_migration(engine))
        else:
            typer.echo(f"the tables are at revision {migrate(engine)}")
    finally:
        engine.dispose()


@app.command()
def prune(
    days: Annotated[int, typer.Option(help="How old a record must be.")] = 30,
) -> None:
    """Delete from Dagster's database what newer records have replaced, so that it doesn't grow for ever.

    Which partitions are materialized, how the checks stand and which runs there were stays as it is.
    """
    from market_pipeline.dagster_storage.retention import delete_replaced
    from market_pipeline.orchestration.run_launch import open_instance  # Dagster takes a second that others needn't
    from market_pipeline.orchestration.run_output import delete_run_output

    now = datetime.now(UTC)
    with open_instance(load_settings()) as instance:
        deleted = delete_replaced(instance, days, now)
        runs = delete_run_output(instance, now - timedelta(days=days))
    typer.echo(
        f"deleted {counted(deleted.events, 'event')} and {counted(deleted.results, 'check result')} that newer ones "
        f"have replaced; PostgreSQL uses their room again. Deleted what {counted(runs, 'run')} had printed"
    )


def _print_plan(plan: MigrationPlan) -> None:
    typer.echo(f"the tables are at revision {plan.current}, this version needs {plan.needed}", err=True)
    for revision in plan.revisions:
        typer.echo(f"would run {revision}", err=True)
    typer.echo(plan.statements, nl=False)


@app.command(cls=PassthroughCommand)
def psql(ctx: typer.Context) -> NoReturn:
    """Open the database in psql, or do what psql's own arguments say: `psql -c 'select 1'`, `psql --help`."""
    settings = load_settings()
    program = embedded.binary("psql")
    if settings.database_url is not None:
        program = Path(shutil.which("psql") or program)  # the wheel's has no TLS, which a server elsewhere may ask for
    address = database_url(settings)
    environment = environment_for(address, _session_options(address))
    os.execve(program, [str(program), *ctx.args], environment)  # noqa: S606, no shell is wanted


def _session_options(url: SecretStr) -> Mapping[str, str]:
    engine = create_warehouse_engine(url)
    try:
        with engine.connect() as connection:
            return session_options(connection)
    except DBAPIError:  # psql says so itself, and `psql --help` needs no database
        return NO_OPTIONS
    finally:
        engine.dispose()


def _connect(url: SecretStr) -> None:
    engine = create_warehouse_engine(url)
    try:
        engine.connect().close()
    except OperationalError as error:
        raise unavailable(error, engine) from None
    finally:
        engine.dispose()


def _whereabouts(server: embedded.Server) -> str:
    return f"postgres is running on {server.host}:{server.port} (pid {server.pid}), data in {server.data_dir}"


def _not_ours(url: SecretStr) -> str:
    return f"DATABASE_URL names {describe(url)}: that server is not ours to start or stop"
