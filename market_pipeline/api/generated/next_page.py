"""URL of a query's next page; its cursor holds the sort key of this page's last row."""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote, urlencode

from psycopg import AsyncConnection
from starlette.requests import Request

from market_pipeline.api.generated.query_params import parse_parameters, read_query_string
from market_pipeline.api.generated.query_sql import Query


def build_next_url(request: Request, query: Query, last_key: Sequence[str | None]) -> str:
    """Return the URL of the rows after the one with this sort key."""
    return build_url(request, without=["cursor"], added={"cursor": query.cursor(last_key)})


def build_url(request: Request, *, without: Collection[str], added: Mapping[str, str]) -> str:
    """Return the URL of the same request without some parameters and with others."""
    kept = [(name, value) for name, value in parse_parameters(read_query_string(request)) if name not in without]
    return f"{quote(request.scope['path'])}?{urlencode([*kept, *added.items()])}"


async def find_next_url(request: Request, connection: AsyncConnection, query: Query) -> str | None:
    """Look up the last row's sort key and return the next page's URL; None on the last page."""
    if not query.can_be_continued:
        return None
    columns = [part.column for part in query.order]
    statement, values = query.statement(columns, "OFFSET %s LIMIT 2")
    key = ", ".join(f"{column.sql}::text" for column in columns)
    edge = f"SELECT ARRAY[{key}] FROM ({statement}) AS edge"  # noqa: S608 - names are the catalog's, values parameters
    rows = await (await connection.execute(edge, [*values, query.limit - 1], prepare=True)).fetchall()
    return build_next_url(request, query, rows[0][0]) if len(rows) == 2 else None
