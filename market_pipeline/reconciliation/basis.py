"""Choice of the stored series that a file's prices follow: as traded, adjusted for splits, or for dividends too."""

from collections.abc import Iterable
from datetime import date

import numpy as np
from sqlalchemy import Connection, text

from market_pipeline.reconciliation.field_series import FieldSeries
from market_pipeline.reconciliation.symbol_rows import read_rows
from market_pipeline.warehouse.export_query import Adjustment

MOST_SYMBOLS = 20
"""Symbols that decide, those with the most splits and dividends."""

_WITH_ACTIONS = text(
    "SELECT symbol FROM adjustment_factors WHERE symbol = ANY(:symbols) GROUP BY symbol HAVING count(*) > 1 "
    "ORDER BY count(*) DESC, symbol LIMIT :most"
)


def choose_adjustment(
    connection: Connection, symbols: Iterable[str], name: str, first: date, last: date, tolerance: float
) -> Adjustment:
    """Return the adjustment under which the ratio of file and stored values jumps least.

    Of equal ones, that with the ratio nearest to 1, as between two dividends; else the simplest.

    Args:
        connection: with the file in its temporary table.
        symbols: those to compare.
        name: the file's column of prices.
        first: first date.
        last: last date.
        tolerance: relative difference that is none.
    """
    deciding = connection.scalars(_WITH_ACTIONS, {"symbols": list(symbols), "most": MOST_SYMBOLS}).all()
    jumps, distances = dict.fromkeys(Adjustment, 0.0), dict.fromkeys(Adjustment, 0.0)
    for rows in read_rows(connection, deciding, first, last):
        for adjustment in Adjustment:
            series = rows.series(name, adjustment, tolerance, any_unit=True)
            jumps[adjustment] += measure_jumps(series)
            distances[adjustment] += measure_distance(series)
    least = min(jumps.values())
    equal = [adjustment for adjustment in Adjustment if jumps[adjustment] <= least + 1e-9]
    return min(equal, key=lambda adjustment: round(distances[adjustment], 9))


def measure_distance(series: FieldSeries) -> float:
    """Return the distance of the file's values from the stored ones, as the median logarithm of their ratio."""
    ratio = np.log(series.file / series.stored)
    known = np.abs(ratio[np.isfinite(ratio)])
    return float(np.median(known)) if len(known) else 0.0


def measure_jumps(series: FieldSeries) -> float:
    """Return the sum of the ratio's jumps, as logarithms, on the date itself or a session before or after it."""
    known = np.flatnonzero((series.traded > 0) & np.isfinite(series.split + series.dividend))
    file, stored, noise = series.file[known], series.stored[known], series.noise[known]
    sums = []
    for shift in (0, 1, -1):
        ratio = np.log(file / np.roll(stored, shift))[1:-1]
        usable = np.isfinite(ratio)
        jumps = np.abs(np.diff(ratio[usable]))
        sums.append(float(jumps[jumps > noise[1:-1][usable][1:] * 2].sum()))
    return min(sums)
