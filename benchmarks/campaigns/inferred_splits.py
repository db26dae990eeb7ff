"""Seeded faults of splits, and bars that move like splits: the flags they get, as a confusion table.

Run it with `python -m benchmarks.campaigns.inferred_splits`; it takes two minutes. It exits with 1 if, over all seeded
faults, recall is below 0.99 or precision below 0.95, or if a recorded bar or an index is flagged as an unlisted split.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from benchmarks.campaigns.split_controls import CONTROLS, list_amplified, list_recorded, read_index_series
from benchmarks.campaigns.split_faults import FACTORS, KINDS, UNLISTED, WITHOUT_MOVE, Case, build_seeded_case, missing
from benchmarks.report import format_table
from market_pipeline.core.bars import FlaggedBar
from market_pipeline.core.symbols import Symbol
from market_pipeline_tests.symbol_flags import find_symbol_flags

STOCK = Symbol.of("STOCK", "stock")
LEAST_RECALL, LEAST_PRECISION = 0.99, 0.95
SMALLER = (4 / 5, 3 / 4, 4 / 3, 5 / 4)
"""Factors of splits that are too small to be recognised, for the table of ratios."""

HEADER = ("bars", "cases", "sessions", "due", "found", "missed", "false", "recall", "precision", "right ratio")
RATIO = re.compile(r"(\d+)-for-(\d+)")


@dataclass
class Confusion:
    """Numbers of flags on splits: due and found, due and missed, false, and found with the ratio that was seeded."""

    cases: int = 0
    sessions: int = 0
    found: int = 0
    missed: int = 0
    false: int = 0
    unlisted: int = 0
    right_ratio: int = 0

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def recall(self) -> float:
        """Found flags, as a share of those due."""
        return self.found / max(self.found + self.missed, 1)

    @property
    def precision(self) -> float:
        """Found flags, as a share of all."""
        return self.found / max(self.found + self.false, 1)

    def format_row(self, name: str) -> list[str]:
        """Return the cells of HEADER."""
        due = self.found + self.missed
        shares = (
            f"{self.recall:.4f}" if due else "",
            f"{self.precision:.4f}" if due else "",
            f"{self.right_ratio / self.unlisted:.3f}" if self.unlisted else "",
        )
        numbers = (self.cases, self.sessions, due, self.found, self.missed, self.false)
        return [name, *(f"{number:,}" for number in numbers), *shares]


def compare(case: Case) -> Confusion:
    """Return the flags on splits that one case gets, beside those due."""
    flagged = find_symbol_flags(STOCK, case.bars, case.splits)
    got = {(bar.session, rule): bar for bar in flagged for rule in bar.flags if rule in (UNLISTED, WITHOUT_MOVE)}
    due = set(case.expected.items())
    found = due & set(got)
    unlisted = [got[key] for key in found if key[1] == UNLISTED]
    return Confusion(
        cases=1,
        sessions=len(case.bars["date"]),
        found=len(found),
        missed=len(due - set(got)),
        false=len(set(got) - due),
        unlisted=len(unlisted),
        right_ratio=sum(_has_ratio(bar, case.factor) for bar in unlisted),
    )


def compare_all(cases: Iterable[Case]) -> Confusion:
    """Return the sum over some cases."""
    return sum(map(compare, cases), Confusion())


def _has_ratio(bar: FlaggedBar, factor: float) -> bool:
    """Return True if the note names a split, or a reverse split, of a price factor."""
    [(after, before), *_] = RATIO.findall(bar.notes)
    return bool(np.isclose(abs(np.log(int(after) / int(before))), abs(np.log(factor)), atol=0.01))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1_000, help="Cases of each kind.")
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    faults = {kind.__name__: compare_all(build_seeded_case(kind, seed) for seed in seeds) for kind in KINDS}
    total = sum(faults.values(), Confusion())
    print(f"Faults in recorded bars, seeds {seeds.start} to {seeds.stop - 1} of each kind\n")
    print(format_table(HEADER, [each.format_row(name) for name, each in (*faults.items(), ("all faults", total))]))

    print("\nThe same in the S&P 500 and Nasdaq indices, by which no threshold was chosen\n")
    indices = read_index_series()
    elsewhere = {
        kind.__name__: compare_all(build_seeded_case(kind, seed, indices) for seed in seeds[::2]) for kind in KINDS
    }
    print(format_table(HEADER, [each.format_row(name) for name, each in elsewhere.items()]))

    print("\nBars without a fault\n")
    real = {
        "recorded stocks": compare_all(list_recorded()),
        "indices": compare_all(Case(each.name, each.bars, {}) for each in indices),
    }
    made = {f"recorded stocks, moves x {times:g}": compare_all(list_amplified(times)) for times in (1.5, 2, 3)}
    made |= {kind.__name__: compare_all(build_seeded_case(kind, seed) for seed in seeds) for kind in CONTROLS}
    print(format_table(HEADER, [each.format_row(name) for name, each in (real | made).items()]))

    print("\nSplits that are not listed, by ratio\n")
    by_factor = [
        (f"{factor:.4g}", _compare_missing(factor, seeds[: len(seeds) // 4])) for factor in sorted((*SMALLER, *FACTORS))
    ]
    print(format_table(HEADER, [each.format_row(f"prices x {factor}") for factor, each in by_factor]))
    is_met = total.recall >= LEAST_RECALL and total.precision >= LEAST_PRECISION
    sys.exit(0 if is_met and not any(each.false for each in real.values()) else 1)


def _compare_missing(factor: float, seeds: Iterable[int]) -> Confusion:
    return compare_all(build_seeded_case(missing, seed, factors=(factor,)) for seed in seeds)


if __name__ == "__main__":
    main()
