"""Prices that others have published, from the data files of two packages: read by the tests alone, and never shipped.

`skfolio` has closes of 20 US stocks from 1990 to 2022, adjusted for splits and dividends and rounded to three decimals,
and closes of the S&P 500. `arch` has daily bars of the S&P 500 and the Nasdaq Composite from 1999 to 2018. Neither
package is imported.
"""

from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Literal

import pandas as pd

STOCKS, INDEX = "sp500_dataset.csv.gz", "sp500_index.csv.gz"


def published_file(package: str, name: str) -> Path:
    """Return the path of a package's file."""
    [found] = [file for file in distribution(package).files or [] if file.name == name]
    return Path(str(found.locate()))


@cache
def stock_closes() -> pd.DataFrame:
    """Return the adjusted closes of 20 stocks: a row a session, a column a symbol."""
    return pd.read_csv(published_file("skfolio", STOCKS), index_col=0, parse_dates=True)


@cache
def index_bars(name: Literal["sp500", "nasdaq"]) -> pd.DataFrame:
    """Return the bars of an index: `open`, `high`, `low`, `close` and `volume` by date."""
    frame = pd.read_csv(published_file("arch", f"{name}.csv.gz"), index_col=0)
    frame.index = pd.to_datetime(frame.index, format="%m/%d/%Y")
    return frame.rename(columns=str.lower)[["open", "high", "low", "close", "volume"]].astype(float)
