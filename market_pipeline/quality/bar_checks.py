"""Checks of the vendor's bars by the rules that reject them, before anything is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from market_pipeline.core.bars import Columns, FetchedBars, select_rows
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.impossible import BarBatch, Verdicts, repeats
from market_pipeline.quality.rules import IMPOSSIBLE, ImpossibleRule


@dataclass(frozen=True)
class CheckedBars:
    """A symbol's response split by the rules: the accepted bars, by date, and the rows of rejected ones.

    `accepted` has BAR_COLUMNS; `reasons[i]` belongs to row `rejected[i]` of the response.
    """

    accepted: Columns
    rejected: Sequence[int]
    reasons: Sequence[Sequence[str]]


@dataclass(frozen=True)
class SplitBatch:
    """A batch of bars split by rules.

    `accepted` has one verdict per row, `reasons` the broken rules of each rejected row, by row.
    """

    accepted: Verdicts
    reasons: dict[int, list[str]]


def check_bars(fetched: FetchedBars, symbol: Symbol, sessions: Sequence[date]) -> CheckedBars:
    """Split a response into bars that can be stored and bars that can't be true.

    A bar repeated with the same values counts once; repeated with other values, neither can be trusted and both are
    rejected.

    Args:
        fetched: the vendor's response for `symbol`.
        symbol: the bars' symbol.
        sessions: the sessions of its calendar within the requested dates, oldest first, at least one.
    """
    batch = BarBatch(fetched.columns, symbol.calendar, sessions)
    split = split_batch(batch, IMPOSSIBLE)
    accepted = batch.columns if split.accepted.all() else select_rows(batch.columns, split.accepted)
    if batch.has_repeats:  # or not in order
        accepted = select_rows(accepted, np.argsort(accepted["date"]))
    return CheckedBars(accepted, [*split.reasons], [*split.reasons.values()])


def split_batch(batch: BarBatch, rules: Sequence[ImpossibleRule]) -> SplitBatch:
    """Apply rules to a batch. Of equal bars all but the first are neither accepted nor rejected."""
    rows = np.flatnonzero(~repeats(batch))
    distinct = batch if len(rows) == len(batch["date"]) else batch.select(rows)
    verdicts = [rule.broken(distinct) for rule in rules]
    is_rejected = np.logical_or.reduce(verdicts)
    reasons = {
        int(rows[row]): [
            f"{rule.name}: {rule.meaning}" for rule, verdict in zip(rules, verdicts, strict=True) if verdict[row]
        ]
        for row in np.flatnonzero(is_rejected)
    }
    accepted = np.zeros(len(batch["date"]), dtype=bool)
    accepted[rows[~is_rejected]] = True
    return SplitBatch(accepted, reasons)
