"""Stored bars as the vendor's rows, which PostgreSQL encodes: statements for each adjustment, now or as of an instant.

`market_data` has prices as traded, `daily_bars_adjusted` defines adjusted ones. They are rounded as the vendor's are.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cache

from market_pipeline.api.generated.historical import describe_unknown, find_known
from market_pipeline.api.generated.history_params import HistoryRequest
from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.api.vendor_dialect.ticker_spans import HolderSpan, read_stored_statement
from market_pipeline.core.sessions import Calendar
from market_pipeline.vendor_format.bar_bodies import compute_end_time
from market_pipeline.vendor_format.bar_rows import EncodedRows
from market_pipeline.vendor_format.encoding import MILLION
from market_pipeline.vendor_format.error_bodies import ErrorBody, RejectedRequestError

PRICES = {"vw": "vwap", "o": "open", "c": "close", "h": "high", "l": "low"}
AS_TRADED = "adjusted=false gives prices as traded"
NO_ROWS = EncodedRows("", 0)

_FACTORS = {"splits": "split_factor", "all": "split_factor * dividend_factor"}
_SOURCES = {"none": "public.market_data", "splits": "public.daily_bars_adjusted", "all": "public.daily_bars_adjusted"}


def _select_columns(adjustment: str) -> str:
    """Return the selected columns of a source, by the vendor's keys. Where nothing is adjusted, no value is rounded."""
    values = {"v": "volume", **PRICES}
    if adjustment == "all":
        values |= {key: "vwap * dividend_factor" if key == "vw" else f"adj_{name}" for key, name in PRICES.items()}
    if adjustment != "none":
        factor = _FACTORS[adjustment]
        values = {  # the vendor's have four decimals
            key: f"CASE WHEN {factor} = 1 THEN {value} ELSE round({value} * 1e4) / 1e4 END"
            for key, value in values.items()
        }
    return ", ".join(f"{sql} AS {key}" for key, sql in {**values, "n": "transactions"}.items())


def _choose_source(adjustment: str, *, past: bool) -> str:
    # The function with the rows of an instant has the name of the view that it stands for.
    return f"{_SOURCES[adjustment]}_as_of(%(as_of)s::timestamptz)" if past else _SOURCES[adjustment]


def build_go_number(key: str) -> str:
    """Return the SQL of a column's text as `format_go_number` has it.

    PostgreSQL writes no exponent from 1e-4 up to 1e15.
    """
    text = f"{key}::text"
    digits = f"rtrim(rtrim(left({text}, 1) || '.' || substr(replace({text}, '.', ''), 2), '0'), '.')"
    exponent = f"lpad((strpos({text} || '.', '.') - 2)::text, 2, '0')"
    return f"CASE WHEN {key} < {MILLION} OR {key} >= 1e15 THEN {text} ELSE {digits} || 'e+' || {exponent} END"


def _build_statements(page: str, ticker: str | None = None) -> tuple[str, str]:
    """Return the statement for a page's rows as JSON, and the same for prices of a million or more.

    Their columns are the rows as one text, since psycopg takes longer to read columns than PostgreSQL to encode them,
    the number of rows, that of known prices, the highest price, and a ticker of unknown ones. Such prices are
    rare, and trying their form takes a fifth of the time of a row.
    """

    def encode(price: Callable[[str], str]) -> str:
        row = [
            *([f"""'"T":', to_json({ticker}), ','"""] if ticker else []),
            f"""'"v":', {build_go_number("v")}, ',"vw":' || {price("vw")}""",
            *(f"""',"{key}":', {price(key)}""" for key in ("o", "c", "h", "l")),
            """',"t":', t, ',"n":' || n""",
        ]
        unknown = f"min({ticker}) FILTER (WHERE c IS NULL)" if ticker else "NULL"
        return (
            f"SELECT string_agg(concat('{{', {', '.join(row)}, '}}'), ','), "  # noqa: S608 - constants of this module
            f"count(*), count(c), max(greatest(vw, h)), {unknown} FROM ({page}) AS page"
        )

    return encode(str), encode(build_go_number)


