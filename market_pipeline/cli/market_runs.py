"""In-process runs of a market: launch one, show its progress, and return the results of its sessions."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import uuid4

from sqlalchemy import Engine

from market_pipeline.cli.backfill import DONE, FAILED, PARTIAL
from market_pipeline.cli.output import print_note
from market_pipeline.cli.progress import show_progress
from market_pipeline.cli.runs import DatabaseLostError, check_vendor_key, open_own_instance
from market_pipeline.core.markets import Market
from market_pipeline.core.settings import Settings
from market_pipeline.market_blocks import NOT_YET, is_outside_plan
from market_pipeline.orchestration.build import build_market_loading
from market_pipeline.orchestration.market_assets import build_market_key
from market_pipeline.orchestration.partitions import build_range_tags
from market_pipeline.orchestration.run_launch import launch_assets
from market_pipeline.warehouse.market_records import MarketLoadResult


@dataclass
class MarketLaunch:
    """A market's run: the sessions to load, their results so far, and the error if it ended early."""

    market: Market
    sessions: Sequence[date]
    run_id: str = field(default_factory=lambda: str(uuid4()))
    results: dict[date, MarketLoadResult] = field(default_factory=dict)
    error: str | None = None

    @property
    def outside_plan(self) -> dict[date, str]:
        """The sessions that the vendor's plan doesn't serve, or only later, each with the reason."""
        return {day: each.error for day, each in self.results.items() if each.error and is_outside_plan(each)}

    @property
    def failed(self) -> dict[date, str]:
        """The sessions that failed, each with the reason."""
        return {day: each.error for day, each in self.results.items() if each.error and not is_outside_plan(each)}

    @property
    def unreached(self) -> list[date]:
        """The sessions that the run had not reached when it ended."""
        return [day for day in self.sessions if day not in self.results]

    @property
    def exit_code(self) -> int:
        """0 if all was loaded that the plan serves by now, 1 if nothing was, 3 if some sessions failed."""
        lacking = len(self.failed) + len(self.unreached)
        loaded = len(self.sessions) - lacking - len(self.outside_plan)
        if not lacking:
            return DONE if loaded or all(reason == NOT_YET for reason in self.outside_plan.values()) else FAILED
        return PARTIAL if loaded else FAILED


def launch_market(
    settings: Settings, warehouse: Engine, launch: MarketLaunch, tags: Mapping[str, str], *, quiet: bool
) -> None:
    """Launch a run of a market, and complete `launch` with its results.

    Raises:
        MissingKeyError: there is no vendor key; nothing is launched.
        DatabaseLostError: a database can't be used, and nothing was loaded.
    """
    check_vendor_key(settings)
    try:
        with (
            open_own_instance(settings, warehouse, quiet=quiet) as instance,
            show_progress(len(launch.sessions), quiet=quiet) as report_progress,
        ):

            def collect_result(result: MarketLoadResult) -> None:
                launch.results[result.session] = result
                report_progress(str(result.session), 1, None if is_outside_plan(result) else result.error)

            run = launch_assets(
                build_market_loading(settings, launch.market, collect_result),
                [build_market_key(launch.market)],
                {**build_range_tags(launch.sessions[0], launch.sessions[-1]), **tags},
                instance,
                warehouse,
                launch.run_id,
            )
            launch.error = run.error
    except DatabaseLostError as lost:
        if not launch.results:
            raise
        print_note(str(lost), logging.ERROR)
        launch.error = str(lost)
