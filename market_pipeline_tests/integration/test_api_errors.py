"""Hostile requests: each is served or rejected, and nothing is executed, changed or disclosed."""

import asyncio
import csv
import http.client
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import errors

from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.problems import MEDIA_TYPE
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.roles import READER
from market_pipeline_tests.integration.api_cases import HISTORICAL, TABLES, Api, load_autumn, serving

SECRET = uuid4().hex
SPECIAL = [
    "'", "''", '"', "\\", "\\'", "';", "--", "/*", "*/", ";", "$$", "$1", "%", "%s", "%%", "%(a)s", "{0}", "`", "\n",
    "\r\n", "E'\\x27'", "U&'\\0027'", "\uff07", "\u02bc", "\ufeff", "\u202e", "NULL", "NaN", "{", "}", ",", "(",
    '"a",b', "😀",
]  # fmt: skip
"""Text with a meaning in SQL, in lists, in files or in placeholders."""

INJECTIONS = [
    "'; DROP TABLE public.canary; --", "`); drop table public.canary; --", '"; DROP TABLE public.canary; --',
    "1); DELETE FROM public.canary; --", "$$; DROP TABLE public.canary; $$", "\\'; DROP TABLE public.canary; --",
    "\u02bc; DROP TABLE public.canary", "' OR 1=1 --", "1 OR 1=1", "x') UNION SELECT secret FROM public.canary --",
    "(SELECT secret FROM public.canary)", "secret FROM public.canary", "pg_sleep(60)", "'||(SELECT pg_sleep(60))||'",
    "'; COPY public.canary TO PROGRAM 'id'; --",
]  # fmt: skip

UNUSUAL = [
    "\0", "null", "Infinity", "-0", "1e999", "9" * 400, "(" * 2000, "A" * 20_000, "{" * 500, ",,", ".", "..", "=",
    "&a=b", "#", "?", " ", "+", "*", "true", "-1", "1.5", "[]", "()", "(,)", '("', '("a\\',
]  # fmt: skip

PATHS = [
    "../", "..", "../../../etc/passwd", "%2e%2e%2f", "%2e%2e/%2e%2e/etc/passwd", "%252e%252e%252f", "..;/", "..;",
    "..%5c", "..%c0%af", "%00", "market_data%00", "market_data%00.json", "%2500", "market_data/", "market_data//",
    "./market_data", "market_data/../bar_source", "market_data%2f..%2fbar_source", "market_data;x=1", "market_data%20",
    "%22market_data%22", "market_data%27", "market_data%22;%20DROP%20TABLE%20canary;%20--", "%", "%zz", "%f0%28%8c%bc",
    "%ff", "//", "///example.com", "%0d%0aSet-Cookie:%20a=b", "public.canary", "public%2ecanary", "canary", "CANARY",
    "access.api_keys", "~", "*", "{table}", "__proto__", "%7b%7b7*7%7d%7d", "a" * 8000,
]  # fmt: skip
COLUMNS = ("symbol", "date", "close", "transactions", "validated", "fetched_at", "flags")
OPERATORS = (
    "",
    "eq.",
    "neq.",
    "gt.",
    "lt.",
    "in.(",
    "in.",
    "is.",
    "like.",
    "cs.",
    "cs.{",
    "not.",
    "not.eq.",
    "not.not.",
)
HISTORICAL_NAMES = (
    "start", "end", "adjustment", "as_of", "snapshot", "validated_only", "min_quality", "limit", "cursor",
    "format",
)  # fmt: skip

