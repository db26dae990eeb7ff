"""Assets `splits` and `dividends`: one table each, of all tracked equities, refreshed as a whole.

corporate_action_execution.py executes them, and is imported only then.
"""

from collections.abc import Iterator

import dagster as dg

from market_pipeline.orchestration.assets import build_column_schema
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, ActionTable

GROUP = "corporate_actions"
KNOWN_EFFECTS = "known_effects"
KNOWN_EFFECTS_STATEMENT = "The adjusted prices of every stored bar are known."
CORPORATE_ACTION_KEYS = [dg.AssetKey([actions.name]) for actions in (SPLITS, DIVIDENDS)]


def build_corporate_actions() -> list[dg.AssetsDefinition]:
    """Build both assets."""
    return [
        _build_asset(SPLITS, "Stock splits of the tracked equities, announced ones included."),
        _build_asset(DIVIDENDS, "Cash dividends of the tracked equities as paid, announced ones included."),
    ]


def _build_asset(actions: ActionTable, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=[actions.name],
        description=description,
        group_name=GROUP,
        kinds={"python", "postgres"},
        owners=["team:market-data"],
        metadata={"dagster/table_name": actions.name, "dagster/column_schema": build_column_schema(actions.table)},
        required_resource_keys={"pipeline"},
        check_specs=[dg.AssetCheckSpec(KNOWN_EFFECTS, asset=[actions.name], description=KNOWN_EFFECTS_STATEMENT)],
    )
    def table(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        from market_pipeline.orchestration.corporate_action_execution import refresh_asset

        yield refresh_asset(context, actions)

    return table
