"""What a step of the assets does when it is executed: load its symbols, say so, and answer their checks.

The work itself is `market_pipeline.ingest`; here it is told to Dagster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import dagster as dg

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.run_planning import trigger_of
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import counted, under
from market_pipeline.dagster_storage.recording import (
    NO_ROW,
    ONE_ROW,
    Materialized,
    record_check_results,
    record_materializations,
)
from market_pipeline.ingest import Run, Vendor, ingest
from market_pipeline.orchestration.checks import check_results
from market_pipeline.orchestration.partitions import PartitionError, check_partitions_chosen
from market_pipeline.orchestration.resources import Pipeline
from market_pipeline.reference_data import refresh_reference
from market_pipeline.warehouse.load_history import BAR_COUNTERS, LoadResult
from market_pipeline.warehouse.tracked_symbols import NotTrackedError, Reference, active_symbols, delistings


@dataclass(frozen=True)
class _OfTracked:
    """A vendor that isn't asked about symbols that were removed since the run was requested."""

    vendor: Vendor
    tracked: frozenset[Symbol]

    @property
    def source(self) -> Source:
        return self.vendor.source

    def bars(self, symbol: Symbol, last: date) -> FetchedBars:
        if symbol not in self.tracked:
            raise NotTrackedError(
                f"{symbol.name} is no longer tracked: `market-pipeline symbols add {symbol.name}` takes it up again"
            )
        return self.vendor.bars(symbol, last)


def load_symbols(context: dg.AssetExecutionContext, symbols: Sequence[Symbol], in_run: Sequence[Symbol]) -> None:
    """Load the run's sessions of a step's symbols, one materialization event a session that is settled.

    Settled is a session whose bar is there, or of which the vendor has answered that there is none.

    What to ask of the vendor is planned for all symbols of the run that share a process. A symbol that fails leaves its
    partitions failed and the run red; its neighbours are loaded and stay materialized.
    """
    try:
        check_partitions_chosen(context.run.tags)
    except PartitionError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    pipeline: Pipeline = context.resources.pipeline
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    delisted = delistings(pipeline.warehouse)
    run = Run(context.run.run_id, trigger_of(context.run.tags))
    fetcher = pipeline.fetcher(_trading(in_run, delisted, sessions[0]) or in_run, sessions)
    vendor = _OfTracked(fetcher, frozenset(active_symbols(pipeline.warehouse)))
    outcomes = []
    for outcome in ingest(
        symbols,
        sessions,
        vendor=vendor,
        fetch_reference=partial(refresh_reference, pipeline.client, pipeline.warehouse),
        delisted=delisted,
        warehouse=pipeline.warehouse,
        run=run,
        at_once=pipeline.at_once,
        fetch_list_date=pipeline.client.list_date,
    ):
        outcomes.append(outcome)
        pipeline.loaded(outcome)  # first: it is loaded, whether Dagster's database can still take that or not
        _record(context, outcome)
    check_symbols(context, symbols)
    failures = [under(outcome.symbol, outcome.error) for outcome in outcomes if outcome.error is not None]
    if failures:
        # Asking again at once can't help: what could be retried, the client has retried.
        raise dg.Failure(
            f"{len(failures)} of {counted(len(symbols), 'symbol')} failed. " + " ".join(failures), allow_retries=False
        )


def check_symbols(context: dg.AssetExecutionContext, symbols: Sequence[Symbol]) -> None:
    """Answer the checks of these symbols, which are of one calendar."""
    pipeline: Pipeline = context.resources.pipeline
    record_check_results(context, list(check_results(pipeline.warehouse, symbols)))


def _trading(symbols: Sequence[Symbol], delisted: Mapping[str, Reference], first: date) -> list[Symbol]:
    """Those that were still on the market at the run's first session: the others need no request."""
    ended = {name for name, known in delisted.items() if known.delisted_on is not None and known.delisted_on < first}
    return [symbol for symbol in symbols if symbol.name not in ended]


def _record(context: dg.AssetExecutionContext, outcome: LoadResult) -> None:
    """Record the sessions whose bar is there, and with no rows those of which the vendor has answered that none is.

    Dagster's own result would be of all that the run covers. The newest session's event, which the UI shows first, says
    what the run did in all.
    """
    groups = [Materialized([str(day) for day in sorted(outcome.present)], ONE_ROW)] if outcome.present else []
    without_bar = {**outcome.empty, **outcome.ended}
    for reason in dict.fromkeys(without_bar.values()):
        sessions = [str(day) for day, why in without_bar.items() if why == reason]
        groups.append(Materialized(sessions, {**NO_ROW, "reason": reason}))
    if groups:
        groups.sort(key=lambda group: group.partitions[-1])
        record_materializations(context, dg.AssetKey(["market_data", outcome.symbol]), groups, _summary(outcome))


def _summary(outcome: LoadResult) -> dict[str, int | float | str]:
    waited = {"waited_seconds": round(outcome.waited_seconds, 3)} if outcome.waited_seconds else {}
    return {
        "first_session": outcome.first_session.isoformat(),
        "last_session": outcome.last_session.isoformat(),
        "sessions": outcome.sessions,
        "sessions_answered": outcome.answered,
        "sessions_refused": outcome.refused,
        "sessions_empty": len(outcome.empty),
        "sessions_missing": outcome.missing - len(outcome.empty),
        "requests": outcome.requests,
        **{name: getattr(outcome, name) for name in BAR_COUNTERS},
        **waited,
    }
