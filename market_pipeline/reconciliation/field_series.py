"""One field of one symbol: a file's values beside the stored ones, with the factors that adjust these."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from market_pipeline.warehouse.export_query import Adjustment

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Dates = NDArray[np.datetime64]

MOST_DECIMALS = 6
"""Decimals up to which a value counts as rounded; a price of full precision has some 12."""


MOST_ROUNDING = 0.5
"""Largest part of a value that may be rounding, such as of 0.01 in cents."""

SMALLEST_STEP = 1e-12
"""The least difference of two factors' logarithms that is no rounding error of the computation."""


class Explanation(StrEnum):
    """Likely reason of what a comparison finds; only `unexplained` names none."""

    AGREED = "agreed"
    ROUNDING = "rounding"
    SPLIT_BASIS = "split_basis"
    DIVIDEND_BASIS = "dividend_basis"
    CONSTANT_FACTOR = "constant_factor"
    SHIFTED_DAY = "shifted_day"
    ANOTHER_SECURITY = "another_security"
    CORRECTION = "correction"
    UNLISTED_SPLIT = "unlisted_split"
    FACTOR_UNKNOWN = "factor_unknown"
    MISSING_HERE = "missing_here"
    NO_SESSION = "no_session"
    OUTSIDE_FILE = "outside_file"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class FieldSeries:
    """A field's values by date, NaN where one side has none.

    Attributes:
        dates: those of the file's rows and of the stored bars, ascending.
        file: the file's values.
        traded: the stored values, as traded.
        split: logarithm of the factor that adjusts a stored value for splits; NaN where it is not known.
        dividend: the same for dividends.
        suspected: true where the stored bar is flagged `unlisted_split`.
        adjustment: the stored series that the file is compared with.
        tolerance: the relative difference up to which two values agree.
        any_unit: accept one constant factor between file and stored values.
    """

    dates: Dates
    file: Floats
    traded: Floats
    split: Floats
    dividend: Floats
    suspected: Flags
    adjustment: Adjustment
    tolerance: float
    any_unit: bool = True

    def factor(self, adjustment: Adjustment) -> Floats:
        """Return the logarithm of the factor by date of an adjustment; NaN where it is not known."""
        if adjustment is Adjustment.NONE:
            return np.zeros(len(self.dates))
        return self.split if adjustment is Adjustment.SPLITS else self.split + self.dividend

    @cached_property
    def stored(self) -> Floats:
        """The stored values under `adjustment`; NaN where its factor is not known."""
        return self.traded * np.exp(self.factor(self.adjustment))

    @cached_property
    def shared(self) -> NDArray[np.intp]:
        """Positions of the dates on which both sides have a positive value, so that they can be compared."""
        return np.flatnonzero((self.file > 0) & (self.stored > 0))

    @cached_property
    def noise(self) -> Floats:
        """The difference of logarithms by date that the tolerance and half a unit of the last decimal account for."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rounding = (
                np.fmax(find_decimal_unit(self.file) / self.file, find_decimal_unit(self.traded) / self.traded) / 2
            )
        return self.tolerance - np.log1p(-np.minimum(np.nan_to_num(rounding, posinf=0.0), MOST_ROUNDING))

    @cached_property
    def split_stretches(self) -> list[tuple[float, date]]:
        """The logarithm of the split factor of each stretch between splits, and the stretch's first date."""
        known = np.flatnonzero(np.isfinite(self.split))
        changes = np.abs(np.diff(self.split[known], prepend=np.inf)) > SMALLEST_STEP
        return [(float(self.split[at]), self.dates[at].item()) for at in known[changes]]


def find_decimal_unit(values: Floats) -> float:
    """Return the unit of the last decimal that the values have, e.g. 0.01; 0 if they are of full precision."""
    known = values[np.isfinite(values)]
    for decimals in range(MOST_DECIMALS + 1):
        scaled = known * 10.0**decimals
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-9 * np.maximum(1, np.abs(scaled))):
            return float(10.0**-decimals)
    return 0.0
