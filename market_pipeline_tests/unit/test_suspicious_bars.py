"""The rules that flag a bar, each on unsuspicious and on suspicious bars, computed by hand."""

from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.bars import LOOK_AHEAD, LOOK_BACK, FlaggedBar
from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.quality.rules import SUSPICIOUS
from market_pipeline_tests.bar_frames import columns_of
from market_pipeline_tests.symbol_flags import find_symbol_flags

STOCK, FUND, COIN = Symbol.of("AAPL", "stock"), Symbol.of("SPY", "etf"), Symbol.of("BTC", "crypto")
MONTH = list_sessions("XNYS", date(2024, 1, 1), date(2024, 2, 5))
LAST = len(MONTH) - 1


def bars(*changes: tuple[int, dict[str, Any]]) -> pd.DataFrame:
    """Return a quiet month: bars around 100 dollars and a million shares, no two equal, with changed rows."""
    days = pd.DatetimeIndex(MONTH)
    closes = [100 + row % 3 for row in range(len(days))]
    frame = pd.DataFrame(
        {
            "date": days,
            "time": compute_session_starts("XNYS", days),
            "open": 100.0,
            "high": 103.0,
            "low": 99.0,
            "close": [float(close) for close in closes],
            "volume": [1_000_000.0 + row for row in range(len(days))],
            "vwap": 101.0,
            "transactions": 42.0,
        }
    )
    for row, change in changes:
        for column, value in change.items():
            frame.loc[row, column] = value
    return frame


def flags(frame: pd.DataFrame, symbol: Symbol = STOCK, splits: dict[date, float] | None = None) -> dict[int, set[str]]:
    """Return the flags by row."""
    return {MONTH.index(bar.session): set(bar.flags) for bar in find_symbol_flags(symbol, columns_of(frame), splits)}


def test_a_quiet_month_has_no_flags() -> None:
    assert flags(bars()) == {}


# The last close follows one of 101.
@pytest.mark.parametrize(
    ("symbol", "close", "flagged"),
    [
        (STOCK, 121.1, False), (STOCK, 121.3, True), (STOCK, 80.81, False), (STOCK, 80.7, True),
        (FUND, 116.1, False), (FUND, 116.2, True), (COIN, 131.2, False), (COIN, 131.4, True),
    ],
)  # fmt: skip
def test_a_move_over_the_threshold_of_its_asset_class_is_flagged(symbol: Symbol, close: float, flagged: bool) -> None:
    frame = bars((LAST, {"close": close, "high": 140.0, "low": 70.0}))
    assert frame["close"][LAST - 1] == 101
    assert flags(frame, symbol) == ({LAST: {"unexplained_move"}} if flagged else {})


def test_a_split_explains_the_move_it_makes() -> None:
    halved = bars(*((row, {"open": 50.0, "high": 52.0, "low": 49.0, "close": 50.0 + row % 2, "vwap": 50.5, "volume":
                           2_000_000.0 + row}) for row in range(12, len(MONTH))))  # fmt: skip
    assert flags(halved) == {12: {"unlisted_split"}}
    assert flags(halved, splits={MONTH[12]: 0.5}) == {}


def test_a_split_of_the_days_between_two_stored_sessions_explains_the_move_too() -> None:
    frame = bars((LAST, {"close": 50.5, "low": 50.0})).drop(index=LAST - 1)
    assert flags(frame, splits={MONTH[LAST - 1]: 0.5}) == {}


def test_a_split_that_does_not_show_is_flagged_and_not_as_a_move() -> None:
    [found] = find_symbol_flags(STOCK, columns_of(bars()), {MONTH[12]: 0.5})
    assert (found.session, found.flags, found.gap_detected) == (MONTH[12], ("split_without_move",), True)


@pytest.mark.parametrize(("factor", "flagged"), [(0.8, True), (0.9, False), (1.2, False), (1.3, True)])
def test_a_split_smaller_than_an_unusual_move_need_not_show(factor: float, flagged: bool) -> None:
    assert flags(bars(), splits={MONTH[12]: factor}) == ({12: {"split_without_move"}} if flagged else {})


def test_a_move_that_the_split_does_not_explain_is_flagged() -> None:
    frame = bars((LAST, {"close": 30.0, "low": 30.0}))
    assert flags(frame, splits={MONTH[LAST]: 0.5}) == {LAST: {"unexplained_move"}}


@pytest.mark.parametrize(
    ("symbol", "volume", "flagged"),
    [(STOCK, 5.9e6, False), (STOCK, 6.1e6, True), (STOCK, 1.7e5, False), (STOCK, 1.6e5, True), (COIN, 9.9e6, False),
     (COIN, 10.1e6, True), (FUND, 5.9e6, False), (FUND, 6.1e6, True)],
)  # fmt: skip
def test_a_volume_far_from_the_usual_one_is_flagged(symbol: Symbol, volume: float, flagged: bool) -> None:
    assert flags(bars((LAST, {"volume": volume})), symbol) == ({LAST: {"volume_outlier"}} if flagged else {})


