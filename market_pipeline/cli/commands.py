"""The subcommands of `market-pipeline`, each imported when it is asked for."""

import logging
import sys
from contextlib import suppress
from typing import Annotated

import typer

from market_pipeline import __version__
from market_pipeline.cli.on_demand import OnDemand, group_of
from market_pipeline.cli.passing_on import PassesOn
from market_pipeline.garbage import collect_seldom
from market_pipeline.settings import SettingsError, load_settings

COMMANDS = {
    "backfill": OnDemand("backfill", "backfill"),
    "coverage": OnDemand("completeness", "coverage"),
    "gaps": OnDemand("completeness", "gaps"),
    "export": OnDemand("export", "export"),
    "backup": OnDemand("backup", "backup"),
    "restore": OnDemand("backup", "restore"),
    "marts": OnDemand("marts", "marts"),
    "dbt": OnDemand("marts", "dbt", PassesOn),
    "dagster-home": OnDemand("dagster_home", "print_dagster_home"),
    "api": OnDemand("api", "api"),
    "up": OnDemand("up", "up"),
    "worker": OnDemand("worker", "worker"),
    "status": OnDemand("status", "status"),
    "doctor": OnDemand("doctor", "doctor"),
    "sandbox": OnDemand("sandbox", "sandbox"),
    "demo": OnDemand("demo", "demo"),
    "symbols": OnDemand("symbols", "app"),
    "db": OnDemand("db", "app"),
    "keys": OnDemand("keys", "app"),
    "alerts": OnDemand("alerts", "app"),
}

app = typer.Typer(
    cls=group_of(COMMANDS),
    help="A warehouse of daily market data that runs itself.",
    no_args_is_help=True,
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
)


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


def run(arguments: list[str] | None) -> None:
    """Run the command line; it ends by `SystemExit`, or by an error that main.py explains."""
    collect_seldom()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal of any encoding can be written to
    # A pool logs a connection that was lost, with a traceback, beside the error that it raises.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    with suppress(SettingsError):  # a command that reads the settings says so itself
        if load_settings().log_format == "json":
            from market_pipeline import logs  # what makes them takes time that few need

            logs.configure()
    app(arguments)
