"""Stored bars as columns of the vendor's: their statements for each adjustment, now or as of an instant.

`market_data` has prices as traded, `daily_bars_adjusted` defines adjusted ones. They are rounded as the vendor's are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from market_pipeline.api.context import Context
from market_pipeline.api.generated.historical import describe_unknown, find_known
from market_pipeline.api.generated.history_params import HistoryRequest
from market_pipeline.api.vendor_dialect.ticker_spans import HolderSpan, stored_statement
from market_pipeline.core.sessions import Calendar
from market_pipeline.vendor_format.bar_rows import VALUES, BarColumns
from market_pipeline.vendor_format.encoding import MILLION, UNKNOWN, rewrite_numbers
from market_pipeline.vendor_format.error_bodies import ErrorBody, RejectedRequestError

KEYS = ("day", *VALUES, "n")
PRICES = {"vw": "vwap", "o": "open", "c": "close", "h": "high", "l": "low"}
AS_TRADED = "adjusted=false gives prices as traded"

_FACTORS = {"splits": "split_factor", "all": "split_factor * dividend_factor"}


def _selected(adjustment: str) -> dict[str, str]:
    """Return the SQL of each column. Where nothing is adjusted, no value is rounded."""
    if adjustment == "none":
        return {"day": "date - DATE '1970-01-01'", "v": "volume", **PRICES, "n": "transactions"}
    factor = _FACTORS[adjustment]

    def rounded(value: str) -> str:
        return f"CASE WHEN {factor} = 1 THEN {value} ELSE round({value} * 1e4) / 1e4 END"  # the vendor's four decimals

    prices = PRICES
    if adjustment == "all":
        prices = {key: "vwap * dividend_factor" if key == "vw" else f"adj_{name}" for key, name in PRICES.items()}
    values = {key: rounded(value) for key, value in {"v": "volume", **prices}.items()}
    return {"day": "date - DATE '1970-01-01'", **values, "n": "transactions"}


_SOURCES = {"none": "public.market_data", "splits": "public.daily_bars_adjusted", "all": "public.daily_bars_adjusted"}


@cache
def range_statement(adjustment: str, *, descending: bool, past: bool) -> str:
    """Return the statement for a symbol's bars as one text. `past`: as of an instant."""
    order = "DESC" if descending else "ASC"
    return _joined(
        KEYS,
        f"SELECT {_columns(adjustment)} FROM {_source(adjustment, past=past)} "  # noqa: S608 - constants of this module
        f"WHERE symbol = %(symbol)s AND date >= %(first)s::date AND date <= %(last)s::date "
        f"ORDER BY date {order} LIMIT %(limit)s",
    )


@cache
def session_statement(adjustment: str, *, past: bool) -> str:
    """Return the statement for all bars of a calendar's session, with the tickers of that day, as one text."""
    source = _source(adjustment, past=past)
    tickers = stored_statement("session_symbols", past=past)
    return _joined(
        ("ticker", *KEYS),
        f"SELECT named.ticker, {_columns(adjustment)} FROM {source} AS bar "  # noqa: S608 - as above
        f"JOIN ({tickers}) AS named ON named.symbol = bar.symbol "
        f"WHERE bar.date = %(day)s::date ORDER BY named.ticker",
    )


def _columns(adjustment: str) -> str:
    return ", ".join(f"{sql} AS {key}" for key, sql in _selected(adjustment).items())


def _source(adjustment: str, *, past: bool) -> str:
    # The function with the rows of an instant has the name of the view that it stands for.
    return f"{_SOURCES[adjustment]}_as_of(%(as_of)s::timestamptz)" if past else _SOURCES[adjustment]


def _joined(keys: Sequence[str], rows: str) -> str:
    # One text, since psycopg takes longer to read columns or an array than PostgreSQL to write the numbers. Its largest
    # numbers tell which of them the vendor writes in another form.
    values = ", ".join(f"coalesce({key}::text, '{UNKNOWN}')" for key in keys)
    return (
        f"SELECT string_agg(concat_ws(',', {values}), ','), max(v), max(greatest({', '.join(PRICES)})) "  # noqa: S608 - as above
        f"FROM ({rows}) AS page"
    )


