"""Upsert of one symbol's checked bars into `bars`: insert new ones, replace different ones, keep equal ones.

Stored bars are read and compared here, and only differences are written: reading as many bars as are fetched takes
PostgreSQL a fraction of the time of writing them to a staging table and joining it. The symbol's lock is held all the
while, so that the bars read are the bars replaced.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.bars import VALUE_COLUMNS, Columns
from market_pipeline.warehouse.binary_copy import NEW_BAR_COLUMNS, decode_bars, encode_bars, encode_new_bars
from market_pipeline.warehouse.flagging import REACH
from market_pipeline.warehouse.load_history import LoadRequest
from market_pipeline.warehouse.loads import open_load
from market_pipeline.warehouse.statements import open_copy, statement
from market_pipeline.warehouse.tracked_symbols import LockedSymbol

NEW_BARS = f"COPY bars ({', '.join(NEW_BAR_COLUMNS)}) FROM STDIN (FORMAT binary)"
REPLACING_BARS = "COPY staged_bars FROM STDIN (FORMAT binary)"

# Every column has a fixed width, so that COPY can be fed from arrays; NaN stands for NULL until bars are revised. The
# table stays for as long as the connection: making it takes longer than replacing a night's few bars.
CREATE_STAGED_BARS = text(
    "CREATE TEMPORARY TABLE IF NOT EXISTS staged_bars (date date NOT NULL, "
    f"{', '.join(f'{name} double precision NOT NULL' for name in VALUE_COLUMNS)}) ON COMMIT DELETE ROWS"
)


@dataclass(frozen=True)
class UpsertResult:
    """Numbers of new and of replaced bars, and the bars that the symbol now holds of the run's sessions.

    `held` (`date` and VALUE_COLUMNS, in order) reaches REACH stored bars further on either side, if there are so
    many. `flagged` are the sessions whose bar was flagged before.
    """

    loaded: int
    revised: int
    held: Columns
    flagged: frozenset[date]


def upsert_bars(
    connection: Connection, load_request: LoadRequest, accepted: Columns, symbol: LockedSymbol
) -> UpsertResult:
    """Store the accepted bars, as those of a load.

    Args:
        connection: in a transaction that holds the symbol's lock.
        load_request: the symbol and its sessions.
        accepted: ordered by date, one a session, all within the requested sessions.
        symbol: the symbol.
    """
    held, is_flagged = _held(connection, load_request, symbol)
    is_new, differs = _compare(accepted, held)
    if is_new.any() or differs.any():
        load = open_load(connection, load_request.run_id, load_request.source)
    if is_new.any():
        _copy_in(connection, NEW_BARS, encode_new_bars(_rows(accepted, is_new), symbol.id, load))
    if differs.any():
        connection.execute(CREATE_STAGED_BARS)
        _copy_in(connection, REPLACING_BARS, encode_bars(_rows(accepted, differs)))
        connection.execute(statement("revise_staged_bars"), {"symbol_id": symbol.id})
    flagged = frozenset(held["date"][is_flagged].tolist())
    now = _merge(accepted, held) if is_new.any() or differs.any() else held
    return UpsertResult(int(is_new.sum()), int(differs.sum()), now, flagged)


def _held(connection: Connection, load_request: LoadRequest, symbol: LockedSymbol) -> tuple[Columns, NDArray[np.bool_]]:
    """Read the symbol's stored bars around the requested sessions, and which of them are flagged."""
    parameters = {
        "symbol_id": symbol.id,
        "first": load_request.sessions[0],
        "last": load_request.sessions[-1],
        "reach": REACH,
    }
    return decode_bars(connection.execute(statement("held_bars"), parameters).scalar_one() or b"")


def _compare(accepted: Columns, held: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return for each accepted bar if its session has no bar yet, and if it has one with other values."""
    days, accepted_days = held["date"], accepted["date"]
    place = np.searchsorted(days, accepted_days)
    at = np.minimum(place, len(days) - 1)
    is_new = days[at] != accepted_days if len(days) else np.ones(len(accepted_days), dtype=bool)
    differs = np.zeros(len(accepted_days), dtype=bool)
    for name in VALUE_COLUMNS if len(days) else ():
        ours, theirs = accepted[name], held[name][at]
        differs |= (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    return is_new, differs & ~is_new


def _merge(accepted: Columns, held: Columns) -> Columns:
    """Return the held bars after the accepted ones have been added or have replaced others, in order."""
    others = ~np.isin(held["date"], accepted["date"])
    together = {name: np.concatenate([accepted[name], values[others]]) for name, values in held.items()}
    return _rows(together, np.argsort(together["date"]))


def _rows(bars: Columns, which: NDArray[Any]) -> Columns:
    return {name: values[which] for name, values in bars.items()}


def _copy_in(connection: Connection, command: str, rows: bytes) -> None:
    try:
        with open_copy(connection, command) as copy:
            copy.write(rows)
    except psycopg.Error as error:  # as SQLAlchemy raises it for other statements
        raise DBAPIError.instance(command, None, error, psycopg.Error, hide_parameters=True) from None
