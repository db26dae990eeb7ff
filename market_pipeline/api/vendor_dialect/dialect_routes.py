"""The routes of the vendor's dialect."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic

from starlette.routing import Route

from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.vendor_dialect import dialect_bars, dialect_tickers
from market_pipeline.api.vendor_dialect.dialect_lists import read_actions
from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.api.vendor_dialect.dialect_responses import (
    DialectEndpoint,
    UnknownPathEndpoint,
    create_dialect_handler,
)
from market_pipeline.api.vendor_dialect.ticker_spans import FRESH_SECONDS, TickerSpans
from market_pipeline.core.sessions import CALENDARS
from market_pipeline.vendor_format.error_bodies import Body
from market_pipeline.vendor_format.market_hours import build_holidays_body, build_status_body
from market_pipeline.vendor_format.reference_bodies import (
    NEWER_DIVIDENDS,
    NEWER_SPLITS,
    OLDER_DIVIDENDS,
    OLDER_SPLITS,
)

RANGE = "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}"
PREFIXES = ("/v1/", "/v2/", "/v3/", "/vX/", "/stocks/v1/")
"""Beginnings of the dialect's paths; no other path of the API begins so."""


class DataSource:
    """The source of a warehouse's data. It is read until there is one, as that never changes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._source: str | None = None
        self._read_again = float("-inf")

    async def is_sandbox(self) -> bool:
        """Return True if the warehouse holds a sandbox's data.

        Raises:
            ProblemError: the database can't be reached.
        """
        if self._source is None and monotonic() >= self._read_again:
            [self._source] = await self._reader.row("SELECT (SELECT source FROM bar_source)")
            self._read_again = monotonic() + FRESH_SECONDS
        return self._source == "sandbox"


def build_dialect_routes(reader: Reader) -> Sequence[Route]:
    """Return the routes, the busiest first."""
    bars = dialect_bars.BarEndpoints(TickerSpans(reader))
    endpoints: Sequence[tuple[str, DialectEndpoint]] = (
        (RANGE, bars.read_range),
        ("/v2/aggs/ticker/{ticker}/prev", bars.read_previous_day),
        ("/v2/aggs/grouped/locale/us/market/stocks/{date}", dialect_bars.read_grouped_stocks),
        ("/v2/aggs/grouped/locale/global/market/crypto/{date}", dialect_bars.read_grouped_crypto),
        ("/v1/open-close/crypto/{base}/{quote}/{date}", bars.read_crypto_open_close),
        ("/v1/open-close/{ticker}/{date}", bars.read_open_close),
        ("/v3/reference/splits", partial(read_actions, OLDER_SPLITS, "listed_splits")),
        ("/stocks/v1/splits", partial(read_actions, NEWER_SPLITS, "listed_splits")),
        ("/v3/reference/dividends", partial(read_actions, OLDER_DIVIDENDS, "listed_dividends")),
        ("/stocks/v1/dividends", partial(read_actions, NEWER_DIVIDENDS, "listed_dividends")),
        ("/v3/reference/tickers", dialect_tickers.read_tickers),
        ("/v3/reference/tickers/types", dialect_tickers.read_ticker_types),
        ("/v3/reference/tickers/{ticker}", dialect_tickers.read_ticker_details),
        ("/vX/reference/tickers/{ticker}/events", dialect_tickers.read_ticker_events),
        ("/v1/marketstatus/upcoming", _read_holidays),
        ("/v1/marketstatus/now", _read_status),
    )
    is_sandboxed: Callable[[], Awaitable[bool]] = DataSource(reader).is_sandbox
    unknown = UnknownPathEndpoint(is_sandboxed)
    return [
        *(Route(path, create_dialect_handler(endpoint, is_sandboxed)) for path, endpoint in endpoints),
        *(Route(f"{prefix}{{path:path}}", unknown) for prefix in PREFIXES),
    ]


def is_of_dialect(path: str) -> bool:
    """Return True if a path is one of the dialect's, or begins as they do."""
    return path.startswith(PREFIXES)


async def _read_holidays(request: DialectRequest) -> list[dict[str, str]]:
    """Return the next year's holidays and early closes."""
    return build_holidays_body(request.now.astimezone(CALENDARS["XNYS"].timezone).date())


async def _read_status(request: DialectRequest) -> Body:
    """Return the status of the markets at this instant."""
    return build_status_body(request.now)
