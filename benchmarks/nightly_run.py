"""A night of many symbols in a process of its own, which starts as a command does. For nightly.py alone."""

import sys
from datetime import date

from market_pipeline.core.gc_tuning import collect_rarely


def main() -> None:
    """Launch the runs of the night whose newest session is the first argument."""
    collect_rarely()  # before the imports, as in every command
    from market_pipeline.cli.runs import launch_runs
    from market_pipeline.core.settings import load_settings
    from market_pipeline.orchestration.schedules import plan_night
    from market_pipeline.warehouse.database import warehouse_of
    from market_pipeline.warehouse.tracked_symbols import list_active_symbols

    settings = load_settings()
    with warehouse_of(settings) as warehouse:
        runs = plan_night(settings, list_active_symbols(warehouse), date.fromisoformat(sys.argv[1]))
        result = launch_runs(settings, warehouse, runs, quiet=True)
    sys.exit(0 if len(runs) == 1 and all(record["success"] for record in result.records) else 1)


if __name__ == "__main__":
    main()
