"""Rules for bars, declared in two tables, and the flags of stored bars by the second.

An impossible bar can't be true; it is rejected and kept out of `market_data`, with the vendor's record and the reasons.
A suspicious one can, so it is stored and flagged. Pure functions on arrays; the modules `impossible` and `suspicious`
hold the predicates, and `bar_checks` applies the first table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_pipeline.core.bars import ActionsByPlace, Columns, FlaggedBar
from market_pipeline.core.symbols import AssetClass
from market_pipeline.quality import impossible, suspicious
from market_pipeline.quality.impossible import BarBatch, Verdicts
from market_pipeline.quality.split_notes import describe_distribution, describe_inferred, describe_shown
from market_pipeline.quality.suspicious import History, Threshold
from market_pipeline.quality.symbol_windows import SymbolWindows


@dataclass(frozen=True)
class ImpossibleRule:
    """A rule that rejects bars: `broken` gives one verdict per row, `meaning` describes what is wrong."""

    name: str
    meaning: str
    reasoning: str
    broken: Callable[[BarBatch], Verdicts]


@dataclass(frozen=True)
class SuspiciousRule:
    """A rule that flags bars: `found` gives one verdict per row of a history, for the asset classes' thresholds.

    `meaning` describes what is suspicious, with the row's values filled in, and `detail` adds to it, given the
    symbol's bars, the row among them and its splits. `penalty` is subtracted from the bar's quality score; `column` is
    the one of `market_data` that is true for it, besides `flags`; `supersedes` is a rule whose flag this one replaces,
    so that a person has one thing to check.
    """

    name: str
    meaning: str
    reasoning: str
    found: Callable[[History, Threshold], Verdicts]
    penalty: float
    column: str | None = None
    thresholds: Mapping[AssetClass, float] = field(default_factory=dict)
    supersedes: str | None = None
    detail: Callable[[History, int, Mapping[date, float]], str] | None = None


STOCK, ETF, CRYPTO = AssetClass.STOCK, AssetClass.ETF, AssetClass.CRYPTO
_MOVES = {STOCK: 0.20, ETF: 0.15, CRYPTO: 0.30}
_BY_DEFINITION = "By definition of a bar."

IMPOSSIBLE = (
    ImpossibleRule(
        "missing_field",
        "its time, a price or the volume is missing or not a number",
        "Nothing can be computed from half a bar.",
        impossible.missing_field,
    ),
    ImpossibleRule("not_finite", "a value is infinite", "No price or volume is.", impossible.not_finite),
    ImpossibleRule(
        "not_positive",
        "a price is zero or negative",
        "Shares, funds and coins are not traded at such prices.",
        impossible.not_positive,
    ),
    ImpossibleRule("high_too_low", "its high is below its open, low or close", _BY_DEFINITION, impossible.high_too_low),
    ImpossibleRule("low_too_high", "its low is above its open, high or close", _BY_DEFINITION, impossible.low_too_high),
    ImpossibleRule(
        "negative_volume",
        "its volume or number of trades is negative",
        "Both count what happened.",
        impossible.negative_volume,
    ),
    ImpossibleRule(
        "not_a_count",
        "its number of trades is no whole number, or absurdly large",
        "A trade happens or doesn't.",
        impossible.not_a_count,
    ),
    ImpossibleRule(
        "outside_request",
        "its date is outside the requested dates",
        "A response to another request proves nothing about this one.",
        impossible.outside_request,
    ),
    ImpossibleRule(
        "no_session",
        "its date is no session of the calendar",
        "The exchange was closed: exchange_calendars, checked against a second library.",
        impossible.no_session,
    ),
    ImpossibleRule(
        "misplaced",
        "its time is not where the session's day begins",
        "The vendor stamps a daily bar with midnight in New York, or in UTC for crypto.",
        impossible.misplaced,
    ),
    ImpossibleRule(
        "contradicted",
        "the same response has another bar for its date",
        "There is no telling which of the two is true.",
        impossible.contradicted,
    ),
)
"""Every rule that keeps a bar out of `market_data`."""

SUSPICIOUS = (
    SuspiciousRule(
        "unexplained_move",
        "the close {close:g} is {move:+.1%} from {previous_close:g} on {previous_date:%Y-%m-%d}, splits considered",
        "A move so large is news, an unlisted split, or a wrong price. Of 12,154 sessions of five large stocks from "
        "2000 to 2013, 54 moved by more than 10 %, 12 by more than 15 % and one by more than 20 %. Funds move less, "
        "coins more.",
        suspicious.unexplained_move,
        penalty=0.1,
        column="gap_detected",
        thresholds=_MOVES,
        detail=describe_distribution,
    ),
    SuspiciousRule(
        "split_without_move",
        "a split multiplies earlier prices by {split:g}, yet the close {close:g} is only {raw_move:+.1%} from "
        "{previous_close:g} on {previous_date:%Y-%m-%d}",
        "Either the split's date or the bar is wrong, and adjusted prices will jump.",
        suspicious.split_without_move,
        penalty=0.4,
        column="gap_detected",
        thresholds=_MOVES,
        supersedes="unexplained_move",
        detail=describe_shown,
    ),
    SuspiciousRule(
        "unlisted_split",
        "the close {close:g} is {raw_move:+.1%} from {previous_close:g} on {previous_date:%Y-%m-%d} and ",
        "The move has the shape of a split or of a large distribution: it happens between two sessions, is near a "
        "ratio of small numbers, lasts, and is so many times more unusual than the volume. Of the same 12,154 sessions "
        "those of the three splits, if not listed, come to 19 and more, and that of the crash of -52 % to 1.",
        suspicious.unlisted_split,
        penalty=0.4,
        column="gap_detected",
        thresholds={STOCK: 7.0, ETF: 7.0, CRYPTO: 7.0},
        supersedes="unexplained_move",
        detail=describe_inferred,
    ),
    SuspiciousRule(
        "volume_outlier",
        "the volume is {volume_times:,.3g} times the usual one, the median of the sessions before",
        "Earnings bring three to five times the usual volume and half sessions a third of it: of the same 12,154 "
        "sessions 69 were beyond a factor of 4 and 14 beyond 6.",
        suspicious.volume_outlier,
        penalty=0.05,
        column="volume_anomaly",
        thresholds={STOCK: 6.0, ETF: 6.0, CRYPTO: 10.0},
    ),
    SuspiciousRule(
        "zero_volume",
        "nothing was traded",
        "The vendor makes a bar out of trades, so there should be no bar.",
        suspicious.zero_volume,
        penalty=0.2,
        column="volume_anomaly",
    ),
    SuspiciousRule(
        "repeated",
        "open, high, low, close and volume are those of {previous_date:%Y-%m-%d}",
        "Five equal numbers twice in a row are a stale copy, not a market.",
        suspicious.repeated,
        penalty=0.3,
    ),
    SuspiciousRule(
        "vwap_outside",
        "the average price {vwap:g} is outside {low:g} to {high:g}",
        "An average lies between its extremes. The vendor leaves odd lots out of high and low but not out of the "
        "average, hence the margin.",
        suspicious.vwap_outside,
        penalty=0.1,
        thresholds={STOCK: 0.001, ETF: 0.001, CRYPTO: 0.002},
    ),
)
"""Every rule that flags a bar."""

NO_ACTIONS: ActionsByPlace = {}
_CLASSES = tuple(AssetClass)


def find_flags(
    bars: Columns,
    asset_classes: Sequence[AssetClass],
    splits: ActionsByPlace = NO_ACTIONS,
    distributions: ActionsByPlace = NO_ACTIONS,
    among: Verdicts | None = None,
) -> list[FlaggedBar]:
    """Find the suspicious ones of some symbols' stored bars; each is compared with its own symbol's only.

    The verdict on a bar is final if `bars` holds its symbol's LOOK_BACK stored sessions before it and the LOOK_AHEAD
    after it, or all there are.

    Args:
        bars: `place`, `date` and VALUE_COLUMNS, ordered by place and date, without a stored session left out between
            a symbol's first and last.
        asset_classes: the symbols', by place.
        splits: by place and execution date, the factor for earlier prices.
        distributions: by place and ex-date, the cash a share in dollars.
        among: one value a bar, true for those on which a verdict is wanted; by default all.

    Returns:
        The flagged bars, ordered as `bars`.
    """
    windows = SymbolWindows(bars["place"])
    among = np.ones(len(bars["place"]), dtype=bool) if among is None else among
    compared = suspicious.build_history(bars, windows, splits, distributions, among)
    kinds = np.array([_CLASSES.index(each) for each in asset_classes], dtype=np.int8)[bars["place"]]
    verdicts = {rule.name: rule.found(compared, _list_thresholds(rule)[kinds]) for rule in SUSPICIOUS}
    for rule in SUSPICIOUS:
        if rule.supersedes:
            verdicts[rule.supersedes] = verdicts[rule.supersedes] & ~verdicts[rule.name]
    rows = np.flatnonzero(np.logical_or.reduce([*verdicts.values()]) & among)
    found = zip(*(verdicts[rule.name][rows].tolist() for rule in SUSPICIOUS), strict=True)
    values = zip(*(column[rows].tolist() for column in compared.values()), strict=True)
    flagged = []
    for row, row_verdicts, row_values in zip(rows.tolist(), found, values, strict=True):
        rules = [*compress(SUSPICIOUS, row_verdicts)]
        value = dict(zip(compared, row_values, strict=True))
        details = _build_details(compared, windows, row, rules, splits.get(value["place"], {}))
        flagged.append(_build_flagged(value, rules, details))
    return flagged


def _list_thresholds(rule: SuspiciousRule) -> NDArray[np.float64]:
    return np.array([rule.thresholds.get(kind, 0.0) for kind in _CLASSES])


def _build_details(
    compared: History, windows: SymbolWindows, row: int, found: Sequence[SuspiciousRule], splits: Mapping[date, float]
) -> list[str]:
    """Return for each rule that flags a bar its addition to the note, made from the symbol's own bars."""
    if not any(rule.detail for rule in found):
        return [""] * len(found)
    first = int(windows.first[row])
    own = {name: column[first : windows.end[row]] for name, column in compared.items()}
    return [rule.detail(own, row - first, splits) if rule.detail else "" for rule in found]


def _build_flagged(values: Mapping[str, Any], found: Sequence[SuspiciousRule], details: Sequence[str]) -> FlaggedBar:
    notes = "; ".join(
        f"{rule.name}: {rule.meaning.format_map(values)}{detail}" for rule, detail in zip(found, details, strict=True)
    )
    return FlaggedBar(
        place=values["place"],
        session=values["date"],
        flags=tuple(rule.name for rule in found),
        notes=notes,
        quality_score=round(1 - sum(rule.penalty for rule in found), 2),
        gap_detected=any(rule.column == "gap_detected" for rule in found),
        volume_anomaly=any(rule.column == "volume_anomaly" for rule in found),
    )
