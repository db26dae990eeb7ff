"""Run `market-pipeline backfill` with its parts timed, and print their seconds as JSON. For backfill.py alone.

The first argument is the time when the process was started; the others are the command's. Imports are where they are
timed.
"""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any


def main() -> None:
    """Run the backfill and print the seconds of its parts."""
    started, *arguments = sys.argv[1:]
    from market_pipeline.cli import backfill, runs
    from market_pipeline.cli.commands import app
    from market_pipeline.orchestration import execution

    spent = defaultdict(float, importing=time.time() - float(started))
    parts: list[tuple[ModuleType, str, str, Callable[..., Any]]] = [
        (runs, "build_loading", "definitions", time_function),
        (runs, "launch_range_run", "run", time_function),
        (runs, "launch_runs", "launch_runs", time_function),
        (execution, "ingest", "ingest", time_items),
    ]
    for module, name, part, wrapped in parts:
        setattr(module, name, wrapped(getattr(module, name), part, spent))
    begun = time.perf_counter()
    assert backfill
    app([*arguments, "--quiet", "--json"], standalone_mode=False)
    whole = time.perf_counter() - begun
    seconds = {
        "Python and imports": spent["importing"],
        "plan: settings, database, symbols, sessions, definitions": (
            whole - spent["launch_runs"] + spent["definitions"]
        ),
        "fetching, rules, merge, load record": spent["ingest"],
        "Dagster's run and its events": spent["launch_runs"] - spent["definitions"] - spent["ingest"],
    }
    print("\n" + json.dumps(seconds))


def time_function(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Wrap the function: its seconds add up under `part`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] += time.perf_counter() - begun

    return call


def time_items(function: Callable[..., Iterator[Any]], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Wrap the function: the seconds spent on its iterator add up under `part`."""

    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
        items = time_function(iter(function(*args, **kwargs)).__next__, part, spent)
        with suppress(StopIteration):
            while True:
                item = items()
                yield item

    return call


if __name__ == "__main__":
    main()
