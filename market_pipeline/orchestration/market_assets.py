"""Assets `market/<NAME>`: one per tracked market, all its tickers at once, partitioned by session.

market_execution.py executes them, and is imported only then.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg

from market_pipeline.core.markets import Market
from market_pipeline.orchestration.assets import build_bars_spec
from market_pipeline.orchestration.partitions import build_session_partitions

GROUP = "markets"
ACCEPT_SMALL_TAG = "market_pipeline/accept_small"
"""The tag, with the value true, of a run that stores sessions too that have far fewer tickers than their neighbours."""


def build_market_key(market: Market) -> dg.AssetKey:
    """Return the key of a market's asset."""
    return dg.AssetKey(["market", market.name])


def build_market_assets(markets: Sequence[Market], today: date) -> list[dg.AssetsDefinition]:
    """Build the assets of these markets.

    Args:
        markets: the tracked markets.
        today: the last day that may have a session.
    """
    return [_build_asset(market, build_session_partitions(market.calendar, today)) for market in markets]


def _build_asset(market: Market, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    description = (
        f"Daily bars of all tickers of the market {market.title} as traded. A partition is one session of the calendar "
        f"{market.calendar}, loaded whole or not at all."
    )

    @dg.multi_asset(
        name=f"market_{market.name}",
        specs=[build_bars_spec(build_market_key(market), description, GROUP, market.calendar)],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"pipeline"},
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        from market_pipeline.orchestration.market_execution import load_market

        load_market(context, market)
        # Nothing is yielded: a result would cover all sessions of the run, also those that failed. Those that were
        # loaded are recorded as they are, with their counters.
        yield from ()

    return step
