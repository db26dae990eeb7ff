"""`market-pipeline marts` and `market-pipeline dbt`: build the marts by hand, and run dbt."""

from typing import Annotated

import typer

from market_pipeline.core.settings import load_settings
from market_pipeline.dbt_project import run_dbt
from market_pipeline.warehouse.database import warehouse_of


def marts(quiet: Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")] = False) -> None:
    """Build and test the marts, the analysts' tables. Dagster's daemon does this after each load while it runs."""
    settings = load_settings()
    with warehouse_of(settings) as warehouse:
        from market_pipeline.cli.runs import build_marts  # importing Dagster takes a second

        build_marts(settings, warehouse, quiet=quiet)
    typer.echo("The marts are up to date.")


def dbt(ctx: typer.Context) -> None:
    """Run dbt on the project and its database: `dbt build --select daily_bars+`, `dbt docs generate`."""
    settings = load_settings()
    with warehouse_of(settings):
        run_dbt(settings, *ctx.args)
