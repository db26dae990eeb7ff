"""The endpoints about tickers in the vendor's dialect: the list, one ticker's details, its changes, and all types.

Tickers are those of stored symbols, those that are gone included, and those of the vendor's own list.
"""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from market_pipeline.api.vendor_dialect.dialect_lists import read_day, read_page
from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.core.sessions import CALENDARS
from market_pipeline.vendor_format.error_bodies import (
    NO_SUCH_TICKER,
    Body,
    RejectedRequestError,
    describe_bad_parameter,
)
from market_pipeline.vendor_format.list_requests import (
    ListedRecord,
    read_requested_tickers,
    select_fields,
    wants_active,
)
from market_pipeline.vendor_format.reference_bodies import (
    CURRENCIES,
    TICKERS,
    build_delisted_field,
    build_list_body,
    build_ticker_change,
    build_types_body,
)
from market_pipeline.vendor_format.vendor_request import parse_time
from market_pipeline.warehouse.statements import read_driver_statement

DATES = {"last_updated_utc", "delisted_utc"}
SEARCH = "(strpos(lower(name), %(search)s) > 0 OR strpos(lower(ticker), %(search)s) > 0)"


async def read_tickers(request: DialectRequest) -> Body:
    """List the tickers that trade (or, with `active=false`, no longer do), today or on `date`.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
        ProblemError: the database can't be reached.
    """
    values = {
        **_read_days(request),
        "active": wants_active(request),
        "search": request.parameters.get("search", "").lower(),
    }
    conditions = ["active = %(active)s", *([SEARCH] if values["search"] else [])]
    if not values["search"] and not read_requested_tickers(request):
        conditions.append("is_listed")  # a second warehouse stores the whole list as the vendor's
    found, more = await read_page(request, TICKERS, read_driver_statement("listed_tickers"), values, conditions)
    records = [_to_record(row) for row in found]
    return build_list_body(request, TICKERS, records, {"count": len(records), **more})


async def read_ticker_details(request: DialectRequest) -> Body:
    """Return one ticker that trades today, or on `date`.

    Raises:
        RejectedRequestError: none does, or the date can't be parsed.
        ProblemError: the database can't be reached.
    """
    reader = request.context.reader
    listed = read_driver_statement("listed_tickers")
    values = {**_read_days(request), "ticker": request.path["ticker"]}
    rows = await reader.rows(
        f"SELECT row_to_json(listed) FROM ({listed}) AS listed WHERE ticker = %(ticker)s AND active "  # noqa: S608
        "ORDER BY symbol NULLS LAST LIMIT 1",
        values,
    )
    if not rows:
        raise RejectedRequestError(NO_SUCH_TICKER)
    [[row]] = rows
    details = select_fields(TICKERS, _to_record(row))
    found = await reader.rows(read_driver_statement("list_date"), {"symbol": row["symbol"]})
    if found and found[0][0] is not None:
        details["list_date"] = str(found[0][0])
    return {"results": details, **request.envelope()}


async def read_ticker_events(request: DialectRequest) -> Body:
    """List all tickers of the security that has this one now, newest first.

    Raises:
        RejectedRequestError: no security has it now, or no source states since when.
        ProblemError: the database can't be reached.
    """
    _reject_as_of(request)
    rows = await request.context.reader.rows(read_driver_statement("ticker_events"), {"ticker": request.path["ticker"]})
    if not rows:
        raise RejectedRequestError(NO_SUCH_TICKER)
    name, figi, cik = rows[0][:3]
    identity = {"name": name, "composite_figi": figi, "cik": cik}
    events = [build_ticker_change(ticker, first) for *_, ticker, first in rows]
    known = {field: value for field, value in identity.items() if value is not None}
    return {"results": {**known, "events": events}, **request.envelope()}


async def read_ticker_types(request: DialectRequest) -> Body:
    """List the types of tickers."""
    return build_types_body(request)


def _read_days(request: DialectRequest) -> dict[str, Any]:
    """Return the values of the statement `listed_tickers`, with the day of each calendar that tickers are listed of."""
    _reject_as_of(request)
    text = request.parameters.get("date")
    now = request.now
    stock_day, crypto_day = (_parse_day(text, now, name) for name in ("XNYS", "24/7"))
    return {
        "stock_day": stock_day,
        "crypto_day": crypto_day,
        "currencies": json.dumps(CURRENCIES),
        "is_present": text is None or stock_day >= _parse_day(None, now, "XNYS"),
    }


def _parse_day(text: str | None, now: datetime, calendar_name: str) -> date:
    zone = CALENDARS[calendar_name].timezone
    return now.astimezone(zone).date() if text is None else parse_time(text, "date", zone)


def _reject_as_of(request: DialectRequest) -> None:
    if request.as_of is not None:
        raise RejectedRequestError(describe_bad_parameter("as_of", "none here: tickers are listed of a `date`"))


def _to_record(row: Mapping[str, Any]) -> ListedRecord:
    updated = {} if row["last_updated_utc"] is None else {"last_updated_utc": f"{row['last_updated_utc']}T00:00:00Z"}
    kept = {name: value for name, value in row.items() if name not in DATES}
    return {**kept, **updated, **build_delisted_field(read_day(row["delisted_utc"]))}
