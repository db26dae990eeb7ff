"""The sandbox's bars: recorded ones unchanged, generated ones independent of the requested range."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from bokeh_sampledata import stocks
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.bar_arrays import PRICES, Bars
from market_pipeline.sandbox.config import ClockError, SandboxConfig
from market_pipeline.sandbox.generated import build_history
from market_pipeline.sandbox.listings import Listing, find_listings
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.sandbox.recorded import RECORDED
from market_pipeline.sandbox.splits import find_splits

NOW = datetime(2026, 3, 2, 2, tzinfo=UTC)
EVER, LAST = date(1990, 1, 1), date(2026, 2, 27)
SPY_ON_2004_01_05 = "('2004-01-05', 1781978.653143, 34.7077, 34.44, 34.9, 34.26, 34.83, 22274, False)"
SAMPLE = ["AAPL", "FB", "SPY", "XOM", "BRK.B", "ZZZZ", "KIMpL", "X:BTCUSD", "X:SHIBUSD", "NEWCO", "GONECO"]


@pytest.fixture(scope="module")
def market() -> SandboxMarket:
    return SandboxMarket(SandboxConfig(now=NOW))


def listing_of(ticker: str) -> Listing:
    return find_listings(ticker)[-1].whole


@pytest.mark.parametrize("ticker", RECORDED)
def test_recorded_bars_are_the_recorded_numbers(market: SandboxMarket, ticker: str) -> None:
    bars = market.read_bars(ticker, EVER, date(2013, 3, 1), adjust=False)
    data = getattr(stocks, ticker)
    assert [str(day) for day in bars["day"]] == data["date"]
    for ours, theirs in (("o", "open"), ("h", "high"), ("l", "low"), ("c", "close"), ("v", "volume")):
        assert bars[ours].tolist() == data[theirs]
    assert bars["recorded"].all()
    assert np.isnan(bars["vw"]).all()
    assert not bars["n"].any()


@pytest.mark.parametrize("ticker", RECORDED)
def test_a_recorded_ticker_continues_with_generated_bars(market: SandboxMarket, ticker: str) -> None:
    bars = market.read_bars(ticker, date(2013, 3, 1), LAST, adjust=False)
    assert not bars["recorded"][1:].any()
    last = find_listings(ticker)[-1].last or LAST
    assert [day.item() for day in bars["day"]] == list_sessions("XNYS", date(2013, 3, 1), last)
    assert bars["o"][1] == pytest.approx(bars["c"][0], rel=0.02)


@pytest.mark.parametrize("ticker", ["AAPL", "MSFT"])
def test_adjusting_recorded_bars_agrees_with_their_adjusted_close(market: SandboxMarket, ticker: str) -> None:
    adjusted = market.read_bars(ticker, EVER, date(2013, 3, 1), adjust=True)["c"]
    oracle = np.array(getattr(stocks, ticker)["adj_close"])
    # The oracle is adjusted for dividends and later splits too, which are a steady scale around a recorded split.
    for split in find_splits(listing_of(ticker)):
        after = getattr(stocks, ticker)["date"].index(str(split.execution_date))
        assert adjusted[after] / adjusted[after - 1] == pytest.approx(oracle[after] / oracle[after - 1], rel=0.01)


@settings(max_examples=60)
@given(st.sampled_from(SAMPLE), st.dates(date(1999, 1, 1), LAST), st.integers(0, 3000), st.booleans())
def test_any_range_is_a_slice_of_the_full_history(ticker: str, first: date, length: int, adjust: bool) -> None:
    market = SandboxMarket(SandboxConfig(now=NOW))
    last = first + timedelta(days=length)
    whole = market.read_bars(ticker, EVER, LAST, adjust=adjust)
    inside = whole[(whole["day"] >= np.datetime64(first)) & (whole["day"] <= np.datetime64(last))]
    assert same(market.read_bars(ticker, first, min(last, LAST), adjust=adjust), inside)


@settings(max_examples=60)
@given(st.from_regex(r"[A-Z]{1,5}|X:[A-Z]{3,5}USD", fullmatch=True).filter(lambda name: name not in RECORDED))
def test_generated_bars_of_any_ticker_are_possible(ticker: str) -> None:
    bars = build_history(listing_of(ticker), LAST)
    assert (bars["l"] > 0).all()
    assert (bars["v"] > 0).all()
    assert (bars["n"] >= 1).all()
    assert (bars["h"] >= np.maximum(bars["o"], bars["c"])).all()
    assert (bars["l"] <= np.minimum(bars["o"], bars["c"])).all()
    assert ((bars["vw"] >= bars["l"]) & (bars["vw"] <= bars["h"])).all()


@settings(max_examples=30)
@given(st.sampled_from(SAMPLE), st.integers(2014, 2025))
def test_a_longer_history_only_adds_bars(ticker: str, year: int) -> None:
    shorter, longer = (build_history(listing_of(ticker), date(last, 12, 31)) for last in (year, 2027))
    assert same(longer[: len(shorter)], shorter)


def test_exactly_the_sessions_have_bars(market: SandboxMarket) -> None:
    for ticker, calendar, first in (("SPY", "XNYS", date(2003, 9, 10)), ("X:BTCUSD", "24/7", date(2013, 11, 1))):
        bars = market.read_bars(ticker, EVER, LAST, adjust=False)
        assert [day.item() for day in bars["day"]] == list_sessions(calendar, first, LAST)


def test_generated_bars_are_the_same_in_every_process_and_version() -> None:
    code = (
        "from datetime import date\n"
        "from market_pipeline.sandbox.generated import build_history\n"
        "from market_pipeline.sandbox.listings import find_listings\n"
        "print(build_history(find_listings('SPY')[0], date(2004, 1, 5))[-1])"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(build_history(listing_of("SPY"), date(2004, 1, 5))[-1])
    assert other.stdout.strip() == SPY_ON_2004_01_05


def test_a_generated_split_shows_in_the_price_and_not_in_adjusted_prices(market: SandboxMarket) -> None:
    (split,) = find_splits(listing_of("BRK.B"))
    day = split.execution_date
    traded, adjusted = (
        market.read_bars("BRK.B", day - timedelta(days=5), day, adjust=adjust)["c"] for adjust in (False, True)
    )
    assert traded[-2] / traded[-1] == pytest.approx(split.split_to / split.split_from, rel=0.06)
    assert adjusted[-2] / adjusted[-1] == pytest.approx(1, rel=0.06)


def test_a_split_rewrites_the_adjusted_history_on_its_day_and_leaves_the_traded_one_alone() -> None:
    (split,) = find_splits(listing_of("TSLA"))
    before, after = (
        SandboxMarket(
            SandboxConfig(now=datetime.combine(split.execution_date, datetime.min.time(), UTC) + timedelta(days=days))
        )
        for days in (-1, 2)
    )
    span = (date(2020, 1, 1), date(2020, 12, 31))
    assert same(*(then.read_bars("TSLA", *span, adjust=False) for then in (before, after)))
    old, new = (then.read_bars("TSLA", *span, adjust=True) for then in (before, after))
    assert new["c"] == pytest.approx(old["c"] / 3, abs=1e-4)
    assert new["v"] == pytest.approx(old["v"] * 3)


def test_the_last_bars_are_provisional_for_a_day_if_requested() -> None:
    def seen(now: str) -> Bars:
        clock = datetime.fromisoformat(now).replace(tzinfo=UTC)
        market = SandboxMarket(SandboxConfig(now=clock, revisions=True))
        return market.read_bars("SPY", date(2024, 5, 31), date(2024, 6, 3), adjust=False)

    that_night, next_night, later = seen("2024-06-04 02:00"), seen("2024-06-05 02:00"), seen("2024-07-01 02:00")
    assert that_night["v"][-1] > next_night["v"][-1]
    assert all(that_night[price].tolist() == next_night[price].tolist() for price in PRICES)
    assert that_night["v"][0] == next_night["v"][0]
    assert same(next_night, later)


@pytest.mark.parametrize(
    ("ticker", "now", "newest", "share"),
    [
        ("SPY", "2024-06-03 13:29", "2024-05-31", 1),  # before Monday's open
        ("SPY", "2024-06-03 16:45", "2024-06-03", 0.5),
        ("SPY", "2024-06-03 20:00", "2024-06-03", 1),
        ("X:BTCUSD", "2024-06-03 06:00", "2024-06-03", 0.25),
    ],
)
def test_todays_bar_forms_while_the_market_is_open(ticker: str, now: str, newest: str, share: float) -> None:
    market = SandboxMarket(SandboxConfig(now=datetime.fromisoformat(now).replace(tzinfo=UTC)))
    last = market.read_bars(ticker, date(2024, 5, 20), date(2024, 6, 30), adjust=False)[-1]
    final = build_history(listing_of(ticker), date(2024, 12, 31))
    assert str(last["day"]) == newest
    assert last["v"] == pytest.approx(share * final["v"][final["day"] == last["day"]][0])
    assert all(last["l"] <= last[price] <= last["h"] for price in ("o", "c", "vw"))


@pytest.mark.parametrize("ticker", ["AAPL", "NEWCO", "X:BTCUSD"])
def test_nothing_is_seen_before_a_tickers_first_session(ticker: str) -> None:
    market = SandboxMarket(SandboxConfig(now=datetime(2000, 1, 20, tzinfo=UTC)))
    assert not len(market.read_bars(ticker, EVER, LAST, adjust=True))


@pytest.mark.parametrize("ticker", ["aapl", "NO SUCH", "C:EURUSD", "X:BTC", "X:btcUSD", "I:SPX", "", "1ABC"])
def test_an_invalid_ticker_is_not_listed(ticker: str) -> None:
    assert find_listings(ticker) == ()


def test_recorded_dividends_are_the_markets_own(market: SandboxMarket) -> None:
    paid = {ticker: market.list_dividends(listing_of(ticker)) for ticker in RECORDED}
    assert {ticker: len(dividends) for ticker, dividends in paid.items()} == {
        "AAPL": 3, "FB": 0, "GOOG": 0, "IBM": 52, "MSFT": 38,
    }  # fmt: skip
    assert [(str(dividend.ex_date), dividend.cash) for dividend in paid["AAPL"]] == [
        ("2012-08-09", 2.65), ("2012-11-07", 2.65), ("2013-02-07", 2.65),
    ]  # fmt: skip
    assert paid["AAPL"][-1].cumulative_factor == pytest.approx(1 - 2.65 / 457.35, abs=1e-6)
    together = [dividend for dividend in paid["MSFT"] if str(dividend.ex_date) == "2004-11-15"]
    assert [(dividend.cash, dividend.special) for dividend in together] == [(0.08, False), (3.0, True)]
    assert len({dividend.vendor_id for dividend in paid["MSFT"]}) == 38
    assert paid["MSFT"][0].split_adjusted_cash == 0.08  # the split was the day before


def test_a_recorded_dividend_is_not_known_before_it_is_announced() -> None:
    market = SandboxMarket(SandboxConfig(now=datetime(2012, 9, 1, tzinfo=UTC)))
    assert len(market.list_dividends(listing_of("AAPL"))) == 1


def test_some_generated_tickers_have_generated_dividends(market: SandboxMarket) -> None:
    assert not market.list_dividends(listing_of("X:BTCUSD"))
    paid = market.list_dividends(listing_of("NVDA"))
    assert {dividend.ex_date.month for dividend in paid} == {2, 5, 8, 11}
    assert all(dividend.cash > 0 for dividend in paid)
    factors = [dividend.cumulative_factor for dividend in paid]
    assert factors == sorted(factors)
    assert 0 < factors[0] < factors[-1] <= 1


def test_a_clock_without_a_time_zone_is_rejected() -> None:
    with pytest.raises(ClockError, match="time zone"):
        SandboxConfig(now=datetime(2024, 6, 4, 2))  # noqa: DTZ001 - the test is of a time without a zone


def same(one: Bars, other: Bars) -> bool:
    return pd.DataFrame(one).equals(pd.DataFrame(other))