def test_the_usual_volume_is_that_of_the_sessions_before_and_not_of_the_batch() -> None:
    tenfold = [(row, {"volume": 1e7 + row}) for row in range(12, len(MONTH))]
    found = flags(bars(*tenfold))
    assert found[12] == {"volume_outlier"}
    assert found[21] == {"volume_outlier"}  # nine of the twenty before are of the new kind
    assert 23 not in found  # eleven are


def test_the_first_ten_volumes_are_not_flagged() -> None:
    assert flags(bars((9, {"volume": 1e9}))) == {}
    assert flags(bars((10, {"volume": 1e9}))) == {10: {"volume_outlier"}}


def test_volumes_before_a_split_count_in_the_shares_after_it() -> None:
    tenfold = [(row, {"volume": 1e7 + row, "close": 10.0 + row % 2 / 10, "open": 10.0, "high": 10.3, "low": 9.9,
                      "vwap": 10.1}) for row in range(12, len(MONTH))]  # fmt: skip
    assert flags(bars(*tenfold), splits={MONTH[12]: 0.1}) == {}


def test_no_volume_is_flagged_as_that_and_nothing_else() -> None:
    assert flags(bars((LAST, {"volume": 0.0}))) == {LAST: {"zero_volume"}}
    assert flags(bars((LAST, {"volume": 1e-8}))) == {LAST: {"volume_outlier"}}


@pytest.mark.parametrize("but", [{}, {"close": 101.5}, {"volume": 1_000_011.5}, {"low": 98.9}], ids=str)
def test_a_bar_that_repeats_the_one_before_in_everything_is_flagged(but: dict[str, float]) -> None:
    before = {name: bars().loc[11, name] for name in ("open", "high", "low", "close", "volume")}
    assert flags(bars((12, {**before, **but}))) == ({} if but else {12: {"repeated"}})


@pytest.mark.parametrize(("vwap", "flagged"), [(103.1, False), (103.2, True), (98.91, False), (98.8, True)])
def test_an_average_price_beyond_the_extremes_is_flagged(vwap: float, flagged: bool) -> None:
    assert flags(bars((LAST, {"vwap": vwap}))) == ({LAST: {"vwap_outside"}} if flagged else {})


def test_a_bar_without_an_average_price_is_not_flagged() -> None:
    assert flags(bars((LAST, {"vwap": float("nan")}))) == {}


def test_the_note_names_the_rule_and_the_score_has_its_penalty() -> None:
    frame = bars((LAST, {"close": 50.5, "low": 50.0, "volume": 2e7}))
    [found] = find_symbol_flags(STOCK, columns_of(frame), {})
    assert found == FlaggedBar(
        place=0,
        session=MONTH[LAST],
        flags=("unexplained_move", "volume_outlier"),
        notes="unexplained_move: the close 50.5 is -50.0% from 101 on 2024-02-02, splits considered; "
        "volume_outlier: the volume is 20 times the usual one, the median of the sessions before",
        quality_score=0.85,
        gap_detected=True,
        volume_anomaly=True,
    )


@pytest.mark.parametrize("rule", SUSPICIOUS, ids=lambda rule: rule.name)
def test_every_rule_has_a_meaning_a_reasoning_and_a_threshold_for_all_asset_classes_or_none(rule: Any) -> None:
    assert rule.meaning
    assert rule.reasoning
    assert set(rule.thresholds) in (set(), set(AssetClass))
    assert 0 < rule.penalty < 1


HALVED = {"open": 50.0, "close": 50.0}
CHANGES = st.sampled_from(
    [{}, HALVED, HALVED, {"close": 50.0}, {"close": 200.0}, {"volume": 0.0}, {"volume": 1e8}, {"vwap": 1.0}]
)


@given(st.lists(CHANGES, min_size=len(MONTH), max_size=len(MONTH)), st.integers(0, LAST), st.booleans())
def test_flags_depend_only_on_the_bars_looked_back_on_and_ahead_to(
    changes: list[dict[str, Any]], row: int, split: bool
) -> None:
    frame = bars(*enumerate(changes))
    splits = {MONTH[15]: 0.5} if split else {}
    part = frame.iloc[max(row - LOOK_BACK, 0) : row + 1 + LOOK_AHEAD]
    whole = [bar for bar in find_symbol_flags(STOCK, columns_of(frame), splits) if bar.session == MONTH[row]]
    assert [bar for bar in find_symbol_flags(STOCK, columns_of(part), splits) if bar.session == MONTH[row]] == whole
