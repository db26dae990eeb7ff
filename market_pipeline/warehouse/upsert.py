"""Upsert of checked bars into `bars`, of some symbols at once: new ones are inserted, different ones replaced.

Stored bars are read and compared here, and only differences are written: reading as many bars as are fetched takes
PostgreSQL a fraction of the time of writing them to a staging table and joining it. The symbols' locks are held
until the transaction ends, so that the bars read are the bars replaced. The bars of all symbols are in the same arrays,
each with its symbol's `place` among the symbols.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from market_pipeline.core.bars import VALUE_COLUMNS, Columns, compute_bar_keys, join_bars, select_rows
from market_pipeline.warehouse.binary_copy import NEW_BAR_COLUMNS, encode_bars, encode_new_bars
from market_pipeline.warehouse.flagging import REACH
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.load_history import LoadRequest
from market_pipeline.warehouse.loads import open_load
from market_pipeline.warehouse.statements import open_copy, read_statement

NEW_BARS = f"COPY bars ({', '.join(NEW_BAR_COLUMNS)}) FROM STDIN (FORMAT binary)"
REPLACING_BARS = "COPY staged_bars FROM STDIN (FORMAT binary)"

# Every column has a fixed width, so that COPY can be fed from arrays; NaN stands for NULL until bars are revised. The
# table stays for as long as the connection: making it takes longer than replacing a night's few bars.
CREATE_STAGED_BARS = text(
    "CREATE TEMPORARY TABLE IF NOT EXISTS staged_bars (symbol_id integer NOT NULL, date date NOT NULL, "
    f"{', '.join(f'{name} double precision NOT NULL' for name in VALUE_COLUMNS)}) ON COMMIT DELETE ROWS"
)


Rows = NDArray[np.bool_]
"""One verdict a row."""


@dataclass(frozen=True)
class OfferedBars:
    """One symbol's bars to store: `accepted` are ordered by date, one a session, all within the requested sessions."""

    load_request: LoadRequest
    symbol_id: int
    accepted: Columns

    @property
    def span(self) -> SymbolSpan:
        """The requested sessions."""
        return SymbolSpan(self.symbol_id, self.load_request.sessions[0], self.load_request.sessions[-1])


@dataclass(frozen=True)
class UpsertResult:
    """A symbol's numbers of new and of replaced bars, and its bars of the run's sessions as stored now.

    `held` (`date` and VALUE_COLUMNS, in order) reaches REACH stored bars further on either side, if there are so
    many. `flagged` are the sessions whose bar was flagged before.
    """

    loaded: int
    revised: int
    held: Columns
    flagged: frozenset[date]


def upsert_bars(connection: Connection, offered: Sequence[OfferedBars]) -> list[UpsertResult]:
    """Store the accepted bars of some symbols, as those of one load, and return each symbol's result.

    Args:
        connection: in a transaction that holds the symbols' locks.
        offered: at least one, of different symbols and one run.
    """
    held, flagged = read_held_bars(connection, [each.span for each in offered], reach=REACH)
    accepted = _join(offered)
    is_new, differs = compare_bars(accepted, held)
    if is_new.any() or differs.any():
        request = offered[0].load_request
        load_id = open_load(connection, request.run_id, request.source)
        write_bars(connection, load_id, accepted, is_new, differs)
    now = merge_bars(accepted, held) if is_new.any() or differs.any() else held
    ends = np.searchsorted(now["place"], np.arange(len(offered) + 1))
    loaded, revised = (np.bincount(accepted["place"][each], minlength=len(offered)) for each in (is_new, differs))
    return [
        UpsertResult(
            int(loaded[place]),
            int(revised[place]),
            select_rows(now, slice(ends[place], ends[place + 1])),
            flagged[place],
        )
        for place in range(len(offered))
    ]


def _join(offered: Sequence[OfferedBars]) -> Columns:
    """Return the accepted bars of all symbols, with each one's `place` and `symbol_id`."""
    bars = join_bars([each.accepted for each in offered])
    return {**bars, "symbol_id": np.array([each.symbol_id for each in offered])[bars["place"]]}


def compare_bars(accepted: Columns, held: Columns) -> tuple[Rows, Rows]:
    """Return for each accepted bar if its session has no bar yet, and if it has one with other values."""
    at, is_held = find_bars(accepted, held)
    differs = np.zeros(len(at), dtype=bool)
    for name in VALUE_COLUMNS if is_held.any() else ():
        ours, theirs = accepted[name], held[name][at]
        differs |= (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    return ~is_held, differs & is_held


def find_bars(bars: Columns, among: Columns) -> tuple[NDArray[np.intp], Rows]:
    """Return for each bar the row of its symbol and session `among` bars in order, and if there is one."""
    keys, others = compute_bar_keys(bars), compute_bar_keys(among)
    if not len(others):
        return np.zeros(len(keys), dtype=np.intp), np.zeros(len(keys), dtype=bool)
    at = np.minimum(np.searchsorted(others, keys), len(others) - 1)
    return at, others[at] == keys


def merge_bars(accepted: Columns, held: Columns) -> Columns:
    """Return the held bars after the accepted ones have been added or have replaced others; all are in order."""
    _, is_replaced = find_bars(held, accepted)
    together = {name: np.concatenate([accepted[name], values[~is_replaced]]) for name, values in held.items()}
    return select_rows(together, np.argsort(compute_bar_keys(together), kind="stable"))  # fast for two parts in order


def write_bars(connection: Connection, load_id: int, accepted: Columns, is_new: Rows, differs: Rows) -> None:
    """Insert the new ones of some bars with their `symbol_id`, and replace stored ones by those that differ.

    Args:
        connection: in a transaction that holds the symbols' locks.
        load_id: the transaction's load.
        accepted: the bars.
        is_new: for each bar if its symbol has none of its session yet.
        differs: for each bar if its symbol has another.
    """
    if is_new.any():
        _copy(
            connection, NEW_BARS, encode_new_bars(accepted if is_new.all() else select_rows(accepted, is_new), load_id)
        )
    if differs.any():
        connection.execute(CREATE_STAGED_BARS)
        _copy(connection, REPLACING_BARS, encode_bars(select_rows(accepted, differs)))
        connection.execute(read_statement("revise_staged_bars"))


def _copy(connection: Connection, command: str, parts: Iterable[bytes]) -> None:
    try:
        with open_copy(connection, command) as copy:
            for part in parts:
                copy.write(part)
    except psycopg.Error as error:  # as SQLAlchemy raises it for other statements
        raise DBAPIError.instance(command, None, error, psycopg.Error, hide_parameters=True) from None
