"""Loads: the transactions that change what is stored, in the order of their commits, and the instants they settle.

PostgreSQL keeps the order itself (`sql/views/0_loads.sql`): a load takes its point as its last act.
"""

from datetime import UTC, datetime

from psycopg.errors import InsufficientPrivilege, LockNotAvailable, ReadOnlySqlTransaction
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import InternalError, OperationalError, ProgrammingError

from market_pipeline.core.errors import MarketPipelineError, UsageError


class NoInstantError(UsageError):
    """An instant that nothing can be read as of: it has no time zone, or is in the future."""


class UnsettledError(MarketPipelineError):
    """Loads under way may still change what is stored as of an instant."""


def open_load(connection: Connection, run_id: str, source: str | None = None) -> int:
    """Open a load for the changes of the connection's transaction, and return its id.

    Without a source it has that of the database. The symbols concerned are locked, so that a symbol's loads have the
    order of their ids.
    """
    load: int = connection.execute(select(func.open_load(run_id, source))).scalar_one()
    return load


def ensure_load(connection: Connection, run_id: str, source: str | None = None) -> int:
    """Return the load of the connection's transaction, which is opened if need be."""
    opened: int | None = connection.scalar(select(func.opened_load()))
    return open_load(connection, run_id, source) if opened is None else opened


def read_settled_point(connection: Connection) -> datetime:
    """Return the settled point: what is stored now, as of that instant."""
    point: datetime = connection.execute(select(func.settled_point())).scalar_one()
    return point


def settle(engine: Engine, instant: datetime | None = None) -> datetime:
    """Make sure that what is stored as of an instant never changes; wait some seconds for loads under way.

    Returns:
        The instant, or the present by the database's clock if it is None.

    Raises:
        NoInstantError: it has no time zone, or is in the future of the database's clock.
        UnsettledError: a load takes longer, or we may only read and there is no load since.
    """
    if instant is not None and instant.tzinfo is None:
        raise NoInstantError(f"as_of {instant} is no instant: give it a time zone, such as UTC")
    with engine.connect() as connection:
        point = read_settled_point(connection)
        if instant is not None and instant <= point:
            return instant
        try:
            settling = func.settle() if instant is None else func.settle(instant)
            reached: datetime = connection.execute(select(settling)).scalar_one()
            connection.commit()
        except (OperationalError, InternalError, ProgrammingError) as error:
            if not isinstance(error.orig, LockNotAvailable | ReadOnlySqlTransaction | InsufficientPrivilege):
                raise
            named = "the present" if instant is None else instant.isoformat()
            reason = (
                "and the database's user may not settle it: use"
                if isinstance(error.orig, InsufficientPrivilege)
                else "as a load or another transaction is not committed yet: try again, or use"
            )
            raise UnsettledError(
                f"{named} is not settled, {reason} {describe_point(point)}, the newest settled point"
            ) from None
    if instant is not None and reached < instant:
        raise NoInstantError(f"as_of {instant.isoformat()} is in the future: use an instant in the past")
    return reached


def describe_point(point: datetime) -> str:
    """Return a point as text that stands for exactly that instant, in UTC."""
    return point.astimezone(UTC).isoformat(timespec="microseconds")
