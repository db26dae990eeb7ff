"""The rules, each on a valid bar and on invalid ones."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.bar_checks import check_bars
from market_pipeline.quality.rules import IMPOSSIBLE
from market_pipeline_tests.bar_frames import columns_of

AAPL = Symbol.of("AAPL", "stock")
WEEK = list_sessions("XNYS", date(2024, 1, 1), date(2024, 1, 5))
GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100.5, "vwap": 10.5, "transactions": 7.0}


def fetched(*changes: dict[str, Any]) -> FetchedBars:
    """Return a bar for each of the week's sessions, bar i with `changes[i]`."""
    frame = pd.DataFrame({"date": pd.DatetimeIndex(WEEK), **GOOD})
    for row, change in enumerate(changes):
        for column, value in change.items():
            frame.loc[row, column] = value
    starts = compute_session_starts("XNYS", pd.DatetimeIndex(frame["date"]))
    frame.insert(1, "time", starts if "time" not in frame else frame.pop("time").fillna(pd.Series(starts)))
    return FetchedBars(columns_of(frame), [{"row": row} for row in range(len(frame))], 1)


def test_valid_bars_all_pass() -> None:
    checked = check_bars(fetched(), AAPL, WEEK)
    assert len(checked.accepted["date"]) == 4
    assert checked.rejected == []


NAN, INFINITE = float("nan"), float("inf")
BROKEN_BY: dict[str, list[dict[str, Any]]] = {
    "missing_field": [{"open": NAN}, {"volume": NAN}, {"date": pd.NaT}],
    "not_finite": [{"high": INFINITE}, {"vwap": INFINITE}],
    "not_positive": [{"low": 0.0}, {"low": -1.0}],
    "high_too_low": [{"high": 10.99}, {"open": 12.01}],
    "low_too_high": [{"low": 10.01}],
    "negative_volume": [{"volume": -1.0}, {"transactions": -1.0}],
    "not_a_count": [{"transactions": 1.5}, {"transactions": 1e300}],
    "outside_request": [{"date": pd.Timestamp("2024-01-08")}, {"date": pd.Timestamp("2023-12-29")}],
    "no_session": [{"date": pd.Timestamp("2024-01-04"), "close": 11.5}],
    "misplaced": [{"time": pd.Timestamp("2024-01-02 06:00", tz="UTC")}],
    "contradicted": [{"date": pd.Timestamp("2024-01-05"), "close": 11.5}],
}
KEPT_BY: dict[str, list[dict[str, Any]]] = {
    "missing_field": [{"vwap": NAN, "transactions": NAN}],
    "not_finite": [{"high": 1e300, "vwap": 1e300, "volume": 1e300}],
    "not_positive": [{"open": 1e-9, "low": 1e-9}],
    "high_too_low": [{"high": 11.0}, {"open": 12.0, "high": 12.0}],
    "low_too_high": [{"low": 10.0}, {"close": 9.0, "low": 9.0}],
    "negative_volume": [{"volume": 0.0, "transactions": 0.0}, {"volume": 1e-8}],
    "not_a_count": [{"transactions": 2**31 - 1}],
    "outside_request": [{"date": pd.Timestamp("2024-01-02")}],
    "no_session": [{"date": pd.Timestamp("2024-01-02")}],
    "misplaced": [{"time": pd.Timestamp("2024-01-02 05:00", tz="UTC")}],
    "contradicted": [{"close": 11.5}],
}
"""For each rule, changes of a good bar of 2 January that break it, and the nearest ones that don't."""


def cases(of: dict[str, list[dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    return [(rule, change) for rule, changes in of.items() for change in changes]


@pytest.mark.parametrize("of", [BROKEN_BY, KEPT_BY], ids=["broken", "kept"])
def test_every_rule_has_bars_that_break_it_and_bars_that_keep_it(of: dict[str, list[dict[str, Any]]]) -> None:
    assert list(of) == [rule.name for rule in IMPOSSIBLE]
    assert all(of.values())


@pytest.mark.parametrize(("rule", "change"), cases(KEPT_BY))
def test_a_bar_that_just_keeps_a_rule_is_accepted(rule: str, change: dict[str, Any]) -> None:
    assert check_bars(fetched(change), AAPL, WEEK).rejected == []


@pytest.mark.parametrize(("rule", "change"), cases(BROKEN_BY))
def test_a_bar_that_breaks_a_rule_is_rejected_with_the_rules_meaning(rule: str, change: dict[str, Any]) -> None:
    requested = [day for day in WEEK if day != date(2024, 1, 4)] if rule == "no_session" else WEEK
    checked = check_bars(fetched(change), AAPL, requested)
    assert 0 in checked.rejected
    reasons = checked.reasons[checked.rejected.index(0)]
    meaning = next(known.meaning for known in IMPOSSIBLE if known.name == rule)
    assert f"{rule}: {meaning}" in reasons
    assert len(checked.accepted["date"]) + len(checked.rejected) == 4


def test_every_broken_rule_is_a_reason() -> None:
    checked = check_bars(fetched({"high": -1.0, "volume": -1.0}), AAPL, WEEK)
    names = {reason.split(":")[0] for reason in checked.reasons[0]}
    assert names == {"not_positive", "high_too_low", "low_too_high", "negative_volume"}


def test_an_equal_bar_counts_once() -> None:
    response = fetched()
    columns = {name: np.concatenate([values, values]) for name, values in response.columns.items()}
    twice = FetchedBars(columns, [*response.payloads] * 2, 1)
    checked = check_bars(twice, AAPL, WEEK)
    assert (len(checked.accepted["date"]), len(checked.rejected)) == (4, 0)


@given(st.lists(st.sampled_from([{}, {"open": -1.0}, {"high": 1.0}, {"date": pd.NaT}, {"volume": -5.0}]), max_size=4))
def test_every_bar_is_either_accepted_or_rejected(changes: list[dict[str, Any]]) -> None:
    response = fetched(*changes)
    checked = check_bars(response, AAPL, WEEK)
    assert len(checked.accepted["date"]) + len(checked.rejected) == len(response.payloads)
    assert list(checked.rejected) == [row for row, change in enumerate(changes) if change]
    assert len(checked.reasons) == len(checked.rejected)
    assert all(checked.reasons)
