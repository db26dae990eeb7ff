"""The campaign's command: so many scenarios, two at a time, a line each, and exit code 1 if any of them fails."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Annotated

import typer

from market_pipeline_tests.fault_campaign.scenarios import drawn
from market_pipeline_tests.fault_campaign.stage import VARIABLES, Stage, StageError, running_stage
from market_pipeline_tests.fault_campaign.trial import Trial, reference, tried

AT_ONCE = 2
CAMPAIGN_SECONDS = 1800
"""The longest that all scenarios may take together."""


def campaign(
    scenarios: Annotated[int, typer.Option(min=1, help="How many scenarios, one a seed.")] = 50,
    first_seed: Annotated[int, typer.Option(help="The first one's seed.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep databases and logs, and print where they are.")] = False,
) -> None:
    """Interrupt a year's load of 15 symbols in random ways, mend each with one undisturbed run, and compare."""
    for name in VARIABLES & os.environ.keys():
        del os.environ[name]
    began = time.monotonic()
    failed = []
    with ExitStack() as opened:
        stages = [opened.enter_context(running_stage(keep=keep)) for _ in range(min(AT_ONCE, scenarios))]
        expected = common_reference(stages)
        for trial in trials(stages, range(first_seed, first_seed + scenarios), expected, keep=keep):
            typer.echo(trial)
            failed += [trial.scenario.seed] if trial.wrong else []
        if keep:
            typer.echo(f"kept in {' and '.join(str(stage.folder) for stage in stages)}")
    typer.echo(_verdict(scenarios, failed, expected, time.monotonic() - began))
    sys.exit(bool(failed))


def _verdict(scenarios: int, failed: Sequence[int], expected: str, seconds: float) -> str:
    if failed:
        seeds = ", ".join(map(str, sorted(failed)))
        return f"{len(failed)} of {scenarios} scenarios fail, seeds {seeds}: try one with --first-seed N --scenarios 1"
    content = f"the reference's content (hash {expected})"
    return f"{scenarios} of {scenarios} scenarios end in {content}, in {seconds:.0f} s"


def common_reference(stages: Sequence[Stage]) -> str:
    """The hash that an undisturbed run leaves behind on every stage.

    Raises:
        StageError: the stages don't agree, or a run is not as it should be.
    """
    with ThreadPoolExecutor(len(stages)) as pool:
        hashes = set(pool.map(reference, stages))
    if len(hashes) > 1:
        raise StageError(f"undisturbed runs have loaded different content: {', '.join(sorted(hashes))}")
    return hashes.pop()


def trials(stages: Sequence[Stage], seeds: Sequence[int], expected: str, *, keep: bool) -> Iterator[Trial]:
    """Each seed's trial, as they end, one at a time on every stage.

    Raises:
        TimeoutError: it has taken too long; the scenarios that wait are given up.
    """
    free: SimpleQueue[Stage] = SimpleQueue()
    for stage in stages:
        free.put(stage)

    def one(seed: int) -> Trial:
        stage = free.get()
        try:
            return tried(stage, drawn(seed), expected, keep=keep)
        finally:
            free.put(stage)

    pool = ThreadPoolExecutor(len(stages))
    try:
        for trial in as_completed([pool.submit(one, seed) for seed in seeds], timeout=CAMPAIGN_SECONDS):
            yield trial.result()
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> None:
    """Run the command and exit."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(campaign)
    app()
