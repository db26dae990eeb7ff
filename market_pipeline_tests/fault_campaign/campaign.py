"""The campaign's command: run scenarios, two at a time, print a line each, and exit with 1 if any fails."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Annotated

import typer

from market_pipeline_tests.fault_campaign.scenarios import draw_scenario
from market_pipeline_tests.fault_campaign.stage import VARIABLES, Stage, StageError, running_stage
from market_pipeline_tests.fault_campaign.trial import Trial, load_reference, try_scenario

AT_ONCE = 2
CAMPAIGN_SECONDS = 1800
"""The most seconds of all scenarios together."""


def campaign(
    scenarios: Annotated[int, typer.Option(min=1, help="Number of scenarios, one per seed.")] = 50,
    first_seed: Annotated[int, typer.Option(help="Seed of the first scenario.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep databases and logs, and print their folders.")] = False,
) -> None:
    """Interrupt a year's load of 15 symbols in random ways, complete each by one undisturbed run, and compare."""
    for name in VARIABLES & os.environ.keys():
        del os.environ[name]
    began = time.monotonic()
    failed = []
    with ExitStack() as opened:
        stages = [opened.enter_context(running_stage(keep=keep)) for _ in range(min(AT_ONCE, scenarios))]
        expected = load_references(stages)
        for trial in run_trials(stages, range(first_seed, first_seed + scenarios), expected, keep=keep):
            typer.echo(trial)
            failed += [trial.scenario.seed] if trial.problems else []
        if keep:
            typer.echo(f"kept in {' and '.join(str(stage.folder) for stage in stages)}")
    typer.echo(_format_verdict(scenarios, failed, expected, time.monotonic() - began))
    sys.exit(bool(failed))


def _format_verdict(scenarios: int, failed: Sequence[int], expected: str, seconds: float) -> str:
    if failed:
        seeds = ", ".join(map(str, sorted(failed)))
        return f"{len(failed)} of {scenarios} scenarios fail, seeds {seeds}: try one with --first-seed N --scenarios 1"
    content = f"the reference's content (hash {expected})"
    return f"{scenarios} of {scenarios} scenarios end in {content}, in {seconds:.0f} s"


def load_references(stages: Sequence[Stage]) -> str:
    """Load the reference on every stage, and return the hash that all of them have.

    Raises:
        StageError: the hashes differ, or an undisturbed run failed.
    """
    with ThreadPoolExecutor(len(stages)) as pool:
        hashes = set(pool.map(load_reference, stages))
    if len(hashes) > 1:
        raise StageError(f"undisturbed runs have loaded different content: {', '.join(sorted(hashes))}")
    return hashes.pop()


def run_trials(stages: Sequence[Stage], seeds: Sequence[int], expected: str, *, keep: bool) -> Iterator[Trial]:
    """Run the trial of each seed, one at a time per stage, and yield them as they end.

    Raises:
        TimeoutError: CAMPAIGN_SECONDS are over; waiting scenarios are cancelled.
    """
    free: SimpleQueue[Stage] = SimpleQueue()
    for stage in stages:
        free.put(stage)

    def run_trial(seed: int) -> Trial:
        stage = free.get()
        try:
            return try_scenario(stage, draw_scenario(seed), expected, keep=keep)
        finally:
            free.put(stage)

    pool = ThreadPoolExecutor(len(stages))
    try:
        for trial in as_completed([pool.submit(run_trial, seed) for seed in seeds], timeout=CAMPAIGN_SECONDS):
            yield trial.result()
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> None:
    """Run the command and exit."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(campaign)
    app()
