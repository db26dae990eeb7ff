"""The sandbox's generated market: its mix and changes, who trades, and bars that are the same in any response."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.core.symbols import AssetClass, find_ticker_symbol
from market_pipeline.sandbox.bar_arrays import to_columns
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.counter_noise import LONGEST, draw_uniforms, walk
from market_pipeline.sandbox.flat_files import to_lines
from market_pipeline.sandbox.market import SandboxMarket
from market_pipeline.sandbox.population import build_population
from market_pipeline.vendor_format.bar_bodies import build_whole_day_rows, compute_end_time
from market_pipeline.vendor_format.bar_rows import VALUES
from market_pipeline.vendor_format.encoding import to_json
from market_pipeline_tests.market_truth import traded_tickers

SMALL = SandboxConfig(now=datetime(2026, 3, 2, 2, tzinfo=UTC), market_tickers=120)
XNYS, CRYPTO = find_calendar("XNYS"), find_calendar("24/7")
EVER, LAST = date(1990, 1, 1), date(2026, 2, 27)
YEARS = list_sessions("XNYS", date(2021, 1, 4), date(2024, 12, 31))


@pytest.fixture(scope="module")
def market() -> SandboxMarket:
    return SandboxMarket(SMALL)


@pytest.mark.parametrize("day", YEARS[::40])
def test_a_session_has_exactly_the_tickers_that_trade(market: SandboxMarket, day: date) -> None:
    assert set(market.read_session_bars(XNYS, day, adjust=False).tickers) == set(traded_tickers(SMALL, day))
    assert set(market.read_session_bars(CRYPTO, day, adjust=False).tickers) == set(traded_tickers(SMALL, day, "24/7"))


@pytest.mark.parametrize("adjust", [False, True])
def test_a_session_and_a_range_have_the_same_bars(market: SandboxMarket, adjust: bool) -> None:
    for day in YEARS[::200]:
        session = market.read_session_bars(XNYS, day, adjust=adjust)
        for ticker, bar in zip(session.tickers, session.bars, strict=True):
            (alone,) = market.read_bars(ticker, day, day, adjust=adjust)
            assert alone.tolist() == bar.tolist(), ticker


def test_every_range_is_a_slice_of_the_full_list(market: SandboxMarket) -> None:
    for ticker in list(traded_tickers(SMALL, YEARS[0]))[::10]:
        whole = market.read_bars(ticker, EVER, LAST, adjust=False)
        inside = whole[(whole["day"] >= np.datetime64("2021-03-01")) & (whole["day"] <= np.datetime64("2022-03-01"))]
        assert market.read_bars(ticker, date(2021, 3, 1), date(2022, 3, 1), adjust=False).tolist() == inside.tolist()


def test_generated_bars_are_possible_and_move_like_prices(market: SandboxMarket) -> None:
    for listing in market.universe.populations["XNYS"].listings[::5]:
        bars = market.universe.populations["XNYS"].make_ticker_bars(listing, EVER, LAST)
        assert (bars["l"] > 0).all()
        assert (bars["v"] > 0).all()
        assert (bars["n"] >= 1).all()
        assert (bars["h"] >= np.maximum(bars["o"], bars["c"])).all()
        assert (bars["l"] <= np.minimum(bars["o"], bars["c"])).all()
        assert ((bars["vw"] >= bars["l"]) & (bars["vw"] <= bars["h"])).all()


def test_volumes_are_whole_before_2026_and_fractional_from_then_on(market: SandboxMarket) -> None:
    generated = set(market.universe.populations["XNYS"].tickers)
    for day, share in ((date(2025, 12, 31), 0.0), (date(2026, 1, 2), 0.9)):
        session = market.read_session_bars(XNYS, day, adjust=False)
        volumes = session.bars["v"][[ticker in generated for ticker in session.tickers]]
        assert (volumes % 1 != 0).mean() == pytest.approx(share, abs=0.1)


def test_a_split_shows_in_the_price_and_not_in_adjusted_prices(market: SandboxMarket) -> None:
    splits = [
        (listing, split)
        for listing in market.universe.populations["XNYS"].listings
        if listing.issue and listing.first < date(2023, 1, 1)
        for split in (shown.split for shown in market.list_splits(listing))
        if split.execution_date > date(2015, 1, 1)
    ]
    assert splits
    for listing, split in splits:
        traded, adjusted = (market.read_bars(listing.ticker, EVER, LAST, adjust=adjust) for adjust in (False, True))
        place = int(np.searchsorted(traded["day"], np.datetime64(split.execution_date)))
        if not 0 < place < len(traded):
            continue
        ratio = traded["o"][place - 1] / traded["o"][place] * split.price_factor
        assert ratio == pytest.approx(1, abs=0.25), listing.ticker
        assert adjusted["o"][place - 1] == pytest.approx(traded["o"][place - 1] * split.price_factor, abs=1e-4)


def test_the_market_has_every_kind_of_ticker_and_change(market: SandboxMarket) -> None:
    issues = market.universe.populations["XNYS"].issues
    assert {issue.kind for issue in issues} == {"CS", "ADRC", "ETF", "PFD", "WARRANT", "UNIT", "RIGHT", "WHEN ISSUED"}
    tickers = {ticker for issue in issues for ticker, *_ in issue.periods}
    for ending in (".A", ".B", "pA", "pB", ".WS", ".U", "r", "w"):
        assert any(ticker.endswith(ending) for ticker in tickers), ending
    assert all(find_ticker_symbol(ticker, AssetClass.STOCK).vendor_ticker == ticker for ticker in tickers)


def test_tickers_are_reused_renamed_and_differ_by_case_only_within_four_years() -> None:
    truth = [traded_tickers(SMALL, day) for day in YEARS]
    holders: dict[str, list[str]] = {}
    names: dict[str, list[str]] = {}
    for session in truth:
        for ticker, security in session.items():
            if security not in holders.setdefault(ticker, []):
                holders[ticker].append(security)
            if ticker not in names.setdefault(security, []):
                names[security].append(ticker)
    assert any(len(found) > 1 for found in holders.values()), "reused"
    assert sum(len(found) > 1 for found in names.values()) > 3, "renamed"
    assert any(len({ticker.upper() for ticker in session}) < len(session) for session in truth), "case only"
    gone, born = set(truth[0]) - set(truth[-1]), set(truth[-1]) - set(truth[0])
    assert len(gone) > 10
    assert len(born) > 10


def test_a_when_issued_ticker_ends_before_its_plain_one_begins(market: SandboxMarket) -> None:
    issues = market.universe.populations["XNYS"].issues
    begins = {ticker: first for issue in issues for ticker, first, _ in issue.periods}
    ended = [
        (ticker[:-1], last) for issue in issues for ticker, _, last in issue.periods if issue.kind == "WHEN ISSUED"
    ]
    assert ended
    assert all(begins[plain] > 0 for plain, _ in ended)
    assert any(begins[plain] == last + 1 for plain, last in ended)


def test_a_smaller_market_is_a_part_of_a_larger_one_and_another_seed_is_another_market() -> None:
    small, large, other = (
        {issue.key: issue for issue in build_population("XNYS", count, seed).issues}
        for count, seed in ((120, 0), (240, 0), (120, 1))
    )
    assert small.items() <= large.items()
    assert small.items() ^ other.items()


def test_a_market_of_11000_has_about_that_many_and_some_14000_different_ones_in_five_years() -> None:
    market = build_population("XNYS", 11_000, 0)
    counts = [len(market.find_traded_rows(date(year, 6, 3))[0]) for year in (2022, 2024, 2026)]
    assert all(10_500 < count < 11_800 for count in counts), counts
    first, last = np.searchsorted(market.days, np.array(["2021-11-26", "2026-11-25"], dtype="M8[D]"))
    there = (market.first <= last) & (market.last >= first)
    assert 13_500 < len(set(market.tickers[there])) < 15_500


@settings(max_examples=50)
@given(st.integers(0, 2**64 - 1), st.integers(0, 10_000))
def test_a_number_and_a_walk_depend_on_seed_and_place_alone(seed: int, place: int) -> None:
    seeds, places = np.full(7, seed, dtype=np.uint64), np.arange(place - 3, place + 4)
    for draw in (draw_uniforms, walk):
        together = draw(seeds, 1, places)
        assert [draw(seeds[:1], 1, places[index : index + 1])[0] for index in range(7)] == together.tolist()
    steps = np.diff(walk(seeds, 1, places))
    assert np.abs(steps).max() < 4
    assert np.abs(walk(seeds, 1, places)).max() <= LONGEST


def test_rows_of_a_session_are_encoded_as_dictionaries_are(market: SandboxMarket) -> None:
    days = [(XNYS, day) for day in (date(2004, 1, 5), date(2013, 3, 1), date(2026, 2, 27))] + [(CRYPTO, LAST)]
    for calendar_, day in days:
        session = market.read_session_bars(calendar_, day, adjust=False)
        end = compute_end_time(calendar_, day)
        bars = zip(session.tickers, session.bars, strict=True)
        rows = [
            {
                "T": ticker,
                **{key: float(bar[key]) for key in VALUES if not np.isnan(bar[key])},
                "t": end,
                **({"n": int(bar["n"])} if bar["n"] else {}),
            }
            for ticker, bar in bars
        ]
        assert build_whole_day_rows(calendar_, to_columns(session.bars), session.tickers).to_json() == to_json(rows)


def test_lines_of_a_file_have_the_numbers_without_exponents(market: SandboxMarket) -> None:
    session = market.read_session_bars(CRYPTO, LAST, adjust=False)
    for line, bar in zip(to_lines(session, 5)[1:], session.bars, strict=True):
        _, volume, *prices, start, trades = line.split(",")
        assert "e" not in line.partition(",")[2]
        assert float(volume) == bar["v"]
        assert [float(price) for price in prices] == [bar[name] for name in ("o", "c", "h", "l")]
        assert (start, int(trades)) == ("5", bar["n"])
