"""Checks of a market's session, on valid bars and on invalid ones."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.bars import VALUE_COLUMNS, FetchedBars, select_rows
from market_pipeline.core.market_bars import CheckedSession, MarketSession
from market_pipeline.core.markets import Origin, find_market
from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.quality.bar_checks import check_bars
from market_pipeline.quality.market_rules import check_market_session

US_STOCKS, CRYPTO = find_market("us-stocks"), find_market("crypto")
DAY = date(2024, 1, 5)
FIVE_IN_UTC = np.datetime64("2024-01-05T05:00", "us")
"""Midnight in New York."""

GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100.5, "vwap": 10.5, "transactions": 7.0}
NAN = float("nan")
Row = tuple[str, dict[str, Any]]


def session(rows: Sequence[Row], start: np.datetime64 = FIVE_IN_UTC) -> MarketSession:
    """Return a session with a good bar for each ticker, with its changes."""
    bars: list[dict[str, Any]] = [{"date": np.datetime64(DAY), "time": start, **GOOD, **change} for _, change in rows]
    tickers = np.empty(len(rows), dtype=object)
    tickers[:] = [ticker for ticker, _ in rows]
    kinds = {"date": "datetime64[D]", "time": "datetime64[us]", **dict.fromkeys(VALUE_COLUMNS, "float64")}
    return MarketSession(
        DAY,
        tickers,
        {name: np.array([bar[name] for bar in bars], dtype=kind) for name, kind in kinds.items()},
        lambda row: {"row": row},
        Origin.GROUPED,
        None,
        requests=1,
    )


def check(*rows: Row) -> CheckedSession:
    return check_market_session(session(rows), US_STOCKS)


def reasons(checked: CheckedSession) -> list[tuple[str, Any, list[str]]]:
    """Return each rejected bar's ticker, its row in the response, and the names of the broken rules."""
    return [
        (bar.ticker, bar.payload["row"], [reason.split(":")[0] for reason in bar.reasons]) for bar in checked.rejected
    ]


def test_valid_bars_pass_unchanged() -> None:
    fetched = session([("MSFT", {}), ("AAPL", {"vwap": NAN, "transactions": NAN}), ("A", {"volume": 1e-8})])
    checked = check_market_session(fetched, US_STOCKS)
    assert checked == CheckedSession(fetched, fetched.tickers, fetched.columns, [])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"open": NAN}, "missing_field"),
        ({"high": np.inf}, "not_finite"),
        ({"open": 0.0, "low": 0.0}, "not_positive"),
        ({"high": 10.5}, "high_too_low"),
        ({"low": 10.5}, "low_too_high"),
        ({"volume": -1.0}, "negative_volume"),
        ({"transactions": 1.5}, "not_a_count"),
        ({"time": FIVE_IN_UTC - np.timedelta64(1, "h")}, "misplaced"),
        ({"date": np.datetime64("NaT"), "time": np.datetime64("NaT")}, "missing_field"),
    ],
)
def test_a_bar_that_breaks_a_rule_is_rejected_with_the_vendors_record(change: dict[str, Any], rule: str) -> None:
    checked = check(("MSFT", {}), ("AAPL", change), ("IBM", {}))
    [(ticker, row, broken)] = reasons(checked)
    assert (ticker, row) == ("AAPL", 1)
    assert rule in broken
    assert list(checked.tickers) == ["MSFT", "IBM"]
    assert {len(values) for values in checked.columns.values()} == {2}


def test_a_bar_of_another_day_is_rejected() -> None:
    """The file of 5 January with a bar of the 8th, the next session."""
    monday = {"date": np.datetime64("2024-01-08"), "time": np.datetime64("2024-01-08T05:00", "us")}
    assert reasons(check(("MSFT", {}), ("AAPL", monday))) == [("AAPL", 1, ["outside_request"])]


def test_an_equal_bar_counts_once_and_of_contradicting_ones_none() -> None:
    missing = {"vwap": NAN, "transactions": NAN}
    checked = check(
        ("BAUG", missing), ("AAPL", {}), ("BAUG", missing), ("IBM", {}), ("IBM", {"close": 10.9}), ("IBM", {})
    )
    assert list(checked.tickers) == ["BAUG", "AAPL"]
    assert reasons(checked) == [("IBM", 3, ["contradicted"]), ("IBM", 4, ["contradicted"])]


