"""Bodies that are wrong in ways the vendor's have been: each function takes a good body of bars and returns a bad one.

A body without bars is returned as it is.
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlsplit

from market_pipeline.sandbox.aggregates import next_url
from market_pipeline.sandbox.bar_arrays import Row
from market_pipeline.sandbox.encoding import to_cursor
from market_pipeline.sandbox.endpoint_responses import Body, EndpointResponse
from market_pipeline.sandbox.request import ApiRequest

Damage = Callable[[Body, ApiRequest, str], Body]

THIRTY_YEARS = 30 * 365 * 86_400_000
COUNTS = ("queryCount", "resultsCount", "count")


def damaged(answer: EndpointResponse, call: ApiRequest, damage: Damage, argument: str) -> EndpointResponse:
    """The answer with its body damaged, if it holds records."""
    body = answer.body
    if not isinstance(body, dict) or not isinstance(body.get("results"), list) or not body["results"]:
        return answer
    return replace(answer, body=damage(body, call, argument))


def wrong_adjusted(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Says that it is adjusted where it isn't, or the other way round."""
    return {**body, "adjusted": not body.get("adjusted", False)}


def foreign_next_url(body: Body, call: ApiRequest, host: str) -> Body:
    """Names a next page on another host."""
    body = trailing_empty_page(body, call, "")
    if "next_url" not in body:
        return body
    link = urlsplit(body["next_url"])
    return {**body, "next_url": f"https://{host}{link.path}?{link.query}"}


def repeated_next_url(body: Body, call: ApiRequest, _argument: str) -> Body:
    """Names one and the same next page on every page, with the same records."""
    return {**body, "next_url": _same_records(call)}


def endless_next_url(body: Body, call: ApiRequest, _argument: str) -> Body:
    """Names a next page on every page, each under an address of its own, with the same records."""
    return {**body, "next_url": _same_records(call, endless=int(call.parameters.get("endless", 0)) + 1)}


def trailing_empty_page(body: Body, call: ApiRequest, _argument: str) -> Body:
    """Names a next page on the last one, which is empty. For bars of a range."""
    if "next_url" in body or "from" not in call.path:
        return body
    return {**body, "next_url": next_url(call, body["results"][-1]["t"])}


def duplicate_rows(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Holds every row twice."""
    return _with_rows(body, body["results"] * 2)


def missing_fields(body: Body, _call: ApiRequest, names: str) -> Body:
    """Lacks some fields in every row."""
    dropped = names.split(",")
    return {**body, "results": [{k: v for k, v in row.items() if k not in dropped} for row in body["results"]]}


def out_of_range_bars(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Holds two more bars, thirty years before the first and after the last."""
    first, last = body["results"][0], body["results"][-1]
    if "t" not in first:
        return body
    return _with_rows(
        body, [{**first, "t": first["t"] - THIRTY_YEARS}, *body["results"], {**last, "t": last["t"] + THIRTY_YEARS}]
    )


def impossible_bars(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Has a high below the low in the first bar, a close of zero in the second, a negative volume in the third."""
    good: list[Row] = body["results"]
    if "h" not in good[0]:
        return body
    bad = [{**row, **spoil(row)} for row, spoil in zip(good, SPOILS, strict=False)]
    return {**body, "results": bad + good[len(bad) :]}


def empty(body: Body, _call: ApiRequest, _argument: str) -> Body:
    """Holds nothing though there is something."""
    left_out = ("results", "count", "next_url")
    return {key: 0 if key in COUNTS else value for key, value in body.items() if key not in left_out}


def results_null(body: Body, call: ApiRequest, argument: str) -> Body:
    """Holds nothing though there is something, and says null where others say nothing."""
    return {**empty(body, call, argument), "results": None}


SPOILS: tuple[Callable[[Row], Row], ...] = (
    lambda row: {"h": row["l"], "l": row["h"] + 0.01},
    lambda _row: {"c": 0},
    lambda row: {"v": -row["v"]},
)


def _with_rows(body: Body, rows: list[Row]) -> Body:
    return {**body, "results": rows, **{name: len(rows) for name in COUNTS if name in body}}


def _same_records(call: ApiRequest, **more: object) -> str:
    kept = {name: value for name, value in call.parameters.items() if name in ("limit", "sort", "ticker")}
    return f"{call.address}{quote(call.target, safe='/:')}?cursor={to_cursor({**kept, **more, 'page': 'next'})}"
