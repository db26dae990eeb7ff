"""`/api/v1/historical/{symbol}`: the runbook's response, as traded or adjusted, now or as of an instant."""

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests

from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.snapshots import create_snapshot
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.api_cases import (
    FIRST,
    FLAGGED,
    HISTORICAL,
    IBM,
    LAST,
    MSFT,
    TABLES,
    Api,
    faults,
    load_autumn,
    problem,
    serving,
)
from market_pipeline_tests.integration.mart_cases import add_dividends
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

QUARTER = date(2005, 1, 3), date(2005, 3, 31)
SPLIT = date(2005, 2, 28)
"""AAPL's first session after its split of 2 for 1."""
EX_DATE = date(2005, 2, 8)
"""The ex-date of IBM's dividend of 0.18."""
GOOG = Symbol.of("GOOG", "stock")
RUNBOOK = {
    "time", "symbol", "open", "high", "low", "close", "volume", "source", "validated", "quality_score",
    "validation_notes", "gap_detected", "volume_anomaly", "fetched_at",
}  # fmt: skip
PRICES = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def traded(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars, and those of GOOG, whose splits nobody requested, before any mart is built."""
    with serving(server, tmp_path_factory.mktemp("traded")) as api:
        load_autumn(api.warehouse)
        add_symbols(api.warehouse, [GOOG])
        load_frame(api.warehouse, GOOG, recorded("GOOG", *QUARTER))
        yield api


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over bars with a split and a dividend, and over their marts."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        add_dividends(api.warehouse, [("IBM", EX_DATE, 0.18, "CD")])
        for symbol in (AAPL, IBM):
            load_frame(api.warehouse, symbol, recorded(symbol.name, *QUARTER))
        run_forked_dbt(api.settings, "run", "--quiet", "--select", "+daily_bars_adjusted")
        yield api


def get(api: Api, symbol: str, start: date, end: date, **parameters: object) -> requests.Response:
    """Request a symbol's bars."""
    query = {"start": start, "end": end, **parameters}
    return api.get(f"{HISTORICAL}/{symbol}", [(name, str(value)) for name, value in query.items()])


def bars(api: Api, symbol: str, start: date, end: date, **parameters: object) -> list[dict[str, Any]]:
    """Return a symbol's bars."""
    response = get(api, symbol, start, end, **parameters)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def dates(rows: list[dict[str, Any]]) -> list[date]:
    return [date.fromisoformat(row["date"]) for row in rows]


def sessions(name: str, start: date, end: date) -> list[date]:
    return [day.date() for day in recorded(name, start, end)["date"]]


# --- the response


def test_a_response_is_the_runbooks_and_more(api: Api) -> None:
    response = get(api, "AAPL", FIRST, LAST).json()
    assert {name: response[name] for name in ("symbol", "start_date", "end_date", "count", "truncated", "next")} == {
        "symbol": "AAPL", "start_date": "2000-09-11", "end_date": "2000-10-10", "count": 22, "truncated": False,
        "next": None,
    }  # fmt: skip
    assert all(set(row) >= {*RUNBOOK, "date", "vwap", "transactions", "flags"} for row in response["data"])
    first = response["data"][0]
    assert (first["symbol"], first["date"], first["time"]) == ("AAPL", "2000-09-11", "2000-09-11T04:00:00+00:00")
    assert (first["validated"], first["quality_score"], first["flags"], first["source"]) == (True, 1, [], "polygon")


def test_bars_ascend_and_both_ends_are_included(api: Api) -> None:
    found = dates(bars(api, "AAPL", date(2000, 9, 25), date(2000, 9, 29)))
    assert found == [date(2000, 9, day) for day in (25, 26, 27, 28, 29)]
    assert dates(bars(api, "AAPL", FLAGGED, FLAGGED)) == [FLAGGED]
    assert dates(bars(api, "AAPL", date(1990, 1, 1), date(2026, 1, 1))) == sorted(
        sessions("AAPL", FIRST, LAST) + sessions("AAPL", *QUARTER)
    )


@pytest.mark.parametrize(("start", "end"), [(None, None), (FLAGGED, None), (None, FLAGGED)])
def test_without_dates_all_bars_are_returned(api: Api, start: date | None, end: date | None) -> None:
    limits = [(name, day.isoformat()) for name, day in (("start", start), ("end", end)) if day]
    response = api.get(f"{HISTORICAL}/AAPL", limits).json()
    all_days = sorted(sessions("AAPL", FIRST, LAST) + sessions("AAPL", *QUARTER))
    assert dates(response["data"]) == [
        day for day in all_days if (not start or day >= start) and (not end or day <= end)
    ]
    assert (response["start_date"], response["end_date"]) == (start and start.isoformat(), end and end.isoformat())
    as_csv = api.get(f"{HISTORICAL}/AAPL", [*limits, ("format", "csv")]).text
    assert [row["date"] for row in csv.DictReader(io.StringIO(as_csv))] == [row["date"] for row in response["data"]]


@pytest.mark.parametrize(
    ("limits", "range_of"),
    [({}, ""), ({"start": "2001-01-01"}, " since 2001-01-01"), ({"end": "1999-01-01"}, " up to 1999-01-01")],
)
def test_the_message_without_a_bar_names_the_dates_of_the_request(
    api: Api, limits: dict[str, str], range_of: str
) -> None:
    symbol = "AAPL" if "end" in limits else "NOPE"
    detail = problem(api.get(f"{HISTORICAL}/{symbol}", list(limits.items())), 404)["detail"]
    assert detail.startswith(f"No data found for {symbol}{range_of}")


# --- adjustment


def test_as_traded_prices_are_those_recorded(api: Api) -> None:
    found = bars(api, "AAPL", *QUARTER, adjustment="none")
    expected = recorded("AAPL", *QUARTER)
    for name in PRICES:
        assert [row[name] for row in found] == expected[name].tolist()


def test_prices_before_a_split_of_2_for_1_are_halved_and_volumes_doubled(api: Api) -> None:
    found = {row["date"]: row for row in bars(api, "AAPL", *QUARTER, adjustment="splits")}
    before, after = found["2005-02-25"], found[SPLIT.isoformat()]
    # AAPL closed at 88.99, and the next session, after the split, at 44.86.
    assert (before["close"], after["close"]) == (44.495, 44.86)
    [traded] = bars(api, "AAPL", date(2005, 2, 25), date(2005, 2, 25), adjustment="none")
    assert traded["close"] == 88.99
    assert [before[name] for name in PRICES] == [
        *(traded[name] / 2 for name in ("open", "high", "low", "close")),
        traded["volume"] * 2,
    ]


def test_with_dividends_prices_before_an_ex_date_are_less_what_was_paid(api: Api) -> None:
    split = {row["date"]: row for row in bars(api, "IBM", *QUARTER, adjustment="splits")}
    both = {row["date"]: row for row in bars(api, "IBM", *QUARTER, adjustment="all")}
    [eve] = bars(api, "IBM", date(2005, 2, 7), date(2005, 2, 7), adjustment="none")
    factor = 1 - 0.18 / eve["close"]
    assert split["2005-02-07"]["close"] == eve["close"]
    for name in ("open", "high", "low", "close"):
        assert both["2005-02-07"][name] == pytest.approx(eve[name] * factor, rel=1e-12)
        assert both[EX_DATE.isoformat()][name] == split[EX_DATE.isoformat()][name]
    assert both["2005-02-07"]["volume"] == eve["volume"]


@pytest.mark.parametrize(("adjustment", "prefix"), [("splits", ""), ("all", "adj_")])
@pytest.mark.parametrize("symbol", ["AAPL", "IBM"])
def test_adjusted_prices_are_exactly_those_of_the_mart(api: Api, symbol: str, adjustment: str, prefix: str) -> None:
    columns = ", ".join(f"{prefix}{name}" for name in ("open", "high", "low", "close"))
    mart = f"SELECT {columns}, volume FROM analytics.daily_bars_adjusted WHERE symbol = :symbol ORDER BY date"
    found = bars(api, symbol, FIRST, QUARTER[1], adjustment=adjustment)
    assert [tuple(row[name] for name in PRICES) for row in found] == api.sql(mart, symbol=symbol)


def test_known_splits_are_applied_to_prices_unless_another_adjustment_is_requested(api: Api) -> None:
    response = get(api, "AAPL", *QUARTER)
    assert (response.json()["adjustment"], response.json()["note"]) == ("splits", None)
    assert response.headers["x-adjustment"] == "splits"
    assert response.json()["data"] == bars(api, "AAPL", *QUARTER, adjustment="splits")


def test_prices_are_adjusted_before_any_mart_is_built(traded: Api) -> None:
    response = get(traded, "AAPL", FIRST, LAST).json()
    assert (response["adjustment"], response["note"]) == ("splits", None)
    halved = recorded("AAPL", FIRST, LAST)["close"] / 2  # the split of 2005
    assert [row["close"] for row in response["data"]] == halved.tolist()


def test_prices_whose_splits_nobody_requested_are_as_traded_with_a_note(traded: Api) -> None:
    response = get(traded, "GOOG", *QUARTER)
    assert response.json()["adjustment"] == "none"
    reason = "the adjusted prices of GOOG are not known: splits and dividends were never requested"
    assert response.json()["note"] == f"As traded: {reason}; `market-pipeline backfill --missing` requests them."
    assert [row["close"] for row in response.json()["data"]] == recorded("GOOG", *QUARTER)["close"].tolist()
    assert get(traded, "GOOG", *QUARTER, adjustment="none").json()["note"] is None


@pytest.mark.parametrize("adjustment", ["splits", "all"])
def test_an_adjustment_that_is_requested_and_not_known_is_rejected(traded: Api, adjustment: str) -> None:
    reason = problem(get(traded, "GOOG", *QUARTER, adjustment=adjustment), 409)["detail"]
    assert "the adjusted prices of GOOG are not known: splits and dividends were never requested" in reason
    assert "adjustment=none gives prices as traded" in reason


# --- as it was stored then


@pytest.fixture(scope="module")
def corrected(traded: Api) -> datetime:
    """The instant before the vendor corrected all closes of MSFT to its lows."""
    [(instant,)] = traded.sql("SELECT clock_timestamp()")
    week = recorded("MSFT", FIRST, LAST)
    load_frame(traded.warehouse, MSFT, week.assign(close=week["low"]), run_id="run-2")
    assert isinstance(instant, datetime)
    return instant


def test_bars_are_returned_as_they_were_before_a_correction(traded: Api, corrected: datetime) -> None:
    expected = recorded("MSFT", FIRST, LAST)
    [(after,)] = traded.sql("SELECT clock_timestamp()")
    for instant, column in ((corrected, "close"), (after, "low")):
        found = bars(traded, "MSFT", FIRST, LAST, as_of=instant.isoformat())
        assert [row["close"] for row in found] == expected[column].tolist()
    assert [row["close"] for row in bars(traded, "MSFT", FIRST, LAST)] == expected["low"].tolist()


def test_bars_are_returned_as_of_a_snapshot_page_by_page(traded: Api, corrected: datetime) -> None:
    snapshot = create_snapshot(traded.warehouse, "before-the-correction", as_of=corrected)
    whole = get(traded, "MSFT", FIRST, LAST, snapshot=snapshot.name)
    assert [row["close"] for row in whole.json()["data"]] == recorded("MSFT", FIRST, LAST)["close"].tolist()
    assert datetime.fromisoformat(whole.headers["x-as-of"]) == corrected
    page = get(traded, "MSFT", FIRST, LAST, snapshot=snapshot.name, limit=20).json()
    rest = traded.get(page["next"]).json()
    assert "snapshot=before-the-correction" in page["next"]
    assert page["data"] + rest["data"] == whole.json()["data"]
    rows = traded.rows("market_data", ("snapshot", snapshot.name), ("symbol", "eq.MSFT"), ("select", "close"))
    assert [row["close"] for row in rows] == recorded("MSFT", FIRST, LAST)["close"].tolist()
    [listed] = traded.rows("snapshots")
    assert (listed["name"], datetime.fromisoformat(listed["point"])) == (snapshot.name, corrected)
    reason = problem(traded.get(f"{TABLES}/rejected_bars", [("snapshot", snapshot.name)]), 400)["detail"]
    assert "earlier states of rejected_bars are not kept" in reason


def test_as_of_before_the_first_load_there_is_no_bar(traded: Api) -> None:
    problem(get(traded, "MSFT", FIRST, LAST, as_of="2020-01-01T00:00:00Z"), 404)


def test_a_symbol_without_bars_of_an_instant_is_named_as_it_was_then(server: embedded.Server, tmp_path: Path) -> None:
    with serving(server, tmp_path) as api:
        add_symbols(api.warehouse, [Symbol.of("BTC", "crypto")])
        [(instant,)] = api.sql("SELECT clock_timestamp()")
        with rename_symbol(api.warehouse, "BTC", "BTC-USD"):
            pass
        detail = problem(get(api, "BTC-USD", FIRST, LAST, as_of=instant.isoformat()), 404)["detail"]
    assert detail.endswith("its name was BTC as of that instant; use that")


def test_as_of_is_as_traded_without_a_note(api: Api) -> None:
    [(instant,)] = api.sql("SELECT clock_timestamp()")
    response = get(api, "AAPL", *QUARTER, as_of=instant.isoformat()).json()
    assert (response["adjustment"], response["note"]) == ("none", None)
    assert response["data"] == bars(api, "AAPL", *QUARTER, adjustment="none")


# --- flagged bars


@pytest.mark.parametrize("adjustment", ["splits", "none", "all"])
def test_a_flagged_bar_is_returned_unless_it_is_left_out_on_demand(api: Api, adjustment: str) -> None:
    everything = bars(api, "AAPL", FIRST, LAST, adjustment=adjustment)
    flagged = {row["date"]: row["quality_score"] for row in everything if not row["validated"]}
    assert flagged == {FLAGGED.isoformat(): 0.85, "2000-10-02": 0.95}
    [worst] = [row for row in everything if row["date"] == FLAGGED.isoformat()]
    assert (worst["flags"], worst["gap_detected"], worst["volume_anomaly"]) == (
        ["unexplained_move", "volume_outlier"], True, True,
    )  # fmt: skip
    assert "unexplained_move: the close 25.75 is -51.9% from 53.5 on 2000-09-28" in worst["validation_notes"]
    validated, good = ([row for row in everything if row["validated"]], [row for row in everything if row != worst])
    for parameters, expected in (
        ({"validated_only": "true"}, validated),
        ({"validated_only": "false"}, everything),
        ({"min_quality": "0.9"}, good),
        ({"min_quality": "0.85"}, everything),
        ({"min_quality": "0"}, everything),
    ):
        assert bars(api, "AAPL", FIRST, LAST, adjustment=adjustment, **parameters) == expected


# --- rejected requests


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [("AAPL", ""), ("aapl", ": did you mean AAPL?"), ("NOPE", ": NOPE is not tracked"), ("%", ": % is not tracked")],
)
def test_without_a_bar_the_runbooks_message_has_a_hint(api: Api, symbol: str, hint: str) -> None:
    response = get(api, symbol, date(2001, 1, 1), date(2001, 1, 31))
    assert problem(response, 404)["detail"] == f"No data found for {symbol} (2001-01-01 to 2001-01-31){hint}"
    for kind in ("csv", "arrow"):
        assert get(api, symbol, date(2001, 1, 1), date(2001, 1, 31), format=kind).status_code == 404


