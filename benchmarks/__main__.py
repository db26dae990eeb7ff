"""Run all benchmarks and write docs/performance.md: `make bench`, or `python -m benchmarks`.

`--tiny` runs them on little work and prints the document instead, to check that all of it runs.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import (
    api,
    backfill,
    bookkeeping,
    cold_command,
    definitions_load,
    growth,
    load_bars,
    machine,
    markets,
    nightly,
    requests_needed,
)
from benchmarks.report import GOALS, Finding, format_table
from benchmarks.stage import fresh_warehouse

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BENCHMARKS: Sequence[Any] = (
    load_bars,
    bookkeeping,
    backfill,
    nightly,
    requests_needed,
    growth,
    markets,
    api,
    definitions_load,
    cold_command,
)


def main() -> None:
    """Run the benchmarks and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    begun, load = time.time(), machine.read_load()
    postgres = read_postgres_version()
    findings: list[Finding] = []
    for benchmark in BENCHMARKS:
        at = time.perf_counter()
        run: Callable[[Any], Finding] = benchmark.run
        findings.append(run(benchmark.TINY if tiny else benchmark.FULL))
        print(f"{benchmark.__name__}: {time.perf_counter() - at:.0f} s", file=sys.stderr, flush=True)
    written = format_document(findings, machine.describe(postgres, begun), load)
    if tiny:
        print(written)
    else:
        DOCUMENT.write_text(written, encoding="utf-8")


def read_postgres_version() -> str:
    """Return the embedded server's version."""
    with fresh_warehouse() as (_, engine), engine.connect() as connection:
        return str(connection.execute(text("SHOW server_version")).scalar_one())


def format_document(findings: Sequence[Finding], description: str, load: str) -> str:
    """Return the document in Markdown."""
    verdicts = [[finding.title, *goal.cells] for finding in findings for goal in finding.goals]
    met = sum(goal.met for finding in findings for goal in finding.goals)
    return "\n".join(
        [
            "# How fast it is",
            "",
            "Written by `make bench`. Each module of `benchmarks/` is one benchmark; each is measured",
            "beside a reference in the same run on the same work, in rounds that take turns. A ratio is the median of",
            "the rounds' ratios, whose span stands beside it. Where two systems store the same bars or events, they",
            "are compared row by row before any time is reported.",
            "",
            f"{description} The machine's load average was {load} when it began.",
            "",
            f"{met} of {len(verdicts)} goals are met.",
            "",
            format_table(["benchmark", *GOALS], verdicts),
            "",
            *[finding.format_markdown() for finding in findings],
        ]
    )


if __name__ == "__main__":
    main()
