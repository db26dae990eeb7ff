"""Flags of many symbols' bars, found at once: each symbol's are those that it gets alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.bars import PRICE_COLUMNS, VALUE_COLUMNS, Columns, join_bars
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline_tests.symbol_flags import find_symbol_flags

START = date(2024, 1, 1)


@dataclass(frozen=True)
class Instrument:
    """A symbol's bars, splits and distributions."""

    symbol: Symbol
    bars: Columns
    splits: Mapping[date, float]
    distributions: Mapping[date, float]


def bars_of(close: np.ndarray, volume: np.ndarray, start: date = START) -> Columns:
    """Return bars of days in a row, whose open is the close."""
    prices = dict.fromkeys(PRICE_COLUMNS, close)
    return {
        "date": np.datetime64(start) + np.arange(len(close)),
        **prices,
        "volume": volume,
        "vwap": close * 1.0015,
        "transactions": np.full(len(close), np.nan),
    }


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Draw up to 40 bars: quiet ones, with moves, repeated bars, unusual volumes, splits and distributions."""
    count = draw(st.integers(0, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = generator.choice(
        [0, 0.01, -0.01, 0.25, np.log(2), -np.log(2), np.log(4)], count, p=[0.3, *[0.3] * 2, *[0.025] * 4]
    )
    close = 100 * np.exp(np.cumsum(steps))
    volume = generator.choice([1e6, 1.1e6, 0, 1e8, 1e4], count, p=[0.45, 0.4, 0.05, 0.05, 0.05])
    bars = bars_of(close, volume, START + timedelta(draw(st.integers(0, 30))))
    days = st.integers(-2, 42).map(lambda day: START + timedelta(day))
    splits = draw(st.dictionaries(days, st.sampled_from([0.5, 0.25, 2.0]), max_size=2))
    distributions = draw(st.dictionaries(days, st.sampled_from([5.0, 20.0, 60.0]), max_size=2))
    return Instrument(Symbol("X", draw(st.sampled_from(AssetClass))), bars, splits, distributions)


@settings(max_examples=50)
@given(st.lists(instruments(), min_size=1, max_size=6), st.data())
def test_a_symbol_among_others_has_the_flags_that_it_has_alone(several: list[Instrument], data: st.DataObject) -> None:
    alone = [
        replace(bar, place=place)
        for place, each in enumerate(several)
        for bar in find_symbol_flags(each.symbol, each.bars, each.splits, each.distributions)
    ]
    bars = join_bars([each.bars for each in several])
    of_all = (
        [each.symbol.asset_class for each in several],
        {place: each.splits for place, each in enumerate(several)},
        {place: each.distributions for place, each in enumerate(several)},
    )
    assert find_flags(bars, *of_all) == alone
    count = len(bars["place"])
    among = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    wanted = set(zip(bars["place"][among].tolist(), bars["date"][among].tolist(), strict=True))
    assert find_flags(bars, *of_all, among) == [bar for bar in alone if (bar.place, bar.session) in wanted]


def test_nothing_is_compared_across_two_symbols() -> None:
    """The second symbol's first bar repeats the first one's last; the third's price and volume are far off."""
    quiet = bars_of(100.0 + np.arange(30) % 3, 1e6 + np.arange(30))
    last = {name: values[-1:] for name, values in quiet.items()}
    following = dict(bars_of(np.arange(100.0, 112.0), np.full(12, 1e6), START + timedelta(30)))
    for name in (*PRICE_COLUMNS, "volume"):
        following[name] = np.concatenate([last[name], following[name][1:]])
    penny = bars_of(0.01 + 0.0001 * (np.arange(12) % 3), np.full(12, 1e9), START + timedelta(42))
    bars = dict(join_bars([quiet, following, penny]))
    bars["vwap"] = bars["close"]
    assert find_flags(bars, [AssetClass.STOCK] * 3) == []
    one = {**bars, "place": np.zeros(len(bars["place"]), dtype=np.int64)}
    assert [bar.flags for bar in find_flags(one, [AssetClass.STOCK])][:2] == [
        ("repeated",),
        ("unexplained_move", "volume_outlier"),
    ]


@pytest.mark.parametrize(("asset_class", "flagged"), [("stock", True), ("etf", True), ("crypto", False)])
def test_each_symbol_has_the_thresholds_of_its_asset_class(asset_class: str, flagged: bool) -> None:
    up = bars_of(np.array([100.0, 125.0]), np.full(2, 1e6))
    bars = {**join_bars([up, up, up]), "vwap": np.full(6, np.nan)}
    classes = [AssetClass.CRYPTO, AssetClass(asset_class), AssetClass.CRYPTO]
    found = find_flags(bars, classes)
    assert [(bar.place, bar.session, bar.flags) for bar in found] == [
        (1, START + timedelta(1), ("unexplained_move",))
    ] * flagged


def test_a_split_concerns_its_own_symbol_only_and_the_note_its_own_bars() -> None:
    halved = bars_of(np.repeat([100.0, 50.0], 15), np.repeat([1e6, 2e6], 15) + np.arange(30))
    bars = {**join_bars([halved] * 3), "vwap": np.full(90, np.nan)}
    executed = START + timedelta(15)
    found = find_flags(bars, [AssetClass.STOCK] * 3, {1: {executed: 0.5}, 2: {executed + timedelta(3): 0.5}})
    assert [(bar.place, bar.session, bar.flags) for bar in found] == [
        (0, executed, ("unlisted_split",)),
        (2, executed, ("unlisted_split",)),
        (2, executed + timedelta(3), ("split_without_move",)),
    ]
    first, second, third = (bar.notes for bar in found)
    assert first.endswith("looks like a 2-for-1 split that is not listed, or like a distribution of 50% of the price")
    assert second.endswith("looks like the 2-for-1 split that is listed for 2024-01-19")
    assert third.endswith("; the price moved so on 2024-01-16")


def test_no_bars_have_no_flags() -> None:
    nothing = {name: np.array([]) for name in VALUE_COLUMNS}
    empty = {**nothing, "place": np.array([], dtype=np.int64), "date": np.array([], dtype="datetime64[D]")}
    assert find_flags(empty, [AssetClass.STOCK], {0: {date(2024, 1, 2): 0.5}}, {0: {date(2024, 1, 2): 1.0}}) == []
