"""The assets: `market_data/<SYMBOL>`, one a tracked symbol, partitioned by session.

Declared as multi-assets of up to 50 symbols of one calendar: a multi-asset's cost grows with the square of its outputs,
a run's with its number of steps. The work itself is `market_pipeline.ingest`. Concept:
https://docs.dagster.io/guides/build/assets/defining-assets
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date
from functools import cache, partial

import dagster as dg
from sqlalchemy import Table

from market_pipeline.ingest import Run, ingest
from market_pipeline.listing import refresh
from market_pipeline.orchestration.checks import check_results, check_specs
from market_pipeline.orchestration.events import record_check_results, record_materializations
from market_pipeline.orchestration.partitions import session_partitions
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.runs import trigger_of
from market_pipeline.sessions import calendar
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.accounting import Outcome
from market_pipeline.warehouse.tables import market_data
from market_pipeline.warehouse.tracked_symbols import Reference, delistings

SYMBOLS_PER_STEP = 50
GROUPS = {"stock": "stocks", "etf": "etfs", "crypto": "crypto"}

ONE_ROW = {"dagster/partition_row_count": 1}


def asset_key(symbol: Symbol) -> dg.AssetKey:
    """The asset of a symbol."""
    return dg.AssetKey(["market_data", symbol.name])


def build_assets(symbols: Sequence[Symbol], today: date, *, in_one_process: bool = True) -> list[dg.AssetsDefinition]:
    """The assets of these symbols, in steps of one calendar each.

    Args:
        symbols: the tracked ones.
        today: the last day that may have a session.
        in_one_process: whether a run's steps share what one of them has fetched. Else each plans for itself.
    """
    steps = []
    for calendar_name in sorted({symbol.calendar for symbol in symbols}):
        partitions = session_partitions(calendar_name, today)
        members = sorted(symbol for symbol in symbols if symbol.calendar == calendar_name)
        for number, first in enumerate(range(0, len(members), SYMBOLS_PER_STEP), start=1):
            name = f"bars_{calendar(calendar_name).market}_{number}"
            own = members[first : first + SYMBOLS_PER_STEP]
            steps.append(_step(name, own, members if in_one_process else own, partitions))
    return steps


def _spec(symbol: Symbol) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(symbol),
        description=(
            f"Daily bars of {symbol.name} as traded, from the vendor's `{symbol.vendor_ticker}`. "
            f"A partition is one session of the calendar {symbol.calendar}."
        ),
        group_name=GROUPS[symbol.asset_class],
        kinds={"python", "postgres"},
        owners=["team:market-data"],
        skippable=True,
        metadata={
            "dagster/table_name": "market_data",
            "dagster/column_schema": column_schema(market_data),
            "vendor_ticker": symbol.vendor_ticker,
            "calendar": symbol.calendar,
        },
    )


@cache
def column_schema(table: Table) -> dg.TableSchema:
    """A table's columns, as Dagster shows them."""
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


def _step(
    name: str, symbols: Sequence[Symbol], fetched_together: Sequence[Symbol], partitions: dg.DailyPartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=name,
        specs=[_spec(symbol) for symbol in symbols],
        check_specs=[check for symbol in symbols for check in check_specs(asset_key(symbol))],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        required_resource_keys={"pipeline"},
    )
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        if context.selected_asset_keys:
            _load_bars(
                context,
                _among(symbols, context.selected_asset_keys),
                _among(fetched_together, context.job_def.asset_layer.selected_asset_keys),
            )
        else:
            _check(context, _among(symbols, {check.asset_key for check in context.selected_asset_check_keys}))
        yield from ()  # no result: it would be of all sessions, where what was recorded is of those that have a bar

    return step


def _among(symbols: Sequence[Symbol], keys: Set[dg.AssetKey]) -> list[Symbol]:
    return [symbol for symbol in symbols if asset_key(symbol) in keys]


def _load_bars(context: dg.AssetExecutionContext, symbols: Sequence[Symbol], in_run: Sequence[Symbol]) -> None:
    """Load the run's sessions of a step's symbols, one materialization event a session that has its bar.

    What to ask of the vendor is planned for all symbols of the run that share a process. A symbol that fails leaves its
    partitions failed and the run red; its neighbours are loaded and stay materialized.
    """
    pipeline: Pipeline = context.resources.pipeline
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    delisted = delistings(pipeline.warehouse)
    run = Run(context.run.run_id, trigger_of(context.run.tags))
    vendor = pipeline.fetcher(_trading(in_run, delisted, sessions[0]) or in_run, sessions)
    outcomes = []
    for outcome in ingest(
        symbols,
        sessions,
        vendor=vendor,
        who_is=partial(refresh, pipeline.client, pipeline.warehouse),
        delisted=delisted,
        warehouse=pipeline.warehouse,
        run=run,
        at_once=pipeline.at_once,
    ):
        outcomes.append(outcome)
        if outcome.present:
            _record(context, outcome)
        pipeline.loaded(outcome)
    _check(context, symbols)
    failures = [f"{outcome.symbol}: {outcome.error}" for outcome in outcomes if outcome.error is not None]
    if failures:
        # Asking again at once can't help: what could be retried, the client has retried.
        raise dg.Failure(
            f"{len(failures)} of {len(symbols)} symbols failed. " + " ".join(failures), allow_retries=False
        )


def _check(context: dg.AssetExecutionContext, symbols: Sequence[Symbol]) -> None:
    pipeline: Pipeline = context.resources.pipeline
    record_check_results(context, list(check_results(pipeline.warehouse, symbols)))


def _trading(symbols: Sequence[Symbol], delisted: Mapping[str, Reference], first: date) -> list[Symbol]:
    """Those that were still on the market at the run's first session: the others need no request."""
    ended = {name for name, known in delisted.items() if known.delisted_on is not None and known.delisted_on < first}
    return [symbol for symbol in symbols if symbol.name not in ended]


def _record(context: dg.AssetExecutionContext, outcome: Outcome) -> None:
    """Green is for sessions whose bar is there; Dagster's own result would be green for all that the run covers.

    Every session's event says that it holds one row; the newest, which the UI shows first, what the run did in all.
    """
    sessions = [session.isoformat() for session in sorted(outcome.present)]
    key = dg.AssetKey(["market_data", outcome.symbol])
    record_materializations(context, key, sessions, ONE_ROW, _summary(outcome))


def _summary(outcome: Outcome) -> dict[str, int | float | str]:
    waited = {"waited_seconds": round(outcome.waited_seconds, 3)} if outcome.waited_seconds else {}
    return {
        "first_session": outcome.first_session.isoformat(),
        "last_session": outcome.last_session.isoformat(),
        "sessions": outcome.sessions,
        "sessions_answered": outcome.answered,
        "sessions_refused": outcome.refused,
        "sessions_missing": outcome.missing,
        "requests": outcome.requests,
        "fetched": outcome.fetched,
        "loaded": outcome.loaded,
        "revised": outcome.revised,
        "unchanged": outcome.unchanged,
        "rejected": outcome.rejected,
        "flagged": outcome.flagged,
        **waited,
    }
