"""Asset checks of a symbol: results, urgency and descriptions."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from market_pipeline.quality.symbol_health import CHECKS, NewestLoad, check_symbol

COMPLETE: dict[str, Any] = {
    "sessions": 250, "loaded": 248, "empty": 2, "failed": 0, "rejected": 0, "never_asked": 0, "not_yet_available": 0,
    "not_in_plan": 0, "behind": 0, "last_session": date(2024, 11, 29), "fetchable": 0, "health": "fine",
    "health_reason": None,
}  # fmt: skip
QUIET = NewestLoad(newest=True, rejected=0, jumps=[])


def result(check: str, load: NewestLoad = QUIET, **changes: Any) -> tuple[bool, bool, str]:
    """Return one check of a symbol: passed, urgent, and its description."""
    [found] = [result for result in check_symbol({**COMPLETE, **changes}, load) if result.check == check]
    return found.passed, found.urgent, found.description


def test_every_check_has_a_result_and_a_complete_symbol_passes_all() -> None:
    found = check_symbol(COMPLETE, QUIET)
    assert [result.check for result in found] == list(CHECKS)
    assert all(result.passed for result in found)


@pytest.mark.parametrize(("health", "urgent"), [("behind", False), ("attention", True)])
def test_fetchable_sessions_are_urgent_if_the_symbol_needs_attention(health: str, urgent: bool) -> None:
    reason = "2 failed, 1 never requested of 250 sessions"
    found = result("completeness", failed=2, never_asked=1, fetchable=3, health=health, health_reason=reason)
    assert found[:2] == (False, urgent)
    assert found[2].startswith(f"3 sessions can be fetched: {reason}.")
    assert "backfill --missing" in found[2]


def test_an_empty_session_is_not_fetchable() -> None:
    assert result("completeness", empty=10)[0]


@pytest.mark.parametrize(
    ("behind", "not_yet", "health", "passed", "urgent"),
    [(0, 0, "fine", True, False), (0, 1, "fine", True, False), (1, 0, "behind", False, False),
     (1, 1, "attention", False, True), (3, 0, "attention", False, True)],
)  # fmt: skip
def test_a_symbol_is_stale_while_a_fetchable_session_is_newer_than_its_newest_bar(
    behind: int, not_yet: int, health: str, passed: bool, urgent: bool
) -> None:
    found = result("staleness", behind=behind, not_yet_available=not_yet, health=health)
    assert found[:2] == (passed, urgent)


def test_a_newest_session_without_a_bar_at_the_vendor_is_reported() -> None:
    friday = COMPLETE["last_session"]
    load = NewestLoad(newest=True, rejected=0, jumps=[], answered_to=date(2024, 12, 2))
    assert result("staleness", load, last_session=friday) == (
        False, False, "The newest bar is of 2024-11-29: requested up to 2024-12-02, the vendor has none since.",
    )  # fmt: skip
    assert result("staleness", replace(load, answered_to=friday), last_session=friday)[0]


def test_a_symbol_without_any_bar_is_stale() -> None:
    nothing: dict[str, Any] = {"loaded": 0, "behind": 0, "health": "attention"}
    passed, urgent, words = result("staleness", **nothing, last_session=None)
    assert (passed, urgent) == (False, True)
    assert "there is no bar" in words


def test_the_findings_of_the_last_load_are_reported_as_warnings() -> None:
    jumps = [(date(2000, 9, number), f"it fell {number} times") for number in range(1, 8)]
    load = NewestLoad(newest=True, rejected=4, jumps=jumps)
    assert result("impossible_bars", load) == (
        False,
        False,
        "4 bars can't be true; they are in rejected_bars with the reasons.",
    )
    passed, urgent, words = result("unexplained_jumps", load)
    assert (passed, urgent) == (False, False)
    assert words.startswith("2000-09-01: it fell 1 times. 2000-09-02:")
    assert words.endswith("And 2 more.")
