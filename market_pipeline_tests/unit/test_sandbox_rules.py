"""The sandbox's rules: rate limit, limits of plans, and the choice of faults."""

from collections import Counter
from datetime import date

import pytest

from market_pipeline.core.plans import PlanName
from market_pipeline.sandbox.fault_rules import Scenario, parse_rule
from market_pipeline.sandbox.faults import FAULTS, FaultError, find_fault
from market_pipeline.sandbox.plan_limits import PLAN_LIMITS
from market_pipeline.sandbox.rolling_limit import RollingLimit
from market_pipeline.vendor_format.error_bodies import BEFORE_END_OF_DAY, OUTSIDE_TIMEFRAME, RejectedRequestError

TODAY = date(2024, 6, 3)
YESTERDAY = date(2024, 6, 2)


class Clock:
    """A clock that is set by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_holds_in_any_window_of_sixty_seconds() -> None:
    clock = Clock()
    limit = RollingLimit(5, clock)
    granted = []
    for second in range(180):
        clock.now = float(second)
        if limit.grant("key"):
            granted.append(second)
    assert granted == [*range(5), *range(60, 65), *range(120, 125)]


def test_each_key_has_a_limit_of_its_own_and_a_plan_without_one_grants_all() -> None:
    limit = RollingLimit(1, Clock())
    assert (limit.grant("a"), limit.grant("b"), limit.grant("a")) == (True, True, False)
    limit.reset()
    assert limit.grant("a")
    assert all(RollingLimit(None).grant("a") for _ in range(1000))


def test_an_end_of_day_plan_rejects_today_and_what_is_older_than_two_years() -> None:
    plan = PLAN_LIMITS[PlanName.BASIC]
    plan.check_day(YESTERDAY, TODAY)
    plan.check_day(date(2022, 6, 3), TODAY)
    for day, body in ((TODAY, BEFORE_END_OF_DAY), (date(2022, 6, 2), OUTSIDE_TIMEFRAME)):
        with pytest.raises(RejectedRequestError) as caught:
            plan.check_day(day, TODAY)
        assert caught.value.body == body


def test_a_range_across_the_edge_of_history_is_rejected_or_clipped() -> None:
    plan, old, edge = PLAN_LIMITS[PlanName.STARTER], date(2018, 1, 1), date(2019, 6, 3)
    assert plan.find_first_day(old, YESTERDAY, TODAY, clip=True) == edge
    assert plan.find_first_day(edge, YESTERDAY, TODAY, clip=False) == edge
    for last, clip in ((YESTERDAY, False), (date(2018, 12, 31), True)):
        with pytest.raises(RejectedRequestError, match="timeframe"):
            plan.find_first_day(old, last, TODAY, clip=clip)


def test_the_history_of_a_leap_day_begins_on_the_28th() -> None:
    assert PLAN_LIMITS[PlanName.DEVELOPER].find_oldest(date(2024, 2, 29)) == date(2014, 2, 28)


@pytest.mark.parametrize(("plan", "status"), [("basic", "OK"), ("starter", "DELAYED"), ("advanced", "OK")])
def test_only_delayed_plans_respond_delayed_and_only_up_to_today(plan: str, status: str) -> None:
    assert PLAN_LIMITS[PlanName(plan)].find_status(TODAY, TODAY) == status
    assert PLAN_LIMITS[PlanName(plan)].find_status(YESTERDAY, TODAY) == "OK"


def test_a_rule_is_read_in_all_its_parts() -> None:
    rule = parse_rule("429=30:0.5@X:BTCUSD*2")
    assert (rule.fault.name, rule.argument) == ("429", "30")
    assert (rule.probability, rule.subject, rule.times) == (0.5, "X:BTCUSD", 2)
    plain = parse_rule("truncate")
    assert (plain.argument, plain.probability, plain.subject, plain.times) == ("0.5", 1.0, None, None)


@pytest.mark.parametrize("text", ["nope", "500:2", "500:1.2.3", "slow=soon", "truncate=2", "500*x", ""])
def test_an_invalid_rule_is_rejected_with_the_reason(text: str) -> None:
    with pytest.raises(FaultError, match="fault"):
        parse_rule(text)


def test_the_error_of_an_unknown_fault_names_all_faults() -> None:
    with pytest.raises(FaultError, match=", ".join(FAULTS)):
        find_fault("nope", None)


def faulty(scenario: Scenario, targets: list[str]) -> list[bool]:
    return [scenario.choose_rule(target, target) is not None for target in targets]


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    targets = [f"T{number % 100}" for number in range(1000)]
    first, again, other = (faulty(Scenario(["500:0.1"], seed), targets) for seed in (1, 1, 2))
    assert first == again != other
    assert 60 < sum(first) < 140


def test_faults_do_not_depend_on_the_order_of_requests() -> None:
    targets = [f"T{number % 100}" for number in range(1000)]
    forward, backward = (Scenario(["500:0.1"], 1) for _ in range(2))
    hits = Counter(target for target in targets if forward.choose_rule(target, None))
    assert hits == Counter(target for target in reversed(targets) if backward.choose_rule(target, None))


def test_a_rule_affects_its_ticker_only_and_as_often_as_it_states() -> None:
    scenario = Scenario(["500@MSFT*2"], 0)
    targets = ["AAPL", "MSFT", "MSFT", "MSFT"]
    assert faulty(scenario, targets) == [False, True, True, False]
    scenario.reset()
    assert faulty(scenario, targets) == [False, True, True, False]


def test_a_rule_may_name_a_kind_of_endpoint_or_a_kind_and_a_ticker() -> None:
    scenario = Scenario(["500@splits", "reset@range/MSFT"], 0)
    about = [("MSFT", "splits"), (None, "splits"), ("MSFT", "range"), ("AAPL", "range"), ("MSFT", "ticker_events")]
    rules = [scenario.choose_rule("x", ticker, kind) for ticker, kind in about]
    assert [rule and rule.fault.name for rule in rules] == ["500", "500", "reset", None, None]


def test_the_first_rule_that_hits_is_applied() -> None:
    found = Scenario(["reset@MSFT", "500"], 0)
    assert [found.choose_rule("x", ticker).fault.name for ticker in ("MSFT", "AAPL")] == ["reset", "500"]  # type: ignore[union-attr]