@cache
def build_range_statements(adjustment: str, *, descending: bool, past: bool) -> tuple[str, str]:
    """Return the statements for a symbol's rows, whose `t` is the begin of the day. `past`: as of an instant."""
    return _build_statements(
        f"SELECT {_select_columns(adjustment)}, (date_part('epoch', time) * 1000)::bigint AS t "  # noqa: S608 - as above
        f"FROM {_choose_source(adjustment, past=past)} "
        f"WHERE symbol = %(symbol)s AND date >= %(first)s::date AND date <= %(last)s::date "
        f"ORDER BY date {'DESC' if descending else 'ASC'} LIMIT %(limit)s"
    )


@cache
def build_session_statements(adjustment: str, *, past: bool) -> tuple[str, str]:
    """Return the statements for the rows of a calendar's session, with the tickers of that day and a given `t`."""
    tickers = read_stored_statement("session_symbols", past=past)
    return _build_statements(
        f"SELECT named.ticker, {_select_columns(adjustment)}, %(time)s::bigint AS t "  # noqa: S608 - as above
        f"FROM {_choose_source(adjustment, past=past)} AS bar JOIN ({tickers}) AS named ON named.symbol = bar.symbol "
        f"WHERE bar.date = %(day)s::date ORDER BY named.ticker",
        "ticker",
    )


async def read_range(
    request: DialectRequest,
    spans: Sequence[HolderSpan],
    first: date,
    last: date,
    limit: int,
    *,
    descending: bool = False,
) -> EncodedRows:
    """Return a ticker's bars from `first` to `last`, both included, of its symbols, each of its own days.

    Raises:
        RejectedRequestError: adjusted prices are requested, and some are not known.
        ProblemError: the database can't be reached.
    """
    statements = build_range_statements(request.adjustment, descending=descending, past=request.as_of is not None)
    found = NO_ROWS
    for span in reversed(spans) if descending else spans:
        days = max(first, span.first), min(last, span.last)
        left = limit - len(found)
        if days[0] > days[1] or left <= 0:
            continue
        values = {"symbol": span.symbol, "first": days[0], "last": days[1], "limit": left, "as_of": request.as_of}
        rows, unknown, _ = await _read_rows(request, statements, values, by_key=True)
        if unknown:
            raise await _build_unknown_prices_error(request, span.symbol, *days)
        found = found + rows if found else rows
    return found


async def read_session(request: DialectRequest, market: Calendar, day: date, adjustment: str) -> EncodedRows:
    """Return all bars of a session, with their tickers.

    Raises:
        RejectedRequestError: adjusted prices are requested, and some are not known.
        ProblemError: the database can't be reached.
    """
    statements = build_session_statements(adjustment, past=request.as_of is not None)
    values = {"calendar": market.name, "day": day, "time": compute_end_time(market, day), "as_of": request.as_of}
    rows, unknown, example = await _read_rows(request, statements, values)
    if unknown:
        raise RejectedRequestError(
            ErrorBody(
                409, "ERROR",
                f"the adjusted prices of {unknown:,} of the {len(rows):,} tickers of {day} are not known, such as "
                f"{example}: splits and dividends are requested for tracked symbols alone; {AS_TRADED}",
            )
        )  # fmt: skip
    return rows


async def _read_rows(
    request: DialectRequest, statements: tuple[str, str], values: Mapping[str, object], *, by_key: bool = False
) -> tuple[EncodedRows, int, str | None]:
    """Return the rows, the number of those whose prices are not known, and a ticker of these."""
    usual, with_large_prices = statements
    row = await request.context.reader.row(usual, values, by_key=by_key)
    if (row[3] or 0) >= MILLION:
        row = await request.context.reader.row(with_large_prices, values, by_key=by_key)
    text, count, known, _, example = row
    return EncodedRows(text or "", count), count - known, example


async def _build_unknown_prices_error(
    request: DialectRequest, symbol: str, first: date, last: date
) -> RejectedRequestError:
    """Return the error of a range whose adjusted prices are not all known."""
    history = HistoryRequest(symbol=symbol, start=first, end=last, as_of=request.as_of)
    known_from, reason = await find_known(request.context, history, request.adjustment)
    since = "" if known_from is None or known_from <= first else f"; they are from {known_from} on"
    return RejectedRequestError(ErrorBody(409, "ERROR", f"{describe_unknown(symbol, reason)}{since}; {AS_TRADED}"))
