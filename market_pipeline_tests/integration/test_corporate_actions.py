"""Splits and dividends: the tables' content after each kind of response."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text

from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse import corporate_action_refresh
from market_pipeline.warehouse.corporate_action_refresh import (
    DIVIDENDS,
    SPLITS,
    ActionTable,
    RefreshPlan,
    plan_refresh,
)
from market_pipeline.warehouse.corporate_actions import refresh
from market_pipeline.warehouse.loading import MixedSourcesError, claim_source
from market_pipeline.warehouse.tables import bar_source, dividends, rejected_corporate_actions, splits
from market_pipeline.warehouse.tracked_symbols import add_symbols, list_active_symbols, lock_symbols
from market_pipeline_tests.integration.corporate_action_cases import (
    AAPL,
    BTC,
    DIVIDEND,
    NOW,
    SPLIT,
    counts,
    factors,
    listing,
    refresh_from,
    rejected_reasons,
    rows,
)


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, BTC])


def test_a_split_is_stored_with_its_source(warehouse: Engine) -> None:
    assert counts(refresh_from(warehouse, listing(SPLIT))) == {"loaded": 1}
    [row] = rows(warehouse, splits)
    assert row.pop("fetched_at").tzinfo is not None
    assert row.pop("load_id") > 0
    assert row == {
        "symbol": "AAPL", "execution_date": date(2020, 8, 31), "split_from": 1.0, "split_to": 4.0, "vendor_id": "E1",
        "source": "polygon", "run_id": "run-1",
    }  # fmt: skip


def test_the_first_refresh_and_the_first_load_of_a_database_do_not_deadlock(warehouse: Engine) -> None:
    is_waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as pool:
        with warehouse.begin() as loading, warehouse.connect() as watching:
            claim_source(loading, "polygon")
            refreshing = pool.submit(refresh_from, warehouse, listing(SPLIT))
            while not watching.execute(is_waiting).scalar_one():
                watching.rollback()  # or it would see the same instant again
            lock_symbols(loading, ["AAPL"])
        assert counts(refreshing.result()) == {"loaded": 1}


def test_a_dividend_is_stored_with_all_its_dates(warehouse: Engine) -> None:
    assert counts(refresh_from(warehouse, listing(DIVIDEND), actions=DIVIDENDS)) == {"loaded": 1}
    [row] = rows(warehouse, dividends)
    assert (row["symbol"], row["ex_dividend_date"], row["cash_amount"]) == ("AAPL", date(2024, 5, 10), 0.25)
    assert (row["currency"], row["dividend_type"], row["frequency"]) == ("USD", "recurring", 4)
    days = [row[name] for name in ("declaration_date", "record_date", "pay_date")]
    assert days == [date(2024, 5, 2), date(2024, 5, 13), date(2024, 5, 16)]


@pytest.mark.parametrize(("actions", "record"), [(SPLITS, SPLIT), (DIVIDENDS, DIVIDEND)])
def test_the_same_response_again_changes_nothing_and_is_counted_as_unchanged(
    warehouse: Engine, actions: ActionTable, record: dict[str, Any]
) -> None:
    refresh_from(warehouse, listing(record), actions=actions)
    before = rows(warehouse, actions.table)
    assert counts(refresh_from(warehouse, listing(record), actions=actions, run="run-2")) == {"unchanged": 1}
    assert rows(warehouse, actions.table) == before
    assert rejected_reasons(warehouse) == []


def test_a_correction_replaces_the_row_and_the_former_values_are_kept(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT))
    assert counts(refresh_from(warehouse, listing({**SPLIT, "split_to": 5}), run="run-2")) == {"revised": 1}
    assert factors(warehouse) == [("AAPL", date(2020, 8, 31), 1.0, 5.0)]
    assert rows(warehouse, splits)[0]["run_id"] == "run-2"
    assert rejected_reasons(warehouse) == [("splits", "the vendor has corrected it", 4.0)]


def test_an_action_that_the_vendor_no_longer_lists_is_removed_and_kept_as_rejected(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT, {**SPLIT, "execution_date": "2014-06-09", "split_to": 7, "id": "E7"}))
    assert counts(refresh_from(warehouse, listing(SPLIT))) == {"unchanged": 1, "removed": 1}
    assert factors(warehouse) == [("AAPL", date(2020, 8, 31), 1.0, 4.0)]
    assert rejected_reasons(warehouse) == [("splits", "the vendor no longer lists it", 7.0)]


def test_two_different_splits_of_one_day_are_both_rejected(warehouse: Engine) -> None:
    other = {**SPLIT, "execution_date": "2014-06-09", "split_to": 7, "id": "E7"}
    result = refresh_from(warehouse, listing(SPLIT, {**SPLIT, "split_to": 3, "id": "E9"}, other))
    assert counts(result) == {"loaded": 1, "rejected": 2}
    assert factors(warehouse) == [("AAPL", date(2014, 6, 9), 1.0, 7.0)]
    reason = "the vendor lists it more than once, with different values"
    assert sorted(rejected_reasons(warehouse)) == [("splits", reason, 3.0), ("splits", reason, 4.0)]


def test_a_split_that_is_contradicted_later_is_removed(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT))
    again = refresh_from(warehouse, listing(SPLIT, {**SPLIT, "split_to": 3}))
    assert counts(again) == {"rejected": 2, "removed": 1}
    assert factors(warehouse) == []
    assert {reason for _, reason, _ in rejected_reasons(warehouse)} == {
        "the vendor lists it more than once, with different values"
    }
    assert counts(refresh_from(warehouse, listing(SPLIT))) == {"loaded": 1}


def test_repeats_count_once_whatever_their_ids_and_order(warehouse: Engine) -> None:
    twin = {**SPLIT, "id": "E0"}
    assert counts(refresh_from(warehouse, listing(SPLIT, twin, SPLIT))) == {"loaded": 1}
    assert counts(refresh_from(warehouse, listing(twin, SPLIT))) == {"unchanged": 1}


@pytest.mark.parametrize("unusual", [{"split_to": 0}, {"split_from": -1}])
def test_an_impossible_factor_is_rejected_with_the_reason(warehouse: Engine, unusual: dict[str, Any]) -> None:
    bad = {**SPLIT, "execution_date": "2014-06-09", **unusual}
    assert counts(refresh_from(warehouse, listing(bad, SPLIT))) == {"loaded": 1, "rejected": 1}
    assert factors(warehouse) == [("AAPL", date(2020, 8, 31), 1.0, 4.0)]
    [(kind, reason, _)] = rejected_reasons(warehouse)
    assert (kind, reason) == ("splits", "its factor or amount is zero or negative")


def test_a_split_that_can_not_be_read_is_not_stored_and_is_logged(
    warehouse: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {**SPLIT, "execution_date": "2014-06-09", "split_from": None}
    assert counts(refresh_from(warehouse, listing(bad, SPLIT))) == {"loaded": 1, "rejected": 1}
    assert factors(warehouse) == [("AAPL", date(2020, 8, 31), 1.0, 4.0)]
    assert rejected_reasons(warehouse) == [("splits", "it can't be read: None is no number", 4)]
    assert any(record.levelno == logging.WARNING and "can't read" in record.message for record in caplog.records)


@pytest.mark.parametrize("amount", [0, -0.25, None])
def test_a_dividend_that_is_not_positive_is_not_stored(warehouse: Engine, amount: float | None) -> None:
    refresh_from(warehouse, listing({**DIVIDEND, "cash_amount": amount}), actions=DIVIDENDS)
    assert rows(warehouse, dividends) == []


def test_two_kinds_of_dividend_on_one_day_are_two_dividends(warehouse: Engine) -> None:
    special = {**DIVIDEND, "distribution_type": "special", "cash_amount": 3.0, "id": "E3"}
    assert counts(refresh_from(warehouse, listing(DIVIDEND, special), actions=DIVIDENDS)) == {"loaded": 2}


def test_dividends_without_a_kind_are_distinguished_by_date_and_corrected_too(warehouse: Engine) -> None:
    kindless = {**DIVIDEND, "distribution_type": None}
    refresh_from(warehouse, listing(kindless), actions=DIVIDENDS)
    result = refresh_from(warehouse, listing({**kindless, "cash_amount": 0.26}), actions=DIVIDENDS)
    assert counts(result) == {"revised": 1}
    assert [row["cash_amount"] for row in rows(warehouse, dividends)] == [0.26]
    contradicted = refresh_from(warehouse, listing(kindless, {**kindless, "cash_amount": 0.3}), actions=DIVIDENDS)
    assert counts(contradicted) == {"rejected": 2, "removed": 1}


def test_announced_splits_are_kept_and_counted_until_their_day(warehouse: Engine) -> None:
    result = refresh_from(warehouse, listing(SPLIT, {**SPLIT, "execution_date": "2098-01-02", "id": "E8"}))
    assert (result.held, result.announced) == (2, 1)
    assert [day for _, day, *_ in factors(warehouse)] == [date(2020, 8, 31), date(2098, 1, 2)]


def test_dates_and_tickers_that_were_not_requested_are_left_out(warehouse: Engine) -> None:
    strays = [
        {**SPLIT, "execution_date": "1987-06-16", "id": "E7"},
        {**SPLIT, "ticker": "AApL"},
        {**SPLIT, "ticker": "MSFT"},
    ]
    assert counts(refresh_from(warehouse, listing(*strays, SPLIT))) == {"loaded": 1, "rejected": 1}
    assert rejected_reasons(warehouse) == [("splits", "its date is not among those requested", 4.0)]


@pytest.mark.parametrize(
    "values",
    [{"frequency": 10**12}, {"id": "E\0"}, {"currency": "\ud800"}, {"cash_amount": 1.7e308}, {"cash_amount": 1e-300}],
    ids=lambda values: next(iter(values)),
)
def test_a_dividend_with_a_value_beyond_all_bounds_is_rejected_alone(warehouse: Engine, values: dict[str, Any]) -> None:
    bad = {**DIVIDEND, "ex_dividend_date": "2024-02-09", "id": "E9", **values}
    result = refresh_from(warehouse, listing(DIVIDEND, bad), actions=DIVIDENDS)
    assert counts(result) == {"loaded": 1, "rejected": 1}
    assert [row["ex_dividend_date"] for row in rows(warehouse, dividends)] == [date(2024, 5, 10)]
    [rejected] = rows(warehouse, rejected_corporate_actions)
    assert (rejected["date"], rejected["listed"]) == (date(2024, 2, 9), True)


@pytest.mark.parametrize(("before", "after"), [(1, 1e305), (1e300, 1), (1e-300, 1e300), (1e-8, 1e11)])
def test_a_split_with_a_factor_beyond_all_bounds_is_rejected(warehouse: Engine, before: float, after: float) -> None:
    bad = {**SPLIT, "execution_date": "2022-08-31", "id": "E9", "split_from": before, "split_to": after}
    assert counts(refresh_from(warehouse, listing(SPLIT, bad))) == {"loaded": 1, "rejected": 1}
    assert [day for _, day, *_ in factors(warehouse)] == [date(2020, 8, 31)]


def test_a_response_with_more_than_the_recent_days_does_not_change_a_rejected_action(warehouse: Engine) -> None:
    contradictory = [SPLIT, {**SPLIT, "split_to": 5}]
    assert counts(refresh_from(warehouse, listing(*contradictory))) == {"rejected": 2}
    recent = RefreshPlan(NOW, (), frozenset({"AAPL"}))
    listed = [
        {"symbol": "AAPL", "execution_date": date(2020, 8, 31), "split_from": 1.0, "split_to": to, "vendor_id": "E1"}
        for to in (4.0, 5.0)
    ]
    result = refresh(warehouse, SPLITS, recent, listed, source="polygon", run_id="run-2", find_flags=find_flags)
    assert counts(result) == {}
    assert [(row["listed"], row["run_id"]) for row in rows(warehouse, rejected_corporate_actions)] == [
        (True, "run-1"), (True, "run-1"),
    ]  # fmt: skip


def test_a_symbol_with_a_rejected_action_is_requested_in_full_before_others(
    warehouse: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_symbols(warehouse, [Symbol.of("MSFT", "stock")])
    refresh_from(warehouse, listing({**SPLIT, "ticker": "MSFT", "split_to": -4}))
    monkeypatch.setattr(corporate_action_refresh, "HISTORIES_A_RUN", 1)
    plan = plan_refresh(warehouse, SPLITS, list_active_symbols(warehouse), NOW + timedelta(days=1))
    assert (plan.in_full, plan.recent) == (("MSFT",), frozenset({"AAPL"}))


def test_a_database_of_the_sandbox_rejects_the_markets_actions(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(insert(bar_source).values(source="sandbox"))
    with pytest.raises(MixedSourcesError, match="holds sandbox bars and accepts no polygon"):
        refresh_from(warehouse, listing(SPLIT))
    assert factors(warehouse) == []


def test_announced_splits_are_those_dated_later_than_today(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(SPLIT, {**SPLIT, "execution_date": "2098-01-02", "id": "E8"}))
    rule = "execution_date > (now() AT TIME ZONE 'America/New_York')::date"
    with warehouse.connect() as connection:
        found: Sequence[date] = (
            connection.execute(text(f"SELECT execution_date FROM splits WHERE {rule}")).scalars().all()
        )
        comment: str = connection.execute(text("SELECT col_description('splits'::regclass, 2)")).scalar_one()
    assert found == [date(2098, 1, 2)]
    assert "later than today in New York: announced" in comment


def test_a_record_without_a_ticker_counts_for_the_symbol_that_was_requested(warehouse: Engine) -> None:
    assert counts(refresh_from(warehouse, listing({**SPLIT, "ticker": None}))) == {"rejected": 1}
    [row] = rows(warehouse, rejected_corporate_actions)
    assert (row["symbol"], row["date"], row["listed"]) == ("AAPL", date(2020, 8, 31), True)


def test_a_rejected_action_is_listed_until_the_vendor_lists_it_no_longer(warehouse: Engine) -> None:
    bad = {**SPLIT, "split_to": 0}
    refresh_from(warehouse, listing(bad))
    assert [row["listed"] for row in rows(warehouse, rejected_corporate_actions)] == [True]
    refresh_from(warehouse, listing())
    assert [row["listed"] for row in rows(warehouse, rejected_corporate_actions)] == [False]
    refresh_from(warehouse, listing(bad))
    assert [row["listed"] for row in rows(warehouse, rejected_corporate_actions)] == [True]


def test_a_record_of_any_content_is_kept_as_far_as_the_database_holds_it(warehouse: Engine) -> None:
    record = {**SPLIT, "split_to": "x", "note": ["a\0b", "\ud800", {"c": None}]}
    assert counts(refresh_from(warehouse, listing(record))) == {"rejected": 1}
    [row] = rows(warehouse, rejected_corporate_actions)
    assert row["payload"]["note"] == ["a b", "?", {"c": None}]


def test_an_action_that_the_vendor_moves_into_the_recent_days_is_one_and_not_two(warehouse: Engine) -> None:
    refresh_from(warehouse, listing({**SPLIT, "execution_date": "2024-03-15"}))
    day = date(2024, 6, 3)
    moved = {"symbol": "AAPL", "execution_date": day, "split_from": 1.0, "split_to": 4.0, "vendor_id": "E1"}
    recent = RefreshPlan(NOW, (), frozenset({"AAPL"}))
    result = refresh(warehouse, SPLITS, recent, [moved], source="polygon", run_id="run-2", find_flags=find_flags)
    assert counts(result) == {"revised": 1}
    assert factors(warehouse) == [("AAPL", day, 1.0, 4.0)]
