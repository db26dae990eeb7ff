"""The endpoints that list records in the vendor's dialect: splits, dividends and tickers, by SQL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from market_pipeline.api.vendor_dialect.dialect_request import DialectRequest
from market_pipeline.api.vendor_dialect.ticker_spans import read_stored_statement
from market_pipeline.vendor_format.error_bodies import Body
from market_pipeline.vendor_format.list_requests import (
    FieldFilter,
    ListedRecord,
    ListEndpoint,
    build_next_page,
    parse_list_request,
)
from market_pipeline.vendor_format.reference_bodies import build_list_body

COMPARISONS = {"": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
Values = Mapping[str, Any]


async def read_actions(endpoint: ListEndpoint, statement: str, request: DialectRequest) -> Body:
    """List splits or dividends as one of the vendor's endpoints does.

    Args:
        endpoint: its options.
        statement: the name of the statement that selects the records.
        request: the request.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
        ProblemError: the database can't be reached.
    """
    source = read_stored_statement(statement, past=request.as_of is not None)
    found, more = await read_page(request, endpoint, source, {"as_of": request.as_of})
    return build_list_body(request, endpoint, [_to_record(row) for row in found], more)


async def read_page(
    request: DialectRequest, endpoint: ListEndpoint, source: str, values: Values, conditions: Sequence[str] = ()
) -> tuple[list[ListedRecord], dict[str, str]]:
    """Return the rows of the requested page with all columns, and `next_url` if it isn't the last.

    Args:
        request: the request.
        endpoint: its options.
        source: a SELECT of records, with columns for all fields that can be filtered or sorted by.
        values: parameters of that statement and of the conditions.
        conditions: further conditions on the records.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
        ProblemError: the database can't be reached.
    """
    list_request = parse_list_request(request, endpoint)
    wanted = dict(values)
    where = [*conditions, *(_build_condition(each, wanted) for each in list_request.filters)]
    # An unknown value comes first; equal ones are in a fixed order, so that pages don't overlap.
    order = [f"{name} {'DESC NULLS LAST' if falls else 'ASC NULLS FIRST'}" for name, falls in list_request.order]
    statement = (
        f"SELECT row_to_json(listed) FROM ({source}) AS listed "  # noqa: S608 - names are the endpoint's
        + (f"WHERE {' AND '.join(where)} " if where else "")
        + f"ORDER BY {', '.join([*order, 'listed::text'])} OFFSET %(start)s LIMIT %(limit)s"
    )
    rows = await request.context.reader.rows(
        statement, {**wanted, "start": list_request.start, "limit": list_request.limit + 1}
    )
    more = build_next_page(request, list_request) if len(rows) > list_request.limit else {}
    return [record for (record,) in rows[: list_request.limit]], more


def _build_condition(wanted: FieldFilter, values: dict[str, Any]) -> str:
    """Return the SQL of a condition, and add its values."""
    several = wanted.value if wanted.operation == "any_of" else [wanted.value]
    marks = []
    for value in several:
        name = f"value_{len(values)}"
        values[name] = value
        marks.append(f"%({name})s")
    if wanted.operation == "any_of":
        return f"{wanted.field} IN ({', '.join(marks)})"
    return f"{wanted.field} {COMPARISONS[wanted.operation]} {marks[0]}"


NUMBERS: Mapping[str, Callable[[Any], float]] = dict.fromkeys(
    ("split_from", "split_to", "historical_adjustment_factor", "cash_amount", "split_adjusted_cash_amount"), float
)
"""Fields that are numbers with decimals, though a whole one comes without from JSON."""


def _to_record(row: Mapping[str, Any]) -> ListedRecord:
    return {
        name: NUMBERS[name](value) if name in NUMBERS and value is not None else value for name, value in row.items()
    }


def read_day(text: str | None) -> date | None:
    """Return the date of a column; None if it is not known."""
    return date.fromisoformat(text) if text else None
