"""Renaming of a symbol's asset: the new asset gets the materializations of the sessions in the warehouse."""

from collections.abc import Iterator

from dagster import DagsterInstance, RunsFilter

from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import NOT_FINISHED_STATUSES
from market_pipeline.dagster_storage.recording import NO_ROW, ONE_ROW, Materialized, report_materializations
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.warehouse.symbol_renaming import Renaming


class RunUnderWayError(MarketPipelineError):
    """A run is loading the symbol."""


def rename_asset(instance: DagsterInstance, renaming: Renaming) -> None:
    """Report the symbol's settled sessions as materialized under its new name, and wipe the old asset.

    A symbol that later takes the old name begins with grey cells. The old asset's runs stay.

    Raises:
        RunUnderWayError: a run that covers the symbol has not ended; nothing is changed.
    """
    if run_id := _find_run(instance, renaming.old):
        raise RunUnderWayError(
            f"the run {run_id} covers {renaming.old.name} and has not ended: rename it afterwards, or end the run in "
            "the Dagster UI"
        )
    if groups := list(_group_sessions(instance, renaming)):
        report_materializations(instance, build_asset_key(renaming.new), groups)
    instance.wipe_assets([build_asset_key(renaming.old)])


def _group_sessions(instance: DagsterInstance, renaming: Renaming) -> Iterator[Materialized]:
    """Yield the old asset's materialized sessions that have no bar, then the sessions that have one."""
    loaded = [session.isoformat() for session in renaming.sessions]
    without_bar = sorted(instance.get_materialized_partitions(build_asset_key(renaming.old)).difference(loaded))
    metadata = {"renamed_from": renaming.old.name}
    if without_bar:
        yield Materialized(without_bar, {**NO_ROW, **metadata})
    if loaded:
        yield Materialized(loaded, {**ONE_ROW, **metadata})


def _find_run(instance: DagsterInstance, symbol: Symbol) -> str | None:
    """Return the id of a run under way that covers a symbol."""
    key = build_asset_key(symbol)
    runs = instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
    return next((run.run_id for run in runs if key in (run.asset_selection or ())), None)
