"""Details on splits for the notes of flagged bars: the likely ratio, and the listed split in question."""

from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction

import numpy as np

from market_pipeline.core.bars import LOOK_AHEAD
from market_pipeline.quality.inferred_splits import UNIT_RATIOS, WEEK
from market_pipeline.quality.suspicious import History

NEAR = timedelta(days=10)
"""Largest distance between a move and a listed split that are taken for the same one, dated differently."""


def describe_inferred(bars: History, row: int, splits: Mapping[date, float]) -> str:
    """Return the split that a bar's move looks like, and the listed one that it may belong to.

    Args:
        bars: of `suspicious.build_history`.
        row: the bar's.
        splits: by execution date, the factor for earlier prices.
    """
    factor, listed = float(bars["inferred_factor"][row]), float(bars["split"][row])
    later = len(bars["date"]) - 1 - row
    text = _describe(bars["date"][row].item(), factor, listed, splits)
    return text if later >= LOOK_AHEAD else f"{text} (not confirmed yet: {later} of {LOOK_AHEAD} later sessions stored)"


def describe_distribution(bars: History, row: int, _splits: Mapping[date, float]) -> str:
    """Return the large distribution that is listed for a bar, or nothing."""
    cash = bars["distributed"][row]
    return f", and a distribution of {cash:g} a share too" if cash else ""


def describe_shown(bars: History, row: int, _splits: Mapping[date, float]) -> str:
    """Return the session within a week of a listed split whose close moved like it, if any."""
    first = max(row - WEEK, 1)
    steps = np.diff(np.log(bars["close"][first - 1 : row + WEEK]))
    size = np.log(bars["split"][row])
    off = np.abs(steps - size)
    nearest = int(off.argmin())
    return f"; the price moved so on {bars['date'][first + nearest]}" if off[nearest] < abs(size) / 4 else ""


def _describe(day: date, factor: float, listed: float, splits: Mapping[date, float]) -> str:
    name = _name(factor * listed)
    if listed != 1:
        return f"looks like a {name}, not like the {_name(listed)} that is listed"
    same, inverse = (_find_nearest(day, ratio, splits) for ratio in (factor, 1 / factor))
    if same and abs(same - day) <= NEAR:
        return f"looks like the {name} that is listed for {same}"
    text = f"looks like a {name} that is not listed"
    if same and same > day:
        return f"{text}, or bars from this one on are adjusted for the one that is listed for {same}"
    if inverse and inverse > day:
        return f"{text}, or bars before this one are adjusted for the {_name(1 / factor)} that is listed for {inverse}"
    if any(np.isclose(max(factor, 1 / factor), UNIT_RATIOS)):
        return f"{text}, or like prices in another unit"
    return f"{text}, or like a distribution of {1 - factor:.0%} of the price" if factor < 1 else text


def _name(factor: float) -> str:
    ratio = Fraction(factor).limit_denominator(1000)
    return f"{ratio.denominator}-for-{ratio.numerator} {'split' if factor < 1 else 'reverse split'}"


def _find_nearest(day: date, factor: float, splits: Mapping[date, float]) -> date | None:
    """Return the execution date, nearest to a day, of a listed split with this price factor."""
    dates = [executed for executed, listed in splits.items() if np.isclose(listed, factor, rtol=0.01)]
    return min(dates, key=lambda executed: abs(executed - day), default=None)
