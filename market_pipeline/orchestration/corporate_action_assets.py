"""The assets `splits` and `dividends`: one table each, of all tracked equities, refreshed as a whole.

What a run of them does is in corporate_action_steps.py, which is imported when one is executed.
"""

import dagster as dg

from market_pipeline.orchestration.assets import column_schema
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, ActionTable

GROUP = "corporate_actions"
KEYS = [dg.AssetKey([actions.name]) for actions in (SPLITS, DIVIDENDS)]


def build_corporate_actions() -> list[dg.AssetsDefinition]:
    """Both assets."""
    return [
        _asset(SPLITS, "Stock splits of the tracked equities, announced ones included."),
        _asset(DIVIDENDS, "Cash dividends of the tracked equities as paid, announced ones included."),
    ]


def _asset(actions: ActionTable, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=[actions.name],
        description=description,
        group_name=GROUP,
        kinds={"python", "postgres"},
        owners=["team:market-data"],
        metadata={"dagster/table_name": actions.name, "dagster/column_schema": column_schema(actions.table)},
        required_resource_keys={"pipeline"},
    )
    def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from market_pipeline.orchestration.corporate_action_execution import refreshed

        return refreshed(context, actions)

    return table
