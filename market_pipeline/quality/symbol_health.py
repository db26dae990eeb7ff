"""Asset checks of one symbol, judged from the view `coverage` and from its newest load.

The view alone decides whether somebody has to act (`health`); the checks add what the newest load found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from market_pipeline.core.wording import format_count

CHECKS = {
    "completeness": "Every session since the symbol's first has its bar, or the vendor is known to have none.",
    "impossible_bars": "The last load held no bar that can't be true.",
    "staleness": "The newest session that is over and can be had is there, weekends and holidays considered.",
    "unexplained_jumps": "No close of the last load jumped without a split, and no split came without a jump.",
}
"""The checks of every symbol, and the statement that each holds."""

SHOWN_JUMPS = 5


@dataclass(frozen=True)
class NewestLoad:
    """Findings of a symbol's newest load.

    `newest` is true if it requested the newest session that is over, `answered_to` the last session that the vendor
    responded for, with a bar or without one, `jumps` the sessions flagged for a jump, each with its note.
    """

    newest: bool
    rejected: int
    jumps: Sequence[tuple[date, str]]
    answered_to: date | None = None


@dataclass(frozen=True)
class CheckResult:
    """Result of one of the CHECKS. `urgent` means that somebody has to act; `numbers` are the counts it rests on."""

    check: str
    passed: bool
    urgent: bool
    description: str
    numbers: Mapping[str, int]


def check_symbol(covered: Mapping[str, Any], load: NewestLoad) -> list[CheckResult]:
    """Return the results of all checks for one symbol.

    Args:
        covered: its row of the view `coverage`.
        load: its newest load.
    """
    return [
        _check_completeness(covered), _check_impossible_bars(load), _check_staleness(covered, load), _check_jumps(load),
    ]  # fmt: skip


def _needs_attention(covered: Mapping[str, Any]) -> bool:
    return bool(covered["health"] == "attention")


def _check_completeness(covered: Mapping[str, Any]) -> CheckResult:
    numbers = {name: covered[name] for name in ("sessions", "loaded", "failed", "rejected", "never_asked")}
    fetchable = covered["fetchable"]
    if not fetchable:
        return CheckResult("completeness", True, False, "Nothing is missing.", numbers)
    description = (
        f"{format_count(fetchable, 'session')} can be fetched: {covered['health_reason']}. "
        "`market-pipeline gaps` lists them, `market-pipeline backfill --missing` fetches them."
    )
    return CheckResult("completeness", False, _needs_attention(covered), description, numbers)


def _check_impossible_bars(load: NewestLoad) -> CheckResult:
    they = "it is" if load.rejected == 1 else "they are"
    description = (
        f"{format_count(load.rejected, 'bar')} can't be true; {they} in rejected_bars with the reasons."
        if load.rejected
        else "None."
    )
    return CheckResult("impossible_bars", not load.rejected, False, description, {"rejected": load.rejected})


def _check_staleness(covered: Mapping[str, Any], load: NewestLoad) -> CheckResult:
    behind, last = covered["behind"], covered["last_session"]
    numbers = {"sessions_behind": behind}
    if behind or not covered["loaded"]:
        newest = f"the newest bar is of {last}" if covered["loaded"] else "there is no bar"
        since = "though the newest session was requested" if load.newest else "and no run has requested them"
        description = f"{format_count(behind, 'session')} behind, {since}: {newest}."
        return CheckResult("staleness", False, _needs_attention(covered), description, numbers)
    if covered["not_yet_available"]:
        description = f"Up to date as far as the vendor's plan gives bars: {last}."
        return CheckResult("staleness", True, False, description, numbers)
    if load.answered_to is not None and load.answered_to > last:
        description = f"The newest bar is of {last}: requested up to {load.answered_to}, the vendor has none since."
        return CheckResult("staleness", False, False, description, numbers)
    return CheckResult("staleness", True, False, f"Up to date: {last}.", numbers)


def _check_jumps(load: NewestLoad) -> CheckResult:
    shown = " ".join(f"{day}: {note}." for day, note in load.jumps[:SHOWN_JUMPS])
    more = f" And {len(load.jumps) - SHOWN_JUMPS:,} more." if len(load.jumps) > SHOWN_JUMPS else ""
    description = f"{shown}{more}" if load.jumps else "None."
    return CheckResult("unexplained_jumps", not load.jumps, False, description, {"jumps": len(load.jumps)})
