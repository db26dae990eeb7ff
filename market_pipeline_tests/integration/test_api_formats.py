"""Formats of a response: the same values in each, complete or streamed; ETags and compression."""

import csv
import gzip
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow as pa
import pytest
import requests
from pyarrow import parquet

from market_pipeline.api.generated.formats import MEDIA_TYPES, ResponseFormat
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.api_cases import (
    TABLES,
    Api,
    faults,
    problem,
    serving,
    until_served,
    warehouse_to_serve,
)

FORMATS = pytest.mark.parametrize("kind", list(ResponseFormat))
UNUSUAL = f"{TABLES}/unusual"
MANY = f"{TABLES}/many"
ROWS = 100_000
COMMAND = [sys.executable, "-c", "from market_pipeline.cli.main import main; main()", "api", "--port", "0"]

CREATE_UNUSUAL = """
CREATE TABLE analytics.unusual (
    id integer PRIMARY KEY, words text, price double precision, trades bigint, day date, at timestamptz, good boolean,
    flags text[], payload json
)
"""
JANUARY = datetime(2024, 1, 31, 12, tzinfo=UTC)
UNUSUAL_ROWS: list[tuple[Any, ...]] = [
    (1, "plain", 0.1, 2**63 - 1, date(2024, 2, 29), JANUARY, True, ["jump"], "{}"),
    (2, "", -0.0, -(2**63), date(1, 1, 1), JANUARY + timedelta(microseconds=1), False, [], "null"),
    (3, None, None, None, None, None, None, None, None),
    (4, 'a,"b";\t\\N', 0.1 + 0.2, 0, date(9999, 12, 31), JANUARY + timedelta(microseconds=500_000), True,
     ["two words", 'a,"b"', ""], '{"a": [1, "x"]}'),
    (5, "a\nb\r\nc\rd\n", 5e-324, 1, date(2000, 1, 1), datetime(1, 1, 1, tzinfo=UTC), False, ["a\nb"], '{"a":\n{}\n}'),
    (6, "\\.", 1.7976931348623157e308, 2, date(2000, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
     True, ["NULL", "{}"], '"\\u0000 is no problem"'),
    (7, "Zürich € 日本 😀 \x01\x02\x7f", 1e22, 3, date(2000, 1, 1), JANUARY, True, ["ü"], "[1, 2.50]"),
    (8, "null", 100.0, 4, date(2000, 1, 1), JANUARY, False, ["x"], "3"),
    (9, "NaN " + "long " * 500_000, 2.5, 5, date(2000, 1, 1), JANUARY, False, ["x"], "3"),
]  # fmt: skip
CREATE_MANY = (
    f"""
CREATE TABLE analytics.many AS
SELECT number AS id, repeat('word ', 40) || number AS words, number * 0.1::float AS price, number * 7::bigint AS trades,
    date '2000-01-01' + (number %% 9000) AS day, timestamptz '2000-01-01 00:00+00' + number * interval '1 minute' AS at,
    number %% 2 = 0 AS good, ARRAY['jump', 'volume spike'] AS flags, json '{{"a":\n{{}}\n}}' AS payload
FROM generate_series(1, {ROWS}) AS number
""",
    "ALTER TABLE analytics.many ADD PRIMARY KEY (id)",
)


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over a table of unusual values and one of many rows."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        api.execute(CREATE_UNUSUAL, *CREATE_MANY)
        api.insert("analytics.unusual", UNUSUAL_ROWS)
        yield api


def rows_of(kind: ResponseFormat, content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a response, in the types of its format."""
    readers: Mapping[ResponseFormat, Callable[[bytes], list[dict[str, Any]]]] = {
        # Which Python would read as the number 0, without a sign.
        ResponseFormat.JSON: lambda content: json.loads(
            content, parse_int=lambda text: -0.0 if text == "-0" else int(text)
        )["data"],
        ResponseFormat.CSV: lambda content: list(csv.DictReader(io.StringIO(content.decode(), newline=""))),
        ResponseFormat.ARROW: lambda content: pa.ipc.open_stream(content).read_all().to_pylist(),
        ResponseFormat.PARQUET: lambda content: parquet.read_table(io.BytesIO(content)).to_pylist(),
    }
    return readers[kind](content)


def to_comparable(row: Sequence[Any]) -> tuple[Any, ...]:
    """Convert a row for a comparison in which even -0.0 and 0.0 differ."""
    return tuple(value.hex() if isinstance(value, float) else value for value in row)


def from_json(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Convert a row of JSON to the table's types, except `payload`, which is a value and not text."""
    types: Mapping[str, Callable[[Any], Any]] = {
        "day": date.fromisoformat, "at": datetime.fromisoformat, "price": float,
    }  # fmt: skip
    return tuple(value if value is None or name not in types else types[name](value) for name, value in row.items())


# --- the values


@pytest.mark.parametrize("kind", [ResponseFormat.ARROW, ResponseFormat.PARQUET])
def test_typed_formats_hold_exactly_the_tables_values(api: Api, kind: ResponseFormat) -> None:
    found = rows_of(kind, api.get(UNUSUAL, [("format", kind)]).content)
    assert [to_comparable(tuple(row.values())) for row in found] == [to_comparable(row) for row in UNUSUAL_ROWS]


@pytest.mark.parametrize("kind", [ResponseFormat.ARROW, ResponseFormat.PARQUET])
def test_typed_formats_have_the_tables_types(api: Api, kind: ResponseFormat) -> None:
    content = api.get(UNUSUAL, [("format", kind), ("id", "eq.-1")]).content  # a response without rows has a schema too
    schema = (
        pa.ipc.open_stream(content).schema if kind is ResponseFormat.ARROW else parquet.read_schema(io.BytesIO(content))
    )
    assert {field.name: str(field.type).replace("element:", "item:") for field in schema} == {
        "id": "int32", "words": "string", "price": "double", "trades": "int64", "day": "date32[day]",
        "at": "timestamp[us, tz=UTC]", "good": "bool", "flags": "list<item: string>", "payload": "string",
    }  # fmt: skip
    assert [field.name for field in schema if not field.nullable] == ["id"]


@pytest.mark.parametrize("kind", [ResponseFormat.CSV, ResponseFormat.ARROW, ResponseFormat.PARQUET])
def test_pandas_reads_it_in_one_line(api: Api, kind: ResponseFormat) -> None:
    address = f"{api.url}{UNUSUAL}?id=in.(1,3)&select=id,words,price,day,at&format={kind}"
    match kind:
        case ResponseFormat.CSV:
            frame = pd.read_csv(address)
        case ResponseFormat.ARROW:
            frame = pa.ipc.open_stream(requests.get(address, timeout=30).content).read_pandas()
        case _:
            frame = pd.read_parquet(address)
    assert [list(frame["id"]), frame["price"][0], list(frame["words"].isna())] == [[1, 3], 0.1, [False, True]]
    assert pd.to_datetime(frame["at"])[0] == pd.Timestamp("2024-01-31T12:00:00Z")


def test_json_holds_exactly_the_tables_values(api: Api) -> None:
    found = [from_json(row) for row in rows_of(ResponseFormat.JSON, api.get(UNUSUAL).content)]
    assert [to_comparable(row[:-1]) for row in found] == [to_comparable(row[:-1]) for row in UNUSUAL_ROWS]
    payloads = [None if row[-1] is None else json.loads(row[-1]) for row in UNUSUAL_ROWS]
    assert [row[-1] for row in found] == payloads


def test_csv_holds_exactly_the_tables_values_with_lists_as_json(api: Api) -> None:
    rows = UNUSUAL_ROWS[:8]  # the next has a text that is longer than Python's reader takes
    found = rows_of(ResponseFormat.CSV, api.get(UNUSUAL, [("format", "csv"), ("id", "lte.8")]).content)
    for row, (number, words, price, trades, day, at, good, flags, payload) in zip(found, rows, strict=True):
        assert (row["id"], row["words"], row["payload"]) == (str(number), words or "", payload or "")
        assert row["price"] == "" if price is None else float(row["price"]).hex() == price.hex()
        assert row["trades"] == ("" if trades is None else str(trades))
        assert row["day"] == ("" if day is None else day.isoformat())
        assert row["at"] == "" if at is None else datetime.fromisoformat(row["at"]) == at
        assert row["good"] == ("" if good is None else str(good).lower())
        assert (json.loads(row["flags"]) if row["flags"] else None) == flags


def test_a_decimal_column_of_csv_has_a_decimal_point_in_every_row(api: Api) -> None:
    """Readers that take a column's type from its first rows would fail at the first `0.95` after many `1`s."""
    numbers = [1.0, 0.95, -0.0, 1e14, 999_999_999_999_999.0, 1e15, 1e22, 5e-324, -3.0, math.inf, math.nan, None]
    written = ["1.0", "0.95", "-0.0", "100000000000000.0", "999999999999999.0", "1e+15", "1e+22", "5e-324", "-3.0",
               "Infinity", "NaN", ""]  # fmt: skip
    api.execute("CREATE TABLE analytics.decimals (id int PRIMARY KEY, score float, exact numeric, fixed numeric(9, 2))")
    try:
        api.insert(
            "analytics.decimals",
            [(number, value, [7, "7.5"][number % 2], number) for number, value in enumerate(numbers)],
        )
        until_served(api, "decimals")
        rows = rows_of(ResponseFormat.CSV, api.get(f"{TABLES}/decimals", [("format", "csv")]).content)
        assert [row["score"] for row in rows] == written
        assert {row["exact"] for row in rows} == {"7.0", "7.5"}
        assert [row["fixed"] for row in rows] == [f"{number}.00" for number in range(len(numbers))]
        in_json = api.get(f"{TABLES}/decimals", [("select", "score"), ("id", "lt.2")]).content
        assert b'[{"score":1},{"score":0.95}]' in in_json
    finally:
        api.execute("DROP TABLE analytics.decimals")


def test_csv_distinguishes_null_from_an_empty_text_by_its_quotes(api: Api) -> None:
    lines = api.get(UNUSUAL, [("format", "csv"), ("select", "id,words"), ("id", "in.(2,3)")]).content
    assert lines == b'id,words\n2,""\n3,\n'


def test_csv_holds_no_text_that_a_spreadsheet_would_compute_and_every_number_as_it_is(api: Api) -> None:
    texts = {
        '=HYPERLINK("http://evil.example","x")': '\'=HYPERLINK("http://evil.example","x")', "+1 555": "'+1 555",
        "-2+3": "'-2+3", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "\n=1": "'\n=1",
        "\uff1d1": "'\uff1d1",
        "-5": "-5", "+1.5e3": "+1.5e3", "a=b": "a=b", "": "", "'=1": "'=1",
    }  # fmt: skip
    api.execute(
        "CREATE TABLE analytics.formulas (key int PRIMARY KEY, words text, short varchar(80), list text[], less real, "
        "lesser numeric, least bigint)",
        "GRANT SELECT ON analytics.formulas TO market_reader",
    )
    api.insert("analytics.formulas", [(n, t, t, [t], -1.5, -2.25, -3) for n, t in enumerate(texts)])
    until_served(api, "formulas")
    for few in ([], [("limit", "20000")]):  # complete, and streamed
        parameters = [("order", "key"), ("format", "csv"), *few]
        content = api.get(f"{TABLES}/formulas", parameters).content
        parsed = rows_of(ResponseFormat.CSV, content)
        assert [row["words"] for row in parsed] == [row["short"] for row in parsed] == list(texts.values())
        assert [json.loads(row["list"]) for row in parsed] == [[text] for text in texts]
        assert {(row["less"], row["lesser"], row["least"]) for row in parsed} == {("-1.5", "-2.25", "-3")}
    for kind in (ResponseFormat.ARROW, ResponseFormat.PARQUET, ResponseFormat.JSON):  # which have types
        content = api.get(f"{TABLES}/formulas", [("order", "key"), ("format", kind)]).content
        assert [row["words"] for row in rows_of(kind, content)] == list(texts)


def test_csv_declares_utf_8(api: Api) -> None:
    assert "Zürich € 日本 😀" in api.get(UNUSUAL, [("format", "csv"), ("id", "eq.7")]).text


@pytest.mark.parametrize("column", ["words", "price", "day", "flags", "good"])
@pytest.mark.parametrize("kind", [ResponseFormat.JSON, ResponseFormat.ARROW, ResponseFormat.PARQUET])
def test_a_single_column_has_all_its_rows_those_with_null_too(api: Api, kind: ResponseFormat, column: str) -> None:
    found = rows_of(kind, api.get(UNUSUAL, [("format", kind), ("select", column), ("order", "id")]).content)
    assert [row[column] is None for row in found] == [row[0] == 3 for row in UNUSUAL_ROWS]


@pytest.mark.parametrize("kind", [ResponseFormat.ARROW, ResponseFormat.PARQUET])
def test_numbers_that_are_none_are_distinguished_from_null(api: Api, kind: ResponseFormat) -> None:
    api.execute("CREATE TABLE analytics.not_finite (id int PRIMARY KEY, price float)")
    try:
        api.insert("analytics.not_finite", enumerate([float("nan"), float("inf"), float("-inf"), None]))
        until_served(api, "not_finite")
        found = rows_of(kind, api.get(f"{TABLES}/not_finite", [("format", kind)]).content)
        assert [str(row["price"]) for row in found] == ["nan", "inf", "-inf", "None"]
        as_json = rows_of(ResponseFormat.JSON, api.get(f"{TABLES}/not_finite").content)
        assert [row["price"] for row in as_json] == ["NaN", "Infinity", "-Infinity", None]
    finally:
        api.execute("DROP TABLE analytics.not_finite")


@FORMATS
def test_a_response_may_have_no_rows(api: Api, kind: ResponseFormat) -> None:
    response = api.get(UNUSUAL, [("format", kind), ("id", "eq.-1")])
    assert (response.status_code, rows_of(kind, response.content)) == (200, [])


# --- which format


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", ResponseFormat.JSON),
        ("*/*", ResponseFormat.JSON),
        ("application/json", ResponseFormat.JSON),
        ("application/*", ResponseFormat.JSON),
        ("text/csv", ResponseFormat.CSV),
        ("text/*", ResponseFormat.CSV),
        ("TEXT/CSV; charset=utf-8", ResponseFormat.CSV),
        ("application/vnd.apache.arrow.stream", ResponseFormat.ARROW),
        ("application/vnd.apache.parquet", ResponseFormat.PARQUET),
        ("application/json;q=0.5, text/csv", ResponseFormat.CSV),
        ("application/json;q=0.5,text/csv;q=0.4,*/*;q=0.1", ResponseFormat.JSON),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", ResponseFormat.JSON),
        ("image/png, application/vnd.apache.parquet;q=0.001", ResponseFormat.PARQUET),
        ("application/json;q=0, text/csv", ResponseFormat.CSV),
        ("application/json;q=many, text/csv;q=0.1", ResponseFormat.CSV),
    ],
)
def test_the_format_is_the_one_accepted_best(api: Api, accept: str, kind: ResponseFormat) -> None:
    response = api.get(UNUSUAL, [("limit", "1")], accept=accept)
    assert response.headers["content-type"].partition(";")[0] == MEDIA_TYPES[kind]
    assert "Accept" in response.headers["vary"]
    assert len(rows_of(kind, response.content)) == 1


