"""The subcommands of `market-pipeline`, each imported when it is asked for."""

import logging
import sys
from contextlib import suppress
from typing import Annotated

import typer

from market_pipeline import __version__
from market_pipeline.cli.lazy import LazyCommand, group_of
from market_pipeline.cli.passthrough import PassthroughCommand
from market_pipeline.core.gc_tuning import collect_seldom
from market_pipeline.core.settings import SettingsError, load_settings

COMMANDS = {
    "backfill": LazyCommand("backfill", "backfill"),
    "coverage": LazyCommand("coverage", "coverage"),
    "gaps": LazyCommand("coverage", "gaps"),
    "export": LazyCommand("export", "export"),
    "backup": LazyCommand("backup", "backup"),
    "restore": LazyCommand("backup", "restore"),
    "marts": LazyCommand("marts", "marts"),
    "dbt": LazyCommand("marts", "dbt", PassthroughCommand),
    "dagster-home": LazyCommand("dagster_home", "print_dagster_home"),
    "api": LazyCommand("api", "api"),
    "up": LazyCommand("up", "up"),
    "worker": LazyCommand("worker", "worker"),
    "status": LazyCommand("status", "status"),
    "doctor": LazyCommand("doctor", "doctor"),
    "sandbox": LazyCommand("sandbox", "sandbox"),
    "demo": LazyCommand("demo", "demo"),
    "symbols": LazyCommand("symbols", "app"),
    "db": LazyCommand("db", "app"),
    "keys": LazyCommand("keys", "app"),
    "alerts": LazyCommand("alerts", "app"),
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
            from market_pipeline.core import logging_json  # what makes them takes time that few need

            logging_json.configure()
    app(arguments)
