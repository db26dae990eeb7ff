"""`market-pipeline db`: the embedded PostgreSQL on the command line, and the way into whichever database is in use."""

import os
import shutil
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from psycopg.pq import Conninfo
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from market_pipeline.cli.passing_on import PassesOn
from market_pipeline.settings import load_settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, database_url, warehouse_of
from market_pipeline.warehouse.errors import describe, unavailable
from market_pipeline.warehouse.roles import analysts_access
from market_pipeline.warehouse.schema import migrate

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
def migrate_tables() -> None:
    """Bring the tables to what this version works with. A new database is brought there by whatever uses it first."""
    engine = create_warehouse_engine(database_url(load_settings()))
    try:
        typer.echo(f"the tables are at revision {migrate(engine)}")
    finally:
        engine.dispose()


@app.command(cls=PassesOn)
def psql(ctx: typer.Context) -> NoReturn:
    """Open the database in psql, or do what psql's own arguments say: `psql -c 'select 1'`, `psql --help`."""
    settings = load_settings()
    program = embedded.binary("psql")
    if settings.database_url is not None:
        program = Path(shutil.which("psql") or program)  # the wheel's has no TLS, which a server elsewhere may ask for
    environment = _psql_environment(database_url(settings))
    os.execve(program, [str(program), *ctx.args], environment)  # noqa: S606, no shell is wanted


def _psql_environment(url: SecretStr) -> dict[str, str]:
    """Our environment with what leads psql to `url`, its password included, in place of any PG* variables there.

    Taken from the environment rather than the arguments, which every user of the machine can read.
    """
    plain = make_url(url.get_secret_value()).set(drivername="postgresql").render_as_string(hide_password=False)
    options = [option for option in Conninfo.parse(plain.encode()) if option.envvar]
    names = {option.envvar.decode() for option in options if option.envvar}
    wanted = {option.envvar.decode(): option.val.decode() for option in options if option.envvar and option.val}
    return {name: value for name, value in os.environ.items() if name not in names} | wanted


def _connect(url: SecretStr) -> None:
    engine = create_warehouse_engine(url)
    try:
        engine.connect().close()
    except OperationalError as error:
        raise unavailable(error, engine) from None
    finally:
        engine.dispose()


def _whereabouts(server: embedded.Server) -> str:
    return f"running on {server.host}:{server.port} (pid {server.pid}), data in {server.data_dir}"


def _not_ours(url: SecretStr) -> str:
    return f"DATABASE_URL names {describe(url)}: that server is not ours to start or stop"
