"""Flags of stored bars: they follow from the stored bars and the splits, in any order of loading."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.bar_tables import bar_flags, market_data
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS
from market_pipeline.warehouse.flagging import reflag_all
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.corporate_action_cases import DIVIDEND, counts, listing, refresh_from
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import AAPL, flags, load_frame, query, recorded

CRASH, SPLIT = date(2000, 9, 29), date(2005, 2, 28)
RECORDED = {
    "AAPL": (date(2000, 6, 1), date(2001, 5, 31)),  # a split and a crash
    "IBM": (date(2002, 1, 2), date(2002, 12, 31)),
    "MSFT": (date(2003, 1, 2), date(2003, 12, 31)),  # a split
    "GOOG": (date(2010, 9, 1), date(2011, 8, 31)),
    "FB": (date(2012, 5, 18), date(2013, 3, 1)),
}
LISTED = {"ticker": "AAPL", "execution_date": "2005-02-28", "split_from": 1, "split_to": 2, "id": "E1"}


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])


def verdicts(warehouse: Engine, symbol: Symbol) -> list[Mapping[str, Any]]:
    columns = "date, flags, validation_notes, quality_score, validated, gap_detected, volume_anomaly"
    return query(
        warehouse, f"SELECT {columns} FROM market_data WHERE symbol = :symbol ORDER BY date", symbol=symbol.name
    )


def test_a_crash_is_stored_and_flagged(warehouse: Engine) -> None:
    result = load_frame(warehouse, AAPL, recorded("AAPL", date(2000, 9, 1), date(2000, 10, 31)))
    assert (result.loaded, result.flagged) == (42, 2)
    row = query(warehouse, "SELECT * FROM market_data WHERE date = :day", day=CRASH)[0]
    assert row["close"] == 25.75
    assert row["flags"] == ["unexplained_move", "volume_outlier"]
    assert row["validation_notes"].startswith("unexplained_move: the close 25.75 is -51.9% from 53.5 on 2000-09-28")
    assert (row["validated"], row["gap_detected"], row["volume_anomaly"]) == (False, True, True)
    assert row["quality_score"] == 0.85
    assert query(warehouse, "SELECT flagged FROM backfill_history") == [{"flagged": 2}]


def test_a_split_day_is_flagged_until_the_split_is_known_and_again_when_it_is_withdrawn(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, recorded("AAPL", date(2005, 1, 3), date(2005, 4, 29)))
    assert flags(warehouse, AAPL)[SPLIT] == ("unlisted_split",)
    assert counts(refresh_from(warehouse, listing(LISTED))) == {"loaded": 1}
    assert SPLIT not in flags(warehouse, AAPL)
    assert counts(refresh_from(warehouse, listing(), listing())) == {"removed": 1}
    assert flags(warehouse, AAPL)[SPLIT] == ("unlisted_split",)
    assert query(warehouse, "SELECT count(*) AS n FROM market_data_revisions") == [{"n": 0}]


def test_a_split_known_beforehand_explains_the_move_at_once(warehouse: Engine) -> None:
    refresh_from(warehouse, listing(LISTED))
    load_frame(warehouse, AAPL, recorded("AAPL", date(2005, 1, 3), date(2005, 4, 29)))
    assert SPLIT not in flags(warehouse, AAPL)


def test_a_neighbour_that_arrives_later_changes_the_verdict(warehouse: Engine) -> None:
    bars = recorded("AAPL", date(2000, 9, 25), date(2000, 10, 6))
    before = bars["date"] < pd.Timestamp(CRASH)
    load_frame(warehouse, AAPL, bars[~before])
    assert flags(warehouse, AAPL) == {}  # nothing to compare the crash with
    load_frame(warehouse, AAPL, bars[before])
    assert flags(warehouse, AAPL) == {CRASH: ("unexplained_move",)}


def test_a_correction_lifts_the_flag_and_the_revision_keeps_it(warehouse: Engine) -> None:
    bars = recorded("IBM", date(2002, 6, 3), date(2002, 6, 28))
    wrong = bars.copy()
    wrong.loc[5, ["open", "high", "low", "close"]] *= 10
    load_frame(warehouse, AAPL, wrong)
    assert {day.isoformat() for day in flags(warehouse, AAPL)} == {"2002-06-10", "2002-06-11"}
    load_frame(warehouse, AAPL, bars, run_id="run-2")
    assert flags(warehouse, AAPL) == {}
    [kept] = query(warehouse, "SELECT * FROM market_data_revisions")
    assert (kept["flags"], kept["validated"]) == (["unexplained_move"], False)


def test_loading_the_same_again_changes_no_row(warehouse: Engine) -> None:
    bars = recorded("AAPL", date(2000, 9, 1), date(2000, 10, 31))
    load_frame(warehouse, AAPL, bars)
    before = query(warehouse, "SELECT *, xmin::text FROM bars ORDER BY date")
    result = load_frame(warehouse, AAPL, bars, run_id="run-2")
    assert (result.unchanged, result.flagged) == (42, 2)
    assert query(warehouse, "SELECT *, xmin::text FROM bars ORDER BY date") == before


@pytest.mark.parametrize("name", RECORDED)
def test_a_year_session_by_session_has_the_flags_of_a_year_at_once(warehouse: Engine, name: str) -> None:
    at_once, one_by_one = AAPL, Symbol.of("DAILY", "stock")
    add_symbols(warehouse, [one_by_one])
    year = recorded(name, *RECORDED[name])
    load_frame(warehouse, at_once, year)
    for row in range(len(year)):
        load_frame(warehouse, one_by_one, year.iloc[[row]])
    assert verdicts(warehouse, at_once) == verdicts(warehouse, one_by_one)
    assert flags(warehouse, at_once)


@pytest.mark.parametrize(
    ("name", "split", "start", "end"),
    [
        ("AAPL", "2000-06-21", date(2000, 6, 1), date(2001, 5, 31)),
        ("MSFT", "2003-02-18", date(2003, 1, 2), date(2003, 12, 31)),
    ],
)
def test_whenever_a_split_becomes_known_the_flags_are_those_of_a_split_known_beforehand(
    warehouse: Engine, name: str, split: str, start: date, end: date
) -> None:
    beforehand, halfway = AAPL, Symbol.of("DAILY", "stock")
    year = recorded(name, start, end)
    known = {**LISTED, "execution_date": split}
    refresh_from(warehouse, listing(known))
    load_frame(warehouse, beforehand, year)
    add_symbols(warehouse, [halfway])
    for row in range(len(year)):
        if row == len(year) // 2:
            assert flags(warehouse, halfway)[date.fromisoformat(split)] == ("unlisted_split",)
            refresh_from(warehouse, listing({**known, "ticker": "DAILY", "id": "E2"}), listing(known))
        load_frame(warehouse, halfway, year.iloc[[row]])
    assert verdicts(warehouse, halfway) == verdicts(warehouse, beforehand)
    assert date.fromisoformat(split) not in flags(warehouse, beforehand)


def test_a_split_without_a_move_is_flagged_until_it_is_withdrawn(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, recorded("AAPL", date(2006, 1, 3), date(2006, 4, 28)))
    assert flags(warehouse, AAPL) == {}
    refresh_from(warehouse, listing({**LISTED, "execution_date": "2006-02-28"}))
    [flagged] = [bar for bar in verdicts(warehouse, AAPL) if bar["gap_detected"]]
    assert (flagged["date"], flagged["flags"][0]) == (date(2006, 2, 28), "split_without_move")
    assert flagged["validation_notes"].startswith("split_without_move: a split multiplies earlier prices by 0.5, yet")
    refresh_from(warehouse, listing(), listing())
    assert flags(warehouse, AAPL) == {}


def test_bars_of_an_earlier_version_are_flagged_by_todays_rules_on_request(
    warehouse: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_frame(warehouse, AAPL, recorded("AAPL", date(2005, 1, 3), date(2005, 4, 29)))
    expected = verdicts(warehouse, AAPL)
    with warehouse.begin() as connection:
        connection.execute(market_data.update().values(flags=["unexplained_move"], validated=False))
    monkeypatch.setenv("DATABASE_URL", warehouse.url.render_as_string(hide_password=False))
    with pytest.raises(SystemExit, match="0"):
        main(["db", "reflag"])
    assert capsys.readouterr().out == "flagged the bars of 1 symbol by the rules of this version\n"
    assert verdicts(warehouse, AAPL) == expected


def test_bars_of_symbols_that_only_a_market_has_are_flagged_anew_too(warehouse: Engine) -> None:
    first, second = list_sessions("XNYS", date(2024, 1, 2), date(2024, 1, 3))
    bars = {"KIMpL": Bar(10.0), "NEW": Bar(10.0)}
    load_market(warehouse, session_of(first, bars), session_of(second, {**bars, "NEW": Bar(20.0, vwap=20.0)}))
    stored = "SELECT symbol, date, flags, validation_notes FROM market_data ORDER BY symbol, date"
    expected = query(warehouse, stored)
    assert [row["flags"] for row in expected] == [[], ["repeated"], [], ["unexplained_move"]]
    with warehouse.begin() as connection:
        connection.execute(bar_flags.update().values(flags=["zero_volume"]))
    tracked = query(warehouse, "SELECT count(*) AS number FROM tracked_symbols")[0]["number"]
    assert reflag_all(warehouse, find_flags) == tracked + 2
    assert query(warehouse, stored) == expected


def test_a_large_distribution_explains_its_move_from_its_listing_until_it_is_withdrawn(warehouse: Engine) -> None:
    bars = recorded("IBM", date(2002, 6, 3), date(2002, 7, 31))
    day = bars.index[bars["date"] == pd.Timestamp("2002-07-01")][0]
    before = float(bars.loc[day - 1, "close"])
    bars.loc[day:, ["open", "high", "low", "close"]] *= 0.6
    load_frame(warehouse, AAPL, bars)
    paid = date(2002, 7, 1)
    assert flags(warehouse, AAPL)[paid][0] == "unlisted_split"
    special = {**DIVIDEND, "ex_dividend_date": str(paid), "cash_amount": round(0.4 * before, 2)}
    ordinary = {**DIVIDEND, "ex_dividend_date": "2002-07-10", "id": "E3"}
    refresh_from(warehouse, listing(special, ordinary), actions=DIVIDENDS)
    assert paid not in flags(warehouse, AAPL)
    refresh_from(warehouse, listing(), listing(), actions=DIVIDENDS)
    assert flags(warehouse, AAPL)[paid][0] == "unlisted_split"


QUARTERS = {
    "crash": recorded("AAPL", date(2000, 8, 1), date(2000, 10, 31)),
    "unlisted split": recorded("AAPL", date(2005, 1, 18), date(2005, 4, 18)),
}


@pytest.mark.parametrize("name", QUARTERS)
@settings(max_examples=8)
@given(st.lists(st.integers(0, 3), min_size=60, max_size=63))
def test_flags_do_not_depend_on_the_order_in_which_bars_arrive(
    warehouse: Engine, name: str, part_of: list[int]
) -> None:
    quarter = QUARTERS[name].iloc[: len(part_of)]
    with warehouse.begin() as connection:
        connection.execute(market_data.delete())
    for part in sorted(set(part_of), key=lambda part: (part * 7) % 4):
        load_frame(warehouse, AAPL, quarter[[number == part for number in part_of]])
    scattered = verdicts(warehouse, AAPL)
    with warehouse.begin() as connection:
        connection.execute(market_data.delete())
    load_frame(warehouse, AAPL, quarter)
    assert verdicts(warehouse, AAPL) == scattered


def test_later_bars_confirm_a_split_or_withdraw_the_flag(warehouse: Engine) -> None:
    bars = recorded("AAPL", date(2005, 1, 18), date(2005, 3, 31))
    day = int(bars.index[bars["date"] == pd.Timestamp(SPLIT)][0])
    load_frame(warehouse, AAPL, bars.iloc[: day + 1])
    [found] = [bar for bar in verdicts(warehouse, AAPL) if bar["gap_detected"]]
    assert (found["date"], found["flags"]) == (SPLIT, ["unlisted_split"])
    assert found["validation_notes"] == (
        "unlisted_split: the close 44.86 is -49.6% from 88.99 on 2005-02-25 and looks like a 2-for-1 split that is not "
        "listed, or like a distribution of 50% of the price (not confirmed yet: 0 of 4 later sessions stored)"
    )
    back = bars.iloc[day + 1 :].copy()
    back[["open", "high", "low", "close"]] *= 2  # so that one bar is wrong, and no split
    load_frame(warehouse, AAPL, back.iloc[:4])
    assert flags(warehouse, AAPL)[SPLIT] == ("unexplained_move",)
    load_frame(warehouse, AAPL, bars.iloc[day + 1 :])
    [found] = [bar for bar in verdicts(warehouse, AAPL) if bar["gap_detected"]]
    assert found["flags"] == ["unlisted_split"]
    assert found["validation_notes"].endswith("or like a distribution of 50% of the price")


def test_a_split_listed_a_day_late_is_flagged_on_both_days_with_the_other_one(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, recorded("AAPL", date(2005, 1, 3), date(2005, 4, 29)))
    refresh_from(warehouse, listing({**LISTED, "execution_date": "2005-03-01"}))
    moved, listed = [bar for bar in verdicts(warehouse, AAPL) if bar["gap_detected"]]
    assert (moved["date"], moved["flags"][0]) == (SPLIT, "unlisted_split")
    assert moved["validation_notes"].endswith("looks like the 2-for-1 split that is listed for 2005-03-01")
    assert (listed["date"], listed["flags"][0]) == (date(2005, 3, 1), "split_without_move")
    assert listed["validation_notes"].endswith("; the price moved so on 2005-02-28")
    assert query(warehouse, "SELECT count(*) AS n FROM market_data_revisions") == [{"n": 0}]
