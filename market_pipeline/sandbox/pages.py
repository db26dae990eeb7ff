"""Filters, order and pages of the endpoints that list records. Knows records as dictionaries, not what they are of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from market_pipeline.sandbox.encoding import to_cursor
from market_pipeline.sandbox.endpoint_responses import RejectedRequestError, bad_parameter
from market_pipeline.sandbox.request import DATE, ApiRequest

Record = dict[str, Any]
Reader = Callable[[str], Any]


def a_date(text: str) -> str:
    """A date as it is compared: as text."""
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return text


def a_flag(text: str) -> bool:
    """True or false, as the vendor writes them."""
    return {"true": True, "false": False}[text.lower()]


@dataclass(frozen=True)
class ListEndpoint:
    """How one endpoint lists records.

    `fields` are those it shows, in the wire's order; `filters` those it filters by, and how their values are read.
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


def listed(call: ApiRequest, endpoint: ListEndpoint, records: Iterable[Record]) -> tuple[list[Record], dict[str, str]]:
    """The page of the records that was asked for, all fields still there, and `next_url` if it isn't the last.

    Raises:
        RejectedRequestError: a parameter can't be read.
    """
    found = _sorted(call, endpoint, _filtered(call, endpoint, records))
    limit = call.limit(endpoint.limit, endpoint.most)
    start = _number(call.parameters.get("page_marker", "0"))
    following = start + limit
    if following >= len(found):
        return found[start:], {}
    again = {**call.parameters, "limit": limit, "page_marker": following}
    cursor = to_cursor(dict(sorted(again.items())))
    return found[start:following], {"next_url": f"{call.address}{call.target}?cursor={cursor}"}


def on_the_wire(endpoint: ListEndpoint, record: Record) -> Record:
    """The fields of a record that the endpoint shows."""
    return {name: record[name] for name in endpoint.fields if name in record}


def wanted_tickers(call: ApiRequest) -> list[str]:
    """The tickers a request names; none if it asks about the whole market."""
    parameters = call.parameters
    named = [parameters["ticker"]] if "ticker" in parameters else []
    return named + [ticker for ticker in parameters.get("ticker.any_of", "").split(",") if ticker]


def _filtered(call: ApiRequest, endpoint: ListEndpoint, records: Iterable[Record]) -> list[Record]:
    kept = list(records)
    for parameter, text in call.parameters.items():
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


def _sorted(call: ApiRequest, endpoint: ListEndpoint, records: list[Record]) -> list[Record]:
    order = call.parameters.get("order", "desc" if endpoint.descending else "asc")
    keys = [key.partition(".") for key in call.parameters.get("sort", endpoint.sort).split(",")]
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
