"""Bars as frames, for tests that make or compare them."""

import pandas as pd

from market_pipeline.core.bars import BAR_COLUMNS, VALUE_COLUMNS, Columns, FetchedBars, make_empty_bars


def columns_of(frame: pd.DataFrame) -> Columns:
    """Return a frame of BAR_COLUMNS, whose dates are midnights and times in UTC, as arrays."""
    return {
        "date": frame["date"].to_numpy("datetime64[D]"),
        "time": frame["time"].to_numpy("datetime64[us]"),
        **{name: frame[name].to_numpy() for name in VALUE_COLUMNS},
    }


def frame_of(fetched: FetchedBars) -> pd.DataFrame:
    """Return the bars of a response as a frame."""
    days, times = (fetched.columns[name].astype("datetime64[us]") for name in ("date", "time"))
    columns = {**fetched.columns, "date": days, "time": pd.DatetimeIndex(times, tz="UTC")}
    return pd.DataFrame(columns, columns=list(BAR_COLUMNS))


def has_types_of_bars(fetched: FetchedBars) -> bool:
    """Return True if the columns and their types are those of bars."""
    types, expected = ([(name, bars[name].dtype) for name in bars] for bars in (fetched.columns, make_empty_bars()))
    return types == expected
