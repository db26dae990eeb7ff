"""Filters, order and pages of the endpoints that list records. Records are dictionaries of any kind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from market_pipeline.sandbox.encoding import to_cursor
from market_pipeline.sandbox.endpoint_responses import RejectedRequestError, bad_parameter
from market_pipeline.sandbox.request import DATE, ApiRequest

Record = dict[str, Any]
Reader = Callable[[str], Any]


def parse_date(text: str) -> str:
    """Check a date and return it as text, in which form it is compared."""
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return text


def parse_flag(text: str) -> bool:
    """Parse true or false, as the vendor writes them."""
    return {"true": True, "false": False}[text.lower()]


@dataclass(frozen=True)
class ListEndpoint:
    """Options of one endpoint that lists records.

    `fields` are the fields of a response, in order; `filters` the fields that can be filtered by, and their parsers.
    Sorting is written `sort=a.asc,b.desc` in the vendor's newer generation, `sort=a` and `order=asc` in the older one.
    """

    fields: tuple[str, ...]
    filters: Mapping[str, Reader]
    sort: str
    descending: bool
    limit: int
    most: int


OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda value, wanted: bool(value == wanted),
    "gt": lambda value, wanted: bool(value > wanted),
    "gte": lambda value, wanted: bool(value >= wanted),
    "lt": lambda value, wanted: bool(value < wanted),
    "lte": lambda value, wanted: bool(value <= wanted),
    "any_of": lambda value, wanted: value in wanted,
}


def list_page(
    request: ApiRequest, endpoint: ListEndpoint, records: Iterable[Record]
) -> tuple[list[Record], dict[str, str]]:
    """Return the requested page of the records with all fields, and `next_url` if it isn't the last.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
    """
    found = _sorted(request, endpoint, _filtered(request, endpoint, records))
    limit = request.limit(endpoint.limit, endpoint.most)
    start = _number(request.parameters.get("page_marker", "0"))
    following = start + limit
    if following >= len(found):
        return found[start:], {}
    again = {**request.parameters, "limit": limit, "page_marker": following}
    cursor = to_cursor(dict(sorted(again.items())))
    return found[start:following], {"next_url": f"{request.address}{request.target}?cursor={cursor}"}


def select_fields(endpoint: ListEndpoint, record: Record) -> Record:
    """Return the fields of a record that are in the endpoint's responses."""
    return {name: record[name] for name in endpoint.fields if name in record}


def requested_tickers(request: ApiRequest) -> list[str]:
    """Return the tickers that a request names; none if it is about the whole market."""
    parameters = request.parameters
    named = [parameters["ticker"]] if "ticker" in parameters else []
    return named + [ticker for ticker in parameters.get("ticker.any_of", "").split(",") if ticker]


def _filtered(request: ApiRequest, endpoint: ListEndpoint, records: Iterable[Record]) -> list[Record]:
    kept = list(records)
    for parameter, text in request.parameters.items():
        name, _, operation = parameter.partition(".")
        if name in endpoint.filters and operation in OPERATIONS:
            wanted = _read(endpoint.filters[name], parameter, operation, text)
            matches = OPERATIONS[operation]
            kept = [record for record in kept if name in record and matches(record[name], wanted)]
    return kept


def _read(reader: Reader, parameter: str, operation: str, text: str) -> Any:
    try:
        return [reader(part) for part in text.split(",")] if operation == "any_of" else reader(text)
    except (ValueError, KeyError):
        raise RejectedRequestError(bad_parameter(parameter, "a value of its kind")) from None


def _sorted(request: ApiRequest, endpoint: ListEndpoint, records: list[Record]) -> list[Record]:
    order = request.parameters.get("order", "desc" if endpoint.descending else "asc")
    keys = [key.partition(".") for key in request.parameters.get("sort", endpoint.sort).split(",")]
    for name, _, direction in reversed(keys):
        records = sorted(
            records,
            key=lambda record: (name in record, record.get(name)),
            reverse=(direction or order) == "desc",
        )
    return records


def _number(text: str) -> int:
    if not text.isdecimal():
        raise RejectedRequestError(bad_parameter("cursor", "a next_url's cursor"))
    return int(text)
