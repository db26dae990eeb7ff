"""Adjustment factors: the table `adjustment_factors`, kept up to date with bars, splits, dividends and the date.

The view `session_actions` defines the effects of splits and dividends; the view `daily_bars_adjusted` applies the
factors.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, Engine

from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tracked_symbols import lock_symbols


@dataclass(frozen=True)
class UnknownAdjustment:
    """A symbol whose adjusted prices are not all known: the first days with known ones, and the reason.

    The days are None if no price is known. `splits_known` and `dividends_known`: the factors of all bars are known.
    """

    symbol: str
    split_adjusted_from: date | None
    fully_adjusted_from: date | None
    unknown_because: str | None
    splits_known: bool
    dividends_known: bool

    def __str__(self) -> str:
        since = f" before {self.fully_adjusted_from}" if self.fully_adjusted_from else ""
        return f"{self.symbol}{since} ({self.unknown_because or 'not computed'})"


def find_unknown_adjustments(engine: Engine) -> Sequence[UnknownAdjustment]:
    """Return the active symbols with bars whose adjusted prices are not all known, in order."""
    with engine.connect() as connection:
        rows = connection.execute(read_statement("unknown_adjustments")).mappings()
        return [UnknownAdjustment(**{str(name): value for name, value in row.items()}) for row in rows]


def refresh_factors(connection: Connection, symbols: Iterable[str]) -> None:
    """Bring the adjustment factors of symbols up to date, in a transaction that holds the symbols' locks."""
    connection.execute(read_statement("refresh_adjustment_factors"), {"symbols": sorted(symbols)})


def refresh_factors_after_load(connection: Connection, since: Mapping[str, date]) -> None:
    """Bring the factors that new bars can change up to date, after bars from a date on were stored.

    Args:
        connection: in a transaction that holds the symbols' locks.
        since: the date by symbol.
    """
    parameters = {"symbols": list(since), "since": list(since.values())}
    if affected := connection.scalars(read_statement("affected_adjustments"), parameters).all():
        refresh_factors(connection, affected)


def refresh_stale_factors(
    connection: Connection, changed: Iterable[str] = (), *, among: Sequence[str] | None = None
) -> None:
    """Bring the factors of changed symbols up to date, and of those that lack an action in effect by now.

    Looks at the symbols `among` which they are, by default at all. Holds their locks until the transaction ends.
    """
    found: Iterable[str] = connection.execute(read_statement("stale_adjustments"), {"symbols": among}).scalars()
    stale = {*changed, *found}
    if stale:
        lock_symbols(connection, stale)
        refresh_factors(connection, stale)