@FORMATS
def test_a_named_format_overrides_the_accepted_ones(api: Api, kind: ResponseFormat) -> None:
    response = api.get(UNUSUAL, [("limit", "1"), ("format", kind)], accept="image/png")
    assert response.headers["content-type"].partition(";")[0] == MEDIA_TYPES[kind]


@pytest.mark.parametrize(
    "accept", ["image/png", "application/json;q=0", "text/html", "nonsense", ";;,", "text/csv;q=x"]
)
def test_without_an_accepted_format_the_available_ones_are_named(api: Api, accept: str) -> None:
    detail = problem(api.get(UNUSUAL, accept=accept), 406)["detail"]
    assert all(media_type in detail for media_type in MEDIA_TYPES.values())


@pytest.mark.parametrize("named", ["xml", "JSON", "", "csv,json"])
def test_an_unknown_format_is_rejected(api: Api, named: str) -> None:
    for path in (UNUSUAL, "/api/v1/historical/AAPL", "/api/v1/universe?date=2000-09-11"):
        [fault] = problem(api.get(path, [("format", named)]), 400)["errors"]
        assert fault == {"parameter": "format", "reason": f"{named!r} is not one of json, csv, arrow, parquet"}


# --- responses of many rows


@FORMATS
@pytest.mark.parametrize("rows", [MAX_COMPLETE_ROWS + 1, 2 * MAX_COMPLETE_ROWS])
def test_many_rows_are_streamed_and_complete(api: Api, kind: ResponseFormat, rows: int) -> None:
    response = api.get(MANY, [("format", kind), ("limit", str(rows))], accept_encoding="identity")
    assert response.headers["transfer-encoding"] == "chunked"
    assert "etag" not in response.headers
    found = rows_of(kind, response.content)
    assert [int(row["id"]) for row in found] == list(range(1, rows + 1))
    assert {len(row) for row in found} == {9}
    assert [float(found[place]["price"]) for place in (0, -1)] == [0.1, pytest.approx(rows * 0.1)]
    assert "next" in response.links


