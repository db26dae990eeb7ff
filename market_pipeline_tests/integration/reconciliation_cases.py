"""Shared by the tests of reconciliation: a warehouse with published bars of eight symbols, and files to compare."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from bokeh_sampledata import stocks
from sqlalchemy import Engine

from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.recorded import RECORDED
from market_pipeline_tests.integration.mart_cases import (
    add_bars,
    add_recorded_actions,
    add_splits,
    refresh_all_factors,
    track,
)
from market_pipeline_tests.published_prices import index_bars, stock_closes

SP500, COMP, KO = (Symbol.of(name, "stock") for name in ("SP500", "COMP", "KO"))
INDICES: tuple[tuple[Symbol, Literal["sp500", "nasdaq"]], ...] = ((SP500, "sp500"), (COMP, "nasdaq"))
KO_SPLIT = date(2012, 8, 13)
"""The first day of Coca-Cola's shares after its split of two for one in 2012."""

PRICES = ["open", "high", "low", "close"]


def fill_warehouse(warehouse: Engine) -> None:
    """Store bars as traded of the recorded stocks with their actions, of two indices, and of KO.

    The bars of KO are made of its adjusted closes, as if it had paid no dividend: all four prices are one.
    """
    recorded = [Symbol.of(name, "stock") for name in RECORDED]
    track(warehouse, recorded, first=date(2000, 3, 1), last=date(2013, 3, 1))
    track(warehouse, [SP500, COMP], first=date(2000, 1, 3), last=date(2018, 12, 31))
    track(warehouse, [KO], first=date(2010, 1, 4), last=date(2014, 12, 31))
    add_recorded_actions(warehouse)
    for symbol in recorded:
        bars = pd.DataFrame(getattr(stocks, symbol.name))[["date", *PRICES, "volume"]]
        add_bars(warehouse, symbol, bars)
    for symbol, index in INDICES:
        bars = index_bars(index).rename_axis("date").reset_index()
        add_bars(warehouse, symbol, bars[bars["date"] >= pd.Timestamp("2000-01-03")])
    add_splits(warehouse, [("KO", KO_SPLIT, 1, 2)])
    add_bars(warehouse, KO, ko_bars())
    refresh_all_factors(warehouse)


def ko_bars() -> pd.DataFrame:
    """Return the bars of KO that are stored, as traded: twice the adjusted closes before the split."""
    closes = stock_closes()["KO"].loc["2010":"2014"]  # type: ignore[misc]
    traded = closes.where(closes.index >= pd.Timestamp(KO_SPLIT), closes * 2).to_numpy()
    prices = dict.fromkeys(PRICES, traded)
    return pd.DataFrame({"date": closes.index, **prices, "volume": np.arange(len(closes)) % 50 * 1000.0 + 5000})


def write_long(file: Path, names: Sequence[str]) -> Path:
    """Write closes and adjusted closes that were published with the recorded bars, as Parquet."""
    parts = [
        pd.DataFrame({"Ticker": name, **{key: getattr(stocks, name)[key] for key in ("date", "close", "adj_close")}})
        for name in names
    ]
    frame = pd.concat(parts).rename(columns={"date": "Date", "close": "Close", "adj_close": "Adj Close"})
    frame["Date"] = pd.to_datetime(frame["Date"])
    frame.to_parquet(file, index=False)
    return file
