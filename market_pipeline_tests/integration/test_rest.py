"""`/rest/v1`: filters, columns, order, ranges, counts, forms and errors, as PostgREST has them.

Expected values are plain SQL's, or those of PostgREST's documentation and of its own tests.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.integration.api_cases import (
    KINDS,
    ROWS,
    TABLES,
    Api,
    Parameters,
    load_autumn,
    serving,
    until_served,
)
from market_pipeline_tests.integration.test_api_tables import FILTERS

REST = "/rest/v1"
SINGLE = "application/vnd.pgrst.object+json"
STRIPPED = "application/vnd.pgrst.array+json;nulls=stripped"
MANY = 25_000
"""Rows of a table that is streamed."""


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars, a table with a column of every type, and a large one."""
    with serving(server, tmp_path_factory.mktemp("rest")) as api:
        load_autumn(api.warehouse)
        api.execute(
            KINDS,
            ROWS.replace("%", "%%"),
            "CREATE TABLE analytics.many (id integer PRIMARY KEY, name text)",
            f"INSERT INTO analytics.many SELECT i, 'row ' || i FROM generate_series(1, {MANY}) AS i",
            "ANALYZE analytics.many",
        )
        until_served(api, "many")
        yield api


def read(api: Api, table: str, *parameters: tuple[str, str], **headers: str) -> Any:
    """Return the body of a response as JSON."""
    response = api.get(f"{REST}/{table}", parameters, **headers)
    assert response.ok, response.text
    return response.json()


def ids(api: Api, *parameters: tuple[str, str]) -> list[int]:
    """Return the ids of the rows of `kinds`."""
    return [row["id"] for row in read(api, "kinds", ("select", "id"), *parameters)]