def test_bars_without_a_ticker_or_a_date_do_not_contradict_each_other() -> None:
    nowhere = {"date": np.datetime64("NaT"), "time": np.datetime64("NaT")}
    checked = check(("", {}), ("", {}), ("", {"close": 10.5}), ("AAPL", {}), ("AAPL", nowhere), ("AAPL", nowhere))
    assert list(checked.tickers) == ["AAPL"]
    assert reasons(checked) == [
        *(("", row, ["not_a_ticker"]) for row in range(3)),
        *(("AAPL", row, ["missing_field"]) for row in (4, 5)),
    ]


TICKERS = ("A", "BRK.B", "KIMpL", "GM.WS.B", "BF.Aw", "ABCpA.WD", "AHACU", "ABRw", "ABCr", "XYZ.U", "Kw", "NTEST.A")


def test_every_form_of_ticker_is_accepted() -> None:
    assert list(check(*((ticker, {}) for ticker in TICKERS)).tickers) == list(TICKERS)


@pytest.mark.parametrize("garbage", ["A\0B", "aapl", "BRK/B", "AAPL ", "1A", "A.b", "ÄÖ", "A\n", "A" * 40, "X:BTCUSD"])
def test_a_ticker_with_characters_that_none_has_is_rejected_and_can_be_stored(garbage: str) -> None:
    checked = check(("AAPL", {}), (garbage, {"open": 9e12, "high": 9e12}))
    [(ticker, row, broken)] = reasons(checked)
    assert (row, broken) == (1, ["not_a_ticker"])
    assert "\0" not in ticker
    assert list(checked.tickers) == ["AAPL"]
    assert "its ticker is missing or has characters that no ticker has" in checked.rejected[0].reasons[0]


def test_pairs_of_other_currencies_are_left_out_with_a_note() -> None:
    rows: list[Row] = [
        ("X:BTCUSD", {}), ("X:BTCEUR", {}), ("X:1INCHUSD", {}), ("X:ETHBTC", {"open": -1.0}), ("X:USDTUSD", {}),
        ("BTCUSD", {}), ("X:btcUSD", {}), ("X:ETHUSD", {"low": 0.0}),
    ]  # fmt: skip
    checked = check_market_session(session(rows, np.datetime64(DAY, "us")), CRYPTO)
    assert list(checked.tickers) == ["X:BTCUSD", "X:1INCHUSD", "X:USDTUSD"]
    assert reasons(checked) == [
        ("BTCUSD", 5, ["not_a_ticker"]),
        ("X:btcUSD", 6, ["not_a_ticker"]),
        ("X:ETHUSD", 7, ["not_positive"]),
    ]
    assert checked.fetched.notes == ("2 pairs in other currencies than US dollars left out",)


def test_a_session_without_bars_has_none() -> None:
    checked = check()
    assert (len(checked.tickers), list(checked.rejected)) == (0, [])


CHANGES = st.sampled_from(
    [{}, {}, {"open": -1.0}, {"high": 1.0}, {"date": np.datetime64("NaT")}, {"volume": NAN}, {"close": 10.5},
     {"time": np.datetime64("2024-01-05T06:00")}, {"date": np.datetime64("2024-01-08")}]
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["A", "B", "C", "D"]), CHANGES), max_size=8))
def test_a_markets_bars_are_judged_as_each_symbols_are(rows: list[Row]) -> None:
    fetched = session(rows)
    checked = check_market_session(fetched, US_STOCKS)
    accepted: list[str] = []
    rejected: dict[int, Sequence[str]] = {}
    for name in sorted({ticker for ticker, _ in rows}):
        own = np.flatnonzero(fetched.tickers == name)
        response = FetchedBars(select_rows(fetched.columns, own), [{}] * len(own), 1)
        alone = check_bars(response, Symbol(name, AssetClass.STOCK), [DAY])
        accepted += [name] * len(alone.accepted["date"])
        rejected |= dict(zip(own[list(alone.rejected)].tolist(), alone.reasons, strict=True))
    assert sorted(checked.tickers) == accepted
    assert {bar.payload["row"]: bar.reasons for bar in checked.rejected} == rejected