@FORMATS
def test_streamed_rows_equal_those_of_complete_pages(api: Api, kind: ResponseFormat) -> None:
    chosen = [("format", kind), ("order", "day.desc"), ("id", f"lte.{MAX_COMPLETE_ROWS + 50}")]
    streamed = rows_of(kind, api.get(MANY, [*chosen, ("limit", str(MAX_COMPLETE_ROWS + 1))]).content)
    first = api.get(MANY, [*chosen, ("limit", str(MAX_COMPLETE_ROWS))])
    second = api.get(first.links["next"]["url"]).content
    assert streamed == [*rows_of(kind, first.content), *rows_of(kind, second)][: MAX_COMPLETE_ROWS + 1]


def test_a_streamed_response_in_json_has_the_same_frame_as_another(api: Api) -> None:
    chosen = [("limit", str(ROWS)), ("select", "id"), ("id", f"lte.{MAX_COMPLETE_ROWS}")]
    few = api.get(MANY, chosen).json()
    assert (few["count"], few["truncated"], few["next"], len(few["data"])) == (
        MAX_COMPLETE_ROWS,
        False,
        None,
        MAX_COMPLETE_ROWS,
    )
    many = api.get(MANY, [("limit", str(MAX_COMPLETE_ROWS + 1)), ("select", "id")]).json()
    assert (many["count"], many["truncated"]) == (MAX_COMPLETE_ROWS + 1, True)
    assert api.get(many["next"]).json()["data"][0] == {"id": MAX_COMPLETE_ROWS + 2}
    none = api.get(MANY, [("limit", str(ROWS)), ("id", "eq.0")]).json()
    assert none == {"data": [], "count": 0, "truncated": False, "next": None}


