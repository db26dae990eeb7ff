"""`market-pipeline dagster-home`: the DAGSTER_HOME of the project, for Dagster's own tools outside a checkout."""

import typer

from market_pipeline.core.settings import load_settings
from market_pipeline.orchestration.instance_home import prepare_dagster_home


def print_dagster_home() -> None:
    """Print the folder for DAGSTER_HOME, so that Dagster's own tools use this project's Dagster instance.

    Tools that are started in a checkout need no DAGSTER_HOME.
    """
    typer.echo(prepare_dagster_home(load_settings()))