@dataclass(frozen=True, kw_only=True)
class RangeQuery:
    """The bars of a ticker from `first` to `last`, both included: the first `limit`, or the last if `descending`."""

    ticker: str
    first: date
    last: date
    limit: int
    adjustment: str
    as_of: datetime | None
    descending: bool = False


async def read_range(context: Context, spans: Sequence[HolderSpan], query: RangeQuery) -> BarColumns:
    """Return the bars of a ticker's symbols, each of its own days, as columns of texts; `day` is a number.

    Raises:
        RejectedRequestError: adjusted prices are requested, and some are not known.
        ProblemError: the database can't be reached.
    """
    parts: list[BarColumns] = []
    statement = range_statement(query.adjustment, descending=query.descending, past=query.as_of is not None)
    for span in reversed(spans) if query.descending else spans:
        first, last = max(query.first, span.first), min(query.last, span.last)
        left = query.limit - sum(len(part["day"]) for part in parts)
        if first > last or left <= 0:
            continue
        values = {"symbol": span.symbol, "first": first, "last": last, "limit": left, "as_of": query.as_of}
        found = _to_columns(KEYS, *await context.reader.row(statement, values, by_key=True))
        if query.adjustment != "none" and UNKNOWN in found["c"]:
            raise await _unknown_prices(context, span.symbol, query, first, last)
        parts.append(found)
    return parts[0] if len(parts) == 1 else _join(parts)


async def read_session(
    context: Context, market: Calendar, day: date, adjustment: str, as_of: datetime | None
) -> tuple[list[str], BarColumns]:
    """Return the tickers and all bars of a session, as columns of texts; `day` is a number.

    Raises:
        RejectedRequestError: adjusted prices are requested, and some are not known.
        ProblemError: the database can't be reached.
    """
    statement = session_statement(adjustment, past=as_of is not None)
    values = {"calendar": market.name, "day": day, "as_of": as_of}
    found = _to_columns(("ticker", *KEYS), *await context.reader.row(statement, values))
    tickers = found["ticker"]
    if adjustment != "none" and UNKNOWN in found["c"]:
        unknown = [ticker for ticker, close in zip(tickers, found["c"], strict=True) if close == UNKNOWN]
        raise RejectedRequestError(
            ErrorBody(
                409, "ERROR",
                f"the adjusted prices of {len(unknown):,} of the {len(tickers):,} tickers of {day} are not known, such "
                f"as {unknown[0]}: splits and dividends are requested for tracked symbols alone; {AS_TRADED}",
            )
        )  # fmt: skip
    return tickers, found


def to_numbers(columns: BarColumns) -> BarColumns:
    """Return columns of texts as columns of numbers, None where unknown."""
    return {
        key: column if key == "day" else [None if text == UNKNOWN else float(text) for text in column]
        for key, column in columns.items()
    } | {"n": [None if text == UNKNOWN else int(text) for text in columns["n"]]}


def _join(parts: Sequence[BarColumns]) -> BarColumns:
    return {key: [value for part in parts for value in part[key]] for key in KEYS}


def _to_columns(keys: Sequence[str], text: str | None, largest: float | None, highest: float | None) -> dict[str, Any]:
    """Return the columns of rows in one text, whose numbers are at most `largest` (volumes) and `highest` (prices)."""
    values = text.split(",") if text else []
    columns: dict[str, Any] = {key: values[place :: len(keys)] for place, key in enumerate(keys)}
    columns["day"] = list(map(int, columns["day"]))
    for key in VALUES:
        # PostgreSQL writes numbers below a million as the vendor does.
        if ((largest if key == "v" else highest) or 0.0) >= MILLION:
            columns[key] = rewrite_numbers(columns[key])
    return columns


def empty_columns() -> BarColumns:
    """Return columns of no bars."""
    return _join([])


async def _unknown_prices(
    context: Context, symbol: str, query: RangeQuery, first: date, last: date
) -> RejectedRequestError:
    """Return the error of a range whose adjusted prices are not all known."""
    history = HistoryRequest(symbol=symbol, start=first, end=last, as_of=query.as_of)
    known_from, reason = await find_known(context, history, query.adjustment)
    since = "" if known_from is None or known_from <= first else f"; they are from {known_from} on"
    return RejectedRequestError(ErrorBody(409, "ERROR", f"{describe_unknown(symbol, reason)}{since}; {AS_TRADED}"))
