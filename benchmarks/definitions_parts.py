"""Load the project's definitions and print the seconds of each part as JSON. For definitions_load.py alone.

Imports are where they are timed.
"""

import json
import time


def main() -> None:
    """Load the definitions as a code location does."""
    parts: dict[str, float] = {}
    last = time.perf_counter()

    def record_part(part: str) -> None:
        nonlocal last
        now = time.perf_counter()
        parts[part], last = now - last, now

    import dagster as dg

    record_part("import dagster")
    from market_pipeline.core.gc_tuning import frozen_after

    with frozen_after():  # as definitions.py does
        from market_pipeline.core.settings import load_settings
        from market_pipeline.orchestration.build import build_analytics, build_loading

        record_part("import the project")
        loading = build_loading(load_settings())
        record_part("symbols, schedules, sensors")
        analytics = build_analytics(load_settings())
        record_part("dbt's models")
    dg.Definitions.merge(loading, analytics).get_repository_def()
    record_part("Dagster's repository")
    print(json.dumps(parts))


if __name__ == "__main__":
    main()