HOSTILE = (
    st.sampled_from([*SPECIAL, *INJECTIONS, *UNUSUAL])
    | st.lists(st.sampled_from([*SPECIAL, *INJECTIONS, "AAPL", "symbol", "2024-01-31"]), max_size=4).map("".join)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
FILTER = st.tuples(st.sampled_from(COLUMNS), st.builds("{}{}".format, st.sampled_from(OPERATORS), HOSTILE))
PLAIN = st.tuples(st.sampled_from(["select", "order", "limit", "cursor", "format"]), HOSTILE)
NAMED = st.tuples(HOSTILE, HOSTILE)
FORMAT = st.tuples(st.just("format"), st.sampled_from(["csv", "arrow"]))
PARAMETERS = st.lists(FILTER | PLAIN | NAMED | FORMAT, max_size=4)
MANY = settings(max_examples=200)


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars, with another table that no request may read or change."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        create_key(api.warehouse, SECRET, Scope.ADMIN)
        api.execute(
            f"CREATE TABLE public.canary AS SELECT '{SECRET}' AS secret",
            "CREATE TABLE analytics.texts (words text PRIMARY KEY)",
        )
        api.insert("analytics.texts", [(piece,) for piece in [*SPECIAL, *INJECTIONS]])
        yield api


@pytest.fixture(autouse=True)
def _nothing_changed(api: Api) -> Iterator[None]:
    """Check after each test that the warehouse is unchanged."""
    before = state(api)
    yield
    assert state(api) == before


def state(api: Api) -> list[tuple[Any, ...]]:
    """Return the tables with their numbers of rows."""
    return api.sql(
        "SELECT (SELECT array_agg(secret) FROM public.canary), (SELECT count(*) FROM market_data), "
        "(SELECT count(*) FROM splits), (SELECT count(*) FROM access.api_keys), (SELECT count(*) FROM pg_class), "
        "(SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_roles)"
    )


def send(api: Api, target: str, **headers: str) -> http.client.HTTPResponse:
    """Return the response for exactly this target; other clients normalize paths before they send them."""
    address = urlsplit(api.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 80, timeout=30)
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def assert_response_or_problem(api: Api, target: str, **headers: str) -> int:
    """Check that the response is rows or a problem and discloses nothing; return its status."""
    response = send(api, target, **headers)
    body = response.read()
    assert 200 <= response.status < 500, (target, response.status, body)
    assert SECRET.encode() not in body
    if response.status >= 400:
        document = json.loads(body)
        assert response.headers["content-type"] == MEDIA_TYPE
        assert document["status"] == response.status
    return response.status


# --- parameters and paths


@MANY
@example([("symbol", "eq.'; DROP TABLE public.canary; --"), ("format", "csv")])
@example([("symbol", "like.\\"), ("format", "arrow")])
@example([("symbol", "in.(" + "A," * 4000 + "A)")])
@example([("select", "symbol,secret FROM public.canary --")])
@example([("order", "date;DROP TABLE public.canary")])
@example([("date", "eq.2024-01-31'::date OR true --")])
@example([("flags", "cs.a\0b"), ("order", "date.desc; --")])
@given(PARAMETERS)
def test_no_parameter_of_a_table_does_harm(api: Api, parameters: list[tuple[str, str]]) -> None:
    assert_response_or_problem(api, f"{TABLES}/market_data?{urlencode(parameters)}")


@MANY
@given(HOSTILE, st.lists(st.tuples(st.sampled_from(HISTORICAL_NAMES) | HOSTILE, HOSTILE), max_size=3))
def test_no_symbol_and_no_parameter_of_its_history_does_harm(
    api: Api, symbol: str, parameters: list[tuple[str, str]]
) -> None:
    days = [("start", "2000-09-20"), ("end", "2000-10-10")]
    assert_response_or_problem(api, f"{HISTORICAL}/{quote(symbol, safe='')}?{urlencode([*days, *parameters])}")


@MANY
@given(HOSTILE)
def test_no_name_of_a_table_does_harm(api: Api, name: str) -> None:
    assert_response_or_problem(api, f"{TABLES}/{quote(name, safe='')}?limit=1")


@pytest.mark.parametrize("route", [f"{TABLES}/", f"{HISTORICAL}/", "/static/", "/api/v1/", "/"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_no_path_leads_outside_the_routes(api: Api, route: str, path: str) -> None:
    days = "?start=2000-09-20&end=2000-10-10" if route == f"{HISTORICAL}/" else ""
    assert assert_response_or_problem(api, f"{route}{path}{days}") in (400, 404)


@pytest.mark.parametrize(
    "raw",
    ["symbol=eq.%ff", "%ff=1", "symbol=eq.%", "a=b;c=d", "&&&", "=", "symbol", "%00=%00", "?", "a" * 60_000],
    ids=lambda raw: raw[:20],
)
def test_no_malformed_query_does_harm(api: Api, raw: str) -> None:
    assert_response_or_problem(api, f"{TABLES}/market_data?{raw}")


def test_many_conditions_work_like_few(api: Api) -> None:
    assert assert_response_or_problem(api, f"{TABLES}/market_data?{'close=gt.1&' * 4000}limit=1") == 200


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_text_with_a_meaning_in_sql_is_a_text_like_any_other(api: Api, kind: str) -> None:
    """A value is returned as it was stored, in formats read with and without placeholders.

    In CSV an apostrophe keeps a spreadsheet from computing it.
    """
    for piece in [*SPECIAL, *INJECTIONS]:
        found = api.get(f"{TABLES}/texts", [("words", f"eq.{piece}"), ("format", kind)])
        rows = found.json()["data"] if kind == "json" else csv.DictReader(io.StringIO(found.text, newline=""))
        shown = f"'{piece}" if kind == "csv" and piece[0] in "=+-@\t\r\n" else piece
        assert [row["words"] for row in rows] == [shown]


@pytest.mark.parametrize("name", ["Accept", "If-None-Match", "X-API-Key", "Accept-Encoding", "Origin", "Forwarded"])
def test_no_header_does_harm(api: Api, name: str) -> None:
    for piece in [*SPECIAL, *INJECTIONS, *UNUSUAL]:
        if piece.isascii() and piece.isprintable():
            assert_response_or_problem(api, f"{TABLES}/market_data?limit=1", **{name: piece})


# --- the role that all of it runs as


@pytest.fixture
def reading(api: Api) -> Iterator[psycopg.Connection]:
    """A connection like the API's, with the read-only settings undone as far as its role can."""
    assert api.settings.database_url is not None
    url = api.settings.database_url.get_secret_value()
    with psycopg.connect(url, options=f"-c role={READER}", autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


def test_the_apis_connections_are_of_the_reading_role_and_read_only(api: Api) -> None:
    async def read_session() -> tuple[Any, ...]:
        assert api.settings.database_url is not None
        reader = Reader(api.settings.database_url, READER)
        await reader.open()
        try:
            return await reader.row("SELECT current_user, current_setting('transaction_read_only')")
        finally:
            await reader.close()

    assert asyncio.run(read_session()) == (READER, "on")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO market_data SELECT * FROM market_data LIMIT 1",
        "UPDATE market_data SET close = 1",
        "DELETE FROM market_data",
        "TRUNCATE splits",
        "DROP TABLE public.canary",
        "ALTER TABLE market_data ADD COLUMN mine int",
        "CREATE TABLE public.mine ()",
        "CREATE TABLE analytics.mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE another",
        "GRANT SELECT ON access.api_keys TO market_reader",
        "ALTER ROLE market_reader SUPERUSER",
        "COPY market_data FROM STDIN",
        "COPY market_data FROM PROGRAM 'id'",
        "COPY market_data TO PROGRAM 'id'",
        "COPY market_data TO '/tmp/market_data'",
        "COPY market_data FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_reload_conf()",
        "SELECT * FROM pg_authid",
        "SELECT * FROM access.api_keys",
        "SELECT key_hash FROM access.api_keys",
        "INSERT INTO access.api_keys (id) VALUES ('x')",
        "SELECT setval(pg_get_serial_sequence('public.dividends', 'id'), 1)",
        "DO $$ BEGIN LOCK TABLE market_data; END $$",
    ],
)
def test_postgresql_lets_the_role_only_read(reading: psycopg.Connection, statement: str) -> None:
    for again in ("SELECT", "RESET ROLE"):  # which leads back to the role, not to the user behind it
        reading.execute(again)
        with pytest.raises(errors.InsufficientPrivilege):
            reading.execute(statement)
    assert reading.execute("SELECT current_user").fetchone() == (READER,)


def test_the_role_reads_served_tables(reading: psycopg.Connection) -> None:
    assert reading.execute("SELECT count(*) FROM market_data_as_of(settled_point())").fetchone() == (66,)
    assert reading.execute("SELECT count(*) > 0 FROM coverage_by_month").fetchone() == (True,)
