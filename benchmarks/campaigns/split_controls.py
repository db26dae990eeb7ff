"""Bars without a fault that move like splits: no bar of them may be flagged as an unlisted split.

Recorded ones are the market's; the others are made of recorded bars, and say how.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.campaigns.split_faults import Case, Cut, Kind, Series, read_recorded_series
from market_pipeline.core.bars import PRICE_COLUMNS, Columns
from market_pipeline_tests.published_prices import index_bars


def list_recorded() -> Iterator[Case]:
    """Yield the recorded stocks with their splits, the crash of AAPL on 2000-09-29 and FB's first days among them."""
    for series in read_recorded_series():
        yield Case(series.name, series.bars, series.splits)


def list_amplified(times: float) -> Iterator[Case]:
    """Yield the recorded stocks with every move's logarithm so many times as large, and the volumes as they were."""
    for series in read_recorded_series():
        yield Case(f"{series.name} x {times:g}", amplify(series, times), {})


def amplify(series: Series, times: float) -> Columns:
    """Return the bars in the last day's shares with larger moves."""
    factor = np.ones(len(series.bars["date"]))
    for executed, ratio in series.splits.items():
        factor[series.bars["date"] < np.datetime64(executed)] *= ratio
    start = np.log(series.bars["close"][0] * factor[0])
    prices = {name: np.exp(start + times * (np.log(series.bars[name] * factor) - start)) for name in PRICE_COLUMNS}
    return {**series.bars, **prices, "volume": series.bars["volume"] / factor}


def squeeze(cut: Cut) -> Case:
    """A day that doubles to quintuples and a next one that halves, with up to thirty times the volume."""
    up = cut.generator.uniform(2, 5)
    cut.multiply(slice(cut.at, None), up)
    cut.multiply(slice(cut.at + 1, None), 1 / 2)
    cut.bars["volume"][cut.at : cut.at + 2] *= cut.generator.choice([1, cut.generator.uniform(5, 30)])
    return cut.finish({}, up)


def news(cut: Cut) -> Case:
    """A lasting move of -25 to -75 % or +35 to +230 % between sessions, traded as news is.

    Of the recorded moves beyond 13 % the volume was 3.5 times the usual one, times exp(2.5) per unit of the move's
    logarithm, within a factor of 1.5; in the sessions after it that number to the power of 0.4, fading.
    """
    generator = cut.generator
    move = generator.choice([generator.uniform(-1.4, -0.3), generator.uniform(0.3, 1.2)])
    times = 3.5 * np.exp(2.5 * abs(move) + 0.4 * generator.standard_normal())
    cut.multiply(slice(cut.at, None), np.exp(move))
    later = np.arange(len(cut.bars["volume"]) - cut.at)
    cut.bars["volume"][cut.at :] *= np.maximum(np.where(later == 0, times, times**0.4 * np.exp((1 - later) / 8)), 1)
    return cut.finish({}, np.exp(move))


def first_days(cut: Cut) -> Case:
    """A listing whose second to fifth days move by up to a factor of 2.5, with large volume."""
    case = cut.finish({}, 1)
    bars = {name: values[cut.at :].copy() for name, values in case.bars.items()}
    for row, factor in enumerate(np.exp(cut.generator.uniform(-0.9, 0.9, 4)), start=1):
        for name in PRICE_COLUMNS:
            bars[name][row:] *= factor
    bars["volume"][:5] *= cut.generator.uniform(2, 20)
    return replace(case, bars=bars)


def volatile(cut: Cut) -> Case:
    """Generated bars that move by 3 to 12 % a day, half of it between sessions.

    The moves are of Student's t distribution with 4 degrees of freedom; the volume grows with them.
    """
    generator, days = cut.generator, cut.bars["date"]
    scale = generator.uniform(0.03, 0.12) / np.sqrt(2)
    moves = scale * generator.standard_t(4, (2, len(days))) / np.sqrt(2)
    close = np.exp(np.cumsum(moves.sum(axis=0)))
    opened = np.concatenate([[1], close[:-1]]) * np.exp(moves[0])
    traded = 1e6 * np.exp(0.4 * generator.standard_normal(len(days)) + 0.35 * np.abs(moves.sum(axis=0)) / scale)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return Case(
        "generated", {**cut.bars, "open": opened, "high": high, "low": low, "close": close, "volume": traded}, {}
    )


CONTROLS: Sequence[Kind] = (squeeze, news, first_days, volatile)


INDICES: Sequence[tuple[str, Literal["sp500", "nasdaq"]]] = (("S&P 500", "sp500"), ("Nasdaq", "nasdaq"))


def read_index_series() -> tuple[Series, ...]:
    """Return the S&P 500 and Nasdaq indices of the package `arch`, 1999 to 2018."""
    return tuple(Series(name, _build_index_columns(index_bars(file)), {}) for name, file in INDICES)


def _build_index_columns(frame: pd.DataFrame) -> Columns:
    values = {name: frame[name].to_numpy(float) for name in (*PRICE_COLUMNS, "volume")}
    unknown = np.full(len(frame), np.nan)
    return {"date": frame.index.to_numpy("datetime64[D]"), **values, "vwap": unknown, "transactions": unknown}
