"""Splits inferred from prices: cases by hand, and seeded faults in recorded bars with their recall and precision."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pytest

from benchmarks.campaigns.inferred_splits import Confusion, compare_all
from benchmarks.campaigns.split_controls import (
    CONTROLS,
    first_days,
    list_amplified,
    list_recorded,
    read_index_series,
    squeeze,
)
from benchmarks.campaigns.split_faults import KINDS, UNLISTED, WITHOUT_MOVE, Case, build_seeded_case
from market_pipeline.core.bars import LOOK_AHEAD, PRICE_COLUMNS, Columns, FlaggedBar
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline_tests.symbol_flags import find_symbol_flags

STOCK = Symbol.of("AAPL", "stock")
DAYS = list_sessions("XNYS", date(2024, 1, 2), date(2024, 2, 29))
AT = 20


def quiet(*moves: tuple[int, float], volume: Mapping[int, float] | None = None) -> dict[str, Any]:
    """Return quiet bars around 100 dollars; from each row on, prices are multiplied and the volume divided."""
    rows = np.arange(len(DAYS))
    close = 100.0 + rows % 3
    bars = {
        "date": np.array(DAYS, dtype="datetime64[D]"),
        "open": np.full(len(rows), 101.0),
        "high": np.full(len(rows), 103.0),
        "low": np.full(len(rows), 99.0),
        "close": close,
        "volume": 1e6 + rows,
        "vwap": np.full(len(rows), np.nan),
        "transactions": np.full(len(rows), np.nan),
    }
    for row, factor in moves:
        for name in PRICE_COLUMNS:
            bars[name][row:] *= factor
        bars["volume"][row:] /= factor
    for row, times in (volume or {}).items():
        bars["volume"][row] = times * 1e6
    return bars


def found(bars: Columns, splits: Mapping[int, float] | None = None) -> dict[int, FlaggedBar]:
    """Return the bars flagged for their price, by row."""
    listed = {DAYS[row]: factor for row, factor in (splits or {}).items()}
    return {DAYS.index(bar.session): bar for bar in find_symbol_flags(STOCK, bars, listed) if bar.gap_detected}


def rules(bars: Columns, splits: Mapping[int, float] | None = None) -> dict[int, str]:
    """Return the first flag of each bar flagged for its price, by row."""
    return {row: bar.flags[0] for row, bar in found(bars, splits).items()}


def take(bars: Columns, rows: Any) -> Columns:
    return {name: values[rows] for name, values in bars.items()}


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (2 / 3, "a 3-for-2 split that is not listed, or like a distribution of 33% of the price"),
        (1 / 4, "a 4-for-1 split that is not listed, or like a distribution of 75% of the price"),
        (1 / 20, "a 20-for-1 split that is not listed, or like a distribution of 95% of the price"),
        (3.0, "a 1-for-3 reverse split that is not listed"),
        (25.0, "a 1-for-25 reverse split that is not listed"),
        (100.0, "a 1-for-100 reverse split that is not listed, or like prices in another unit"),
    ],
)
def test_a_move_in_the_shape_of_a_split_is_flagged_with_the_likely_ratio(factor: float, name: str) -> None:
    bars = quiet((AT, factor))
    [bar] = found(bars).values()
    assert bar.session == DAYS[AT]
    assert bar.flags[0] == UNLISTED
    assert "unexplained_move" not in bar.flags  # one thing to check
    before, close = bars["close"][AT - 1 : AT + 1]
    change = f"the close {close:g} is {close / before - 1:+.1%} from {before:g} on {DAYS[AT - 1]}"
    assert bar.notes.split("; ")[0] == f"unlisted_split: {change} and looks like {name}"


def test_a_listed_split_is_not_flagged() -> None:
    assert found(quiet((AT, 1 / 4)), {AT: 1 / 4}) == {}


def test_a_crash_with_the_volume_of_news_is_a_move() -> None:
    assert rules(quiet((AT, 1 / 2), volume={AT: 16})) == {AT: "unexplained_move"}
    assert rules(quiet((AT, 1 / 2), volume={AT: 5})) == {AT: UNLISTED}  # 2.5 times the usual one in the new shares


def test_a_price_that_triples_and_halves_again_is_two_moves() -> None:
    assert rules(quiet((AT, 3.0), (AT + 1, 0.5))) == {AT: "unexplained_move", AT + 1: "unexplained_move"}


def test_a_move_during_the_session_is_no_split() -> None:
    bars = quiet((AT, 1 / 2))
    bars["open"][AT] = 101.0
    bars["high"][AT] = 102.0
    assert rules(bars) == {AT: "unexplained_move"}


def test_an_inferred_split_is_flagged_at_once_with_the_number_of_later_sessions() -> None:
    whole = quiet((AT, 1 / 2))
    for later in range(LOOK_AHEAD + 1):
        [bar] = found(take(whole, slice(AT + 1 + later))).values()
        assert bar.flags == (UNLISTED,)
        expected = f"(not confirmed yet: {later} of 4 later sessions stored)"
        assert bar.notes.endswith(expected) == (later < LOOK_AHEAD)


def test_one_wrong_bar_is_two_moves_and_a_stretch_of_them_is_flagged_at_both_ends() -> None:
    moves = {AT: "unexplained_move", AT + 1: "unexplained_move"}
    assert rules(quiet((AT, 100.0), (AT + 1, 1 / 100))) == moves
    stretch = quiet((AT, 100.0), (AT + 8, 1 / 100))
    assert rules(stretch) == {AT: UNLISTED, AT + 8: UNLISTED}


@pytest.mark.parametrize("listed", [AT - 1, AT + 1, AT + 3])
def test_a_split_dated_wrongly_is_flagged_on_both_days(listed: int) -> None:
    bars = found(quiet((AT, 1 / 4)), {listed: 1 / 4})
    assert {row: bar.flags[0] for row, bar in bars.items()} == {AT: UNLISTED, listed: WITHOUT_MOVE}
    assert f"looks like the 4-for-1 split that is listed for {DAYS[listed]}" in bars[AT].notes
    assert f"; the price moved so on {DAYS[AT]}" in bars[listed].notes


@pytest.mark.parametrize("neighbour", [AT - 1, AT + 1])
def test_a_split_listed_twice_is_flagged_on_the_day_without_the_move(neighbour: int) -> None:
    bars = found(quiet((AT, 1 / 4)), {AT: 1 / 4, neighbour: 1 / 4})
    assert {row: bar.flags[0] for row, bar in bars.items()} == {neighbour: WITHOUT_MOVE}
    assert f"; the price moved so on {DAYS[AT]}" in bars[neighbour].notes


def test_another_ratio_than_the_listed_one_is_named_with_it() -> None:
    [bar] = found(quiet((AT, 1 / 4)), {AT: 1 / 2}).values()
    assert "looks like a 4-for-1 split, not like the 2-for-1 split that is listed" in bar.notes


def test_a_listed_distribution_is_no_split_and_one_that_does_not_show_is_named() -> None:
    bars = quiet((AT, 0.6), volume={AT: 1})
    cash = 0.4 * bars["close"][AT - 1]
    assert rules(bars) == {AT: UNLISTED}
    assert find_symbol_flags(STOCK, bars, {}, {DAYS[AT]: cash}) == []
    for later in range(1, LOOK_AHEAD):  # whose sessions a split follows that is not listed
        again = quiet((AT, 0.6), (AT + later, 0.5))
        found_again = find_symbol_flags(STOCK, again, {}, {DAYS[AT]: cash})
        assert [(bar.session, bar.flags[0]) for bar in found_again] == [(DAYS[AT + later], UNLISTED)]
    [bar] = find_symbol_flags(STOCK, quiet(), {}, {DAYS[AT]: 40})
    assert bar.flags == ("unexplained_move",)
    assert bar.notes.endswith("splits considered, and a distribution of 40 a share too")


def test_an_ordinary_dividend_changes_no_flag() -> None:
    bars = quiet((AT, 0.5))
    expected = find_symbol_flags(STOCK, bars, {})
    assert find_symbol_flags(STOCK, bars, {}, {DAYS[AT]: 0.05 * bars["close"][AT - 1]}) == expected


def test_bars_on_another_basis_are_flagged_where_it_changes_with_the_split_they_are_adjusted_for() -> None:
    executed = AT + 15
    [bar] = found(quiet((AT, 4.0), (executed, 1 / 4)), {executed: 1 / 4}).values()
    assert bar.session == DAYS[AT]
    adjusted = f"or bars before this one are adjusted for the 4-for-1 split that is listed for {DAYS[executed]}"
    assert adjusted in bar.notes
    bars = found(quiet((AT, 1 / 4)), {executed: 1 / 4})
    assert {row: each.flags[0] for row, each in bars.items()} == {AT: UNLISTED, executed: WITHOUT_MOVE}
    assert f"or bars from this one on are adjusted for the one that is listed for {DAYS[executed]}" in bars[AT].notes


def test_a_split_among_missing_sessions_is_flagged_on_the_first_bar_after_them() -> None:
    bars = take(quiet((AT, 1 / 4)), np.r_[: AT - 2, AT + 2 : len(DAYS)])
    assert rules(bars) == {AT + 2: UNLISTED}


def test_a_price_may_move_further_over_a_long_halt() -> None:
    bars = quiet((AT, 1 / 2))
    assert rules(bars) == {AT: UNLISTED}
    halted = {**bars, "date": bars["date"].copy()}
    halted["date"][:AT] -= np.timedelta64(400, "D")
    [bar] = find_symbol_flags(STOCK, halted, {})
    assert bar.flags == ("unexplained_move",)


def test_of_the_first_ten_bars_and_without_volumes_nothing_is_inferred() -> None:
    assert rules(take(quiet((AT, 1 / 2)), slice(AT - 9, None))) == {AT: "unexplained_move"}
    assert rules(take(quiet((AT, 1 / 2)), slice(AT - 10, None))) == {AT: UNLISTED}
    without = {**quiet((AT, 1 / 2)), "volume": np.zeros(len(DAYS))}
    assert rules(without) == {AT: "unexplained_move"}


def test_seeded_faults_are_found() -> None:
    total = sum((compare_all(build_seeded_case(kind, seed) for seed in range(60)) for kind in KINDS), Confusion())
    assert total.found + total.missed > 500
    assert total.recall >= 0.99
    assert total.precision >= 0.95
    assert total.right_ratio / total.unlisted >= 0.98


def test_faults_in_bars_that_no_threshold_was_chosen_from_are_found() -> None:
    indices = read_index_series()
    assert compare_all(Case(each.name, each.bars, {}) for each in indices) == Confusion(2, 10_062)  # no flag
    total = sum(
        (compare_all(build_seeded_case(kind, seed, indices) for seed in range(15)) for kind in KINDS), Confusion()
    )
    assert (total.missed, total.false) == (0, 0)


def test_no_recorded_bar_and_no_larger_move_is_flagged() -> None:
    assert compare_all(list_recorded()).false == 0
    assert compare_all(list_amplified(2)).false == 0
    assert compare_all(list_amplified(3)).false == 0


@pytest.mark.parametrize("kind", CONTROLS, ids=lambda kind: kind.__name__)
def test_moves_of_news_squeezes_and_listings_are_not_flagged_as_splits(kind: Any) -> None:
    most = 0 if kind in (squeeze, first_days) else 1
    assert compare_all(build_seeded_case(kind, seed) for seed in range(60)).false <= most
