"""Bars of several days: windows worked out by hand from a printed calendar."""

from datetime import date
from typing import Any

import pytest

from market_pipeline.core.sessions import find_calendar
from market_pipeline.vendor_format.bar_bodies import build_range_body, parse_range
from market_pipeline.vendor_format.bar_windows import EPOCH, Windows, merge_bars
from market_pipeline.vendor_format.encoding import decode_cursor, to_json
from market_pipeline.vendor_format.error_bodies import RejectedRequestError
from market_pipeline.vendor_format.vendor_request import VendorRequest

NEW_YORK = find_calendar("XNYS")
# Thursday to Wednesday, over a weekend, the end of a quarter, and Independence Day's eve.
DAYS = [date(2024, 6, 27), date(2024, 6, 28), date(2024, 7, 1), date(2024, 7, 2), date(2024, 7, 3)]
BARS: dict[str, Any] = {
    "v": [100.0, 300.0, 50.0, 150.0, 200.0],
    "vw": [10.0, 12.0, 11.0, 13.0, None],
    "o": [9.0, 11.0, 12.0, 11.5, 13.0],
    "c": [10.5, 12.5, 11.0, 13.5, 14.0],
    "h": [11.0, 13.0, 12.5, 14.0, 14.5],
    "l": [8.5, 10.5, 10.0, 11.0, 12.5],
    "n": [1, 3, 5, 7, 9],
    "day": [(day - EPOCH).days for day in DAYS],
}


@pytest.mark.parametrize(
    ("multiplier", "unit", "day", "start", "end"),
    [
        (1, "day", date(2024, 7, 3), date(2024, 7, 3), date(2024, 7, 3)),
        (1, "week", date(2024, 6, 29), date(2024, 6, 23), date(2024, 6, 29)),  # a Saturday
        (1, "week", date(2024, 6, 30), date(2024, 6, 30), date(2024, 7, 6)),  # a Sunday
        (1, "month", date(2024, 2, 29), date(2024, 2, 1), date(2024, 2, 29)),
        (1, "quarter", date(2024, 12, 31), date(2024, 10, 1), date(2024, 12, 31)),
        (1, "year", date(2023, 7, 4), date(2023, 1, 1), date(2023, 12, 31)),
        (3, "day", date(2024, 6, 30), date(2024, 6, 30), date(2024, 7, 2)),  # counted from 2024-06-27
        (2, "week", date(2024, 7, 3), date(2024, 6, 23), date(2024, 7, 6)),
        (5, "month", date(2024, 5, 31), date(2024, 1, 1), date(2024, 5, 31)),
        (1, "week", date(1, 1, 2), date(1, 1, 1), date(1, 1, 6)),  # 0001-01-01 was a Monday
        (1, "year", date(9999, 12, 31), date(9999, 1, 1), date(9999, 12, 31)),
    ],
)
def test_windows_begin_as_in_the_calendar(multiplier: int, unit: str, day: date, start: date, end: date) -> None:
    windows = Windows(multiplier, unit, date(2024, 1, 15) if unit == "month" else DAYS[0])
    assert (windows.start_of(day), windows.end_of(day)) == (start, end)


def test_a_window_has_the_first_open_the_extremes_the_last_close_and_the_sums() -> None:
    assert merge_bars(Windows(1, "week", DAYS[0]), BARS) == {
        "v": [400.0, 400.0], "vw": [11.5, None], "o": [9.0, 12.0], "c": [12.5, 14.0], "h": [13.0, 14.5],
        "l": [8.5, 10.0], "n": [4, 21], "day": [(date(2024, 6, 23) - EPOCH).days, (date(2024, 6, 30) - EPOCH).days],
    }  # fmt: skip


def vendor_request(path: str, **query: str) -> VendorRequest:
    """Return a request for a range of the path `n/unit/from/to`."""
    names = ("multiplier", "timespan", "from", "to")
    parts = dict(zip(names, path.split("/"), strict=True))
    return VendorRequest(
        path={"ticker": "X", **parts}, query=query, address=lambda: "http://h", target="", request_id="1"
    )


def page(request: VendorRequest) -> dict[str, Any]:
    """Return the body of a page, as a server has it that looks no further than a page."""
    wanted = parse_range(request, NEW_YORK)
    kept = [place for place, day in enumerate(DAYS) if wanted.first <= day <= wanted.last]
    if request.is_descending:
        kept.reverse()
    found = {name: [column[place] for place in kept[: wanted.limit + 1]] for name, column in BARS.items()}
    return build_range_body(request, wanted, NEW_YORK, found)


def test_a_body_of_weeks_has_the_vendors_form() -> None:
    # 00:00 in New York on 2024-06-23 and 2024-06-30, by date -d. A range from Wednesday has its whole weeks.
    assert to_json(page(vendor_request("1/week/2024-06-26/2024-07-01"))) == (
        '{"ticker":"X","queryCount":5,"resultsCount":2,"adjusted":true,"results":['
        '{"v":400,"vw":11.5,"o":9,"c":12.5,"h":13,"l":8.5,"t":1719115200000,"n":4},'
        '{"v":400,"o":12,"c":14,"h":14.5,"l":10,"t":1719720000000,"n":21}],'
        '"status":"OK","request_id":"1","count":2}'
    )


@pytest.mark.parametrize(("sort", "opens"), [("asc", [9.0, 12.0]), ("desc", [12.0, 9.0])])
def test_a_limit_counts_daily_bars_and_drops_an_incomplete_last_window(sort: str, opens: list[float]) -> None:
    request = vendor_request("1/week/2024-06-23/2024-07-05", limit="3", sort=sort)
    found = []
    while True:
        body = page(request)
        assert body["queryCount"] <= 3
        found += [row["o"] for row in body["results"].to_list()]
        if "next_url" not in body:
            break
        path, _, cursor = body["next_url"].partition("?cursor=")
        request = vendor_request(path.partition("/range/")[2], cursor=cursor)
        assert decode_cursor(cursor) == {"limit": "3", "sort": sort}
    assert found == opens


def test_a_limit_below_one_window_and_bars_within_a_day_are_rejected() -> None:
    for path, query, word in (
        ("1/month/2024-06-01/2024-07-31", {"limit": "1"}, "limit"),
        ("5/minute/2024-06-01/2024-07-31", {}, "daily bars only"),
        ("0/day/2024-06-01/2024-07-31", {}, "multiplier"),
    ):
        with pytest.raises(RejectedRequestError, match=word):
            page(vendor_request(path, **query))
