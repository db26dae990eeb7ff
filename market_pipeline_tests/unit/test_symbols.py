"""Symbols: valid tickers, their names at the vendor, and rejected names."""

import re
from urllib.parse import quote

import pytest
from dagster import AssetKey, AssetsDefinition, AssetSelection, AssetSpec
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.symbols import (
    DEFAULT_BACKFILL,
    STARTING_SET,
    TICKERS,
    AssetClass,
    Symbol,
    SymbolError,
    list_starting_symbols,
)
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.sandbox.listings import find_listings


def names_of(kind: AssetClass) -> st.SearchStrategy[str]:
    """Generate every name that a symbol of an asset class can have, in ASCII as `Symbol.of` requires."""
    return st.from_regex(re.compile(TICKERS[kind], re.ASCII), fullmatch=True)


@pytest.mark.parametrize(
    ("name", "asset_class", "vendor_ticker", "calendar"),
    [
        ("AAPL", "stock", "AAPL", "XNYS"),
        ("BRK.B", "stock", "BRK.B", "XNYS"),
        ("KIMpL", "stock", "KIMpL", "XNYS"),
        ("SPY", "etf", "SPY", "XNYS"),
        ("BTC", "crypto", "X:BTCUSD", "24/7"),
        ("1INCH", "crypto", "X:1INCHUSD", "24/7"),
        ("BTC-USD", "crypto", "X:BTCUSD", "24/7"),
        ("BTC", "etf", "BTC", "XNYS"),
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
def test_a_name_that_is_no_ticker_is_rejected(name: str, asset_class: AssetClass) -> None:
    with pytest.raises(SymbolError):
        Symbol.of(name, asset_class)


@pytest.mark.parametrize(
    ("name", "asset_class", "meant"),
    [
        ("aapl", "stock", "AAPL"),
        ("BRK-B", "stock", "BRK.B"),
        ("GM/WS/B", "stock", "GM.WS.B"),
        ("btc", "crypto", "BTC"),
        ("btc-usd", "crypto", "BTC"),
        ("X:BTCUSD", "crypto", "BTC or BTC-USD"),
    ],
)
def test_a_misspelt_symbol_gets_a_suggestion(name: str, asset_class: str, meant: str) -> None:
    with pytest.raises(SymbolError, match=f"did you mean {meant}"):
        Symbol.of(name, asset_class)


CQS_SUFFIXES = (
    "p", "pA", ".A", "p.WD", ".WD", ".WS", ".WS.A", ".CL", ".A.CL", "p.CL", "pA.CL", "pAw", ".EC", ".PP",
    ".CV", ".CV.CL", ".A.CV", "pA.CV", "pA.WD", "r", ".U", "w", "rw", "pw", ".Aw", ".WSw", ".TEST",
)  # fmt: skip
"""Every form of the consolidated tape, with the vendor's dot for its slash.

Source: https://www.nasdaqtrader.com/Trader.aspx?id=CQSSymbolConvention.
"""


@pytest.mark.parametrize("suffix", CQS_SUFFIXES)
def test_every_form_of_the_consolidated_tape_is_a_ticker(suffix: str) -> None:
    assert Symbol.of(f"ABC{suffix}", "stock").vendor_ticker == f"ABC{suffix}"


def test_only_pairs_in_us_dollars_are_coins_and_the_error_explains_it() -> None:
    with pytest.raises(SymbolError, match="its pair in US dollars, like BTC-USD"):
        Symbol.of("BTC-EUR", "crypto")


@given(st.sampled_from(list(AssetClass)).flatmap(lambda kind: st.tuples(st.just(kind), names_of(kind))))
def test_every_name_stays_the_same_in_urls_files_and_keys(named: tuple[AssetClass, str]) -> None:
    kind, name = named
    symbol, key = Symbol.of(name, kind), build_asset_key(Symbol.of(name, kind))
    assert AssetKey.from_user_string(key.to_user_string()) == AssetKey.from_db_string(key.to_string()) == key
    declared = [AssetsDefinition(specs=[AssetSpec(key)])]
    assert AssetSelection.from_string(f'key:"{key.to_user_string()}"').resolve(declared) == {key}
    assert re.fullmatch(r"[A-Za-z0-9_]+", key.to_python_identifier())  # Dagster's names of a step's outputs
    assert [part.strip() for part in f"AAPL, {name}".split(",")] == ["AAPL", name]
    assert quote(name, safe="") == name  # as it is in a URL, a file's name and a shell's word
    assert find_listings(symbol.vendor_ticker)
    assert len(name) <= 30


@given(names_of(AssetClass.CRYPTO))
def test_a_coins_two_names_are_one_instrument(name: str) -> None:
    coin = Symbol.of(name, "crypto")
    assert coin.other_name is not None
    other = Symbol.of(coin.other_name, "crypto")
    assert other.vendor_ticker == coin.vendor_ticker
    assert other.other_name == name


def test_an_unknown_asset_class_is_an_error_that_lists_the_known_ones() -> None:
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
    names = [symbol.name for symbol in list_starting_symbols()]
    assert len(names) == len(set(names))
