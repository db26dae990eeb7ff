"""Symbols in the protocol UDF: one with its session hours and holidays, and a search over all of them."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from market_pipeline.api.context import Context
from market_pipeline.api.generated.query_params import create_choice_parser, create_value_parser
from market_pipeline.api.problems import ProblemError
from market_pipeline.api.symbol_search import FoundSymbol, find_symbols
from market_pipeline.api.udf.udf_parameters import MOST_SYMBOLS, RESOLUTIONS, count_parser, parse_name, parse_udf
from market_pipeline.core.sessions import find_calendar, list_holidays
from market_pipeline.warehouse.statements import read_driver_statement
from market_pipeline.warehouse.symbol_names import find_alias

KINDS: Mapping[str, str] = {"stock": "Stocks", "fund": "Funds", "crypto": "Crypto"}
KIND_OF: Mapping[str, str] = {"stock": "stock", "etf": "fund", "crypto": "crypto"}
"""The library's type of each asset class."""

ASSET_CLASSES = {kind: asset_class for asset_class, kind in KIND_OF.items()}

DEFAULT_SYMBOLS = 30
MOST_DECIMALS = 10
"""Of a price scale."""


@dataclass(frozen=True)
class Venue:
    """The hours of a calendar's sessions in the protocol's form, and the name of its exchanges together.

    Bars are of all exchanges of the United States, so their exchange is US; where a stock is listed is another field.
    """

    name: str
    title: str
    session: str
    timezone: str
    volume_decimals: int


VENUES: Mapping[str, Venue] = {
    "XNYS": Venue("US", "US stocks", "0930-1600", "America/New_York", 0),
    "24/7": Venue("CRYPTO", "Crypto", "24x7", "Etc/UTC", 8),
}
"""The venue of each calendar."""

CALENDARS = {venue.name: calendar_name for calendar_name, venue in VENUES.items()}

CONFIGURATION: Mapping[str, object] = {
    "supports_search": True,
    "supports_group_request": False,
    "supports_marks": False,
    "supports_timescale_marks": False,
    "supports_time": True,
    "supported_resolutions": list(RESOLUTIONS),
    "exchanges": [
        {"value": "", "name": "All", "desc": "All exchanges"},
        *({"value": venue.name, "name": venue.title, "desc": venue.title} for venue in VENUES.values()),
    ],
    "symbols_types": [
        {"name": "All types", "value": ""},
        *({"name": title, "value": kind} for kind, title in KINDS.items()),
    ],
}

SEARCH_PARSERS = {
    "query": create_value_parser("text"),
    "type": create_choice_parser(*KINDS),
    "exchange": create_choice_parser(*(venue.name for venue in VENUES.values())),
    "limit": count_parser(MOST_SYMBOLS),
}
_DESCRIBE = read_driver_statement("describe_symbol")


async def describe_symbol(context: Context, query_string: str) -> Mapping[str, object]:
    """Return a symbol's description, a LibrarySymbolInfo.

    Raises:
        ProblemError: 404, there is no such symbol.
    """
    name = parse_udf(query_string, {"symbol": parse_name}, required=["symbol"])["symbol"]
    rows = await context.reader.rows(_DESCRIBE, {"name": name})
    if not rows:
        rows = await context.reader.rows(_DESCRIBE, {"name": await find_symbol(context, name)})
    symbol, asset_class, calendar_name, title, exchange, close, decimals, ended_on = rows[0]
    venue = VENUES[calendar_name]
    return {
        "name": symbol,
        "ticker": symbol,
        "description": title or symbol,
        "type": KIND_OF[asset_class],
        "session": venue.session,
        "session_holidays": _list_holidays(calendar_name, datetime.now(UTC).year + 1),
        "timezone": venue.timezone,
        "exchange": venue.name,
        "listed_exchange": exchange or venue.name,
        "format": "price",
        "minmov": 1,
        "pricescale": 10 ** min(MOST_DECIMALS, max(decimals or 0, _count_decimals(close))),
        "has_intraday": False,
        "has_daily": True,
        "has_weekly_and_monthly": True,
        "supported_resolutions": list(RESOLUTIONS),
        "visible_plots_set": "ohlcv",
        "volume_precision": venue.volume_decimals,
        "currency_code": "USD",
        "data_status": "endofday",
        **({"expired": True, "expiration_date": _compute_unix_time(ended_on)} if ended_on else {}),
    }


async def find_symbol(context: Context, name: str) -> str:
    """Return the symbol of a name: its own, or a ticker that its company has or had.

    Raises:
        ProblemError: 404, there is no such symbol.
    """
    [is_known] = await context.reader.row("SELECT EXISTS (SELECT FROM symbol_identities WHERE symbol = %s)", [name])
    if is_known:
        return name
    alias = await asyncio.to_thread(find_alias, context.warehouse, name, active_only=False)
    if alias is None:
        raise ProblemError(404, f"{name} is not tracked: /udf/search finds symbols")
    return alias.symbol.name


async def search_chart_symbols(context: Context, query_string: str) -> Sequence[Mapping[str, object]]:
    """Return the symbols that a search finds, as `/api/v1/symbols/search` does, the best first."""
    values = parse_udf(query_string, SEARCH_PARSERS)
    found = await find_symbols(
        context,
        values.get("query", ""),
        values.get("limit", DEFAULT_SYMBOLS),
        asset_class=ASSET_CLASSES.get(values.get("type", "")),
        calendar=CALENDARS.get(values.get("exchange", "")),
    )
    return [_describe_found(each) for each in found.symbols]


def _describe_found(found: FoundSymbol) -> Mapping[str, object]:
    venue = VENUES[found.calendar]
    return {
        "symbol": found.symbol,
        "full_name": f"{venue.name}:{found.symbol}",
        "ticker": found.symbol,
        "description": found.name or found.symbol,
        "exchange": venue.name,
        "type": KIND_OF[found.asset_class],
    }


@lru_cache(4)
def _list_holidays(calendar_name: str, last_year: int) -> str:
    """Return the weekdays without a session, as 20240101,20240115."""
    if calendar_name == "24/7":
        return ""
    first = find_calendar(calendar_name).first_session
    return ",".join(f"{day:%Y%m%d}" for day in list_holidays(calendar_name, first, date(last_year, 12, 31)))


def _count_decimals(close: float | None) -> int:
    """Return the decimals that show a price of this size to at least four digits, cents at the least."""
    if close is None or close >= 10:
        return 2
    return 3 - math.floor(math.log10(close))


def _compute_unix_time(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