FILES = pytest.mark.parametrize("kind", [kind for kind in ResponseFormat if kind is not ResponseFormat.JSON])


@FILES
@pytest.mark.parametrize("by_accept", [False, True], ids=["format", "Accept"])
def test_a_file_without_a_limit_has_all_rows(api: Api, kind: ResponseFormat, *, by_accept: bool) -> None:
    named = [] if by_accept else [("format", str(kind))]
    accept = MEDIA_TYPES[kind] if by_accept else "*/*"
    for chosen, rows in (([("select", "id")], ROWS), ([("select", "id"), ("id", f"lte.{MAX_COMPLETE_ROWS}")], 10_000)):
        response = api.get(MANY, [*chosen, *named], accept=accept)
        assert [int(row["id"]) for row in rows_of(kind, response.content)] == list(range(1, rows + 1))
        assert "next" not in response.links
        assert ("etag" in response.headers) == (rows <= MAX_COMPLETE_ROWS)
    page = api.get(MANY, [("select", "id"), ("limit", "5"), *named], accept=accept)
    assert [int(row["id"]) for row in rows_of(kind, page.content)] == [1, 2, 3, 4, 5]
    following = page.links["next"]["url"].replace("limit=5&", "").replace("limit=5", "")
    rest = rows_of(kind, api.get(following, accept=accept).content)
    assert (int(rest[0]["id"]), len(rest)) == (6, ROWS - 5)


