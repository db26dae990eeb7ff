"""`market-pipeline marts` and `market-pipeline dbt`: building the analysts' tables by hand."""

from typing import Annotated

import typer

from market_pipeline.core.settings import load_settings
from market_pipeline.dbt_project import run_dbt
from market_pipeline.warehouse.database import warehouse_of


def marts(quiet: Annotated[bool, typer.Option("--quiet", help="Print the result and errors only.")] = False) -> None:
    """Build the analysts' tables now, and run their tests. While Dagster's daemon runs, it does so after every load."""
    settings = load_settings()
    with warehouse_of(settings) as warehouse:
        from market_pipeline.cli.runs import build_marts  # Dagster takes a second that --help needn't

        build_marts(settings, warehouse, quiet=quiet)
    typer.echo("The analysts' tables are up to date.")


def dbt(ctx: typer.Context) -> None:
    """Run dbt on the project with the settings' database: `dbt build --select daily_bars+`, `dbt docs generate`."""
    settings = load_settings()
    with warehouse_of(settings):
        run_dbt(settings, *ctx.args)
