"""Assets `market_data/<SYMBOL>`: one per tracked symbol, partitioned by session.

They are multi-assets (steps) of up to 50 symbols of one calendar: a multi-asset's cost grows with the square of its
outputs, a run's with its number of steps. execution.py executes a step and is imported only then: frames and HTTP take
half a second, which declaring the assets does not need. Concept:
https://docs.dagster.io/guides/build/assets/defining-assets
"""

from collections.abc import Iterator, Sequence, Set
from datetime import date
from functools import cache

import dagster as dg
from sqlalchemy import Table

from market_pipeline.core.sessions import find_calendar
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.checks import build_check_specs
from market_pipeline.orchestration.partitions import build_session_partitions
from market_pipeline.warehouse.bar_tables import market_data

SYMBOLS_PER_STEP = 50
GROUPS = {"stock": "stocks", "etf": "etfs", "crypto": "crypto"}


def build_asset_key(symbol: Symbol) -> dg.AssetKey:
    """Return the key of a symbol's asset."""
    return dg.AssetKey(["market_data", symbol.name])


def build_assets(symbols: Sequence[Symbol], today: date, *, in_one_process: bool = True) -> list[dg.AssetsDefinition]:
    """Build the assets of these symbols, in steps of one calendar each.

    Args:
        symbols: the tracked symbols.
        today: the last day that may have a session.
        in_one_process: True if the steps of a run share a process, and with it one fetcher. Else each step plans alone.
    """
    steps = []
    for calendar_name in sorted({symbol.calendar for symbol in symbols}):
        partitions = build_session_partitions(calendar_name, today)
        members = sorted(symbol for symbol in symbols if symbol.calendar == calendar_name)
        for number, first in enumerate(range(0, len(members), SYMBOLS_PER_STEP), start=1):
            name = f"bars_{find_calendar(calendar_name).market}_{number}"
            own = members[first : first + SYMBOLS_PER_STEP]
            steps.append(_build_step(name, own, members if in_one_process else own, partitions))
    return steps


def _build_spec(symbol: Symbol) -> dg.AssetSpec:
    description = (
        f"Daily bars of {symbol.name} as traded, under each ticker that it has had at the vendor. "
        f"A partition is one session of the calendar {symbol.calendar}."
    )
    return build_bars_spec(build_asset_key(symbol), description, GROUPS[symbol.asset_class], symbol.calendar)


def build_bars_spec(key: dg.AssetKey, description: str, group_name: str, calendar_name: str) -> dg.AssetSpec:
    """Build the spec of an asset that loads bars: of a symbol, or of a market."""
    return dg.AssetSpec(
        key,
        description=description,
        group_name=group_name,
        kinds={"python", "postgres"},
        owners=["team:market-data"],
        skippable=True,
        metadata={
            "dagster/table_name": "market_data",
            "dagster/column_schema": build_column_schema(market_data),
            "calendar": calendar_name,
        },
    )


@cache
def build_column_schema(table: Table) -> dg.TableSchema:
    """Return a table's columns as Dagster shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                column.comment,
                dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in table.columns
        ]
    )


def _build_step(
    name: str, symbols: Sequence[Symbol], fetched_together: Sequence[Symbol], partitions: dg.DailyPartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=name,
        specs=[_build_spec(symbol) for symbol in symbols],
        check_specs=[check for symbol in symbols for check in build_check_specs(build_asset_key(symbol))],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        required_resource_keys={"pipeline"},
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        from market_pipeline.orchestration.execution import check_symbols, load_symbols

        if context.selected_asset_keys:
            load_symbols(
                context,
                _select(symbols, context.selected_asset_keys),
                lambda: _select(fetched_together, context.job_def.asset_layer.selected_asset_keys),
            )
        else:
            check_symbols(context, _select(symbols, {check.asset_key for check in context.selected_asset_check_keys}))
        # A result would cover all sessions of the run, also those that were not loaded. So execution.py records the
        # settled ones in bulk, and nothing is yielded. As shipped that takes 112 times as long: docs/performance.md, 3.
        yield from ()

    return step


def _select(symbols: Sequence[Symbol], keys: Set[dg.AssetKey]) -> list[Symbol]:
    return [symbol for symbol in symbols if build_asset_key(symbol) in keys]