DAYS = [("start", "2000-09-20"), ("end", "2000-10-10")]


@pytest.mark.parametrize(
    ("parameters", "where", "reason"),
    [
        ([("start", "2000-02-30"), DAYS[1]], ["start"], "'2000-02-30' is not a date"),
        ([("start", "20000920"), DAYS[1]], ["start"], "is not a date"),
        ([("start", "2000-09-20T00:00"), ("end", "")], ["start", "end"], "is not a date"),
        ([("start", "2000-10-11"), DAYS[1]], ["start"], "is after the end 2000-10-10: swap them"),
        ([*DAYS, ("adjusted", "true")], ["adjusted"], "there is no such parameter, only start, end, adjustment"),
        ([*DAYS, ("start", "2000-09-20")], ["start"], "is given more than once"),
        ([*DAYS, ("adjustment", "dividends")], ["adjustment"], "is not one of splits, none, all"),
        ([*DAYS, ("validated_only", "yes")], ["validated_only"], "is not one of true, false"),
        ([*DAYS, ("min_quality", "1.1")], ["min_quality"], "is not a number from 0 to 1"),
        ([*DAYS, ("min_quality", "nan")], ["min_quality"], "is not a number from 0 to 1"),
        ([*DAYS, ("limit", "0")], ["limit"], "is not a number from 1 to 10000"),
        ([*DAYS, ("limit", "10001")], ["limit"], "is not a number from 1 to 10000"),
        ([*DAYS, ("cursor", "x")], ["cursor"], "follow `next`"),
        ([*DAYS, ("as_of", "2020-01-01")], ["as_of"], "with a time zone"),
        ([*DAYS, ("as_of", "2999-01-01T00:00:00Z")], ["as_of"], "is in the future"),
        ([*DAYS, ("snapshot", "none")], ["snapshot"], "there is no snapshot 'none': /api/v1/tables/snapshots lists"),
        ([*DAYS, ("snapshot", "a"), ("snapshot", "a")], ["snapshot"], "is given more than once"),
        ([*DAYS, ("snapshot", "a"), ("as_of", "2020-01-01T00:00:00Z")], ["snapshot"], "give one of them"),
        ([("start", "x"), ("end", "y"), ("z", "1")], ["start", "end", "z"], "is not a date"),
    ],
)
def test_an_invalid_request_is_rejected_with_a_reason_for_each_parameter(
    api: Api, parameters: list[tuple[str, str]], where: list[str], reason: str
) -> None:
    response = api.get(f"{HISTORICAL}/AAPL", parameters)
    assert faults(response) == where
    assert reason in response.json()["errors"][0]["reason"]


