"""Scenarios, drawn from a seed: data only, nothing is started or interrupted here."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

from market_pipeline.core.symbols import DEFAULT_BACKFILL

FIRST_DAY, LAST_DAY = date(2023, 1, 1), date(2023, 12, 31)
WHOLE_YEAR = ("backfill", "--start", str(FIRST_DAY), "--end", str(LAST_DAY), "--quiet")
"""The load that is disturbed, and that ends every scenario undisturbed."""

Measure = Literal["seconds", "tables", "events", "symbols"]
"""Seconds since the scenario began, tables of Dagster's database, its events, symbols in backfill_history."""

Kind = Literal["killed", "postgres", "faults", "outage", "two at once"]
KINDS: dict[Kind, int] = {"killed": 3, "postgres": 2, "faults": 2, "outage": 1, "two at once": 2}
"""Kinds of disturbance with their weights."""


class Method(StrEnum):
    """Method of an interruption: the first two hit a backfill, the others PostgreSQL, which restarts at once."""

    KILL = "kill -9"
    TERMINATE = "SIGTERM"
    POSTGRES_KILLED = "PostgreSQL killed"
    POSTGRES_IMMEDIATE = "PostgreSQL shut down at once"
    POSTGRES_FAST = "PostgreSQL restarted"


ON_POSTGRES = (Method.POSTGRES_KILLED, Method.POSTGRES_IMMEDIATE, Method.POSTGRES_FAST)


@dataclass(frozen=True)
class Moment:
    """Moment of an interruption: as soon as `measure` has reached `amount`."""

    measure: Measure
    amount: float

    def __str__(self) -> str:
        return f"{self.amount:g} {self.measure}"


@dataclass(frozen=True)
class Interruption:
    """One interruption. `command` is the index of the backfill it hits, without meaning for PostgreSQL."""

    method: Method
    when: Moment
    command: int = 0

    def __str__(self) -> str:
        return f"{self.method}{f' of backfill {self.command + 1}' if self.command else ''} at {self.when}"


@dataclass(frozen=True)
class Command:
    """A `market-pipeline` command that is started so many seconds into the scenario."""

    arguments: Sequence[str] = WHOLE_YEAR
    after: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """Disturbed backfills of one database: the commands, what hits them, and the sandbox's fault rules."""

    seed: int
    interruptions: tuple[Interruption, ...] = ()
    faults: tuple[str, ...] = ()
    commands: tuple[Command, ...] = (Command(),)

    def __str__(self) -> str:
        two = [f"a second backfill at {command.after:g} seconds" for command in self.commands[1:]]
        vendor = [f"vendor {' '.join(self.faults)}"] if self.faults else []
        return "; ".join([*two, *map(str, self.interruptions), *vendor])


PASSING = ("429=0", "500", "html", "truncate", "bad_json", "reset", "slow=0.5")
"""Faults that the client retries, after a second or more."""

WRONG = (
    "empty", "results_null", "not_authorized_200", "eod403", "history403", "plan403", "unknown_key", "wrong_adjusted",
    "foreign_next_url", "repeated_next_url", "trailing_empty_page", "duplicate_rows", "missing_fields",
    "missing_fields=c", "out_of_range_bars", "impossible_bars",
)  # fmt: skip
"""Faults for which a response is rejected, or that omit bars, spoil them or change nothing."""

OUTAGES = ("500", "reset", "429=0", "unknown_key", "plan403", "hang")
"""Faults of a vendor that goes away."""


def draw_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed, always the same: one to three kinds of disturbance, at random times."""
    chance = random.Random(seed)
    kinds = chance.sample(list(KINDS), chance.randint(1, 3), counts=KINDS.values())
    commands = (Command(), _second(chance)) if "two at once" in kinds else (Command(),)
    interruptions = []
    if "killed" in kinds:
        method = chance.choices((Method.KILL, Method.TERMINATE), (4, 1))[0]
        interruptions.append(Interruption(method, _any_moment(chance), chance.randrange(len(commands))))
    if "postgres" in kinds:
        interruptions.append(
            Interruption(chance.choice(ON_POSTGRES), chance.choice([_while_loading, _any_moment])(chance))
        )
    faults = _faults(chance) if "faults" in kinds else ()
    if "outage" in kinds:
        outage = _outage(chance)
        faults += outage
        if "hang" in outage or len(commands) > 1:
            # A user would stop it: with all its retries and timeouts it takes minutes.
            interruptions += [
                Interruption(Method.KILL, Moment("seconds", _seconds(chance, 5, 9)), n) for n in range(len(commands))
            ]
    return Scenario(seed, tuple(interruptions), faults, commands)


def _seconds(chance: random.Random, least: float, most: float) -> float:
    return round(chance.uniform(least, most), 1)


def _any_moment(chance: random.Random) -> Moment:
    """Return a moment between the imports and the last symbol."""
    return chance.choice(
        [
            Moment("seconds", _seconds(chance, 0.1, 9)),
            Moment("tables", chance.randint(1, 22)),
            Moment("events", chance.randint(1, 3750)),  # one planned event per symbol and session
            _while_loading(chance),
        ]
    )


def _while_loading(chance: random.Random) -> Moment:
    return chance.choice([Moment("symbols", chance.randint(1, 14)), Moment("events", chance.randint(1, 7500))])


def _faults(chance: random.Random) -> tuple[str, ...]:
    passing = [f"{name}:{chance.uniform(0.05, 0.25):.2f}" for name in chance.sample(PASSING, chance.randint(0, 2))]
    wrong = [f"{name}:{chance.uniform(0.1, 0.6):.2f}" for name in chance.sample(WRONG, chance.randint(1, 2))]
    return (*passing, *wrong)


def _outage(chance: random.Random) -> tuple[str, ...]:
    """Return rules for so many good responses, counted by a fault without effect, and then an outage."""
    return (f"slow=0*{chance.randint(8, 14)}", chance.choice(OUTAGES))


def _second(chance: random.Random) -> Command:
    """Return a second backfill of some of the symbols over a part of the year, during the first."""
    symbols = chance.sample(DEFAULT_BACKFILL, chance.randint(2, 15))
    start = FIRST_DAY + timedelta(days=chance.randint(0, 350))
    end = min(start + timedelta(days=chance.choice([7, 30, 120, 365])), LAST_DAY)
    arguments = ("backfill", "--symbols", ",".join(symbols), "--start", str(start), "--end", str(end), "--quiet")
    return Command(arguments, _seconds(chance, 0, 5))
