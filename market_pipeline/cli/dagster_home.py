"""`market-pipeline dagster-home`: what Dagster's own tools need to know outside a checkout."""

import typer

from market_pipeline.core.settings import load_settings
from market_pipeline.orchestration.instance_home import dagster_home


def print_dagster_home() -> None:
    """Print the folder to set DAGSTER_HOME to, so that Dagster's own tools keep their records where this project does.

    A tool that is started in a checkout finds them without.
    """
    typer.echo(dagster_home(load_settings()))
