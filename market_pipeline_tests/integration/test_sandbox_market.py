"""The sandbox's generated market over HTTP: responses and flat files that agree, the S3 protocol, faults of files."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pyarrow as pa
import pytest
import requests
from pyarrow import csv
from pyarrow.fs import FileSelector, FileType, S3FileSystem
from pydantic import SecretStr

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.plans import PlanName
from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.market_truth import traded_tickers

CONFIG = SandboxConfig(
    now=datetime(2024, 6, 15, 2, tzinfo=UTC), market_tickers=80, file_keys={"access": SecretStr("secret")}
)
KEY = {"Authorization": "Bearer sandbox"}
STOCKS, CRYPTO = MARKETS["us_stocks"], MARKETS["crypto"]
SESSION = date(2024, 6, 3)
MONTH = "flatfiles/us_stocks_sip/day_aggs_v1/2024/06"
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def storage(url: str, access: str = "access", secret: str = "secret") -> S3FileSystem:
    address = url.removeprefix("http://")
    return S3FileSystem(
        endpoint_override=address, scheme="http", access_key=access, secret_key=secret, region="us-east-1"
    )


@contextmanager
def market(**options: Any) -> Iterator[tuple[str, S3FileSystem]]:
    with running_sandbox(replace(CONFIG, **options)) as url:
        yield url, storage(url)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_sandbox(CONFIG) as address:
        yield address


@pytest.fixture(scope="module")
def open_url() -> Iterator[str]:
    """A sandbox whose files any key may read, for requests without a signature."""
    with running_sandbox(replace(CONFIG, file_keys={})) as address:
        yield address


def get(url: str, path: str, **headers: str) -> requests.Response:
    return requests.get(f"{url}{path}", headers={**KEY, **headers}, timeout=30)


def path_of(session: date, market: Any = STOCKS) -> str:
    return f"flatfiles/{market.file_of(session)}"


def read(files: S3FileSystem, session: date = SESSION, market: Any = STOCKS) -> bytes:
    with files.open_input_stream(path_of(session, market), compression=None) as stream:
        return bytes(stream.read())


def lines(content: bytes) -> list[str]:
    return gzip.decompress(content).decode().splitlines()


def etag(files: S3FileSystem, session: date = SESSION) -> str:
    return str(dict(files.open_input_file(path_of(session)).metadata())["ETag"], "ascii")


def grouped(url: str, session: date, market: Any = STOCKS, **headers: str) -> list[dict[str, Any]]:
    body = get(url, f"/v2/aggs/grouped/locale/{market.grouped}/{session}?adjusted=false", **headers).json()
    return list(body.get("results", []))


@pytest.mark.parametrize("kind", [STOCKS, CRYPTO], ids=lambda kind: kind.name)
@pytest.mark.parametrize("session", [date(2020, 8, 31), SESSION])
def test_a_flat_file_a_grouped_response_and_ranges_have_the_same_bars(url: str, kind: Any, session: date) -> None:
    table = csv.read_csv(io.BytesIO(gzip.decompress(read(storage(url), session, kind))))
    assert table.column_names == [
        "ticker", "volume", "open", "close", "high", "low", "window_start", "transactions",
    ]  # fmt: skip
    assert table.schema.field("window_start").type == pa.int64()
    rows = {row["ticker"]: row for row in table.to_pylist()}
    bars = {bar["T"]: bar for bar in grouped(url, session, kind)}
    assert set(rows) == set(bars) == set(traded_tickers(CONFIG, session, kind.calendar))
    for ticker, bar in bars.items():
        path = f"/v2/aggs/ticker/{ticker}/range/1/day/{session}/{session}?adjusted=false"
        (alone,) = get(url, path).json()["results"]
        assert {**alone, "T": ticker, "t": bar["t"]} == bar
        row = rows[ticker]
        assert row["window_start"] == alone["t"] * 1_000_000
        found = [row[name] for name in ("volume", "open", "close", "high", "low", "transactions")]
        assert found == [alone.get(name, 0) for name in ("v", "o", "c", "h", "l", "n")]
        assert ("vw" in bar) == ("n" in bar)


def test_a_month_is_listed_with_the_sizes_of_its_published_sessions(url: str) -> None:
    files = storage(url)
    infos = files.get_file_info(FileSelector(MONTH))
    sessions = list_sessions("XNYS", date(2024, 6, 1), date(2024, 6, 13))  # the 14th's follows at 15:00 UTC
    assert [info.path for info in infos] == [path_of(session) for session in sessions]
    assert all(info.size == len(read(files, session)) for info, session in zip(infos, sessions, strict=True))
    years = files.get_file_info(FileSelector("flatfiles/us_stocks_sip/day_aggs_v1"))
    assert [info.base_name for info in years] == [str(year) for year in range(2003, 2025)]
    assert all(info.type is FileType.Directory for info in years)


def test_a_list_has_every_key_over_its_pages(open_url: str) -> None:
    prefix = "global_crypto/day_aggs_v1/2024/"
    query, keys = f"list-type=2&prefix={prefix}&max-keys=50", []
    more = ""
    while True:
        page = ElementTree.fromstring(get(open_url, f"/flatfiles?{query}{more}").content)
        keys += [element.text for element in page.iter(f"{S3}Key")]
        if page.findtext(f"{S3}IsTruncated") == "false":
            break
        more = f"&continuation-token={page.findtext(f'{S3}NextContinuationToken')}"
    assert keys == [CRYPTO.file_of(date(2024, 1, 1) + timedelta(days)) for days in range(165)]


def test_etags_stay_and_differ_between_files(url: str) -> None:
    first, again, other = etag(storage(url)), etag(storage(url)), etag(storage(url), date(2024, 6, 4))
    assert first == again != other
    with running_sandbox(CONFIG) as second:
        assert etag(storage(second)) == first


def test_duckdb_reads_a_file(open_url: str, tmp_path: Path) -> None:
    file = tmp_path / "session.csv.gz"
    file.write_bytes(get(open_url, f"/{path_of(SESSION)}").content)
    [(rows,)] = duckdb.sql(f"SELECT count(*) FROM read_csv('{file}') WHERE close > 0").fetchall()
    assert rows == len(lines(read(storage(open_url)))) - 1


def test_parts_of_a_file_make_up_the_file(open_url: str) -> None:
    path = f"/{path_of(SESSION)}"
    whole = get(open_url, path)
    head = requests.head(f"{open_url}{path}", timeout=30)
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Last-Modified"] == "Tue, 04 Jun 2024 15:00:00 GMT"
    start, middle, end = (get(open_url, path, Range=part) for part in ("bytes=0-99", "bytes=100-199", "bytes=200-"))
    assert [part.status_code for part in (start, middle, end)] == [206] * 3
    assert start.content + middle.content + end.content == whole.content
    assert start.headers["Content-Range"] == f"bytes 0-99/{len(whole.content)}"
    assert get(open_url, path, Range="bytes=-5").content == whole.content[-5:]
    assert get(open_url, path, Range="bytes=9999999-").status_code == 416


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (STOCKS.file_of(date(2024, 6, 14)), 403, "AccessDenied"),  # published in 13 hours
        (STOCKS.file_of(date(2024, 6, 8)), 403, "AccessDenied"),  # a Saturday
        (STOCKS.file_of(date(2003, 9, 9)), 403, "AccessDenied"),  # before the first
        ("us_stocks_sip/day_aggs_v1/2024/06/2024-05-31.csv.gz", 403, "AccessDenied"),
        ("us_stocks_sip/day_aggs_v1/2024/06/2024-06-31.csv.gz", 403, "AccessDenied"),
        ("us_options_opra/day_aggs_v1/2024/06/2024-06-03.csv.gz", 404, "NoSuchKey"),
    ],
)
def test_a_file_that_is_not_there_is_an_error_in_xml(open_url: str, key: str, status: int, code: str) -> None:
    response = get(open_url, f"/flatfiles/{key}")
    assert response.status_code == status
    assert ElementTree.fromstring(response.content).findtext("Code") == code
    assert response.headers["Content-Type"] == "application/xml"


def test_a_plan_limits_the_files_as_it_limits_the_history() -> None:
    with market(plan=PlanName.STARTER) as (_, files):
        assert read(files)
        with pytest.raises(OSError, match="ACCESS_DENIED"):
            read(files, date(2019, 6, 3))
    with market(plan=PlanName.BASIC) as (_, files), pytest.raises(OSError, match="ACCESS_DENIED"):
        read(files)


def test_the_time_of_publication_is_an_option() -> None:
    with market(files_published=time(0, 30), now=datetime(2024, 6, 15, 5, tzinfo=UTC)) as (_, files):
        assert read(files, date(2024, 6, 14))


@pytest.mark.parametrize(
    ("access", "secret", "code"),
    [("other", "secret", "INVALID_ACCESS_KEY_ID"), ("access", "x", "SIGNATURE_DOES_NOT_MATCH")],
)
def test_wrong_keys_are_rejected(url: str, access: str, secret: str, code: str) -> None:
    with pytest.raises(OSError, match="ACCESS_DENIED"):  # a HEAD's response has no body to name the reason
        read(storage(url, access, secret))
    with pytest.raises(OSError, match=code):
        storage(url, access, secret).get_file_info(FileSelector(MONTH))


def test_a_request_without_a_signature_is_denied(url: str) -> None:
    response = get(url, f"/{path_of(SESSION)}")
    assert (response.status_code, ElementTree.fromstring(response.content).findtext("Code")) == (403, "AccessDenied")


def test_a_provisional_file_is_replaced_by_the_final_one() -> None:
    with market(revisions=True, now=datetime(2024, 6, 4, 16, tzinfo=UTC)) as (_, files):
        first, early = etag(files), lines(read(files))
    with market(revisions=True) as (_, files):
        assert etag(files) != first
        assert len(lines(read(files))) == len(early)
        assert set(lines(read(files))) != set(early)


def test_a_truncated_file_ends_within_its_data() -> None:
    with market(faults=("truncated_gzip",)) as (_, files):
        content = read(files)
        with pytest.raises(EOFError):
            gzip.decompress(content)
        assert zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content).startswith(b"ticker,volume,open,")


def test_a_wrong_days_file_has_the_stamps_of_the_session_after() -> None:
    with market(faults=("wrong_day@2024-06-07",)) as (_, files):
        assert {line.split(",")[-2] for line in lines(read(files, date(2024, 6, 7)))[1:]} == {"1717992000000000000"}
        assert {line.split(",")[-2] for line in lines(read(files))[1:]} == {"1717387200000000000"}


def test_a_file_has_a_column_more_or_less() -> None:
    with market(faults=("more_columns=otc@2024-06-03", "fewer_columns@2024-06-04", "fewer_columns=volume")) as (
        _,
        files,
    ):
        more, fewer, other = (lines(read(files, date(2024, 6, day))) for day in (3, 4, 5))
    assert more[0].endswith(",transactions,otc")
    assert {line.count(",") for line in more} == {8}
    assert fewer[0].endswith(",window_start")
    assert {line.count(",") for line in fewer} == {6}
    assert other[0].startswith("ticker,open,")


def test_a_file_has_half_of_its_rows_until_it_is_corrected() -> None:
    with market(faults=("half_rows@file/2024-06-03*1",)) as (_, files):
        bad = etag(files)
        half, whole = lines(read(files)), lines(read(files))
        assert etag(files) != bad
    assert (len(half) - 1) == (len(whole) - 1) // 2
    assert set(half) < set(whole)


def test_a_replaced_file_has_another_etag_and_corrections_that_other_responses_have_too() -> None:
    with market(faults=("replaced_file@2024-06-03",)) as (url, files):
        first, before, bars = etag(files), lines(read(files)), grouped(url, SESSION)
        assert bars == grouped(url, SESSION) != []
        second, after = etag(files), lines(read(files))
        assert first != second == etag(files)
        corrected = {line.split(",")[0] for line in set(after) - set(before)}
        assert 0 < len(corrected) < len(before) / 2
        assert {line.split(",")[0] for line in after} == {line.split(",")[0] for line in before}
        volumes = {bar["T"]: bar["v"] for bar in grouped(url, SESSION)}
        assert all(float(line.split(",")[1]) == volumes[line.split(",")[0]] for line in after[1:])
        requests.post(f"{url}/_sandbox/reset", timeout=30)
        assert etag(files) == first


def test_a_file_can_be_denied_and_a_server_can_fail() -> None:
    with market(faults=("file403@2024-06-03*1", "truncate@2024-06-04*1")) as (_, files):
        with pytest.raises(OSError, match="ACCESS_DENIED"):
            read(files)
        assert read(files)
        assert lines(read(files, date(2024, 6, 4)))  # the client repeats a request whose response is cut off


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("half_rows", lambda bars: len(bars) // 2),
        ("duplicate_rows", lambda bars: 2 * len(bars)),
        ("out_of_range_bars", lambda bars: len(bars) + 2),
        ("impossible_bars", len),
        ("missing_fields=vw", len),
        ("wrong_day", len),
        ("empty", lambda _bars: 0),
    ],
)
def test_faults_of_rows_apply_to_grouped_responses(open_url: str, fault: str, change: Any) -> None:
    good = grouped(open_url, SESSION)
    bad = grouped(open_url, SESSION, **{"X-Sandbox-Fault": fault})
    assert len(bad) == change(good)
    assert bad != good


def listed(url: str, query: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    following = f"/v3/reference/tickers?limit=1000&{query}"
    while following:
        body = get(url, following).json()
        records += body["results"]
        following = body.get("next_url", "").removeprefix(url)
    return records


def test_the_list_lacks_a_third_of_the_tickers_mostly_dead_ones(url: str) -> None:
    sessions = list_sessions("XNYS", date(2019, 6, 17), date(2024, 6, 14))
    traded = {ticker for session in sessions[::5] for ticker in traded_tickers(CONFIG, session)}
    today = {ticker for session in sessions[-60:] for ticker in traded_tickers(CONFIG, session)}
    known = {
        record["ticker"] for active in ("true", "false") for record in listed(url, f"market=stocks&active={active}")
    }
    missing = traded - known
    assert 0.2 < len(missing) / len(traded) < 0.5
    assert len(missing - today) > len(missing & today)
    assert not missing & {"AAPL", "META", "FB"}


def test_companies_that_had_a_ticker_in_turn_have_names_and_identifiers_of_their_own(url: str) -> None:
    records = [record for active in ("true", "false") for record in listed(url, f"market=stocks&active={active}")]
    by_ticker: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_ticker.setdefault(record["ticker"], []).append(record)
    del by_ticker["QQQ"]  # the same fund's twice
    reused = [found for found in by_ticker.values() if len(found) > 1]
    assert len(reused) > 2
    assert all(len({record["name"] for record in found}) == len(found) for found in reused)
    figis = [[record["composite_figi"] for record in found if "composite_figi" in record] for found in reused]
    assert all(len(set(found)) == len(found) for found in figis)


def test_the_list_of_a_day_has_the_tickers_of_that_day(url: str) -> None:
    records = listed(url, "market=stocks&active=true&date=2022-01-05")
    traded = set(traded_tickers(CONFIG, date(2022, 1, 5)))
    found = {record["ticker"] for record in records}
    assert len(found & traded) > 0.5 * len(traded)
    assert {"FB", "META"} <= found  # the fund that had the ticker before


def test_a_renamed_security_continues_under_a_ticker_that_the_events_list(url: str) -> None:
    securities: dict[str, set[str]] = {}
    for session in list_sessions("XNYS", date(2014, 6, 17), date(2024, 6, 14))[::-20]:
        for ticker, security in traded_tickers(CONFIG, session).items():
            securities.setdefault(security, set()).add(ticker)
    now = traded_tickers(CONFIG, date(2024, 6, 14))
    renamed = [(ticker, securities[now[ticker]]) for ticker in now if len(securities[now[ticker]]) > 1]
    events = {ticker: get(url, f"/vX/reference/tickers/{ticker}/events").json() for ticker, _ in renamed}
    known = {ticker: body["results"] for ticker, body in events.items() if body["status"] == "OK"}
    assert len(known) > 5
    for ticker, names in renamed:
        if ticker in known:
            assert names <= {event["ticker_change"]["ticker"] for event in known[ticker]["events"]}
            assert known[ticker]["composite_figi"].startswith("BBG")


def test_only_the_markets_tickers_exist(url: str) -> None:
    assert "results" not in get(url, "/v2/aggs/ticker/ZZZZZ/range/1/day/2024-06-03/2024-06-07").json()
    before = len(grouped(url, SESSION))
    get(url, "/v2/aggs/ticker/QWERT/range/1/day/2024-06-03/2024-06-07")
    assert len(grouped(url, SESSION)) == before
