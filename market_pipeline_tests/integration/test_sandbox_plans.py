"""The vendor's plans as the sandbox enforces them, over a real socket."""

from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from market_pipeline.core.plans import PlanName
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox

GROUPED = "/v2/aggs/grouped/locale/us/market/stocks"
MONDAY_EVENING, AFTER_MIDNIGHT = "2024-06-04 02:00", "2024-06-04 04:00"  # in New York: 22:00 and 00:00


def get(path: str, now: str, key: str = "any", **config: Any) -> list[requests.Response]:
    """Return the responses to one or more paths, separated by blanks, from a new sandbox."""
    clock = datetime.fromisoformat(now).replace(tzinfo=UTC)
    with running_sandbox(SandboxConfig(now=clock, **config)) as url:
        return [requests.get(url + one, headers={"Authorization": f"Bearer {key}"}, timeout=20) for one in path.split()]


def span(first: str, last: str) -> str:
    return f"/v2/aggs/ticker/SPY/range/1/day/{first}/{last}"


def test_the_sixth_call_in_a_minute_is_too_many_on_the_free_plan() -> None:
    responses = get(" ".join([f"{GROUPED}/2024-05-31"] * 7), MONDAY_EVENING, plan=PlanName.BASIC)
    assert [response.status_code for response in responses] == [200] * 5 + [429] * 2
    assert responses[-1].json()["error"].startswith("You've exceeded the maximum requests per minute")
    assert "Retry-After" not in responses[-1].headers


def test_pages_count_as_calls_and_other_keys_have_their_own_limit() -> None:
    clock = datetime.fromisoformat(MONDAY_EVENING).replace(tzinfo=UTC)
    with running_sandbox(SandboxConfig(now=clock, plan=PlanName.BASIC)) as url:
        link, statuses = f"{url}{span('2024-05-01', '2024-05-31')}?limit=1", []
        for _ in range(6):
            response = requests.get(link, headers={"Authorization": "Bearer one"}, timeout=20)
            statuses.append(response.status_code)
            link = response.json().get("next_url", link)
        other = requests.get(link, headers={"Authorization": "Bearer two"}, timeout=20)
        requests.post(f"{url}/_sandbox/reset", timeout=20)
        again = requests.get(link, headers={"Authorization": "Bearer one"}, timeout=20)
    assert statuses == [200] * 5 + [429]
    assert (other.status_code, again.status_code) == (200, 200)


@pytest.mark.parametrize("plan", [PlanName.STARTER, PlanName.ADVANCED])
def test_paid_plans_have_no_limit(plan: PlanName) -> None:
    responses = get(" ".join(["/v3/reference/tickers/AAPL"] * 20), MONDAY_EVENING, plan=plan)
    assert {response.status_code for response in responses} == {200}


def test_the_free_plan_rejects_a_session_until_midnight_in_new_york() -> None:
    paths = f"{GROUPED}/2024-06-03 {span('2024-06-03', '2024-06-03')} /v1/open-close/SPY/2024-06-03"
    for response in get(paths, MONDAY_EVENING, plan=PlanName.BASIC):
        assert response.status_code == 403
        assert response.json()["status"] == "NOT_AUTHORIZED"
        assert response.json()["message"].startswith("Attempted to request today's data before end of day.")
    assert [response.status_code for response in get(paths, AFTER_MIDNIGHT, plan=PlanName.BASIC)] == [200] * 3


def test_a_range_up_to_today_ends_yesterday_on_the_free_plan() -> None:
    (response,) = get(span("2024-05-30", "2024-06-03"), MONDAY_EVENING, plan=PlanName.BASIC)
    assert len(response.json()["results"]) == 2


def test_a_range_that_begins_before_the_history_is_rejected_or_clipped() -> None:
    path = span("2018-01-01", "2024-05-31")
    (rejected,) = get(path, MONDAY_EVENING, plan=PlanName.STARTER)
    assert rejected.status_code == 403
    assert rejected.json()["message"].startswith("Your plan doesn't include this data timeframe.")
    (clipped,) = get(path, MONDAY_EVENING, plan=PlanName.STARTER, history_edge="clip")
    assert clipped.json()["results"][0]["t"] == 1559534400000  # 3 June 2019, five years ago
    older = get(
        f"{span('2018-01-01', '2018-12-31')} {GROUPED}/2018-12-31",
        MONDAY_EVENING,
        plan=PlanName.STARTER,
        history_edge="clip",
    )
    assert [response.status_code for response in older] == [403, 403]


def test_a_delayed_plan_marks_responses_that_reach_today_and_shows_today_later() -> None:
    paths = f"{span('2024-05-30', '2024-06-03')} {span('2024-05-30', '2024-05-31')} {GROUPED}/2024-06-03"
    during = "2024-06-03 13:40"  # ten minutes after the open
    delayed, old, grouped = get(paths, during, plan=PlanName.DEVELOPER)
    assert [response.json()["status"] for response in (delayed, old, grouped)] == ["DELAYED", "OK", "DELAYED"]
    (live, *_) = get(paths, during, plan=PlanName.ADVANCED)
    assert live.json()["status"] == "OK"
    assert len(live.json()["results"]) == 3
    assert len(delayed.json()["results"]) == 2
