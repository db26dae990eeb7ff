"""Report of a benchmark: its figures, the goals with their verdicts, and both in Markdown."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Size = TypeVar("Size")


@dataclass(frozen=True)
class Goal:
    """A goal and its measured figure. `rounds` holds the figure of each round; the median counts."""

    of: str
    rounds: Sequence[float]
    bound: float
    at_least: bool
    unit: str = "x"

    @property
    def figure(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool:
        """True if the figure meets the goal."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def cells(self) -> list[str]:
        """The cells of a table row: what is measured, figure, spread, goal and verdict."""
        spread = (
            f"{_format_number(min(self.rounds))} to {_format_number(max(self.rounds))}" if len(self.rounds) > 1 else ""
        )
        goal = f"{'>=' if self.at_least else '<='} {_format_number(self.bound)} {self.unit}"
        off = abs(self.figure / self.bound - 1) if self.bound else 1.0
        return [
            self.of,
            f"{_format_number(self.figure)} {self.unit}",
            spread,
            goal,
            "met" if self.met else f"**missed** by {off:.0%}",
        ]


def require_at_least(of: str, rounds: Sequence[float], bound: float, unit: str = "x") -> Goal:
    """Return a goal of at least `bound`."""
    return Goal(of, rounds, bound, True, unit)


def require_at_most(of: str, rounds: Sequence[float], bound: float, unit: str = "x") -> Goal:
    """Return a goal of at most `bound`."""
    return Goal(of, rounds, bound, False, unit)


@dataclass(frozen=True)
class Finding:
    """The result of a benchmark: its title, the work done, a table of figures, the goals, and notes."""

    title: str
    work: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    goals: Sequence[Goal]
    notes: Sequence[str] = field(default=())

    def format_markdown(self) -> str:
        """Return a section of the document."""
        goals = format_table(GOALS, [goal.cells for goal in self.goals])
        notes = "".join(f"\n\n{note}" for note in self.notes)
        return f"## {self.title}\n\n{self.work}\n\n{format_table(self.header, self.rows)}\n\n{goals}{notes}\n"


GOALS = ("what", "measured", "rounds", "goal", "verdict")


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def format_seconds(rounds: Sequence[float]) -> str:
    """Return the median of some seconds, as a cell."""
    return f"{statistics.median(rounds):.2f} s"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def run_command_line(run: Callable[[Size], Finding], full: Size, tiny: Size) -> None:
    """Run the command line of one benchmark. `--tiny` is a trial on little work, whose figures mean nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tiny", action="store_true", help="a little work, to see that it runs")
    print(run(tiny if parser.parse_args().tiny else full).format_markdown())