def test_pandas_reads_all_rows_by_an_address_alone(api: Api) -> None:
    frame = pd.read_csv(f"{api.url}{MANY}?format=csv&select=id,price")
    assert (len(frame), str(frame["price"].dtype), frame["id"].is_monotonic_increasing) == (ROWS, "float64", True)


def test_a_file_of_all_rows_is_of_one_instant(api: Api) -> None:
    """Rows that are changed while it is read are not in it, to its last row."""
    parameters = {"format": "csv", "select": "id,good"}
    with api.session.get(api.url + MANY, params=parameters, stream=True, timeout=60) as response:
        parts = response.iter_content(1_000)
        begin = next(parts)
        api.execute(f"INSERT INTO analytics.many (id, good) VALUES ({ROWS + 1}, true)")
        try:
            lines = (begin + b"".join(parts)).splitlines()
        finally:
            api.execute(f"DELETE FROM analytics.many WHERE id > {ROWS}")
    assert (len(lines), lines[-1]) == (ROWS + 1, f"{ROWS},true".encode())


def test_more_rows_than_the_maximum_are_rejected_and_the_maximum_is_named(
    server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(server, tmp_path_factory.mktemp("capped"), api_max_rows=3) as capped:
        capped.execute("CREATE TABLE analytics.five AS SELECT * FROM generate_series(1, 5) AS id")
        [fault] = problem(capped.get(f"{TABLES}/five", [("limit", "4")]), 400)["errors"]
        assert fault == {"parameter": "limit", "reason": "'4' is not a number from 1 to 3"}
        for chosen in ([], [("limit", "3")]):
            found = capped.get(f"{TABLES}/five", chosen).json()
            assert (found["count"], found["truncated"]) == (3, True)
        assert capped.get(f"{TABLES}/five", [("format", "csv")]).text.split() == ["id", *"12345"]
        assert faults(capped.get(f"{TABLES}/five", [("format", "csv"), ("limit", "4")])) == ["limit"]


# --- unchanged responses and compression


@FORMATS
def test_an_unchanged_response_is_not_sent_again(api: Api, kind: ResponseFormat) -> None:
    chosen = [("format", kind), ("id", "lte.7")]
    first = api.get(UNUSUAL, chosen)
    tag = first.headers["etag"]
    for had in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = api.get(UNUSUAL, chosen, if_none_match=had)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["vary"].startswith("Accept")
    api.execute("UPDATE analytics.unusual SET price = 0.2 WHERE id = 1")
    try:
        changed = api.get(UNUSUAL, chosen, if_none_match=first.headers["etag"])
        assert changed.status_code == 200
        assert changed.headers["etag"] != first.headers["etag"]
    finally:
        api.execute("UPDATE analytics.unusual SET price = 0.1 WHERE id = 1")
    assert api.get(UNUSUAL, chosen).headers["etag"] == first.headers["etag"]


@FORMATS
@pytest.mark.parametrize("rows", [MAX_COMPLETE_ROWS, MAX_COMPLETE_ROWS + 1], ids=["complete", "streamed"])
def test_a_compressed_response_has_the_same_content(api: Api, kind: ResponseFormat, rows: int) -> None:
    chosen = [("format", kind), ("limit", str(rows))]
    plain = api.get(MANY, chosen, accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    with api.session.get(
        api.url + MANY, params=chosen, headers={"accept-encoding": "gzip"}, stream=True, timeout=60
    ) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["vary"]
        sent = packed.raw.read(decode_content=False)
    assert gzip.decompress(sent) == plain.content
    assert packed.headers.get("etag") == plain.headers.get("etag")


# --- memory


@contextmanager
def started(server: embedded.Server, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The command `market-pipeline api` over a table of many rows: its URL and its process."""
    with warehouse_to_serve(server, folder) as (warehouse, _):
        with warehouse.begin() as connection:
            for statement in ("CREATE SCHEMA analytics", *CREATE_MANY):
                connection.exec_driver_sql(statement)
        with subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                line = next(line for line in process.stderr if "The API is at" in line)
                yield line.split()[4], psutil.Process(process.pid)
            finally:
                process.terminate()


def test_a_long_response_takes_no_more_memory_than_a_short_one(
    server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with started(server, tmp_path_factory.mktemp("memory")) as (url, process):
        for kind in ResponseFormat:
            chosen = {"format": kind, "limit": str(MAX_COMPLETE_ROWS + 1)}
            assert requests.get(url + MANY, params=chosen, timeout=60).status_code == 200
        for kind in ResponseFormat:
            before = process.memory_info().rss
            chosen = {"format": kind, **({"limit": str(ROWS)} if kind is ResponseFormat.JSON else {})}
            most, size = before, 0
            with requests.get(url + MANY, params=chosen, stream=True, timeout=60) as response:
                for part in response.iter_content(100_000):
                    most, size = max(most, process.memory_info().rss), size + len(part)
            assert size > 1_000_000  # of some 30 MB, compressed in Parquet
            assert most - before < 40e6, kind
