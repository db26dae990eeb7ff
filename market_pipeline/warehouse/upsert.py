"""One symbol's checked bars into `market_data`: new ones are inserted, different ones replace the old, equal ones stay.

What is stored is read, compared here and only what differs is written: reading as many bars as are fetched takes
PostgreSQL a fraction of the time of writing them to a staging table and joining it. The symbol's lock is held all the
while, so what was read is what is replaced.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.bars import LOOK_BACK, VALUE_COLUMNS, Columns
from market_pipeline.warehouse.binary_copy import decode_bars, encode_bars, encode_new_bars
from market_pipeline.warehouse.load_history import LoadRequest
from market_pipeline.warehouse.statements import statement

NEW_BARS = """COPY market_data (
    symbol, source, run_id, fetched_at, updated_at,
    date, time, open, high, low, close, volume, vwap, transactions
) FROM STDIN (FORMAT binary)"""
REPLACING_BARS = "COPY staged_bars FROM STDIN (FORMAT binary)"


@dataclass(frozen=True)
class UpsertResult:
    """How many bars came in new, how many replaced another, and all that the symbol now holds of the run's sessions.

    `held` (`date` and VALUE_COLUMNS, in order) reaches LOOK_BACK stored bars further on either side, where there are so
    many. `flagged` are the sessions of which the bar, as it was before, was found odd.
    """

    loaded: int
    revised: int
    held: Columns
    flagged: frozenset[date]


def upsert_bars(connection: Connection, attempt: LoadRequest, accepted: Columns, at: datetime) -> UpsertResult:
    """Store the accepted bars.

    Args:
        connection: in a transaction that holds the symbol's lock.
        attempt: what was asked.
        accepted: ordered by date, one a session, all within the attempt's.
        at: the time that is stored with them.
    """
    about = {"symbol": attempt.symbol.name, "source": attempt.source, "run_id": attempt.run_id}
    held, odd = _held(connection, attempt)
    is_new, differs = _compared(accepted, held)
    if is_new.any():
        of_all: dict[str, str | datetime] = {**about, "fetched_at": at, "updated_at": at}
        _copy_in(connection, NEW_BARS, encode_new_bars(_rows(accepted, is_new), of_all))
    if differs.any():
        connection.execute(statement("create_staged_bars"))
        _copy_in(connection, REPLACING_BARS, encode_bars(_rows(accepted, differs)))
        connection.execute(statement("revise_staged_bars"), {**about, "at": at})
    flagged = frozenset(held["date"][odd].tolist())
    now = _with(accepted, held) if is_new.any() or differs.any() else held
    return UpsertResult(int(is_new.sum()), int(differs.sum()), now, flagged)


def _held(connection: Connection, attempt: LoadRequest) -> tuple[Columns, NDArray[np.bool_]]:
    """The symbol's stored bars around the attempt's sessions, and which of them are odd."""
    wanted = {
        "symbol": attempt.symbol.name,
        "first": attempt.sessions[0],
        "last": attempt.sessions[-1],
        "look_back": LOOK_BACK,
    }
    return decode_bars(connection.execute(statement("held_bars"), wanted).scalar_one() or b"")


def _compared(accepted: Columns, held: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each accepted bar, whether its session has no bar yet, and whether it has one with other values."""
    days, wanted = held["date"], accepted["date"]
    place = np.searchsorted(days, wanted)
    at = np.minimum(place, len(days) - 1)
    is_new = days[at] != wanted if len(days) else np.ones(len(wanted), dtype=bool)
    differs = np.zeros(len(wanted), dtype=bool)
    for name in VALUE_COLUMNS if len(days) else ():
        ours, theirs = accepted[name], held[name][at]
        differs |= (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    return is_new, differs & ~is_new


def _with(accepted: Columns, held: Columns) -> Columns:
    """What is held once the accepted bars have come in or taken others' places, in order."""
    others = ~np.isin(held["date"], accepted["date"])
    together = {name: np.concatenate([accepted[name], values[others]]) for name, values in held.items()}
    return _rows(together, np.argsort(together["date"]))


def _rows(bars: Columns, which: NDArray[Any]) -> Columns:
    return {name: values[which] for name, values in bars.items()}


def _copy_in(connection: Connection, command: str, rows: bytes) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has one
    try:
        with driver.cursor() as cursor, cursor.copy(command) as copy:
            copy.write(rows)
    except psycopg.Error as error:  # as SQLAlchemy, which knows no COPY, would raise it
        raise DBAPIError.instance(command, None, error, psycopg.Error, hide_parameters=True) from None
