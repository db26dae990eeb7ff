"""One scenario from an empty warehouse to the verdict: disturbed, mended by one undisturbed run, and looked at."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from market_pipeline_tests.fault_campaign.checks import REFERENCE, content_hash, differs_from_vendor, unfinished, wrong
from market_pipeline_tests.fault_campaign.play import play
from market_pipeline_tests.fault_campaign.scenarios import Blow, Command, Scenario
from market_pipeline_tests.fault_campaign.stage import Ended, Stage, StageError

DONE = 0
DISTURBED = (DONE, 1, 3, -9, -15)
"""How a disturbed command may end: with an exit code that is documented, or by the signal it was sent."""

_LOST_CONNECTION = re.compile(
    r"^Exception during reset or similar\n.*?^psycopg2\.InterfaceError: connection already closed\n",
    re.MULTILINE | re.DOTALL,
)
"""What SQLAlchemy logs of a connection of Dagster's that PostgreSQL took with it; it is replaced by another."""

_TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ ].*\n|\n)*(\S.*)", re.MULTILINE)


@dataclass(frozen=True)
class Trial:
    """What came of a scenario: the blows that fell, how its commands ended and the quiet run last, what is wrong."""

    scenario: Scenario
    struck: Sequence[Blow]
    ended: Sequence[Ended]
    wrong: Sequence[str]
    seconds: float

    def __str__(self) -> str:
        codes = ", ".join(str(ended.code) for ended in self.ended)
        verdict = f"FAILED: {'; '.join(self.wrong)}" if self.wrong else "hash ok"
        missed = len(self.scenario.blows) - len(self.struck)
        late = f" ({missed} too late)" if missed else ""
        return (
            f"seed {self.scenario.seed:>3} {self.seconds:5.1f} s  {verdict}  exit codes {codes}: {self.scenario}{late}"
        )


def reference(stage: Stage) -> str:
    """The hash of what an undisturbed run loads into an empty warehouse.

    Raises:
        StageError: it fails, or what it loads isn't what the vendor answers.
    """
    stage.create(REFERENCE)
    ended = stage.run(Command(), REFERENCE)
    if ended.code != DONE:
        raise StageError(f"the undisturbed run ended with exit code {ended.code}: {ended.said}")
    if differs_from_vendor(stage, REFERENCE):
        raise StageError("the undisturbed run has not loaded what the vendor answers")
    return content_hash(stage, REFERENCE)


def tried(stage: Stage, scenario: Scenario, expected: str, *, keep: bool = False) -> Trial:
    """Play a scenario in a warehouse of its own, mend it, and compare it with the reference's hash.

    The warehouse is dropped afterwards, unless it is to be kept.
    """
    database = f"scenario_{scenario.seed}"
    began = time.monotonic()
    stage.create(database)
    struck: Sequence[Blow] = ()
    ended: list[Ended] = []
    amiss: list[str] = []
    try:
        played = play(stage, database, scenario)
        struck, ended = played.struck, [*played.ended]
        amiss += badly_ended(played.ended, DISTURBED)
        if played.ended[0].code == DONE and not scenario.faults:
            amiss += unfinished(stage, database, expected)
        ended.append(stage.run(Command(), database))
        amiss += badly_ended(ended[-1:], (DONE,))
        amiss += wrong(stage, database, scenario, expected)
    except Exception as error:  # whatever it is, it is this scenario's finding, and the others go on
        amiss.append(f"{type(error).__name__}: {_line(str(error))}")
    finally:
        if not keep:
            stage.drop(database)
    return Trial(scenario, struck, ended, amiss, time.monotonic() - began)


def badly_ended(commands: Iterable[Ended], allowed: Sequence[int]) -> Iterator[str]:
    """Exit codes other than those allowed, and tracebacks, where a message is what a user could act on."""
    for ended in commands:
        if ended.code not in allowed:
            yield f"exit code {ended.code}: {_line(ended.said)}"
        yield from (f"traceback: {error}" for error in _TRACEBACK.findall(_LOST_CONNECTION.sub("", ended.said)))


def _line(said: str) -> str:
    return " ".join(said.split())[-300:]
