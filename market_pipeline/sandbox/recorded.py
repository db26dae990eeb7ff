"""Recorded market data: bars as traded, splits and dividends of five stocks, 2000 to 2013.

The bars are those of the package bokeh_sampledata (public domain); the sources of the splits and dividends are in
corporate_actions.csv.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from market_pipeline.sandbox.bar_arrays import Bars, make_zero_bars

RECORDED = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
"""Recorded from 2000-03-01 (GOOG from 2004-08-19, FB from 2012-05-18, their first sessions) to 2013-03-01."""

ACTIONS = Path(__file__).with_name("corporate_actions.csv")
COLUMNS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@lru_cache
def read_recorded_bars(ticker: str) -> Bars:
    """Return one recorded ticker's bars, without vwap and transactions, which were not recorded."""
    from bokeh_sampledata import stocks  # reads its file on import

    data = getattr(stocks, ticker)
    bars = make_zero_bars(len(data["date"]))
    bars["day"] = np.array(data["date"], dtype="M8[D]")
    for ours, theirs in COLUMNS.items():
        bars[ours] = data[theirs]
    bars["vw"] = np.nan
    bars["recorded"] = True
    return bars


@lru_cache
def read_recorded_actions(ticker: str) -> Sequence[Mapping[str, str]]:
    """Return one recorded ticker's splits and dividends, oldest first, by the file's column names."""
    lines = [line for line in ACTIONS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [row for row in csv.DictReader(lines) if row["symbol"] == ticker]
