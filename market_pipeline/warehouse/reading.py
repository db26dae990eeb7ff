"""Stored bars and stored accounts, read back. What is missing, completeness.py says."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

import pandas as pd
from sqlalchemy import Engine, Row, func, select

from market_pipeline.warehouse.tables import backfill_history, corporate_action_inquiries, market_data


def run_history(engine: Engine, run_ids: Sequence[str]) -> Sequence[Row]:  # type: ignore[type-arg]
    """The `backfill_history` rows of these runs, in the order they were written."""
    query = select(backfill_history).where(backfill_history.c.run_id.in_(run_ids)).order_by(backfill_history.c.id)
    with engine.connect() as connection:
        return connection.execute(query).all()


def bars(
    engine: Engine, symbols: Sequence[str], start: date, end: date, *, as_of: datetime | None = None
) -> pd.DataFrame:
    """The stored bars of some symbols from `start` to `end`, both included, as traded.

    Args:
        engine: the warehouse.
        symbols: by their names here; one that isn't there has no rows.
        start: first session.
        end: last session.
        as_of: what was stored at that instant (with a time zone) rather than now.

    Returns:
        Indexed by `symbol` and `date` (datetime64), in that order; the other columns are those of `market_data`.
    """
    source = market_data if as_of is None else func.market_data_as_of(as_of).table_valued(*market_data.columns)
    wanted = source.c.symbol.in_(symbols) & source.c.date.between(start, end)
    query = select(*source.c).where(wanted).order_by(source.c.symbol, source.c.date)
    with engine.connect() as connection:
        frame = pd.read_sql(query, connection, parse_dates=["date"])
    return frame.set_index(["symbol", "date"])


def jumps(engine: Engine, symbols: Sequence[str], start: date, end: date) -> Mapping[str, list[tuple[date, str]]]:
    """The sessions flagged for a jump without a split, or a split without a jump, with the note; by symbol."""
    flagged = market_data.c.gap_detected & market_data.c.symbol.in_(symbols) & market_data.c.date.between(start, end)
    query = (
        select(market_data.c.symbol, market_data.c.date, market_data.c.validation_notes)
        .where(~market_data.c.validated, flagged)
        .order_by(market_data.c.symbol, market_data.c.date)
    )
    found: defaultdict[str, list[tuple[date, str]]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(query):
            found[row.symbol].append((row.date, row.validation_notes))
    return found


def newest_load(engine: Engine) -> str | None:
    """What tells one state of the warehouse from the next: it changes with every load; None before the first."""
    query = select(
        select(func.max(backfill_history.c.id)).scalar_subquery().label("bars"),
        select(func.max(corporate_action_inquiries.c.asked_at)).scalar_subquery().label("actions"),
    )
    with engine.connect() as connection:
        row = connection.execute(query).one()
    return None if row.bars is None and row.actions is None else f"{row.bars} {row.actions}"
