"""Parsing of the vendor's records, malformed ones included."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.core.bars import FetchedBars
from market_pipeline.core.outbound_http import HttpResponse
from market_pipeline.core.sessions import find_calendar
from market_pipeline.polygon.market_day_cache import MarketDayCache
from market_pipeline.polygon.parsing import GroupedBars, parse_range_bars, read_bar_records
from market_pipeline.polygon.response_body import read_body, read_retry_after
from market_pipeline.polygon.vendor_errors import PolygonError
from market_pipeline_tests.bar_frames import frame_of, has_types_of_bars

NEW_YORK, UTC_DAYS = find_calendar("XNYS"), find_calendar("24/7")
BAR = {"v": 100, "vw": 1.5, "o": 1, "c": 2, "h": 3, "l": 0.5, "t": 1112331600000, "n": 7}


def parsed(*records: Any) -> FetchedBars:
    return parse_range_bars(records, NEW_YORK.timezone, requests=1)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in BAR.items() if name != key}


@pytest.mark.parametrize("number", ["7.0790813e+07", "75606556", "1.21e+08", "38649398.679189", "18"])
def test_numbers_are_read_in_every_form_of_the_vendor(number: str) -> None:
    text = f'{{"status":"OK","ticker":"A","adjusted":false,"results":[{{"v":{number},"t":1112331600000}}]}}'
    body = read_body(HttpResponse(200, {}, text.encode()), "polygon", "A")
    fetched = parsed(*read_bar_records(body, "A", ticker="A"))
    assert frame_of(fetched)["volume"][0] == float(number)


@pytest.mark.parametrize("key", ["o", "h", "l", "c", "v", "vw", "n"])
@pytest.mark.parametrize("value", [None, "1.5", True, [], {}])
def test_a_value_that_is_no_number_is_missing_and_affects_no_other(key: str, value: Any) -> None:
    fetched = parsed(BAR, {**BAR, key: value}, without(key))
    column = dict(
        zip(
            ("o", "h", "l", "c", "v", "vw", "n"),
            ("open", "high", "low", "close", "volume", "vwap", "transactions"),
            strict=True,
        )
    )[key]
    assert list(frame_of(fetched)[column].isna()) == [False, True, True]
    assert frame_of(fetched).drop(columns=column).notna().all().all()
    assert has_types_of_bars(fetched)


@pytest.mark.parametrize("value", [None, "2005-04-01", True, 1e300, -1e300, 10**400, math.inf, []])
def test_a_time_that_is_none_is_nat(value: Any) -> None:
    frame = frame_of(parsed(BAR, {**BAR, "t": value}, without("t")))
    assert list(frame["time"].isna()) == list(frame["date"].isna()) == [False, True, True]


def test_a_number_beyond_all_bounds_is_infinite() -> None:
    assert frame_of(parsed({**BAR, "o": 10**400, "c": 1}))["open"][0] == math.inf


def test_a_day_is_the_calendars_and_its_time_stays_the_vendors() -> None:
    frame = frame_of(parse_range_bars([{**BAR, "t": 1112331600000 + 90_000}], NEW_YORK.timezone, 1))
    assert frame["date"][0] == pd.Timestamp("2005-04-01")
    assert frame["time"][0] == pd.Timestamp("2005-04-01 05:01:30", tz="UTC")
    assert frame_of(parse_range_bars([{**BAR, "t": 1112331600000 - 1}], NEW_YORK.timezone, 1))["date"][
        0
    ] == pd.Timestamp("2005-03-31")
    assert frame_of(parse_range_bars([{**BAR, "t": 1112331600000 - 1}], UTC_DAYS.timezone, 1))["date"][
        0
    ] == pd.Timestamp("2005-04-01")


@pytest.mark.parametrize("calendar_name", ["XNYS", "24/7"])
def test_a_bars_day_is_that_of_its_time_zone_in_each_season_and_century(calendar_name: str) -> None:
    years = (1700, 1883, 1918, 1942, 1974, 2007, 2024, 2261)
    hours = pd.DatetimeIndex(
        [hour for year in years for hour in pd.date_range(f"{year}-01-01", periods=8784, freq="h")]
    )
    around = hours[::5].union(hours + pd.Timedelta("1ms")).union(hours - pd.Timedelta("1ms"))
    zone = find_calendar(calendar_name).timezone
    fetched = parse_range_bars([{**BAR, "t": t} for t in around.as_unit("ms").astype("int64").tolist()], zone, 1)
    expected = around.tz_localize("UTC").tz_convert(zone).tz_localize(None).normalize()
    assert (fetched.columns["date"] == expected.to_numpy("datetime64[D]")).all()


def test_a_repeated_bar_is_kept_for_the_rules() -> None:
    fetched = parsed(BAR, BAR)
    assert len(frame_of(fetched)) == len(fetched.payloads) == 2
    assert list(frame_of(fetched).index) == [0, 1]


json_values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just([])
)


@given(st.lists(st.dictionaries(st.sampled_from([*list("ohlcvtn"), "vw"]), json_values), max_size=5))
def test_no_malformed_record_breaks_the_frame(records: list[dict[str, Any]]) -> None:
    fetched = parsed(*records)
    assert has_types_of_bars(fetched)
    assert len(frame_of(fetched)) == len(fetched.payloads) == len(records)


# --- one session of the whole market

NEW_YORK_CLOSE = 1673298000000  # 2023-01-09 16:00 New York
SESSION = date(2023, 1, 9)


def test_a_grouped_bar_begins_with_its_session_at_any_time_of_its_own() -> None:
    early_close = NEW_YORK_CLOSE - 3 * 3_600_000
    grouped = GroupedBars(
        [{**BAR, "T": "A", "t": NEW_YORK_CLOSE}, {**BAR, "T": "B", "t": early_close}], NEW_YORK, SESSION, 1
    )
    for ticker in ("A", "B"):
        frame = frame_of(grouped[ticker])
        assert list(frame["date"]) == [pd.Timestamp("2023-01-09")]
        assert list(frame["time"]) == [pd.Timestamp("2023-01-09 05:00", tz="UTC")]
        assert has_types_of_bars(grouped[ticker])


def test_a_crypto_day_ends_a_millisecond_before_the_next() -> None:
    end = int(datetime(2023, 1, 9, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000)
    grouped = GroupedBars([{**BAR, "T": "X:BTCUSD", "t": end}], UTC_DAYS, SESSION, 1)
    assert list(frame_of(grouped["X:BTCUSD"])["time"]) == [pd.Timestamp("2023-01-09", tz="UTC")]


@pytest.mark.parametrize("unusual", [{"t": NEW_YORK_CLOSE + 86_400_000}, {"t": None}])
def test_a_grouped_bar_of_another_day_has_no_date(unusual: dict[str, Any]) -> None:
    grouped = GroupedBars([{**BAR, "T": "A", **unusual}, {**BAR, "T": "B", "t": NEW_YORK_CLOSE}], NEW_YORK, SESSION, 1)
    assert frame_of(grouped["A"])[["date", "time"]].isna().all().all()
    assert frame_of(grouped["B"])[["date", "time"]].notna().all().all()


def test_a_ticker_listed_twice_has_two_rows_with_their_payloads() -> None:
    records = [{**BAR, "T": name, "t": NEW_YORK_CLOSE, "o": price} for name, price in (("A", 1), ("B", 2), ("A", 3))]
    grouped = GroupedBars(records, NEW_YORK, SESSION, 1)
    assert sorted(grouped) == ["A", "B"]
    assert list(frame_of(grouped["A"])["open"]) == [1, 3]
    assert list(frame_of(grouped["A"]).index) == [0, 1]
    assert list(grouped["A"].payloads) == [records[0], records[2]]


def test_rows_without_a_ticker_belong_to_none_and_a_missing_ticker_has_no_rows() -> None:
    grouped = GroupedBars([{**BAR, "T": None}, {**BAR}, {**BAR, "T": "ZVZZT\x00"}], NEW_YORK, SESSION, 1)
    assert list(grouped) == ["ZVZZT\x00"]
    assert "AAPL" not in grouped
    assert len(GroupedBars([], NEW_YORK, SESSION, 2)) == 0


def test_market_days_give_each_ticker_its_own_bars_in_order_with_their_payloads() -> None:
    def on(session: date, day: int, **prices: float) -> GroupedBars:
        records = [
            {**BAR, "T": name, "t": NEW_YORK_CLOSE + day * 86_400_000, "o": price} for name, price in prices.items()
        ]
        return GroupedBars(records, NEW_YORK, session, 1)

    second, third = SESSION + timedelta(days=1), SESSION + timedelta(days=2)
    days = MarketDayCache({"A", "B", "NONE"})
    days.add(third, GroupedBars([], NEW_YORK, third, 1))
    days.add(second, on(second, 1, OTHER=7, B=5, A=2))
    days.add(SESSION, on(SESSION, 0, A=1, OTHER=8))
    all_of_them = [SESSION, second, third]
    found = days.read_bars("A", all_of_them)
    assert list(frame_of(found)["open"]) == [1, 2]
    assert list(frame_of(found).index) == [0, 1]
    assert [payload["o"] for payload in found.payloads] == [1, 2]
    assert found.payloads[1]["T"] == "A"
    assert list(frame_of(days.read_bars("A", [SESSION]))["open"]) == [1]
    assert list(frame_of(days.read_bars("B", all_of_them))["open"]) == [5]
    nothing = days.read_bars("NONE", all_of_them)
    assert len(nothing.payloads) == len(frame_of(nothing)) == 0
    assert (frame_of(nothing).dtypes == frame_of(found).dtypes).all()
    assert SESSION in days
    assert len(frame_of(days.read_bars("OTHER", all_of_them))) == 0  # which is not of the run
    assert has_types_of_bars(MarketDayCache({"A"}).read_bars("A", all_of_them))


# --- the wait that a response requests


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Wed, 01 Jan 2025 00:00:30 GMT", 30.0),
        ("Wed, 01 Jan 2025 00:00:30 -0000", 30.0),
        ("Tue, 31 Dec 2024 23:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert read_retry_after({"Retry-After": value}, datetime(2025, 1, 1, tzinfo=UTC)) == seconds


def test_a_response_nested_too_deeply_is_an_error() -> None:
    with pytest.raises(PolygonError):
        read_body(HttpResponse(200, {}, b'{"results":' + b"[" * 100_000), "polygon", "A")
