"""Stored bars and stored accounts, read back. What is missing, completeness.py says."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine, Row, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from market_pipeline.core.errors import UsageError
from market_pipeline.warehouse.tables import backfill_history, corporate_action_inquiries, market_data

if TYPE_CHECKING:
    import pandas as pd


class NoInstantError(UsageError):
    """A time that different places would take for different instants."""


def run_history(engine: Engine, run_ids: Sequence[str]) -> Sequence[Row]:  # type: ignore[type-arg]
    """The `backfill_history` rows of these runs, in the order they were written."""
    query = select(backfill_history).where(backfill_history.c.run_id.in_(run_ids)).order_by(backfill_history.c.id)
    with engine.connect() as connection:
        return connection.execute(query).all()


def bars(
    engine: Engine, symbols: Sequence[str], start: date, end: date, *, as_of: datetime | None = None
) -> "pd.DataFrame":
    """The stored bars of some symbols from `start` to `end`, both included, as traded.

    Args:
        engine: the warehouse.
        symbols: by their names here; one that isn't there has no rows.
        start: first session.
        end: last session.
        as_of: what was stored at that instant (with a time zone) rather than now.

    Returns:
        Indexed by `symbol` and `date` (datetime64), in that order; the other columns are those of `market_data`.

    Raises:
        NoInstantError: `as_of` has no time zone.
    """
    import pandas as pd  # a third of a second, which accounts needn't

    if as_of is not None and as_of.tzinfo is None:
        raise NoInstantError(f"as_of {as_of} is no instant: give it a time zone, such as UTC")
    source = market_data if as_of is None else func.market_data_as_of(as_of).table_valued(*market_data.columns)
    wanted = source.c.symbol.in_(symbols) & source.c.date.between(start, end)
    query = select(*source.c).where(wanted).order_by(source.c.symbol, source.c.date)
    with engine.connect() as connection:
        frame = pd.read_sql(query, connection, parse_dates=["date"])
    return frame.set_index(["symbol", "date"])


def has_bars_around(engine: Engine, symbol: str, first: date, last: date) -> bool:
    """True if bars of a symbol are stored both before `first` and after `last`."""
    of_symbol, day = market_data.c.symbol == symbol, market_data.c.date
    query = select(exists().where(of_symbol, day < first) & exists().where(of_symbol, day > last))
    with engine.connect() as connection:
        return bool(connection.scalar(query))


@dataclass(frozen=True)
class LastLoad:
    """A symbol's newest load: its last session, how many bars it refused, which of its sessions are flagged for a jump.

    A jump without a split, or a split without a jump; with the note. `answered_to` is the last session that the vendor
    answered for, None where it did for none.
    """

    end: date
    answered_to: date | None
    rejected: int
    jumps: Sequence[tuple[date, str]]


def last_loads(engine: Engine, symbols: Sequence[str]) -> Mapping[str, LastLoad]:
    """The newest load of each of these symbols that was ever loaded, or tried to be."""
    history = backfill_history.c
    newest = (
        select(history.symbol, history.start_date, history.end_date, history.answered_to, history.rejected)
        .ext(distinct_on(history.symbol))
        .where(history.symbol.in_(symbols))
        .order_by(history.symbol, history.backfill_timestamp.desc())
    )
    bars = market_data.c
    last = newest.subquery()
    flagged = (
        select(bars.symbol, bars.date, bars.validation_notes)
        .join(last, (last.c.symbol == bars.symbol) & bars.date.between(last.c.start_date, last.c.end_date))
        .where(~bars.validated, bars.gap_detected)
        .order_by(bars.symbol, bars.date)
    )
    jumps: defaultdict[str, list[tuple[date, str]]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(flagged):
            jumps[row.symbol].append((row.date, row.validation_notes))
        loads = connection.execute(newest).all()
    return {row.symbol: LastLoad(row.end_date, row.answered_to, row.rejected, jumps[row.symbol]) for row in loads}


def newest_load(engine: Engine) -> str | None:
    """What tells one state of the warehouse from the next: it changes with every load; None before the first."""
    query = select(
        select(func.max(backfill_history.c.id)).scalar_subquery().label("bars"),
        select(func.max(corporate_action_inquiries.c.asked_at)).scalar_subquery().label("actions"),
    )
    with engine.connect() as connection:
        row = connection.execute(query).one()
    return None if row.bars is None and row.actions is None else f"{row.bars} {row.actions}"
