"""The command `market-pipeline`: its subcommands, and the one place where errors become messages and exit codes.

Exit codes: 0 done, 1 failed, 2 the command itself is wrong, 3 some symbols failed. Data goes to standard output,
everything else to standard error.
"""

import logging
import sys
from contextlib import suppress
from typing import Annotated

import typer

from market_pipeline import __version__, logs
from market_pipeline.cli import alerts, db, keys, symbols
from market_pipeline.cli.api import api
from market_pipeline.cli.backfill import backfill
from market_pipeline.cli.backup import backup, restore
from market_pipeline.cli.completeness import coverage, gaps
from market_pipeline.cli.demo import demo
from market_pipeline.cli.doctor import doctor
from market_pipeline.cli.export import export
from market_pipeline.cli.marts import dbt, marts
from market_pipeline.cli.passing_on import PassesOn
from market_pipeline.cli.sandbox import sandbox
from market_pipeline.cli.status import status
from market_pipeline.cli.telling import tell
from market_pipeline.cli.up import up
from market_pipeline.cli.worker import worker
from market_pipeline.errors import MarketPipelineError, UsageError
from market_pipeline.settings import SettingsError, load_settings

FAILED, USAGE = 1, 2

app = typer.Typer(
    help="A warehouse of daily market data that runs itself.",
    no_args_is_help=True,
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
)
app.command("backfill")(backfill)
app.command("coverage")(coverage)
app.command("gaps")(gaps)
app.command("export")(export)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("marts")(marts)
app.command("dbt", cls=PassesOn)(dbt)
app.command("api")(api)
app.command("up")(up)
app.command("worker")(worker)
app.command("status")(status)
app.command("doctor")(doctor)
app.command("sandbox")(sandbox)
app.command("demo")(demo)
app.add_typer(symbols.app, name="symbols")
app.add_typer(db.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(alerts.app, name="alerts")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"market-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A warehouse of daily market data that runs itself."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal of any encoding can be told
    with suppress(SettingsError):  # a command that reads the settings says so itself
        if load_settings().log_format == "json":
            logs.configure()
    try:
        app(arguments)
    except MarketPipelineError as error:
        tell(str(error), logging.ERROR)
        sys.exit(USAGE if isinstance(error, UsageError) else FAILED)
