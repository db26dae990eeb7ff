"""Flat files: from compressed CSV to the arrays of a market's session."""

import gzip
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_pipeline.core.bars import BAR_COLUMNS
from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import MARKETS, Origin
from market_pipeline.polygon import flat_file_parsing
from market_pipeline.polygon.flat_file_parsing import parse_flat_file
from market_pipeline.polygon.vendor_errors import BadResponseError, CutShortError

HEADER = "ticker,volume,open,close,high,low,window_start,transactions"
MONDAY = date(2023, 1, 9)
MIDNIGHT = 1_673_240_400_000_000_000
"""2023-01-09 05:00 UTC, midnight in New York."""
AAPL = f"AAPL,38649398.679189,130.465,130.15,133.41,129.89,{MIDNIGHT},645365"
NA = f"NA,100,1.5,1.5,1.5,1.5,{MIDNIGHT},3"


def parse(*lines: str, market: str = "us_stocks", content: bytes | None = None) -> MarketSession:
    file = gzip.compress("\n".join((*lines, "")).encode()) if content is None else content
    return parse_flat_file(file, MARKETS[market], MONDAY, about="the file", version="etag", requests=1)


def test_a_file_becomes_arrays_by_the_names_of_its_columns() -> None:
    session = parse(HEADER, AAPL, NA)
    assert list(session.tickers) == ["AAPL", "NA"]
    assert set(session.columns) == set(BAR_COLUMNS)
    assert {name: session.columns[name].dtype.str for name in ("date", "time", "volume", "transactions")} == {
        "date": "<M8[D]", "time": "<M8[us]", "volume": "<f8", "transactions": "<f8",
    }  # fmt: skip
    assert {name: values[0] for name, values in session.columns.items() if name != "vwap"} == {
        "date": np.datetime64("2023-01-09"), "time": np.datetime64("2023-01-09T05:00"),
        "open": 130.465, "high": 133.41, "low": 129.89, "close": 130.15, "volume": 38649398.679189,
        "transactions": 645365,
    }  # fmt: skip
    assert np.isnan(session.columns["vwap"]).all()
    assert (session.session, session.origin, session.version, session.requests) == (MONDAY, Origin.FLAT_FILE, "etag", 1)
    assert session.notes == ()


def test_the_payload_of_a_row_is_the_text_in_the_file() -> None:
    session = parse(HEADER, "", AAPL, "", NA)
    assert session.payload(0) == dict(zip(HEADER.split(","), AAPL.split(","), strict=True))
    assert session.payload(1)["ticker"] == "NA"


def test_columns_may_come_in_another_order_and_a_new_one_is_noted() -> None:
    session = parse(
        "otc,ticker,window_start,open,high,low,close,transactions,volume", f"true,T,{MIDNIGHT},1,4,0.5,2,9,100"
    )
    assert [float(session.columns[name][0]) for name in ("open", "high", "low", "close", "volume")] == [
        1,
        4,
        0.5,
        2,
        100,
    ]
    assert session.notes == ("the file has columns that are not read: otc",)
    assert session.payload(0)["otc"] == "true"


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_an_error_that_names_it(column: str) -> None:
    names = HEADER.split(",")
    place = names.index(column)
    lines = [
        ",".join(value for number, value in enumerate(line.split(",")) if number != place) for line in (HEADER, AAPL)
    ]
    with pytest.raises(BadResponseError, match=f"^the file has no column {column}. Report it$"):
        parse(*lines)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of bars"),
        (b"<html>login</html>", "not a file of bars"),
        (gzip.compress(f"{AAPL}\n".encode()), "not a file of bars"),
        (gzip.compress(f"{HEADER}\n".encode()), "has no bars"),
        (gzip.compress(f"{HEADER},low\n{AAPL},1\n".encode()), "two columns of one name"),
        (gzip.compress(f"{HEADER}\nA,1,1,1,1,1,soon,1\n".encode()), "has no bar with a readable time"),
    ],
    # Compressed bytes hold the time, and the workers of a test run have to collect the same names.
    ids=["empty", "a page", "no header", "no row", "a column twice", "no time"],
)
def test_a_file_of_another_kind_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(BadResponseError, match=message):
        parse(content=content)


def test_a_file_with_the_bars_of_another_session_is_an_error_that_names_it() -> None:
    tuesday = AAPL.replace(str(MIDNIGHT), str(MIDNIGHT + 86_400 * 10**9))
    with pytest.raises(BadResponseError, match=r"^the file has the bars of 2023-01-10. Report it to the vendor$"):
        parse(HEADER, tuesday)


