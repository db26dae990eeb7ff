"""Instants that rows are requested as of: by `as_of`, or by the name of a snapshot."""

import asyncio
from datetime import datetime
from urllib.parse import urlencode

from market_pipeline.api.context import Context
from market_pipeline.api.generated.query_params import parse_parameters
from market_pipeline.api.generated.value_types import is_valid
from market_pipeline.api.problems import Fault, build_parameter_problem
from market_pipeline.warehouse.loads import NoInstantError, describe_point, settle

SNAPSHOT = "snapshot"
POINT = "SELECT point FROM snapshots WHERE name = %s"


async def resolve_snapshot(context: Context, query: str) -> str:
    """Return a query string with the point of its snapshot as `as_of`; others are returned as they are.

    Raises:
        ProblemError: there is no such snapshot, or the request names another instant too.
    """
    if SNAPSHOT not in query:  # spares most requests a second parsing
        return query
    parameters = parse_parameters(query)
    names = [value for name, value in parameters if name == SNAPSHOT]
    if not names:
        return query
    if len(names) > 1:
        raise build_parameter_problem([Fault(SNAPSHOT, "is given more than once")])
    if any(name == "as_of" for name, _ in parameters):
        raise build_parameter_problem([Fault(SNAPSHOT, "stands for an instant, as as_of does: give one of them")])
    # PostgreSQL can't be sent a null character, and no name has one.
    found = await context.reader.rows(POINT, names) if is_valid("text", names[0]) else []
    if not found:
        reason = f"there is no snapshot {names[0]!r}: /api/v1/tables/snapshots lists all"
        raise build_parameter_problem([Fault(SNAPSHOT, reason)])
    point = describe_point(found[0][0])
    return urlencode([("as_of", point) if name == SNAPSHOT else (name, value) for name, value in parameters])


async def settle_instant(context: Context, instant: datetime | None) -> None:
    """Settle the instant of a request, if it has one.

    Raises:
        ProblemError: it is in the future of the database's clock.
        UnsettledError: loads under way may still change what is stored as of it.
    """
    if instant is None:
        return
    try:
        await asyncio.to_thread(settle, context.warehouse, instant)
    except NoInstantError:
        raise build_parameter_problem([Fault("as_of", "is in the future: use an instant in the past")]) from None
