"""What happens in a scenario, drawn from its seed. Data only: nothing is started or broken here."""

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
"""What can happen, and how often beside the others."""


class How(StrEnum):
    """What a blow does: the first two to a backfill, the others to PostgreSQL, which is started again at once."""

    KILL = "kill -9"
    TERMINATE = "SIGTERM"
    POSTGRES_KILLED = "PostgreSQL killed"
    POSTGRES_IMMEDIATE = "PostgreSQL shut down at once"
    POSTGRES_FAST = "PostgreSQL restarted"


ON_POSTGRES = (How.POSTGRES_KILLED, How.POSTGRES_IMMEDIATE, How.POSTGRES_FAST)


@dataclass(frozen=True)
class Moment:
    """When a blow falls: as soon as what is measured has got that far."""

    measure: Measure
    amount: float

    def __str__(self) -> str:
        return f"{self.amount:g} {self.measure}"


@dataclass(frozen=True)
class Blow:
    """One interruption. `command` is the place of the backfill that is hit; it means nothing where PostgreSQL is."""

    how: How
    when: Moment
    command: int = 0

    def __str__(self) -> str:
        return f"{self.how}{f' of backfill {self.command + 1}' if self.command else ''} at {self.when}"


@dataclass(frozen=True)
class Command:
    """A `market-pipeline` command that is started so many seconds into the scenario."""

    arguments: Sequence[str] = WHOLE_YEAR
    after: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """Disturbed backfills of one database: the commands, what hits them, and the sandbox's fault rules."""

    seed: int
    blows: tuple[Blow, ...] = ()
    faults: tuple[str, ...] = ()
    commands: tuple[Command, ...] = (Command(),)

    def __str__(self) -> str:
        two = [f"a second backfill at {command.after:g} seconds" for command in self.commands[1:]]
        vendor = [f"vendor {' '.join(self.faults)}"] if self.faults else []
        return "; ".join([*two, *map(str, self.blows), *vendor])


PASSING = ("429=0", "500", "html", "truncate", "bad_json", "reset", "slow=0.5")
"""Faults after which the client asks again, which takes it a second or more."""

WRONG = (
    "empty", "results_null", "not_authorized_200", "eod403", "history403", "plan403", "unknown_key", "wrong_adjusted",
    "foreign_next_url", "repeated_next_url", "trailing_empty_page", "duplicate_rows", "missing_fields",
    "missing_fields=c", "out_of_range_bars", "impossible_bars",
)  # fmt: skip
"""Faults that an answer is refused for, or that leave bars out, spoil them or change nothing."""

OUTAGES = ("500", "reset", "429=0", "unknown_key", "plan403", "hang")
"""Ways in which a vendor goes away."""


def drawn(seed: int) -> Scenario:
    """The scenario of a seed, always the same: one to three kinds of disturbance, at random times."""
    chance = random.Random(seed)
    kinds = chance.sample(list(KINDS), chance.randint(1, 3), counts=KINDS.values())
    commands = (Command(), _second(chance)) if "two at once" in kinds else (Command(),)
    blows = []
    if "killed" in kinds:
        how = chance.choices((How.KILL, How.TERMINATE), (4, 1))[0]
        blows.append(Blow(how, _any_moment(chance), chance.randrange(len(commands))))
    if "postgres" in kinds:
        blows.append(Blow(chance.choice(ON_POSTGRES), chance.choice([_while_loading, _any_moment])(chance)))
    faults = _faults(chance) if "faults" in kinds else ()
    if "outage" in kinds:
        outage = _outage(chance)
        faults += outage
        if "hang" in outage or len(commands) > 1:
            # Its user gives up: through all its retries and timeouts, this would take minutes.
            blows += [Blow(How.KILL, Moment("seconds", _seconds(chance, 5, 9)), n) for n in range(len(commands))]
    return Scenario(seed, tuple(blows), faults, commands)


def _seconds(chance: random.Random, least: float, most: float) -> float:
    return round(chance.uniform(least, most), 1)


def _any_moment(chance: random.Random) -> Moment:
    """From the imports on, through the making of Dagster's tables and the planning, to the last symbol."""
    return chance.choice(
        [
            Moment("seconds", _seconds(chance, 0.1, 9)),
            Moment("tables", chance.randint(1, 22)),
            Moment("events", chance.randint(1, 3750)),  # one a symbol and session is planned
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
    """So many good answers, marked by a fault that does nothing, and then no more."""
    return (f"slow=0*{chance.randint(8, 14)}", chance.choice(OUTAGES))


def _second(chance: random.Random) -> Command:
    """Some of the same symbols over a part of the same year, while the first is at work."""
    symbols = chance.sample(DEFAULT_BACKFILL, chance.randint(2, 15))
    start = FIRST_DAY + timedelta(days=chance.randint(0, 350))
    end = min(start + timedelta(days=chance.choice([7, 30, 120, 365])), LAST_DAY)
    arguments = ("backfill", "--symbols", ",".join(symbols), "--start", str(start), "--end", str(end), "--quiet")
    return Command(arguments, _seconds(chance, 0, 5))
