"""Explanations of differences: a real series, a known change of it, and the explanation that it must get."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.reconciliation.basis import measure_jumps
from market_pipeline.reconciliation.explanations import ExplainedSeries, Replaced, explain_series
from market_pipeline.reconciliation.field_series import Explanation, FieldSeries, find_decimal_unit
from market_pipeline.warehouse.export_query import Adjustment
from market_pipeline_tests.published_prices import stock_closes

TOLERANCE = 0.0005
NONE, SPLITS, ALL = Adjustment
EXAMPLES = settings(max_examples=30)
SPLIT_RATIOS = (2.0, 3.0, 1.5, 7.0, 0.5)


@dataclass(frozen=True, repr=False)
class Stock:
    """A stock: published closes, taken as traded, with splits and dividends put in."""

    name: str
    series: FieldSeries

    def values(self, adjustment: Adjustment) -> Any:
        """Return the closes under an adjustment."""
        return replace(self.series, adjustment=adjustment).stored

    def compared(self, file: Any, adjustment: Adjustment, **changes: Any) -> FieldSeries:
        """Return the closes beside those of a file."""
        return replace(self.series, file=file, adjustment=adjustment, **changes)


def make_stock(name: str, first: int, splits: list[tuple[int, float]], dividends: list[tuple[int, float]]) -> Stock:
    """Make a stock of 600 sessions; splits are shares for one, dividends a share of the price."""
    closes = stock_closes()[name].iloc[first : first + 600]
    split, dividend = np.zeros(600), np.zeros(600)
    for at, ratio in splits:
        split[:at] -= np.log(ratio)
    for at, share in dividends:
        dividend[:at] += np.log(1 - share)
    # What is published is adjusted, with few decimals; as traded it was in cents.
    traded = np.round(closes.to_numpy() * np.exp(-split - dividend), 2)
    days = closes.index.to_numpy().astype("datetime64[D]")
    return Stock(name, FieldSeries(days, traded, traded, split, dividend, np.zeros(600, dtype=bool), NONE, TOLERANCE))


@st.composite
def stocks(draw: st.DrawFn, *, most_splits: int = 2, most_dividends: int = 8) -> Stock:
    """Draw a stock, some years and its splits and dividends, which are at least ten sessions apart."""
    places = draw(st.lists(st.integers(2, 57), min_size=most_splits + most_dividends, unique=True, max_size=10))
    places = [place * 10 for place in places]
    splits = [(at, draw(st.sampled_from(SPLIT_RATIOS))) for at in places[:most_splits]]
    shares = st.floats(0.004, 0.06)
    dividends = [(at, draw(shares)) for at in places[most_splits : most_splits + most_dividends]]
    name = draw(st.sampled_from(["CVX", "JNJ", "MSFT", "PEP", "PG", "UNH", "WMT", "XOM"]))
    return make_stock(name, draw(st.integers(4500, 7700)), splits, dividends)


def explain(series: FieldSeries, replaced: Replaced | None = None, security: str | None = None) -> ExplainedSeries:
    return explain_series(series, replaced or {}, lambda *_: security)


def count(explained: ExplainedSeries) -> dict[Explanation, int]:
    """Return the number of dates by explanation."""
    found, numbers = np.unique([str(each) for each in explained.explanation if each is not None], return_counts=True)
    return {Explanation(name): int(number) for name, number in zip(found, numbers, strict=True)}


adjustments = st.sampled_from(list(Adjustment))


@EXAMPLES
@given(stocks(), adjustments)
def test_equal_values_agree(stock: Stock, adjustment: Adjustment) -> None:
    assert count(explain(stock.compared(stock.values(adjustment), adjustment))) == {Explanation.AGREED: 600}


@EXAMPLES
@given(stocks(), adjustments, adjustments)
def test_a_file_on_another_basis_is_explained_by_the_listed_actions(
    stock: Stock, adjustment: Adjustment, other: Adjustment
) -> None:
    file, stored = stock.values(other), stock.values(adjustment)
    found = explain(stock.compared(file, adjustment))
    differs = np.abs(file / stored - 1) > 2 * found.series.noise
    by_split = np.abs(stock.values(SPLITS) / stock.values(NONE) - 1) > 2 * found.series.noise
    assert Explanation.UNEXPLAINED not in found.explanation
    assert set(found.explanation[np.abs(file / stored - 1) < TOLERANCE / 2]) <= {Explanation.AGREED}
    assert set(found.explanation[differs]) <= {Explanation.SPLIT_BASIS, Explanation.DIVIDEND_BASIS}
    if NONE in (adjustment, other):
        assert set(found.explanation[differs & by_split]) <= {Explanation.SPLIT_BASIS}
    else:
        assert set(found.explanation[differs]) <= {Explanation.DIVIDEND_BASIS}


@EXAMPLES
@given(stocks(), st.integers(30, 570), st.booleans())
def test_a_basis_switched_in_mid_series_is_explained_on_the_side_that_differs(
    stock: Stock, at: int, traded_first: bool
) -> None:
    older, newer = (NONE, SPLITS) if traded_first else (SPLITS, NONE)
    file = np.concatenate([stock.values(older)[:at], stock.values(newer)[at:]])
    found = explain(stock.compared(file, SPLITS))
    differs = np.abs(file / stock.values(SPLITS) - 1) > TOLERANCE  # a split's effect is far larger than any rounding
    assert set(found.explanation[differs]) <= {Explanation.SPLIT_BASIS}
    assert set(found.explanation[~differs]) <= {Explanation.AGREED}


@EXAMPLES
@given(stocks())
def test_dividends_applied_in_another_way_are_explained(stock: Stock) -> None:
    steps = np.diff(stock.series.dividend, append=0.0)
    # 1 / (1 + dividend / close) in place of 1 - dividend / close
    other = np.where(steps > 0, -np.log1p(1 - np.exp(-steps)), 0.0)
    file = stock.values(SPLITS) * np.exp(np.cumsum(other[::-1])[::-1])
    found = explain(stock.compared(file, ALL))
    assert set(count(found)) <= {Explanation.AGREED, Explanation.ROUNDING, Explanation.DIVIDEND_BASIS}


@EXAMPLES
@given(stocks(), adjustments, st.integers(20, 300), st.integers(25, 250), st.sampled_from([-1, 1]))
def test_a_days_shift_is_found(stock: Stock, adjustment: Adjustment, at: int, length: int, shift: int) -> None:
    stored = stock.values(adjustment)
    run = slice(at, at + length)
    file = stored.copy()
    file[run] = stored[at + shift : at + shift + length]
    found = explain(stock.compared(file, adjustment))
    moved = np.zeros(600, dtype=bool)
    moved[run] = (np.abs(file / stored - 1) > 2 * found.series.noise)[run]
    if moved.any():  # a few prices that hardly change may look otherwise
        assert (found.explanation[moved] == Explanation.SHIFTED_DAY).mean() > 0.9
    assert set(found.explanation[~moved]) <= {Explanation.AGREED, Explanation.ROUNDING, Explanation.SHIFTED_DAY}


@EXAMPLES
@given(stocks(), adjustments, st.integers(2, 3))
def test_rounding_is_distinguished_from_a_difference(stock: Stock, adjustment: Adjustment, decimals: int) -> None:
    file = np.round(stock.values(adjustment) / 10, decimals) * 10  # such as a price of 4.35 given as 4.4
    assert set(count(explain(stock.compared(np.round(file, 6), adjustment)))) <= {
        Explanation.AGREED,
        Explanation.ROUNDING,
    }


@EXAMPLES
@given(stocks(), adjustments, st.integers(20, 300), st.integers(20, 250))
def test_another_securitys_values_are_found(stock: Stock, adjustment: Adjustment, at: int, length: int) -> None:
    file = stock.values(adjustment).copy()
    other = stock_closes()["HD"].iloc[3000 + at : 3000 + at + length].to_numpy()
    file[at : at + length] = other
    series = stock.compared(file, adjustment)
    found = explain(series, security="HD")
    assert (found.explanation[at : at + length] == Explanation.ANOTHER_SECURITY).mean() > 0.95
    assert set(found.explanation[:at]) | set(found.explanation[at + length :]) <= {Explanation.AGREED}
    unknown = explain(series).explanation[at : at + length]
    assert (unknown == Explanation.UNEXPLAINED).mean() > 0.95


@EXAMPLES
@given(stocks(), adjustments, st.sets(st.integers(0, 599), min_size=1, max_size=40), st.floats(0.002, 0.3))
def test_a_corrected_value_is_found_among_the_revisions(
    stock: Stock, adjustment: Adjustment, places: set[int], error: float
) -> None:
    rows = np.array(sorted(places))
    traded = stock.series.traded.copy()
    traded[rows] *= 1 + error
    before = replace(stock.series, traded=traded, adjustment=adjustment).stored
    replaced = {stock.series.dates[row]: (float(traded[row]),) for row in rows}
    found = explain(stock.compared(before, adjustment), replaced)
    assert set(found.explanation[rows]) == {Explanation.CORRECTION}
    assert count(found)[Explanation.CORRECTION] == len(rows)


@EXAMPLES
@given(stocks(), adjustments, st.sets(st.integers(0, 599), min_size=1, max_size=12), st.floats(0.003, 0.25))
def test_wrong_values_have_no_explanation_and_all_others_agree(
    stock: Stock, adjustment: Adjustment, places: set[int], error: float
) -> None:
    rows = np.array(sorted(places))
    file = stock.values(adjustment).copy()
    file[rows] *= 1 + error + 0.0004 * np.arange(len(rows))
    found = explain(stock.compared(file, adjustment))
    assert set(found.explanation[np.delete(np.arange(600), rows)]) == {Explanation.AGREED}
    missed = [row for row in rows if found.explanation[row] != Explanation.UNEXPLAINED]
    # By chance an error may have the size of the stock's dividends.
    assert all(found.explanation[row] == Explanation.DIVIDEND_BASIS for row in missed)


@EXAMPLES
@given(stocks(), st.floats(0.01, 0.9))
def test_a_file_adjusted_to_another_day_differs_by_one_factor(stock: Stock, factor: float) -> None:
    file = stock.values(ALL) * factor
    found = count(explain(stock.compared(file, ALL)))
    assert Explanation.UNEXPLAINED not in found
    assert found.get(Explanation.CONSTANT_FACTOR, 0) >= 10 or Explanation.AGREED in found
    strictly = count(explain(stock.compared(stock.values(NONE) * 1.37, NONE, any_unit=False)))
    assert strictly[Explanation.UNEXPLAINED] > 500


@EXAMPLES
@given(stocks(most_splits=1), st.integers(10, 49), st.sampled_from([5.0, 4.0, 20.0]))
def test_a_split_that_is_not_listed_here_has_no_explanation_unless_its_bar_is_flagged(
    stock: Stock, place: int, ratio: float
) -> None:
    at = place * 10 + 5
    file = stock.values(SPLITS).copy()
    file[:at] /= ratio
    found = explain(stock.compared(file, SPLITS))
    assert set(found.explanation[:at]) == {Explanation.UNEXPLAINED}
    assert set(found.explanation[at:]) == {Explanation.AGREED}
    flagged = explain(stock.compared(file, SPLITS, suspected=np.arange(600) == at))
    assert set(flagged.explanation[:at]) == {Explanation.UNLISTED_SPLIT}


def test_values_that_cannot_be_adjusted_are_set_apart() -> None:
    stock = make_stock("KO", 5000, [(300, 2.0)], [(400, 0.01)])
    split = stock.series.split.copy()
    split[:300] = np.nan
    found = explain(stock.compared(stock.values(SPLITS), SPLITS, split=split))
    assert set(found.explanation[:300]) == {Explanation.FACTOR_UNKNOWN}
    assert set(found.explanation[300:]) == {Explanation.AGREED}
    # The same file against prices as traded: a known ratio, for a reason that is not known.
    found = explain(stock.compared(stock.values(SPLITS), NONE, split=split))
    assert set(found.explanation[:300]) == {Explanation.FACTOR_UNKNOWN}


def test_a_split_dated_a_day_late_is_its_basis() -> None:
    stock = make_stock("KO", 5000, [(300, 2.0)], [])
    file = stock.values(SPLITS).copy()
    file[300] /= 2
    found = explain(stock.compared(file, SPLITS))
    assert count(found) == {Explanation.AGREED: 599, Explanation.SPLIT_BASIS: 1}


@pytest.mark.parametrize("adjustment", list(Adjustment))
def test_the_basis_of_a_file_has_the_fewest_jumps(adjustment: Adjustment) -> None:
    stock = make_stock("PG", 5000, [(150, 2.0)], [(at, 0.01) for at in range(30, 600, 60)])
    for file in (stock.values(adjustment), np.roll(stock.values(adjustment), 1)):
        jumps = {other: measure_jumps(stock.compared(file, other)) for other in Adjustment}
        assert min(jumps, key=lambda other: jumps[other]) is adjustment


@pytest.mark.parametrize(
    ("values", "unit"), [([1.0, 25.0], 1), ([1.25, 7.5], 0.01), ([0.264, 1.117], 0.001), ([1 / 3, 2.0], 0)]
)
def test_the_unit_of_the_last_decimal(values: list[float], unit: float) -> None:
    assert find_decimal_unit(np.array(values)) == pytest.approx(unit)
