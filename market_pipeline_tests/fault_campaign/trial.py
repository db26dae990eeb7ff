"""Trial of a scenario in an empty warehouse: disturbed, completed by one undisturbed run, and checked."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from market_pipeline_tests.fault_campaign.checks import (
    REFERENCE,
    content_hash,
    differs_from_vendor,
    list_problems,
    list_unfinished,
)
from market_pipeline_tests.fault_campaign.play import play
from market_pipeline_tests.fault_campaign.scenarios import Command, Interruption, Scenario
from market_pipeline_tests.fault_campaign.stage import Ended, Stage, StageError

DONE = 0
DISTURBED = (DONE, 1, 3, 143, -9, -15)
"""Exit codes of a disturbed command: those documented, and minus the signals it may be sent."""

_LOST_CONNECTION = re.compile(
    r"^Exception during reset or similar\n.*?^psycopg2\.InterfaceError: connection already closed\n",
    re.MULTILINE | re.DOTALL,
)
"""SQLAlchemy's log of a connection of Dagster that ended with PostgreSQL; another one replaces it."""

_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ ].*\n|\n)*(\S.*)", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """Result of a scenario: interruptions made, results of its commands (the undisturbed run last), and problems."""

    scenario: Scenario
    made: Sequence[Interruption]
    ended: Sequence[Ended]
    problems: Sequence[str]
    seconds: float

    def __str__(self) -> str:
        codes = ", ".join(str(ended.code) for ended in self.ended)
        verdict = f"FAILED: {'; '.join(self.problems)}" if self.problems else "hash ok"
        missed = len(self.scenario.interruptions) - len(self.made)
        late = f" ({missed} too late)" if missed else ""
        return (
            f"seed {self.scenario.seed:>3} {self.seconds:5.1f} s  {verdict}  exit codes {codes}: {self.scenario}{late}"
        )


def load_reference(stage: Stage) -> str:
    """Load an empty warehouse by an undisturbed run, and return its content's hash.

    Raises:
        StageError: the run fails, or its bars differ from the vendor's.
    """
    stage.create(REFERENCE)
    ended = stage.run(Command(), REFERENCE)
    if ended.code != DONE:
        raise StageError(f"the undisturbed run ended with exit code {ended.code}: {ended.stderr}")
    if differs_from_vendor(stage, REFERENCE):
        raise StageError("the undisturbed run has not loaded the bars that the vendor sends")
    return content_hash(stage, REFERENCE)


def try_scenario(stage: Stage, scenario: Scenario, expected: str, *, keep: bool = False) -> Trial:
    """Run a scenario in a warehouse of its own, complete it, and compare it with the reference's hash.

    The warehouse is dropped afterwards, unless `keep` is set.
    """
    database = f"scenario_{scenario.seed}"
    began = time.monotonic()
    stage.create(database)
    made: Sequence[Interruption] = ()
    ended: list[Ended] = []
    problems: list[str] = []
    try:
        played = play(stage, database, scenario)
        made, ended = played.made, [*played.ended]
        problems += list_bad_ends(played.ended, DISTURBED)
        if played.ended[0].code == DONE and not scenario.faults:
            problems += list_unfinished(stage, database, expected)
        ended.append(stage.run(Command(), database))
        problems += list_bad_ends(ended[-1:], (DONE,))
        problems += list_problems(stage, database, scenario, expected)
    except Exception as error:  # any error is a finding of this scenario; the others go on
        problems.append(f"{type(error).__name__}: {_shorten(str(error))}")
    finally:
        if not keep:
            stage.drop(database)
    return Trial(scenario, made, ended, problems, time.monotonic() - began)


def list_bad_ends(commands: Iterable[Ended], allowed: Sequence[int]) -> Iterator[str]:
    """Yield exit codes other than those allowed, and tracebacks: a user needs a message instead."""
    for ended in commands:
        if ended.code not in allowed:
            yield f"exit code {ended.code}: {_shorten(ended.stderr)}"
        yield from (f"traceback: {error}" for error in _TRACEBACK.findall(_LOST_CONNECTION.sub("", ended.stderr)))


def _shorten(output: str) -> str:
    return " ".join(output.split())[-300:]
