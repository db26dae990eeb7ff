"""Questions the pipeline itself asks of the warehouse. What people ask goes through SQL, dbt or the API."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Engine, Row, func, select

from market_pipeline.warehouse.tables import backfill_history, market_data, tracked_symbols


def oldest_last_session(engine: Engine, symbols: Sequence[str]) -> date | None:
    """The newest session held of whichever of `symbols` lags most; None if none holds a bar.

    Those without a bar are left out, and those that are delisted: they don't lag, they have ended.
    """
    ended = select(tracked_symbols.c.symbol).where(tracked_symbols.c.delisted_on.is_not(None))
    newest = (
        select(func.max(market_data.c.date).label("date"))
        .where(market_data.c.symbol.in_(symbols), market_data.c.symbol.not_in(ended))
        .group_by(market_data.c.symbol)
        .subquery()
    )
    with engine.connect() as connection:
        oldest: date | None = connection.execute(select(func.min(newest.c.date))).scalar_one()
    return oldest


def run_history(engine: Engine, run_ids: Sequence[str]) -> Sequence[Row]:  # type: ignore[type-arg]
    """The `backfill_history` rows of these runs, in the order they were written."""
    query = select(backfill_history).where(backfill_history.c.run_id.in_(run_ids)).order_by(backfill_history.c.id)
    with engine.connect() as connection:
        return connection.execute(query).all()
