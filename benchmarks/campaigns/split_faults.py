"""Faults of splits and of price bases, seeded into recorded bars, and the flags that each must get.

Every case follows from its kind and its seed alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import PRICE_COLUMNS, Columns
from market_pipeline.quality.inferred_splits import FEWEST_SESSIONS
from market_pipeline.sandbox.recorded import COLUMNS, RECORDED, read_recorded_actions, read_recorded_bars

Generator = np.random.Generator
Array = NDArray[Any]

UNLISTED, WITHOUT_MOVE = "unlisted_split", "split_without_move"
AROUND = 60
"""Recorded sessions before and after a fault that a case holds."""

FACTORS = (
    2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 7, 1 / 10, 1 / 15, 1 / 20, 1 / 50,
    2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 15.0, 20.0, 25.0, 50.0,
)  # fmt: skip
"""Price factors of the seeded splits: from 3-for-2 to 50-for-1, and reverse ones."""


@dataclass(frozen=True)
class Series:
    """A stock's bars as traded, and its listed splits: by execution date, the factor for earlier prices."""

    name: str
    bars: Columns
    splits: Mapping[date, float]


@dataclass(frozen=True)
class Case:
    """Bars with a fault or without, the listed splits, and the flags on splits that are right, by session.

    `factor` is the price factor that the flag `unlisted_split` must find.
    """

    name: str
    bars: Columns
    splits: Mapping[date, float]
    expected: Mapping[date, str] = field(default_factory=dict)
    factor: float = 1.0


@lru_cache
def read_recorded_series() -> tuple[Series, ...]:
    """Return the recorded stocks, with their splits."""
    return tuple(Series(ticker, _read_columns(ticker), _read_splits(ticker)) for ticker in RECORDED)


def build_seeded_case(
    kind: "Kind", seed: int, series: Sequence[Series] = (), factors: Sequence[float] = FACTORS
) -> Case:
    """Return the case of a kind and a seed, in one of some series, by default the recorded ones."""
    generator = np.random.default_rng([seed, *kind.__name__.encode()])
    return kind(Cut(generator, series or read_recorded_series(), factors))


class Cut:
    """A part of a recorded stock around a random session, `at`, to put a fault into."""

    def __init__(self, generator: Generator, series: Sequence[Series], factors: Sequence[float]) -> None:
        self.generator = generator
        self.factor = float(generator.choice(factors))
        sessions = [len(each.bars["date"]) - 2 * FEWEST_SESSIONS for each in series]
        chosen = int(generator.choice(len(series), p=np.array(sessions) / sum(sessions)))
        self.series = series[chosen]
        row = FEWEST_SESSIONS + 1 + int(generator.integers(sessions[chosen]))
        start = max(row - AROUND, 0)
        self.at = row - start
        self.bars = {name: values[start : row + 2 * AROUND].copy() for name, values in self.series.bars.items()}

    def multiply(self, rows: slice, factor: float) -> None:
        """Multiply the prices of some rows."""
        for name in PRICE_COLUMNS:
            self.bars[name][rows] *= factor

    def split(self, row: int, factor: float) -> None:
        """Split the shares before a row, so that prices from it on are multiplied."""
        self.multiply(slice(row, None), factor)
        self.bars["volume"][row:] /= factor

    def finish(
        self,
        expected: Mapping[int, str],
        factor: float,
        listed: tuple[int, ...] = (),
        listed_factor: float | None = None,
    ) -> Case:
        """Return the case with the flags expected by row, and the rows for which the split is listed."""
        days = self.bars["date"]
        there = {days[row].item(): rule for row, rule in expected.items() if row < len(days)}
        executed = {days[row].item(): float(listed_factor or factor) for row in listed if row < len(days)}
        return Case(self.series.name, self.bars, {**self.series.splits, **executed}, there, float(factor))


def missing(cut: Cut) -> Case:
    """A split that is not listed."""
    cut.split(cut.at, cut.factor)
    return cut.finish({cut.at: UNLISTED}, cut.factor)


def doubled(cut: Cut) -> Case:
    """A split that is listed on its day, and on the session before or after too."""
    neighbour = cut.at + cut.generator.choice([-1, 1])
    cut.split(cut.at, cut.factor)
    return cut.finish({neighbour: WITHOUT_MOVE}, cut.factor, listed=(cut.at, neighbour))


def misdated(cut: Cut) -> Case:
    """A split that is listed one to three sessions late, or one early."""
    listed = cut.at + cut.generator.choice([-1, 1, 2, 3])
    cut.split(cut.at, cut.factor)
    return cut.finish({cut.at: UNLISTED, listed: WITHOUT_MOVE}, cut.factor, listed=(listed,))


def other_unit(cut: Cut) -> Case:
    """Prices a hundred times too high, or a hundredth, for 3 to 60 sessions."""
    factor, end = cut.generator.choice([100, 1 / 100]), cut.at + int(cut.generator.integers(3, AROUND))
    cut.multiply(slice(cut.at, end), factor)
    return cut.finish({cut.at: UNLISTED, end: UNLISTED}, factor)


def adjusted_from(cut: Cut) -> Case:
    """A listed split whose vendor serves prices as traded up to a day, and adjusted for it from then on."""
    executed = cut.at + int(cut.generator.integers(5, AROUND))
    cut.split(cut.at, cut.factor)
    return cut.finish({cut.at: UNLISTED, executed: WITHOUT_MOVE}, cut.factor, listed=(executed,))


def adjusted_before(cut: Cut) -> Case:
    """A listed split whose vendor serves adjusted prices up to a day before it, and as traded from then on."""
    executed = cut.at + int(cut.generator.integers(5, AROUND))
    cut.split(executed, cut.factor)
    cut.split(cut.at, 1 / cut.factor)
    return cut.finish({cut.at: UNLISTED}, 1 / cut.factor, listed=(executed,), listed_factor=cut.factor)


Kind = Callable[[Cut], Case]
KINDS: tuple[Kind, ...] = (missing, doubled, misdated, other_unit, adjusted_from, adjusted_before)


def _read_columns(ticker: str) -> Columns:
    recorded = read_recorded_bars(ticker)
    unknown = np.full(len(recorded), np.nan)
    values = {theirs: recorded[ours].copy() for ours, theirs in COLUMNS.items()}
    return {"date": recorded["day"], **values, "vwap": unknown, "transactions": unknown}


def _read_splits(ticker: str) -> dict[date, float]:
    actions = [action for action in read_recorded_actions(ticker) if action["action"] == "split"]
    return {
        date.fromisoformat(action["ex_date"]): float(action["split_from"]) / float(action["split_to"])
        for action in actions
    }