def error(response: requests.Response, status: int) -> dict[str, Any]:
    """Check that a response is an error of this status in PostgREST's form, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body: dict[str, Any] = response.json()
    assert set(body) == {"code", "details", "hint", "message"}
    assert response.headers["proxy-status"] == f"PostgREST; error={body['code']}"
    return body


# --- filters


def test_the_filters_of_tables_choose_the_same_rows_here(api: Api) -> None:
    for column, value, condition in FILTERS:
        if ".cs." in f".{value}" and "{" not in value:
            continue  # a value without braces is a list only in the other API
        expected = [row[0] for row in api.sql(f"SELECT id FROM analytics.kinds WHERE {condition} ORDER BY id")]
        assert ids(api, (column, value)) == expected, (column, value)


@pytest.mark.parametrize(
    ("parameters", "condition"),
    [
        ([("name", "match.^A+P")], "name ~ '^A+P'"),
        ([("name", "imatch.^a+p")], "name ~* '^a+p'"),
        ([("name", "not.match.^A")], "name !~ '^A'"),
        ([("name", "like(any).{AAP*,*€}")], "name LIKE ANY ('{AAP%,%€}')"),
        ([("name", "like(all).{A*,*L}")], "name LIKE ALL ('{A%,%L}')"),
        ([("name", "not.ilike(any).{a*}")], "NOT name ILIKE ANY ('{a%}')"),
        ([("id", "eq(any).{1,3}")], "id IN (1, 3)"),
        ([("id", "gt(all).{1,3}")], "id > 3"),
        ([("name", "isdistinct.AAPL")], "name IS DISTINCT FROM 'AAPL'"),
        ([("good", "is.NULL")], "good IS NULL"),
        ([("flags", "cd.{jump,other}")], "flags <@ '{jump,other}'"),
        ([("flags", "ov.{volume,other}")], "flags && '{volume,other}'"),
        ([("flags", "eq.{}")], "flags = '{}'"),
        ([("name", "fts.aapl")], "to_tsvector(name) @@ to_tsquery('aapl')"),
        ([("name", "plfts(simple).AAP")], "to_tsvector('simple', name) @@ plainto_tsquery('simple', 'AAP')"),
        ([("at", "gte.2024-01-31 12:00:00.000001")], "at >= '2024-01-31 12:00:00.000001+00'"),
        ([("day", "lte.infinity")], "day <= 'infinity'"),
        ([("or", "(id.lt.2,id.gt.6)")], "id < 2 OR id > 6"),
        ([("not.or", "(id.lt.2,id.gt.6)")], "NOT (id < 2 OR id > 6)"),
        ([("and", "(id.gte.2,not.and(id.gte.3,id.lte.5))")], "id >= 2 AND NOT (id >= 3 AND id <= 5)"),
        ([("good", "is.true"), ("or", "(id.eq.4,and(price.gt.0,price.lt.1))")], "good AND id IN (4, 7)"),
        ([("or", '(name.eq."AAP,L",name.in.(AAPL,"a \\"b\\" (c)"))')], """name IN ('AAP,L', 'AAPL', 'a "b" (c)')"""),
        ([("or", "(flags.cs.{jump,volume},flags.eq.{})")], "flags @> '{jump,volume}' OR flags = '{}'"),
        ([("or", "(price.eq.-2.25,ratio.lt.-2.5)")], "price = -2.25 OR ratio < -2.5"),
        ([("or", "( id.eq.1 , id.not.in.(1,2,3,4,5,6) )")], "id IN (1, 7)"),
        ([("or", "(name.is.null,name.eq.)")], "name IS NULL OR name = ''"),
        ([("or", "(id.eq.1,id.eq.2)"), ("or", "(id.eq.2,id.eq.3)")], "id = 2"),
        ([('"name"', "eq.AAPL")], "name = 'AAPL'"),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_of_postgrest_chooses_the_rows_that_sql_chooses(
    api: Api, parameters: Parameters, condition: str
) -> None:
    expected = [row[0] for row in api.sql(f"SELECT id FROM analytics.kinds WHERE {condition} ORDER BY id")]
    assert ids(api, *parameters) == expected


# --- columns and order


def test_columns_are_renamed_cast_and_repeated(api: Api) -> None:
    select = "symbol,on:date,*,close::text,shares:volume::numeric,rounded:close::int"
    [row] = read(api, "market_data", ("select", select), ("symbol", "eq.IBM"), ("date", "eq.2000-09-11"))
    [(close, volume)] = api.sql(
        "SELECT close::text, volume FROM market_data WHERE symbol = 'IBM' AND date = '2000-09-11'"
    )
    assert (row["on"], row["close"], row["shares"]) == ("2000-09-11", close, volume)
    assert row["rounded"] == round(float(close))
    assert row["source"]


def test_a_column_may_be_quoted_and_a_name_hold_anything(api: Api) -> None:
    select = '"a ""100%"" % s, name":name,"id"'.replace('""', '\\"')
    assert read(api, "kinds", ("select", select), ("id", "eq.1")) == [{'a "100%" % s, name': "AAPL", "id": 1}]


@pytest.mark.parametrize(
    ("order", "sql"),
    [
        ("name", "name, id"),
        ("price.desc,name.asc", "price DESC, name, id"),
        ("trades.desc.nullslast,name.nullsfirst", "trades DESC NULLS LAST, name NULLS FIRST, id"),
        ("day.asc.nullsfirst", "day NULLS FIRST, id"),
        ("flags", "flags, id"),
        ("", "id"),
    ],
)
def test_rows_have_the_order_of_sql(api: Api, order: str, sql: str) -> None:
    assert ids(api, ("order", order)) == [row[0] for row in api.sql(f"SELECT id FROM analytics.kinds ORDER BY {sql}")]


def test_every_table_is_served_with_the_rows_that_the_other_api_has(api: Api) -> None:
    for table in api.get(TABLES).json()["tables"]:
        rows = read(api, table["name"], ("limit", "5"))
        assert rows == api.rows(table["name"], ("limit", "5")), table["name"]


# --- ranges and counts


@pytest.mark.parametrize(
    ("parameters", "headers", "status", "content_range", "found"),
    [
        ([], {}, 200, "0-6/*", [1, 2, 3, 4, 5, 6, 7]),
        ([], {"prefer": "count=exact"}, 200, "0-6/7", [1, 2, 3, 4, 5, 6, 7]),
        ([("limit", "3")], {}, 200, "0-2/*", [1, 2, 3]),
        ([("limit", "3")], {"prefer": "count=exact"}, 206, "0-2/7", [1, 2, 3]),
        ([("limit", "3"), ("offset", "2")], {"prefer": "count=exact"}, 206, "2-4/7", [3, 4, 5]),
        ([("offset", "5")], {}, 200, "5-6/*", [6, 7]),
        ([("offset", "-4"), ("limit", "1")], {}, 200, "0-0/*", [1]),
        ([("offset", "7")], {"prefer": "count=exact"}, 206, "*/7", []),
        ([("limit", "0")], {}, 200, "*/*", []),
        ([("limit", "all")], {}, 200, "0-6/*", [1, 2, 3, 4, 5, 6, 7]),
        ([("id", "eq.0")], {"prefer": "count=exact"}, 200, "*/0", []),
        ([("id", "lt.3")], {"prefer": "return=representation, count=exact"}, 200, "0-1/2", [1, 2]),
        ([], {"range_unit": "items", "range": "0-1"}, 200, "0-1/*", [1, 2]),
        ([], {"range": "5-"}, 200, "5-6/*", [6, 7]),
        ([], {"range": "5-100", "prefer": "count=exact"}, 206, "5-6/7", [6, 7]),
        ([("limit", "3")], {"range": "0-1"}, 200, "0-1/*", [1, 2]),
        ([("limit", "3"), ("offset", "1")], {"range": "2-9"}, 200, "2-3/*", [3, 4]),
        ([], {"range": "bytes=0-1"}, 200, "0-6/*", [1, 2, 3, 4, 5, 6, 7]),
        ([], {"prefer": "count=estimated"}, 200, "0-6/7", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_range_has_the_rows_status_and_content_range_of_postgrest(
    api: Api, parameters: Parameters, headers: dict[str, str], status: int, content_range: str, found: list[int]
) -> None:
    response = api.get(f"{REST}/kinds", [("select", "id"), *parameters], **headers)
    assert (response.status_code, response.headers["content-range"]) == (status, content_range)
    assert [row["id"] for row in response.json()] == found


def test_a_planned_count_is_that_of_postgresql(api: Api) -> None:
    response = api.get(f"{REST}/many", [("limit", "1")], prefer="count=planned")
    assert response.status_code == 206
    assert response.headers["content-range"] == f"0-0/{MANY}"  # the table was analyzed
    assert response.headers["preference-applied"] == "count=planned"


def test_an_estimated_count_is_exact_up_to_the_limit_of_rows_and_planned_above(
    server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(server, tmp_path_factory.mktemp("counts"), api_max_rows=10) as api:
        api.execute("CREATE TABLE analytics.counted (id int PRIMARY KEY) WITH (autovacuum_enabled = false)")
        api.execute("INSERT INTO analytics.counted SELECT generate_series(1, 30)", "ANALYZE analytics.counted")
        api.execute("INSERT INTO analytics.counted SELECT generate_series(31, 40)")
        until_served(api, "counted")
        few = api.get(f"{REST}/counted", [("id", "gt.35")], prefer="count=estimated")
        all_rows = api.get(f"{REST}/counted", prefer="count=estimated")
        assert few.headers["content-range"] == "0-4/5"
        planned = int(all_rows.headers["content-range"].partition("/")[2])
        assert planned > 10
        assert len(all_rows.json()) == 40


def test_head_has_the_headers_of_get_and_no_body(api: Api) -> None:
    def head(*parameters: tuple[str, str], **headers: str) -> requests.Response:
        return api.session.head(f"{api.url}{REST}/kinds", params=list(parameters), headers=headers, timeout=30)

    response = head(("limit", "3"), ("offset", "2"), Prefer="count=exact")
    assert (response.status_code, response.headers["content-range"], response.content) == (206, "2-4/7", b"")
    assert head(Range="0-1").headers["content-range"] == "0-6/*"  # the header has a meaning for GET alone
    missing = api.session.head(f"{api.url}{REST}/kind", timeout=30)
    assert (missing.status_code, missing.headers["proxy-status"]) == (404, "PostgREST; error=PGRST205")


# --- forms


def test_one_row_is_an_object_if_that_is_accepted(api: Api) -> None:
    response = api.get(f"{REST}/kinds", [("select", "id,name"), ("id", "eq.1")], accept=SINGLE)
    assert response.json() == {"id": 1, "name": "AAPL"}
    assert response.headers["content-type"] == f"{SINGLE}; charset=utf-8"


@pytest.mark.parametrize(("condition", "count"), [("lt.0", 0), ("gt.2", 5)])
def test_no_row_and_several_are_no_object(api: Api, condition: str, count: int) -> None:
    assert error(api.get(f"{REST}/kinds", [("id", condition)], accept=SINGLE), 406) == {
        "code": "PGRST116",
        "details": f"The result contains {count} rows",
        "hint": None,
        "message": "Cannot coerce the result to a single JSON object",
    }


def test_nulls_are_left_out_if_that_is_accepted(api: Api) -> None:
    select = ("select", "id,name,price")
    assert read(api, "kinds", select, ("id", "eq.6"), accept=STRIPPED) == [{"id": 6}]
    assert read(api, "kinds", select, ("id", "eq.6")) == [{"id": 6, "name": None, "price": None}]
    assert read(api, "kinds", select, ("id", "eq.6"), accept=f"{SINGLE};nulls=stripped") == {"id": 6}


def test_csv_has_names_and_the_values_that_postgresql_writes(api: Api) -> None:
    response = api.get(f"{REST}/kinds", [("select", "n:name,flags,good"), ("id", "lte.4")], accept="text/csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(response.text))) == [
        ["n", "flags", "good"],
        ["AAPL", "{}", "t"],
        ["AAP,L", "{jump}", "f"],
        ['a "b" (c)', "{jump,volume}", ""],
        ["100%_a\\b", "", "t"],
    ]
    assert response.headers["content-range"] == "0-3/*"


def test_a_text_in_csv_is_no_formula(api: Api) -> None:
    api.execute("CREATE TABLE analytics.formulas AS SELECT '=1+1' AS text, -1 AS number")
    until_served(api, "formulas")
    response = api.get(f"{REST}/formulas", [("select", "text,number,number::text")], accept="text/csv")
    assert response.text == "text,number,number\n'=1+1,-1,-1\n"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/xhtml+xml, */*;q=0.8"])
def test_an_array_is_the_form_that_others_accept(api: Api, accept: str) -> None:
    assert read(api, "kinds", ("select", "id"), ("id", "eq.1"), accept=accept) == [{"id": 1}]


def test_many_rows_are_complete_and_streamed_in_every_form(api: Api) -> None:
    response = api.get(f"{REST}/many", prefer="count=exact")
    assert response.headers["content-range"] == f"0-{MANY - 1}/{MANY}"
    assert "content-length" not in response.headers
    assert response.json() == [{"id": i, "name": f"row {i}"} for i in range(1, MANY + 1)]
    part = api.get(f"{REST}/many", [("offset", "5"), ("limit", "20000"), ("order", "id.desc")], prefer="count=exact")
    assert (part.status_code, part.headers["content-range"]) == (206, f"5-20004/{MANY}")
    assert [row["id"] for row in part.json()] == list(range(MANY - 5, MANY - 20005, -1))
    text = api.get(f"{REST}/many", accept="text/csv").text
    assert text == "id,name\n" + "".join(f"{i},row {i}\n" for i in range(1, MANY + 1))


# --- errors

NO_RELATION = "Could not find a relationship between 'kinds' and 'splits' in the schema cache"
NO_AGGREGATES = "Use of aggregate functions is not allowed"


@pytest.mark.parametrize(
    ("parameters", "status", "code", "message"),
    [
        ([("colour", "eq.red")], 400, "42703", "column kinds.colour does not exist"),
        ([("select", "id,colour")], 400, "42703", "column kinds.colour does not exist"),
        ([("order", "colour.desc")], 400, "42703", "column kinds.colour does not exist"),
        ([("or", "(id.eq.1,colour.eq.red)")], 400, "42703", "column kinds.colour does not exist"),
        ([("id", "3")], 400, "PGRST100", '"failed to parse filter (3)" (line 1, column 1)'),
        ([("id", "between.1")], 400, "PGRST100", '"failed to parse filter (between.1)" (line 1, column 1)'),
        ([("id", "is.maybe")], 400, "PGRST100", '"failed to parse filter (is.maybe)" (line 1, column 4)'),
        ([("id", "in.1,2")], 400, "PGRST100", '"failed to parse filter (in.1,2)" (line 1, column 4)'),
        ([("id", "in.(1,2")], 400, "PGRST100", '"failed to parse filter (in.(1,2)" (line 1, column 8)'),
        ([("id", "neq(any).{1}")], 400, "PGRST100", '"failed to parse filter (neq(any).{1})" (line 1, column 1)'),
        ([("or", "id.eq.1")], 400, "PGRST100", '"failed to parse logic tree (id.eq.1)" (line 1, column 1)'),
        ([("or", "(id.eq.1")], 400, "PGRST100", '"failed to parse logic tree ((id.eq.1)" (line 1, column 9)'),
        ([("or", "()")], 400, "PGRST100", '"failed to parse logic tree (())" (line 1, column 2)'),
        ([("order", "id.up")], 400, "PGRST100", '"failed to parse order (id.up)" (line 1, column 4)'),
        ([("order", "id.descc")], 400, "PGRST100", '"failed to parse order (id.descc)" (line 1, column 4)'),
        ([("select", "id::")], 400, "PGRST100", '"failed to parse select parameter (id::)" (line 1, column 5)'),
        ([("select", "id::money")], 400, "42704", 'type "money" does not exist'),
        (
            [("select", "id::int); DROP TABLE x")],
            400,
            "PGRST100",
            '"failed to parse select parameter (id::int); DROP TABLE x)" (line 1, column 8)',
        ),
        ([("id", "eq.x")], 400, "22P02", 'invalid input syntax for type integer: "x"'),
        ([("id", "eq.2147483648")], 400, "22003", 'value "2147483648" is out of range for type integer'),
        ([("day", "eq.2024-02-30")], 400, "22008", 'date/time field value out of range: "2024-02-30"'),
        ([("day", "like.2024*")], 404, "42883", "operator does not exist: date ~~ text"),
        ([("payload", "eq.1")], 404, "42883", "operator does not exist: json = json"),
        ([("order", "payload")], 404, "42883", "could not identify an ordering operator for type json"),
        ([("name", "is.true")], 400, "42804", "argument of IS TRUE must be type boolean, not type text"),
        ([("name", "match.(")], 400, "2201B", "invalid regular expression: parentheses () not balanced"),
        ([("flags", "cs.jump")], 400, "22P02", 'malformed array literal: "jump"'),
        ([("select", "day::int")], 400, "42846", "cannot cast type date to integer"),
        ([("select", "name::int")], 400, "22P02", 'invalid input syntax for type integer: "AAPL"'),
        ([("name", "eq.a\0b")], 400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00'),
        ([("limit", "-1")], 416, "PGRST103", "Requested range not satisfiable"),
        ([("select", "*,splits(*)")], 400, "PGRST200", NO_RELATION),
        ([("select", "id,other:splits!inner(ratio)")], 400, "PGRST200", NO_RELATION),
        ([("select", "...splits(ratio)")], 400, "PGRST200", NO_RELATION),
        ([("splits.date", "eq.2020-01-01")], 400, "PGRST108", "'splits' is not an embedded resource in this request"),
        ([("splits.order", "date")], 400, "PGRST108", "'splits' is not an embedded resource in this request"),
        ([("splits.or", "(a.eq.1)")], 400, "PGRST108", "'splits' is not an embedded resource in this request"),
        ([("order", "splits(date)")], 400, "PGRST108", "'splits' is not an embedded resource in this request"),
        ([("select", "price.max()")], 400, "PGRST123", NO_AGGREGATES),
        ([("select", "count()")], 400, "PGRST123", NO_AGGREGATES),
        ([("select", "payload->>a")], 400, "PGRST127", "Feature not implemented"),
        ([("payload->>a", "eq.1")], 400, "PGRST127", "Feature not implemented"),
    ],
    ids=str,
)
def test_a_wrong_request_has_the_error_of_postgrest(
    api: Api, parameters: Parameters, status: int, code: str, message: str
) -> None:
    found = error(api.get(f"{REST}/kinds", parameters), status)
    assert (found["code"], found["message"]) == (code, message)


def test_a_range_beyond_the_last_row_is_an_error_if_rows_are_counted(api: Api) -> None:
    response = api.get(f"{REST}/kinds", [("offset", "100")], prefer="count=exact")
    assert error(response, 416) == {
        "code": "PGRST103",
        "details": "An offset of 100 was requested, but there are only 7 rows.",
        "hint": None,
        "message": "Requested range not satisfiable",
    }
    assert response.headers["content-range"] == "*/7"
    wrong = error(api.get(f"{REST}/kinds", range="1-0"), 416)
    assert wrong["details"].startswith("The lower boundary must be lower than or equal to the upper boundary")


def test_errors_suggest_the_nearest_names(api: Api) -> None:
    table = error(api.get(f"{REST}/market_dat"), 404)
    assert table["message"] == "Could not find the table 'public.market_dat' in the schema cache"
    assert (table["code"], table["hint"]) == ("PGRST205", "Perhaps you meant the table 'public.market_data'")
    column = error(api.get(f"{REST}/kinds", [("trade", "eq.1")]), 400)
    assert column["hint"] == 'Perhaps you meant to reference the column "kinds.trades".'
    filters = error(api.get(f"{REST}/kinds", [("id", "1")]), 400)
    assert filters["details"] == 'unexpected "1" expecting "not" or operator (eq, gt, ...)'


@pytest.mark.parametrize("table", ["api_keys", "access.api_keys", "pg_roles", "market_data_as_of", "alembic_version"])
def test_internal_tables_are_not_served(api: Api, table: str) -> None:
    assert error(api.get(f"{REST}/{table}"), 404)["code"] == "PGRST205"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_written(api: Api, method: str) -> None:
    response = api.session.request(method, f"{api.url}{REST}/kinds?id=eq.1", json={"id": 1}, timeout=30)
    found = error(response, 405)
    assert (found["code"], found["message"]) == ("PGRST117", f"Unsupported HTTP method: {method}")
    assert found["hint"] == "This API only reads: use GET or HEAD"
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "code"), [("/rpc/median", "PGRST202"), ("/", "PGRST126"), ("/kinds/1", "PGRST125"), ("/a/b/c", "PGRST125")]
)
def test_other_paths_of_postgrest_have_its_errors(api: Api, path: str, code: str) -> None:
    assert error(api.get(REST + path), 404)["code"] == code
    assert error(api.session.post(f"{api.url}{REST}{path}", json={}, timeout=30), 404)["code"] == code


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"accept": "application/xml"}, 406, "PGRST107"),
        ({"accept": "application/vnd.pgrst.plan+json"}, 406, "PGRST107"),
        ({"accept_profile": "private"}, 406, "PGRST106"),
        ({"prefer": "handling=strict, foo, count=exact"}, 400, "PGRST122"),
    ],
)
def test_a_header_that_can_not_be_followed_is_an_error(
    api: Api, headers: dict[str, str], status: int, code: str
) -> None:
    assert error(api.get(f"{REST}/kinds", [], **headers), status)["code"] == code


def test_trees_as_deep_as_a_url_can_hold_are_rejected(api: Api) -> None:
    deep = f"({'and(' * 6000}id.eq.1{')' * 6001}"
    assert error(api.get(f"{REST}/kinds", [("or", deep)]), 400)["code"] == "PGRST100"
    nested = f"({'and(' * 30}id.eq.1{')' * 31}"
    assert ids(api, ("or", nested)) == [1]


def test_as_many_filters_as_a_url_can_hold_are_served(api: Api) -> None:
    assert ids(api, ("or", f"({','.join(['id.eq.1'] * 6000)})")) == [1]


# --- keys and origins


def test_a_key_comes_as_the_clients_send_it(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keys")
    with serving(server, folder, api_key_required=True, api_cors_origins="https://desk.example") as api:
        key = create_key(api.warehouse, "desk", Scope.READ).get_secret_value()
        for headers in ({"apikey": key}, {"authorization": f"Bearer {key}"}, {"x_api_key": key}):
            assert read(api, "tracked_symbols", **headers) == []
        for headers in ({}, {"apikey": "wrong"}, {"authorization": "Bearer wrong"}, {"authorization": key}):
            assert error(api.get(f"{REST}/tracked_symbols", [], **headers), 401)["code"] == "PGRST301"
        origin = {"Origin": "https://desk.example", "Access-Control-Request-Method": "GET"}
        sent = {"Access-Control-Request-Headers": "apikey, authorization, prefer, range, x-client-info"}
        preflight = api.session.options(f"{api.url}{REST}/tracked_symbols", headers=origin | sent, timeout=30)
        assert preflight.status_code == 200, preflight.text
        response = api.session.get(f"{api.url}{REST}/tracked_symbols", headers=origin | {"apikey": key}, timeout=30)
        assert "Content-Range" in response.headers["access-control-expose-headers"]
