"""Trust in the dividends that are listed for one day: each kind of pair, in any order."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import pytest

from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, RefreshPlan
from market_pipeline.warehouse.corporate_action_trust import separate_rejected

PLAN = RefreshPlan(datetime(2024, 6, 3, tzinfo=UTC), ("AAA",))
APRIL_1, APRIL_15 = date(2024, 4, 1), date(2024, 4, 15)


def dividend(
    amount: float,
    vendor_id: str | None,
    kind: str | None = "CD",
    paid: date | None = APRIL_1,
    currency: str | None = "USD",
) -> dict[str, Any]:
    others = dict.fromkeys(("frequency", "declaration_date", "record_date"))
    return {
        "symbol": "AAA", "ex_dividend_date": date(2024, 3, 15), "cash_amount": amount, "currency": currency,
        "dividend_type": kind, **others, "pay_date": paid, "vendor_id": vendor_id,
    }  # fmt: skip


CASES = {
    "equal but for the id": ([dividend(0.5, "E1"), dividend(0.5, "E2")], [0.5]),
    "one lacks kind, pay date, currency and id": ([dividend(0.5, "E1"), dividend(0.5, None, None, None, None)], [0.5]),
    "two amounts, two ids": ([dividend(0.5, "E1"), dividend(2.0, "E2")], [0.5, 2.0]),
    "two amounts, one id": ([dividend(0.5, "E1"), dividend(2.0, "E1")], []),
    "two amounts without an id": ([dividend(0.5, None), dividend(2.0, None)], []),
    "two amounts of two kinds without an id": ([dividend(0.5, None), dividend(2.0, None, "SC")], [0.5, 2.0]),
    "two amounts, one without an id": ([dividend(0.5, "E1"), dividend(2.0, None)], []),
    "two kinds": ([dividend(0.5, "E1"), dividend(0.5, "E2", "SC")], [0.5, 0.5]),
    "two kinds, one id": ([dividend(0.5, "E1"), dividend(0.5, "E1", "SC")], []),
    "two currencies": ([dividend(0.5, "E1"), dividend(0.5, "E2", currency="CAD")], [0.5, 0.5]),
    "two pay dates": ([dividend(0.5, "E1"), dividend(0.5, "E2", paid=APRIL_15)], []),
    "two pay dates, and a repeat of either": (
        [dividend(0.5, "E1"), dividend(0.5, "E2", paid=APRIL_15), dividend(0.5, "E3", paid=None)], [],
    ),
    "two kinds, and a repeat of either": (
        [dividend(0.5, "E1"), dividend(0.5, "E2", "SC"), dividend(0.5, "E3", None)], [0.5, 0.5],
    ),
    "two pay dates beside another amount": (
        [dividend(0.5, "E1"), dividend(0.5, "E2", paid=APRIL_15), dividend(2.0, "E3", "SC")], [2.0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_payment_counts_once_and_contradicting_ones_never_in_any_order(case: str) -> None:
    listed, amounts = CASES[case]
    found = [separate(order) for order in permutations([*listed, listed[0]])]
    assert all(result == found[0] for result in found)
    accepted, rejected = found[0]
    assert sorted(action["cash_amount"] for action in accepted) == amounts
    assert len(rejected) in (0, len(listed) - len(amounts))


def test_a_repeat_adds_the_values_that_are_missing() -> None:
    [accepted], _ = separate([dividend(0.5, "E1", paid=None), dividend(0.5, "E2", kind=None)])
    assert (accepted["dividend_type"], accepted["pay_date"]) == ("CD", APRIL_1)


def separate(listed: Sequence[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return the trusted actions and the values of the rejected ones, both sorted."""
    accepted, rejected = separate_rejected(DIVIDENDS, PLAN, listed)
    return sorted(accepted, key=repr), sorted((action.payload for action in rejected), key=repr)
