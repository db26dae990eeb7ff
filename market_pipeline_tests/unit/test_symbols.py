"""Symbols: what is a ticker, what it is called at the vendor, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.symbols import DEFAULT_BACKFILL, STARTING_SET, AssetClass, Symbol, SymbolError, starting_symbols


@pytest.mark.parametrize(
    ("name", "asset_class", "vendor_ticker", "calendar"),
    [
        ("AAPL", "stock", "AAPL", "XNYS"),
        ("BRK.B", "stock", "BRK.B", "XNYS"),
        ("KIMpL", "stock", "KIMpL", "XNYS"),
        ("SPY", "etf", "SPY", "XNYS"),
        ("BTC", "crypto", "X:BTCUSD", "24/7"),
        ("1INCH", "crypto", "X:1INCHUSD", "24/7"),
    ],
)
def test_the_vendors_ticker_and_the_calendar_follow_from_the_asset_class(
    name: str, asset_class: str, vendor_ticker: str, calendar: str
) -> None:
    symbol = Symbol.of(name, asset_class)
    assert (symbol.vendor_ticker, symbol.calendar) == (vendor_ticker, calendar)


@pytest.mark.parametrize(
    "name", ["", "*", "../../X?A=", "AA PL", "AAPL/", "AAPL?x=1", "A" * 40, "AAPL\n", "ÄAPL", "A%2F"]
)
@pytest.mark.parametrize("asset_class", list(AssetClass))
def test_what_is_no_ticker_is_refused(name: str, asset_class: AssetClass) -> None:
    with pytest.raises(SymbolError):
        Symbol.of(name, asset_class)


@pytest.mark.parametrize(
    ("name", "asset_class", "meant"),
    [("aapl", "stock", "AAPL"), ("btc", "crypto", "BTC"), ("BTC-USD", "crypto", "BTC"), ("X:BTCUSD", "crypto", "BTC")],
)
def test_a_near_miss_is_told_what_was_meant(name: str, asset_class: str, meant: str) -> None:
    with pytest.raises(SymbolError, match=f"did you mean {meant}"):
        Symbol.of(name, asset_class)


def test_an_unknown_asset_class_is_told_the_known_ones() -> None:
    with pytest.raises(SymbolError, match="stock, etf, crypto"):
        Symbol.of("AAPL", "bond")


@given(st.text(max_size=30), st.sampled_from(list(AssetClass)))
def test_no_accepted_name_can_leave_its_url_path_segment(name: str, asset_class: AssetClass) -> None:
    try:
        ticker = Symbol.of(name, asset_class).vendor_ticker
    except SymbolError:
        return
    assert ticker.isascii()
    assert not set(ticker) & set("/?#%&\\ \t\r\n")
    assert not ticker.startswith(".")


def test_the_starting_set_covers_the_runbook() -> None:
    assert set(DEFAULT_BACKFILL) <= set(STARTING_SET[AssetClass.STOCK])
    assert {"SPY", "QQQ", "IWM", "EEM", "AGG"} <= set(STARTING_SET[AssetClass.ETF])
    assert {"BTC", "ETH", "SOL", "ADA", "XRP"} <= set(STARTING_SET[AssetClass.CRYPTO])
    names = [symbol.name for symbol in starting_symbols()]
    assert len(names) == len(set(names))
