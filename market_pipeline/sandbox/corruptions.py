"""Corrupted bodies, as the vendor has sent them: each function takes a correct body of bars and corrupts it.

A body without bars is returned unchanged.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

from market_pipeline.sandbox.endpoint_responses import EndpointResponse
from market_pipeline.sandbox.request import ApiRequest
from market_pipeline.vendor_format.bar_bodies import build_next_url
from market_pipeline.vendor_format.bar_rows import BarRows
from market_pipeline.vendor_format.encoding import encode_cursor
from market_pipeline.vendor_format.error_bodies import Body

Row = dict[str, Any]
Corruption = Callable[[Body, ApiRequest, str], Body]

DAY = 86_400_000
THIRTY_YEARS = 30 * 365 * DAY
COUNTS = ("queryCount", "resultsCount", "count")


def corrupt_body(
    response: EndpointResponse, request: ApiRequest, corruption: Corruption, argument: str
) -> EndpointResponse:
    """Corrupt a response's body if it has records."""
    body = response.body
    if isinstance(body, dict) and isinstance(body.get("results"), BarRows):
        body = {**body, "results": body["results"].to_list()}
    if not isinstance(body, dict) or not isinstance(body.get("results"), list) or not body["results"]:
        return response
    return replace(response, body=corruption(body, request, argument))


def invert_adjusted(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Invert `adjusted`."""
    return {**body, "adjusted": not body.get("adjusted", False)}


def set_foreign_next_url(body: Body, request: ApiRequest, host: str) -> Body:
    """Set `next_url` to another host."""
    body = add_empty_page(body, request, "")
    if "next_url" not in body:
        return body
    link = urlsplit(body["next_url"])
    return {**body, "next_url": f"https://{host}{link.path}?{link.query}"}


def repeat_next_url(body: Body, request: ApiRequest, _argument: str) -> Body:
    """Set the same `next_url` on every page, with the same records."""
    return {**body, "next_url": _build_repeating_url(request)}


def set_endless_next_url(body: Body, request: ApiRequest, _argument: str) -> Body:
    """Set a different `next_url` on every page, with the same records."""
    return {**body, "next_url": _build_repeating_url(request, endless=int(request.parameters.get("endless", 0)) + 1)}


def add_empty_page(body: Body, request: ApiRequest, _argument: str) -> Body:
    """Set `next_url` on the last page of a range, to a page that is empty."""
    if "next_url" in body or "from" not in request.path:
        return body
    return {
        **body,
        "next_url": build_next_url(request, body["results"][-1]["t"] + (-DAY if request.is_descending else DAY)),
    }


def duplicate_rows(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Repeat every row."""
    return _replace_rows(body, body["results"] * 2)


def remove_fields(body: Body, _call: ApiRequest, names: str) -> Body:
    """Remove some fields from every row."""
    dropped = names.split(",")
    return {**body, "results": [{k: v for k, v in row.items() if k not in dropped} for row in body["results"]]}


def add_distant_bars(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Add two bars, thirty years before the first and after the last."""
    first, last = body["results"][0], body["results"][-1]
    if "t" not in first:
        return body
    return _replace_rows(
        body, [{**first, "t": first["t"] - THIRTY_YEARS}, *body["results"], {**last, "t": last["t"] + THIRTY_YEARS}]
    )


def make_bars_impossible(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Corrupt three bars: a high below the low, a close of zero, a negative volume."""
    good: list[Row] = body["results"]
    if "h" not in good[0]:
        return body
    bad = [{**row, **spoil(row)} for row, spoil in zip(good, IMPOSSIBLE_CHANGES, strict=False)]
    return {**body, "results": bad + good[len(bad) :]}


def keep_share(body: Body, _call: ApiRequest, share: str) -> Body:
    """Keep a share of the rows."""
    return _replace_rows(body, body["results"][: int(len(body["results"]) * float(share))])


def shift_day(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Set the time of every row to the next day's."""
    return {**body, "results": [{**row, "t": row["t"] + DAY} if "t" in row else row for row in body["results"]]}


def remove_results(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Remove the results."""
    left_out = ("results", "count", "next_url")
    return {key: 0 if key in COUNTS else value for key, value in body.items() if key not in left_out}


def set_results_null(body: Body, request: ApiRequest, argument: str) -> Body:
    """Replace the results by null."""
    return {**remove_results(body, request, argument), "results": None}


IMPOSSIBLE_CHANGES: tuple[Callable[[Row], Row], ...] = (
    lambda row: {"h": row["l"], "l": row["h"] + 0.01},
    lambda _row: {"c": 0},
    lambda row: {"v": -row["v"]},
)


def _replace_rows(body: Body, rows: list[Row]) -> Body:
    return {**body, "results": rows, **{name: len(rows) for name in COUNTS if name in body}}


def _build_repeating_url(request: ApiRequest, **more: object) -> str:
    kept = {name: value for name, value in request.parameters.items() if name in ("limit", "sort", "ticker")}
    cursor = encode_cursor({**kept, **more, "page": "next"})
    return f"{request.address()}{quote(request.target, safe='/:')}?cursor={cursor}"