def test_a_bar_of_another_day_among_others_has_no_date() -> None:
    tuesday = AAPL.replace(str(MIDNIGHT), str(MIDNIGHT + 86_400 * 10**9))
    assert np.isnat(parse(HEADER, NA, tuesday).columns["date"]).tolist() == [False, True]
    assert np.isnat(parse(HEADER, NA, tuesday).columns["time"]).tolist() == [False, True]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_transient(kept: float) -> None:
    whole = gzip.compress("\n".join([HEADER, *[AAPL] * 500]).encode())
    with pytest.raises(CutShortError, match="cut off"):
        parse(content=whole[: int(len(whole) * kept)])


def test_a_damaged_file_is_transient() -> None:
    whole = bytearray(gzip.compress("\n".join([HEADER, *[AAPL] * 500]).encode()))
    whole[-6] ^= 0xFF  # in the checksum
    with pytest.raises(CutShortError, match="damaged"):
        parse(content=bytes(whole))


def test_a_file_of_some_gzip_streams_or_of_plain_text_is_read() -> None:
    streams = gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(f"{AAPL}\n".encode()) + b"\0\0"
    for content in (streams, f"{HEADER}\r\n{AAPL}\r\n".encode()):
        assert list(parse(content=content).tickers) == ["AAPL"]


def test_a_file_that_expands_without_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat_file_parsing, "MAX_BYTES", 1_000)
    with pytest.raises(BadResponseError, match="larger than"):
        parse(HEADER, *[AAPL] * 50)


@pytest.mark.parametrize(
    ("line", "unreadable"),
    [
        (f"T,x,1,1,1,1,{MIDNIGHT},1", ["volume"]),
        (f"T,,1,1,1,1,{MIDNIGHT},1", ["volume"]),
        (f"T,1_0,1,1,1,1,{MIDNIGHT},1", ["volume"]),
        (f"T,1,1,one,1,1,{MIDNIGHT},", ["close", "transactions"]),
        ("T,1,1,1,1,1,1e30,1", ["date"]),
        ("T,1,1,1,1,1,99999999999999999999999,1", ["date"]),
        (f"T,1,1,1,1,{MIDNIGHT},1", list(BAR_COLUMNS)),
        (f"T,1,1,1,1,1,{MIDNIGHT},1,7", list(BAR_COLUMNS)),
        ("T", list(BAR_COLUMNS)),
    ],
)
def test_an_unreadable_value_affects_no_other_bar(line: str, unreadable: Sequence[str]) -> None:
    session = parse(HEADER, NA, line, AAPL)
    assert list(session.tickers) == ["NA", "T", "AAPL"]
    missing = [name for name in BAR_COLUMNS if name not in ("vwap", "time") and np.isnan(session.columns[name][1])]
    assert missing == [name for name in unreadable if name not in ("vwap", "time")]
    for row in (0, 2):
        assert not any(np.isnan(session.columns[name][row]) for name in BAR_COLUMNS if name != "vwap")
    assert list(session.payload(1).values()) == line.split(",")


def test_bytes_that_are_no_text_affect_their_row_alone() -> None:
    content = gzip.compress(f"{HEADER}\n{NA}\n".encode() + AAPL.encode().replace(b"AAPL", b"A\xff\xfe") + b"\n")
    session = parse(content=content)
    assert list(session.tickers) == ["NA", "A\ufffd\ufffd"]


def test_crypto_pairs_are_named_as_in_other_responses() -> None:
    line = f"X:BTC-USD,1.5,1,1,1,1,{MIDNIGHT - 5 * 3600 * 10**9},1"
    session = parse(HEADER, line, market="crypto")
    assert list(session.tickers) == ["X:BTCUSD"]
    assert session.payload(0)["ticker"] == "X:BTC-USD"
    assert session.columns["time"][0] == np.datetime64("2023-01-09T00:00")


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(["1.5e+07", "1E5", ".5", "5.", "-0.0", "0007"]),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text("ABCpw.", min_size=1, max_size=6), *[NUMBERS] * 5), min_size=1, max_size=5))
def test_typed_and_lenient_reading_agree(rows: list[tuple[Any, ...]]) -> None:
    lines = [f"{t},{v},{o},{c},{h},{low},{MIDNIGHT},1" for t, v, o, c, h, low in rows]
    typed = parse(HEADER, *lines)
    lenient = parse(HEADER, *lines, f"T,broken,1,1,1,1,{MIDNIGHT},1")
    assert list(lenient.tickers) == [*typed.tickers, "T"]
    for name in BAR_COLUMNS:
        assert lenient.columns[name].dtype == typed.columns[name].dtype
        np.testing.assert_array_equal(lenient.columns[name][:-1], typed.columns[name])
    assert math.isnan(lenient.columns["volume"][-1])