# --- pages and files


@pytest.mark.parametrize("adjustment", ["splits", "none"])
def test_pages_together_are_all_rows(api: Api, adjustment: str) -> None:
    whole = bars(api, "AAPL", *QUARTER, adjustment=adjustment)
    page = get(api, "AAPL", *QUARTER, adjustment=adjustment, limit=25).json()
    found = [page]
    while page["next"]:
        assert page["truncated"]
        page = api.get(page["next"]).json()
        found.append(page)
    assert [page["count"] for page in found] == [25, 25, len(whole) - 50]
    assert [row for page in found for row in page["data"]] == whole
    assert not found[-1]["truncated"]


def test_a_cursor_of_a_table_continues_only_in_the_same_order(api: Api) -> None:
    following = api.get(f"{TABLES}/market_data", [("limit", "1")]).json()["next"]
    cursor = following.partition("cursor=")[2]
    assert faults(get(api, "AAPL", FIRST, LAST, cursor=cursor)) == ["cursor"]


@pytest.mark.parametrize("adjustment", ["splits", "none", "all"])
def test_files_hold_the_same_bars_and_a_header_names_the_adjustment(api: Api, adjustment: str) -> None:
    expected = bars(api, "AAPL", *QUARTER, adjustment=adjustment)
    as_csv = get(api, "AAPL", *QUARTER, adjustment=adjustment, format="csv")
    as_arrow = get(api, "AAPL", *QUARTER, adjustment=adjustment, format="arrow")
    assert as_csv.headers["x-adjustment"] == as_arrow.headers["x-adjustment"] == adjustment
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    frame = pa.ipc.open_stream(as_arrow.content).read_all()
    assert list(rows[0]) == frame.column_names == list(expected[0])
    for name in PRICES:
        values = [row[name] for row in expected]
        assert [float(row[name]) for row in rows] == frame[name].to_pylist() == values
    assert [day.isoformat() for day in frame["date"].to_pylist()] == [row["date"] for row in rows]


def test_the_header_names_the_adjustment_of_a_file_that_could_not_be_adjusted(traded: Api) -> None:
    assert get(traded, "GOOG", *QUARTER, format="parquet").headers["x-adjustment"] == "none"
