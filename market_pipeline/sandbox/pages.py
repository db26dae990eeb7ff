"""Pages of the endpoints that list records: the records that a request's filters choose, in its order."""

from collections.abc import Callable, Iterable
from typing import Any

from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.list_requests import (
    ListedRecord,
    ListEndpoint,
    ListRequest,
    build_next_page,
    parse_list_request,
)

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda value, wanted: bool(value == wanted),
    "gt": lambda value, wanted: bool(value > wanted),
    "gte": lambda value, wanted: bool(value >= wanted),
    "lt": lambda value, wanted: bool(value < wanted),
    "lte": lambda value, wanted: bool(value <= wanted),
    "any_of": lambda value, wanted: value in wanted,
}


def list_page(
    request: ApiRequest, endpoint: ListEndpoint, records: Iterable[ListedRecord]
) -> tuple[list[ListedRecord], dict[str, str]]:
    """Return the requested page of the records with all fields, and `next_url` if it isn't the last.

    Raises:
        RejectedRequestError: a parameter can't be parsed.
    """
    list_request = parse_list_request(request, endpoint)
    found = _sort_records(list_request, _filter_records(list_request, records))
    end = list_request.start + list_request.limit
    return found[list_request.start : end], build_next_page(request, list_request) if end < len(found) else {}


def _filter_records(list_request: ListRequest, records: Iterable[ListedRecord]) -> list[ListedRecord]:
    kept = list(records)
    for each in list_request.filters:
        matches, name, wanted = COMPARISONS[each.operation], each.field, each.value
        kept = [record for record in kept if name in record and matches(record[name], wanted)]
    return kept


def _sort_records(list_request: ListRequest, records: list[ListedRecord]) -> list[ListedRecord]:
    for name, descending in reversed(list_request.order):
        records = sorted(records, key=lambda record: (name in record, record.get(name)), reverse=descending)
    return records
