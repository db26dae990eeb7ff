"""Dagster's definitions, for `-m market_pipeline.definitions`. Importing it does nothing; Dagster calls `defs`."""

import dagster as dg

from market_pipeline.core.gc_tuning import frozen_after
from market_pipeline.core.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the environment's settings and the symbols tracked now."""
    with frozen_after():
        from market_pipeline.orchestration.build import build_definitions  # most of the time that this takes
        from market_pipeline.orchestration.dagster_commands import check_command

        definitions = build_definitions(load_settings())
        check_command(definitions)
        return definitions
