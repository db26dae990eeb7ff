"""Whether a symbol's data can be relied on, judged from what is stored: four questions, each with a plain answer.

What is counted comes from the warehouse's views; who shows the answers (Dagster, the command line, the API) is not
known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from market_pipeline.core.wording import are, counted

QUESTIONS = {
    "completeness": "Every session since the symbol's first has its bar, or the vendor is known to have none.",
    "impossible_bars": "The last load held no bar that can't be true.",
    "staleness": "The newest session that is over and can be had is there, weekends and holidays considered.",
    "unexplained_jumps": "No close of the last load jumped without a split, and no split came without a jump.",
}
"""What is asked of every symbol, by name."""

SHOWN_JUMPS = 5


@dataclass(frozen=True)
class Load:
    """The newest load of a symbol.

    `newest` says whether it asked for the newest session that is over, `answered_to` what the last session is that the
    vendor answered for, be it with nothing, `jumps` which of its sessions are flagged for one, with the note.
    """

    newest: bool
    rejected: int
    jumps: Sequence[tuple[date, str]]
    answered_to: date | None = None


@dataclass(frozen=True)
class HealthAnswer:
    """An answer to one of the QUESTIONS. `urgent` says that someone has to act; `numbers` what it was judged from."""

    question: str
    passed: bool
    urgent: bool
    told: str
    numbers: Mapping[str, int]


def answers(covered: Mapping[str, Any], load: Load) -> list[HealthAnswer]:
    """All four answers for one symbol.

    Args:
        covered: its row of the view `coverage`.
        load: its newest load.
    """
    return [_completeness(covered), _impossible_bars(load), _staleness(covered, load), _unexplained_jumps(load)]


def sessions_behind(covered: Mapping[str, Any]) -> int:
    """How many sessions without a bar could have had one since the newest bar, or ever where there is none.

    Args:
        covered: the symbol's row of the view `coverage`.
    """
    if not covered["loaded"]:
        return int(covered["failed"] + covered["rejected"] + covered["never_asked"])
    if covered["behind"] == 1 and covered["not_yet_available"]:
        return 0
    return int(covered["behind"])


def _completeness(covered: Mapping[str, Any]) -> HealthAnswer:
    numbers = {name: covered[name] for name in ("sessions", "loaded", "failed", "rejected", "never_asked")}
    missing = covered["failed"] + covered["rejected"] + covered["never_asked"]
    if not missing:
        return HealthAnswer("completeness", True, False, "Nothing is missing.", numbers)
    told = (
        f"{missing:,} of {counted(covered['sessions'], 'session')} {are(missing)} missing: "
        f"{covered['failed']:,} failed, {covered['rejected']:,} rejected, {covered['never_asked']:,} never asked for. "
        "`market-pipeline gaps` lists them, `market-pipeline backfill --missing` fetches them."
    )
    return HealthAnswer("completeness", False, covered["failed"] > 0, told, numbers)


def _impossible_bars(load: Load) -> HealthAnswer:
    they = "it is" if load.rejected == 1 else "they are"
    told = (
        f"{counted(load.rejected, 'bar')} can't be true; {they} in rejected_bars with the reasons."
        if load.rejected
        else "None."
    )
    return HealthAnswer("impossible_bars", not load.rejected, False, told, {"rejected": load.rejected})


def _staleness(covered: Mapping[str, Any], load: Load) -> HealthAnswer:
    behind = covered["behind"]
    numbers = {"sessions_behind": behind}
    if behind == 0 and covered["loaded"]:
        last, answered_to = covered["last_session"], load.answered_to
        if answered_to is not None and answered_to > last:
            told = f"The newest bar is of {last}: asked up to {answered_to}, the vendor has none since."
            return HealthAnswer("staleness", False, False, told, numbers)
        return HealthAnswer("staleness", True, False, f"Up to date: {last}.", numbers)
    if behind == 1 and covered["not_yet_available"]:
        told = f"Up to date as far as the vendor's plan gives bars: {covered['last_session']}."
        return HealthAnswer("staleness", True, False, told, numbers)
    newest = f"the newest bar is of {covered['last_session']}" if covered["loaded"] else "there is no bar"
    asked = "though the newest was asked for" if load.newest else "which nobody has asked for since"
    told = f"{counted(behind, 'session')} behind, {asked}: {newest}."
    return HealthAnswer("staleness", False, load.newest, told, numbers)


def _unexplained_jumps(load: Load) -> HealthAnswer:
    shown = " ".join(f"{day}: {note}." for day, note in load.jumps[:SHOWN_JUMPS])
    more = f" And {len(load.jumps) - SHOWN_JUMPS:,} more." if len(load.jumps) > SHOWN_JUMPS else ""
    told = f"{shown}{more}" if load.jumps else "None."
    return HealthAnswer("unexplained_jumps", not load.jumps, False, told, {"jumps": len(load.jumps)})
