"""`market-pipeline db`: the embedded PostgreSQL on the command line, and the way into whichever database is in use."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import typer
from psycopg.pq import Conninfo
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from typer.core import TyperCommand

from market_pipeline.settings import load_settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine, database_url, describe, migrate, unavailable

app = typer.Typer(
    help="The database: the embedded PostgreSQL, or the one that DATABASE_URL names.", no_args_is_help=True
)


class _PassesOn(TyperCommand):
    """A command that leaves every argument as it is, `--help` and `--` too, for another program to read."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        ctx.args = list(args)
        return ctx.args


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


@app.command("migrate")
def migrate_tables() -> None:
    """Bring the tables to what this version works with. A new database is brought there by whatever uses it first."""
    engine = create_warehouse_engine(database_url(load_settings()))
    try:
        typer.echo(f"the tables are at revision {migrate(engine)}")
    except OperationalError as error:
        raise unavailable(error, engine) from None
    finally:
        engine.dispose()


@app.command(cls=_PassesOn)
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
