"""What is answered of a symbol's data, and when someone has to act."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from market_pipeline.quality.symbol_health import QUESTIONS, Load, answers

WHOLE: dict[str, Any] = {
    "sessions": 250, "loaded": 248, "empty": 2, "failed": 0, "rejected": 0, "never_asked": 0, "not_yet_available": 0,
    "not_in_plan": 0, "behind": 0, "last_session": date(2024, 11, 29),
}  # fmt: skip
QUIET = Load(newest=True, rejected=0, jumps=[])


def told(question: str, load: Load = QUIET, **changes: Any) -> tuple[bool, bool, str]:
    """Whether it passed, whether it is urgent, and the words."""
    [found] = [answer for answer in answers({**WHOLE, **changes}, load) if answer.question == question]
    return found.passed, found.urgent, found.told


def test_every_question_is_answered_and_a_symbol_in_order_passes_all() -> None:
    found = answers(WHOLE, QUIET)
    assert [answer.question for answer in found] == list(QUESTIONS)
    assert all(answer.passed for answer in found)


def test_sessions_never_asked_for_are_no_emergency_but_failed_ones_are() -> None:
    passed, urgent, words = told("completeness", never_asked=3)
    assert (passed, urgent) == (False, False)
    assert words.startswith("3 of 250 sessions are missing: 0 failed, 0 rejected, 3 never asked for.")
    assert "backfill --missing" in words
    assert told("completeness", failed=1)[:2] == (False, True)
    assert told("completeness", rejected=1)[:2] == (False, False)


def test_a_session_that_the_vendor_has_nothing_of_is_not_missing() -> None:
    assert told("completeness", empty=10)[0]


@pytest.mark.parametrize(
    ("behind", "not_yet", "newest", "passed", "urgent"),
    [(0, 0, True, True, False), (1, 1, True, True, False), (1, 0, True, False, True), (2, 1, True, False, True),
     (3, 0, False, False, False)],
)  # fmt: skip
def test_a_symbol_is_stale_once_the_newest_session_that_can_be_had_is_not_there(
    behind: int, not_yet: int, newest: bool, passed: bool, urgent: bool
) -> None:
    load = Load(newest=newest, rejected=0, jumps=[])
    assert told("staleness", load, behind=behind, not_yet_available=not_yet)[:2] == (passed, urgent)


def test_a_newest_session_that_the_vendor_has_nothing_of_is_worth_knowing() -> None:
    friday = WHOLE["last_session"]
    load = Load(newest=True, rejected=0, jumps=[], answered_to=date(2024, 12, 2))
    assert told("staleness", load, last_session=friday) == (
        False, False, "The newest bar is of 2024-11-29: asked up to 2024-12-02, the vendor has none since.",
    )  # fmt: skip
    assert told("staleness", replace(load, answered_to=friday), last_session=friday)[0]


def test_a_symbol_without_any_bar_is_stale() -> None:
    passed, urgent, words = told("staleness", loaded=0, behind=0, last_session=None)
    assert (passed, urgent) == (False, True)
    assert "there is no bar" in words


def test_what_the_last_load_found_is_told_and_is_no_emergency() -> None:
    jumps = [(date(2000, 9, number), f"it fell {number} times") for number in range(1, 8)]
    load = Load(newest=True, rejected=4, jumps=jumps)
    assert told("impossible_bars", load) == (
        False,
        False,
        "4 bars can't be true; they are in rejected_bars with the reasons.",
    )
    passed, urgent, words = told("unexplained_jumps", load)
    assert (passed, urgent) == (False, False)
    assert words.startswith("2000-09-01: it fell 1 times. 2000-09-02:")
    assert words.endswith("And 2 more.")
