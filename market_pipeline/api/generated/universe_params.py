"""Parsing of a request for a market's universe, and the query for its rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache

from market_pipeline.api.generated.catalog import Column
from market_pipeline.api.generated.query_params import (
    CACHED_QUERIES,
    Parsers,
    create_choice_parser,
    create_value_parser,
    parse_cursor,
    parse_each,
    parse_instant,
    parse_limit,
)
from market_pipeline.api.generated.query_sql import Order, Query
from market_pipeline.api.problems import Fault, build_parameter_problem
from market_pipeline.core.markets import MARKETS, Market, UnknownMarketError, find_market

MOST_ROWS = 20_000
"""The most rows of a page, and the default: all of a session, of which US stocks have 12,500 (2026)."""

TYPES = re.compile(r"[A-Za-z0-9_]{1,20}(?:,[A-Za-z0-9_]{1,20})*", re.ASCII)

_COLUMNS: Mapping[str, tuple[str, str]] = {
    "date": ("date", "The session."),
    "ticker": ("text", "The ticker that it traded under on that session."),
    "symbol": ("text", "Its name here: the ticker, or with a month, as in META-202201, if another has the name now."),
    "security_id": ("bigint", "The security, as in securities; null if none is known."),
    "name": ("text", "The company's or fund's name; null where no source gives one."),
    "type": ("text", "The vendor's type code, e.g. CS, ADRC, ETF; null where no source gives one."),
    "primary_exchange": ("text", "Its exchange by ISO 10383 code, e.g. XNAS; null where no source gives one."),
    "first_session": ("date", "Its first session with a bar."),
    "last_session": ("date", "Its last session with a bar, which may be later than this one."),
    "price": ("double precision", "Last price of the session, US dollars, as traded."),
    "volume": ("double precision", "Shares or coins traded."),
    "dollar_volume": ("double precision", "price x volume, US dollars."),
    "median_dollar_volume": (
        "double precision",
        "Median of dollar_volume of its last 20 bars of a year, this one included; null without min_dollar_volume.",
    ),
}
_NULLABLE = ("ticker", "security_id", "name", "type", "primary_exchange", "median_dollar_volume")
COLUMNS = [Column(name, kind, name in _NULLABLE, text) for name, (kind, text) in _COLUMNS.items()]
"""The columns of a response, those of the SQL function `universe`."""

_TICKER, _DOLLARS = (next(column for column in COLUMNS if column.name == name) for name in ("ticker", "dollar_volume"))
ORDERS: Mapping[str, Sequence[Order]] = {
    "ticker": (Order(_TICKER),),
    "dollar_volume": (Order(_DOLLARS, descending=True), Order(_TICKER)),
}
"""The orders of rows: alphabetical, which is the default, or the largest first."""

SOURCE = "public.universe(%s::date, %s::text, %s::timestamptz, %s::text[], %s::float8, %s::float8)"


@dataclass(frozen=True, kw_only=True)
class UniverseRequest:
    """The parameters of a request; None: not limited by it."""

    date: date
    market: Market = MARKETS["us_stocks"]
    type: Sequence[str] | None = None
    min_price: float | None = None
    min_dollar_volume: float | None = None
    as_of: datetime | None = None
    order: str = "ticker"
    limit: int | None = None
    cursor: Sequence[str | None] | None = None
    format: str | None = None

    @cached_property
    def query(self) -> Query:
        """The query for the tickers."""
        types = None if self.type is None else list(self.type)
        values = [self.date, self.market.name, self.as_of, types, self.min_price, self.min_dollar_volume]
        query = Query(
            SOURCE, COLUMNS, [], ORDERS[self.order], self.limit or MOST_ROWS, values,
            as_of=self.as_of, is_limited=self.limit is not None,
        )  # fmt: skip
        return query.after(self.cursor) if self.cursor else query


@lru_cache(CACHED_QUERIES)
def parse_universe_request(text: str) -> UniverseRequest:
    """Parse the parameters of a request.

    Raises:
        ProblemError: parameters are wrong; each is named with the reason.
    """
    values, faults = parse_each(text, PARSERS, others=["snapshot"])
    if "date" not in values and not any(fault.parameter == "date" for fault in faults):
        faults.append(Fault("date", "is missing: name a session, such as date=2024-03-15"))
    if "cursor" in values:
        try:
            values["cursor"] = parse_cursor(values["cursor"], ORDERS[values.get("order", "ticker")])
        except ValueError as error:
            faults.append(Fault("cursor", str(error)))
    if faults:
        raise build_parameter_problem(faults)
    return UniverseRequest(**values)


def _parse_market(text: str) -> Market:
    try:
        return find_market(text)
    except UnknownMarketError as error:
        raise ValueError(str(error)) from None


def _parse_types(text: str) -> Sequence[str]:
    if not TYPES.fullmatch(text):
        raise ValueError(f"{text!r} is not a list of type codes, such as CS or CS,ADRC")
    return text.split(",")


def _parse_amount(text: str) -> float:
    amount = float(create_value_parser("double precision")(text))
    if amount < 0:
        raise ValueError(f"{text!r} is negative")
    return amount


PARSERS: Parsers = {
    "date": lambda text: date.fromisoformat(create_value_parser("date")(text)),
    "market": _parse_market,
    "type": _parse_types,
    "min_price": _parse_amount,
    "min_dollar_volume": _parse_amount,
    "as_of": parse_instant,
    "order": create_choice_parser(*ORDERS),
    "limit": lambda text: parse_limit(text, MOST_ROWS),
    "cursor": str,  # it depends on the order
    "format": str,
}
"""The parser of each parameter."""
