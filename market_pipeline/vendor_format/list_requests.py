"""Requests to the endpoints that list records, in both of the vendor's generations: filters, order and pages."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from market_pipeline.vendor_format.encoding import encode_cursor
from market_pipeline.vendor_format.error_bodies import RejectedRequestError, describe_bad_parameter
from market_pipeline.vendor_format.vendor_request import DATE, FLAGS, VendorRequest, parse_direction

ListedRecord = dict[str, Any]
Reader = Callable[[str], Any]
OPERATIONS = ("", "gt", "gte", "lt", "lte", "any_of")
MARKER = "page_marker"
MARKER_FORM = re.compile("[0-9]{1,18}")
"""No marker is larger than PostgreSQL's bigint."""


def parse_date(text: str) -> str:
    """Check a date and return it as text, in which form it is compared."""
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return str(date.fromisoformat(text))


def parse_flag(text: str) -> bool:
    """Parse true or false, as the vendor writes them."""
    return FLAGS[text.lower()]


def wants_active(request: VendorRequest) -> bool:
    """Return True if a request is for the tickers that trade, which is the default; False: for those that don't.

    Raises:
        RejectedRequestError: `active` is neither true nor false.
    """
    try:
        return parse_flag(request.parameters.get("active", "true"))
    except KeyError:
        raise RejectedRequestError(describe_bad_parameter("active", "true or false")) from None


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


@dataclass(frozen=True)
class FieldFilter:
    """A condition on a field: its value compared with another, by one of OPERATIONS ("": equal)."""

    field: str
    operation: str
    value: Any


@dataclass(frozen=True)
class ListRequest:
    """A request as parsed: conditions, order as fields with their direction (True: descending), and the page."""

    filters: Sequence[FieldFilter]
    order: Sequence[tuple[str, bool]]
    limit: int
    start: int


def parse_list_request(request: VendorRequest, endpoint: ListEndpoint) -> ListRequest:
    """Parse the parameters of a request.

    Raises:
        RejectedRequestError: one can't be parsed.
    """
    filters = []
    for parameter, text in request.parameters.items():
        field, _, operation = parameter.partition(".")
        if field in endpoint.filters and operation in OPERATIONS:
            filters.append(FieldFilter(field, operation, _read(endpoint.filters[field], parameter, operation, text)))
    marker = request.parameters.get(MARKER, "0")
    if not MARKER_FORM.fullmatch(marker):
        raise RejectedRequestError(describe_bad_parameter("cursor", "a next_url's cursor"))
    return ListRequest(filters, _order(request, endpoint), request.limit(endpoint.limit, endpoint.most), int(marker))


def build_next_page(request: VendorRequest, list_request: ListRequest) -> dict[str, str]:
    """Return the field with the URL of the page after a request's."""
    again = {**request.parameters, "limit": list_request.limit, MARKER: list_request.start + list_request.limit}
    return {"next_url": f"{request.address()}{request.target}?cursor={encode_cursor(dict(sorted(again.items())))}"}


def select_fields(endpoint: ListEndpoint, record: Mapping[str, Any]) -> ListedRecord:
    """Return the fields of a record that are in the endpoint's responses; those that aren't known are left out."""
    return {name: record[name] for name in endpoint.fields if record.get(name) is not None}


def read_requested_tickers(request: VendorRequest) -> list[str]:
    """Return the tickers that a request names; none if it is about the whole market."""
    parameters = request.parameters
    named = [parameters["ticker"]] if "ticker" in parameters else []
    return named + [ticker for ticker in parameters.get("ticker.any_of", "").split(",") if ticker]


def _read(reader: Reader, parameter: str, operation: str, text: str) -> Any:
    try:
        return [reader(part) for part in text.split(",")] if operation == "any_of" else reader(text)
    except (ValueError, KeyError):
        raise RejectedRequestError(describe_bad_parameter(parameter, "a value of its kind")) from None


def _order(request: VendorRequest, endpoint: ListEndpoint) -> list[tuple[str, bool]]:
    usual = endpoint.descending
    if "order" in request.parameters:
        usual = parse_direction(request.parameters["order"], "order")
    keys = [key.partition(".") for key in request.parameters.get("sort", endpoint.sort).split(",")]
    known = {*endpoint.fields, *endpoint.filters}
    if unknown := [name for name, _, _ in keys if name not in known]:
        raise RejectedRequestError(describe_bad_parameter("sort", f"fields of the response, not {unknown[0]!r}"))
    return [(name, parse_direction(direction, "sort") if dot else usual) for name, dot, direction in keys]
