"""`market-pipeline universe`: the tickers that traded on a session of a market, those that are gone among them."""

import json
import sys
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy import Engine, text

from market_pipeline.cli.market import complete_market
from market_pipeline.cli.output import print_columns, print_note
from market_pipeline.cli.parameters import parse_amount, parse_codes, parse_date, parse_utc_instant
from market_pipeline.core.markets import MARKETS, Market, find_market
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.loads import settle
from market_pipeline.warehouse.statements import open_copy
from market_pipeline.warehouse.universe import describe_types, require_universe

MOST_LINES = 50
"""The most tickers of a table; the other formats have all of them."""

_QUERY = """
    SELECT * FROM universe({day}, {market}, as_of => {as_of}, types => {types}, min_price => {min_price},
        min_dollar_volume => {min_dollar_volume})
    ORDER BY ticker
"""
_NAMES = ("day", "market", "as_of", "types", "min_price", "min_dollar_volume")
_ROWS = text(_QUERY.format(**{name: f":{name}" for name in _NAMES}))
_AS_CSV = f"COPY ({_QUERY.format(**{name: f'%({name})s' for name in _NAMES})}) TO STDOUT (FORMAT csv, HEADER)"

TEXTS = ("ticker", "symbol", "type", "exchange", "name", "first_session", "last_session", "price")
NUMBERS = ("volume", "dollar_volume", "median_dollar_volume")
LONGEST_NAME = 30


class UniverseFormat(StrEnum):
    """Format of the output."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def parse_market(name: str | Market) -> Market:
    """Parse the name of a market; typer passes the default value too.

    Raises:
        UnknownMarketError: there is no such market.
    """
    return name if isinstance(name, Market) else find_market(name)


def universe(
    day: Annotated[date, typer.Option("--date", help="The session.", metavar="YYYY-MM-DD", parser=parse_date)],
    market: Annotated[
        Market,
        typer.Option(
            help="us-stocks or crypto.", metavar="MARKET", parser=parse_market, autocompletion=complete_market
        ),
    ] = MARKETS["us_stocks"],
    types: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="Comma-separated codes of the vendor's: CS, ADRC, ETF, ...",
            metavar="A,B",
            parser=parse_codes,
        ),
    ] = None,
    min_price: Annotated[
        float | None, typer.Option(help="The lowest close, as traded.", metavar="AMOUNT", parser=parse_amount)
    ] = None,
    min_dollar_volume: Annotated[
        float | None,
        typer.Option(
            help="The lowest median of close times volume of its last 20 bars.", metavar="AMOUNT", parser=parse_amount
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="As stored at this instant (UTC, unless it has a zone).", metavar="INSTANT", parser=parse_utc_instant
        ),
    ] = None,
    output_format: Annotated[
        UniverseFormat, typer.Option("--format", help=f"A table has {MOST_LINES} lines, csv and json all.")
    ] = UniverseFormat.TABLE,
) -> None:
    """Print the tickers that traded on a session, delisted ones included, with price and dollar volume.

    Example: market-pipeline universe --date 2024-03-15 --type CS --min-price 5 --min-dollar-volume 1e6 --format csv
    """
    with warehouse_of(load_settings()) as warehouse:
        if as_of is not None:
            settle(warehouse, as_of)
        require_universe(warehouse, market, day, as_of)
        codes = None if types is None else types.split(",")
        parameters = {
            "day": day,
            "market": market.name,
            "as_of": as_of,
            "types": codes,
            "min_price": min_price,
            "min_dollar_volume": min_dollar_volume,
        }
        for note in describe_types(warehouse, market, day, codes, as_of) if codes is not None else ():
            print_note(note)
        if output_format is UniverseFormat.CSV:
            _write_csv(warehouse, parameters)
            return
        with warehouse.connect() as connection:
            rows = [dict(row) for row in connection.execute(_ROWS, parameters).mappings()]
    if output_format is UniverseFormat.JSON:
        typer.echo(json.dumps({"market": market.name, "date": str(day), "tickers": rows}, indent=2, default=str))
    else:
        _print_table(rows)


def _write_csv(warehouse: Engine, parameters: Mapping[str, Any]) -> None:
    with warehouse.connect() as connection, open_copy(connection, _AS_CSV, parameters) as copy:
        for block in copy:
            sys.stdout.write(bytes(block).decode())


def _print_table(rows: list[dict[str, Any]]) -> None:
    shown = [
        {
            **row,
            "exchange": row["primary_exchange"],
            "name": (row["name"] or "")[:LONGEST_NAME],
            "price": f"{row['price']:,.2f}",
            **{name: round(row[name]) for name in NUMBERS if row[name] is not None},
        }
        for row in rows[:MOST_LINES]
    ]
    if shown:  # the median is there if it was requested
        print_columns(TEXTS, [name for name in NUMBERS if shown[0][name] is not None], shown)
    print_note(f"{format_count(len(rows), 'ticker')} traded and meet the conditions.")
    if len(rows) > MOST_LINES:
        print_note(f"The first {MOST_LINES} are printed: --format csv has all.")
