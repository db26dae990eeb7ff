"""The subcommands of `market-pipeline`, each imported when it is used."""

import logging
import sys
from contextlib import suppress
from typing import Annotated

import typer

from market_pipeline import __version__
from market_pipeline.cli.lazy import LazyCommand, PassthroughCommand, create_lazy_group
from market_pipeline.core.gc_tuning import collect_rarely
from market_pipeline.core.settings import SettingsError, load_settings

COMMANDS = {
    "backfill": LazyCommand("backfill", "backfill"),
    "market": LazyCommand("market", "app"),
    "universe": LazyCommand("universe", "universe"),
    "coverage": LazyCommand("coverage", "coverage"),
    "gaps": LazyCommand("coverage", "gaps"),
    "changes": LazyCommand("changes", "changes"),
    "export": LazyCommand("export", "export"),
    "snapshots": LazyCommand("snapshots", "app"),
    "reconcile": LazyCommand("reconcile", "reconcile_file"),
    "backup": LazyCommand("backup", "backup"),
    "restore": LazyCommand("backup", "restore"),
    "marts": LazyCommand("marts", "marts"),
    "dbt": LazyCommand("marts", "dbt", PassthroughCommand),
    "dagster-home": LazyCommand("dagster_home", "print_dagster_home"),
    "api": LazyCommand("api", "api"),
    "mcp": LazyCommand("mcp", "mcp"),
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
    cls=create_lazy_group(COMMANDS),
    help="A warehouse of daily market data that runs itself.",
    no_args_is_help=True,
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"market-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A warehouse of daily market data that runs itself."""


def run(arguments: list[str] | None) -> None:
    """Run the command line. It raises SystemExit, or an error that main.py reports."""
    collect_rarely()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal's encoding may lack characters
    # A pool logs a lost connection with a traceback, besides raising the error.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    with suppress(SettingsError):  # a command that reads the settings reports it
        if load_settings().log_format == "json":
            from market_pipeline.core import logging_json  # structlog takes time to import

            logging_json.configure()
    app(arguments)
