"""Runs `market-pipeline backfill` with its parts timed, and prints their seconds as JSON. For backfill.py alone.

The first argument is when the process was started; the others are the command's. Imports stand where they are timed.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


def main() -> None:
    """Run it."""
    started, *arguments = sys.argv[1:]
    from market_pipeline.cli import backfill, runs
    from market_pipeline.cli.main import app
    from market_pipeline.orchestration import execution

    spent: Counter[str] = Counter(importing=time.time() - float(started))
    parts = [
        (runs, "build_loading", "definitions"),
        (runs, "launch", "run"),
        (runs, "launch_all", "launch_all"),
    ]
    for module, name, part in parts:
        setattr(module, name, timed(getattr(module, name), part, spent))
    execution.ingest = timed_items(execution.ingest, "ingest", spent)
    begun = time.perf_counter()
    assert backfill
    app([*arguments, "--quiet", "--json"], standalone_mode=False)
    whole = time.perf_counter() - begun
    told = {
        "Python and imports": spent["importing"],
        "plan: settings, database, symbols, sessions, definitions": (
            whole - spent["launch_all"] + spent["definitions"]
        ),
        "fetching, rules, merge, account": spent["ingest"],
        "Dagster's run and its events": spent["launch_all"] - spent["definitions"] - spent["ingest"],
    }
    print("\n" + json.dumps(told))


def timed(function: Callable[..., Any], part: str, spent: "Counter[str]") -> Callable[..., Any]:
    """The function, with its seconds added up under `part`."""

    def call(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] += time.perf_counter() - begun

    return call


def timed_items(function: Callable[..., Iterator[Any]], part: str, spent: "Counter[str]") -> Callable[..., Any]:
    """The function, with the seconds in which what it returns is iterated added up under `part`."""

    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
        items = timed(iter(function(*args, **kwargs)).__next__, part, spent)
        with suppress(StopIteration):
            while True:
                item = items()
                yield item

    return call


if __name__ == "__main__":
    main()
