"""Universe of a session as rows: the tickers that traded, those with the largest dollar volume first."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime

from market_pipeline.api.context import ReadingContext
from market_pipeline.api.generated.query_params import parse_instant
from market_pipeline.assistants.arguments import parse_day
from market_pipeline.assistants.results import Rows, ToolProblem
from market_pipeline.core.markets import Market, UnknownMarketError, find_market
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse.loads import settle
from market_pipeline.warehouse.universe import describe_types, require_universe

_COLUMNS = (
    "ticker", "symbol", "name", "type", "primary_exchange", "first_session", "last_session", "price", "volume",
    "dollar_volume", "median_dollar_volume",
)  # fmt: skip
_ROWS = (
    f"SELECT {', '.join(_COLUMNS)}, count(*) OVER () "  # noqa: S608 - names of our own
    "FROM universe(%s::date, %s::text, %s::timestamptz, %s::text[], %s::float8, %s::float8) "
    "ORDER BY dollar_volume DESC, ticker LIMIT %s"
)


async def read_universe(
    context: ReadingContext,
    day_and_instant: tuple[str, str | None],
    market: str,
    types: Sequence[str] | None,
    bounds: tuple[float | None, float | None],
    limit: int,
) -> Rows:
    """Return the tickers that traded on a session and meet the conditions.

    Args:
        context: to read from.
        day_and_instant: the session, and the instant that it is read as of, as text.
        market: its name, such as us-stocks.
        types: the vendor's type codes, such as CS; None for all.
        bounds: the least price and the least median of dollar volume; None for any.
        limit: the most rows.

    Raises:
        ToolProblem: an argument is wrong.
        NoUniverseError: the date is no session, or it is not stored whole.
        UnsettledError: loads under way may still change what is stored as of the instant.
    """
    day, found, as_of = _parse(*day_and_instant, market)
    if as_of is not None:
        await asyncio.to_thread(settle, context.warehouse, as_of)
    await asyncio.to_thread(require_universe, context.warehouse, found, day, as_of)
    codes = None if types is None else list(types)
    rows = await context.reader.rows(_ROWS, [day, found.name, as_of, codes, *bounds, limit])
    total = rows[0][-1] if rows else 0
    note = f"{format_count(total, 'ticker')} traded on {day} and meet the conditions"
    if total > len(rows):
        note += f"; these are the {len(rows):,} with the largest dollar volume: add conditions, or use query"
    notes = [f"{note}."]
    if codes is not None:
        notes += await asyncio.to_thread(describe_types, context.warehouse, found, day, codes, as_of)
    return Rows(
        columns=list(_COLUMNS),
        rows=[list(row[:-1]) for row in rows],
        count=len(rows),
        truncated=total > len(rows),
        note=" ".join(notes),
    )


def _parse(day: str, as_of: str | None, market: str) -> tuple[date, Market, datetime | None]:
    session = parse_day("date", day)
    try:
        return session, find_market(market), parse_instant(as_of) if as_of else None
    except UnknownMarketError as error:
        raise ToolProblem(f"market: {error}") from None
    except ValueError as error:
        raise ToolProblem(f"as_of: {error}") from None
