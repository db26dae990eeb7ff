"""Clients of PostgREST against a live server: `postgrest` of Python and `@supabase/postgrest-js`.

The queries are those of the clients' own documentation, written anew for these tables. The JavaScript client is run
where `make clients` has installed it.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgrest import APIError, AsyncPostgrestClient, CountMethod, SyncPostgrestClient

from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.integration.api_cases import KINDS, ROWS, Api, load_autumn, serving, until_served

CHECKOUT = Path(__file__).parents[2]
CLIENTS = CHECKOUT / "build" / "clients"
SCRIPT = CHECKOUT / "market_pipeline_tests" / "data" / "javascript" / "postgrest_client.mjs"


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars and a table with a column of every type."""
    with serving(server, tmp_path_factory.mktemp("clients")) as api:
        load_autumn(api.warehouse)
        api.execute(KINDS, ROWS.replace("%", "%%"), "ANALYZE analytics.kinds")
        until_served(api, "kinds")
        yield api


@pytest.fixture(scope="module")
def client(api: Api) -> SyncPostgrestClient:
    """The Python client."""
    return SyncPostgrestClient(f"{api.url}/rest/v1")


def ids(api: Api, condition: str, order: str = "id") -> list[dict[str, Any]]:
    """Return the rows of the table `kinds` that plain SQL returns, with their ids alone."""
    return [{"id": row[0]} for row in api.sql(f"SELECT id FROM analytics.kinds WHERE {condition} ORDER BY {order}")]


# --- Python

QUERIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "eq": (lambda kinds: kinds.eq("name", "AAPL"), "name = 'AAPL'"),
    "neq": (lambda kinds: kinds.neq("name", "AAPL"), "name <> 'AAPL'"),
    "comparisons": (lambda kinds: kinds.gt("id", 1).gte("id", 3).lt("id", 6).lte("id", 5), "id IN (3, 4, 5)"),
    "like": (lambda kinds: kinds.like("name", "AAP%"), "name LIKE 'AAP%'"),
    "ilike": (lambda kinds: kinds.ilike("name", "%aap%"), "name ILIKE '%aap%'"),
    "like_any_of": (lambda kinds: kinds.like_any_of("name", "AAPL,%€"), "name LIKE ANY ('{AAPL,%€}')"),
    "ilike_all_of": (lambda kinds: kinds.ilike_all_of("name", "a%,%l"), "name ILIKE ALL ('{a%,%l}')"),
    "is_": (lambda kinds: kinds.is_("good", True).is_("name", "not_null"), "good AND name IS NOT NULL"),
    "is_ null": (lambda kinds: kinds.is_("name", None), "name IS NULL"),
    "in_": (lambda kinds: kinds.in_("name", ["AAPL", "AAP,L", 'a "b" (c)']), "id IN (1, 2, 3)"),
    "contains": (lambda kinds: kinds.contains("flags", ["two words"]), "flags = '{two words}'"),
    "contained_by": (lambda kinds: kinds.contained_by("flags", ["jump", "other"]), "flags <@ '{jump,other}'"),
    "overlaps": (lambda kinds: kinds.overlaps("flags", ["volume"]), "'volume' = ANY (flags)"),
    "match": (lambda kinds: kinds.match({"price": 1.5, "name": "AAPL"}), "id = 1"),
    "not_": (lambda kinds: kinds.not_.is_("name", "null"), "name IS NOT NULL"),
    "not_ in": (lambda kinds: kinds.not_.in_("id", [1, 2, 3]), "id > 3"),
    "or_": (lambda kinds: kinds.or_("id.eq.2,and(id.gte.5,name.is.null)"), "id IN (2, 6)"),
    "not_ or_": (lambda kinds: kinds.not_.or_("id.lt.3,id.gt.5"), "id IN (3, 4, 5)"),
    "filter": (lambda kinds: kinds.filter("name", "in", '("AAPL","AAP,L")'), "id IN (1, 2)"),
    "text search": (lambda kinds: kinds.fts("name", "aapl"), "name = 'AAPL'"),
    "order": (lambda kinds: kinds.order("day", desc=True, nullsfirst=False).order("id", desc=True), "TRUE"),
    "limit": (lambda kinds: kinds.limit(2).offset(1), "id IN (2, 3)"),
    "range": (lambda kinds: kinds.range(2, 4), "id IN (3, 4, 5)"),
}  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_of_the_python_client_has_the_rows_of_sql(api: Api, client: SyncPostgrestClient, name: str) -> None:
    query, condition = QUERIES[name]
    order = "day DESC NULLS LAST, id DESC" if name == "order" else "id"
    expected = ids(api, condition, order)
    assert query(client.from_("kinds").select("id")).execute().data == expected
    assert expected


def test_the_python_client_renames_casts_and_counts(api: Api, client: SyncPostgrestClient) -> None:
    query = client.from_("market_data").select("symbol", "last:close::text", count=CountMethod.exact)
    found = query.eq("symbol", "IBM").order("date").limit(2).execute()
    closes = api.sql("SELECT close::text FROM market_data WHERE symbol = 'IBM' ORDER BY date LIMIT 2")
    assert found.data == [{"symbol": "IBM", "last": close} for (close,) in closes]
    assert found.count == 22
    for count, expected in (("exact", 66), ("estimated", 66)):
        head = client.from_("market_data").select("*", count=CountMethod(count), head=True).execute()
        assert (head.data, head.count) == ([], expected)


def test_the_python_client_gets_one_row_or_its_error(client: SyncPostgrestClient) -> None:
    def kinds() -> Any:
        return client.from_("kinds").select("id")

    assert kinds().eq("id", 1).single().execute().data == {"id": 1}
    assert kinds().eq("id", 1).maybe_single().execute().data == {"id": 1}
    assert kinds().eq("id", 99).maybe_single().execute() is None
    with pytest.raises(APIError) as none:
        kinds().eq("id", 99).single().execute()
    assert (none.value.code, none.value.details) == ("PGRST116", "The result contains 0 rows")
    assert kinds().eq("id", 6).strip_nulls().execute().data == [{"id": 6}]
    assert client.from_("kinds").select("id,name").lte("id", 2).csv().execute().data == 'id,name\n1,AAPL\n2,"AAP,L"\n'


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (lambda client: client.from_("kind").select("*"), "PGRST205"),
        (lambda client: client.from_("kinds").select("idd"), "42703"),
        (lambda client: client.from_("kinds").select("*, splits(*)"), "PGRST200"),
        (lambda client: client.from_("kinds").select("price.max()"), "PGRST123"),
        (lambda client: client.from_("kinds").select("*").explain(), "PGRST107"),
        (lambda client: client.from_("kinds").select("*").eq("day", "soon"), "22007"),
        (lambda client: client.from_("kinds").select("*", count=CountMethod.exact).range(100, 110), "PGRST103"),
        (lambda client: client.from_("kind").select("*", head=True), "PGRST205"),
        (lambda client: client.from_("kinds").insert({"id": 8}), "PGRST117"),
        (lambda client: client.from_("kinds").upsert({"id": 8}), "PGRST117"),
        (lambda client: client.from_("kinds").update({"id": 8}).eq("id", 1), "PGRST117"),
        (lambda client: client.from_("kinds").delete().eq("id", 1), "PGRST117"),
        (lambda client: client.rpc("median", {"of": "close"}), "PGRST202"),
        (lambda client: client.schema("private").from_("kinds").select("*"), "PGRST106"),
    ],
)
def test_the_python_client_reads_our_errors(api: Api, query: Callable[[Any], Any], code: str) -> None:
    with pytest.raises(APIError) as error:
        query(SyncPostgrestClient(f"{api.url}/rest/v1")).execute()
    assert error.value.code == code
    assert error.value.message


def test_the_asynchronous_python_client_reads_too(api: Api) -> None:
    async def read() -> Any:
        async with AsyncPostgrestClient(f"{api.url}/rest/v1") as client:
            return (await client.from_("kinds").select("id").eq("id", 1).execute()).data

    assert asyncio.run(read()) == [{"id": 1}]


def test_the_python_client_sends_a_key_as_a_bearer_token(
    server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serving(server, tmp_path_factory.mktemp("keys"), api_key_required=True) as api:
        client = SyncPostgrestClient(f"{api.url}/rest/v1")
        with pytest.raises(APIError) as error:
            client.from_("tracked_symbols").select("*").execute()
        assert error.value.code == "PGRST301"
        client.auth(create_key(api.warehouse, "desk", Scope.READ).get_secret_value())
        assert client.from_("tracked_symbols").select("*").execute().data == []


# --- JavaScript

ROWS_IN_JAVASCRIPT = {
    "neq": "name <> 'AAPL'",
    "comparisons": "id IN (3, 4, 5)",
    "like": "name LIKE 'AAP%'",
    "ilike": "name ILIKE '%aap%'",
    "likeAnyOf": "name LIKE ANY ('{AAPL,%€}')",
    "likeAllOf": "name LIKE ALL ('{A%,%L}')",
    "ilikeAnyOf": "name ILIKE ANY ('{aapl,å%}')",
    "regexMatch": "name ~ '^A{2}'",
    "isNull": "name IS NULL",
    "isTrue": "good",
    "isDistinct": "name IS DISTINCT FROM 'AAPL'",
    "in": "name IN ('AAPL', 'AAP,L')",
    "notIn": "id > 3",
    "contains": "flags @> '{jump}'",
    "containedBy": "flags <@ '{jump,other}'",
    "overlaps": "flags && '{volume,other}'",
    "match": "id = 1",
    "not": "name IS NOT NULL",
    "or": "id IN (1, 2)",
    "orAnd": "id IN (1, 7)",
    "filter": "id IN (1, 2)",
    "textSearch": "id IN (1, 7)",
    "range": "id IN (3, 4, 5)",
    "schema": "id = 1",
}
ERRORS_IN_JAVASCRIPT = {
    "beyond": (416, "PGRST103"),
    "singleOfNone": (406, "PGRST116"),
    "singleOfMany": (406, "PGRST116"),
    "maybeSingleOfMany": (406, "PGRST116"),
    "otherSchema": (406, "PGRST106"),
    "unknownTable": (404, "PGRST205"),
    "unknownColumn": (400, "42703"),
    "embedding": (400, "PGRST200"),
    "aggregate": (400, "PGRST123"),
    "explain": (406, "PGRST107"),
    "insert": (405, "PGRST117"),
    "upsert": (405, "PGRST117"),
    "update": (405, "PGRST117"),
    "delete": (405, "PGRST117"),
    "rpc": (404, "PGRST202"),
}


def run_javascript(url: str, *arguments: str) -> dict[str, Any]:
    """Return the responses of the script's queries, by name; skip the test where the client isn't installed."""
    node = shutil.which("node")
    if node is None or not (CLIENTS / "node_modules" / "@supabase" / "postgrest-js").is_dir():
        pytest.skip("the JavaScript clients are not installed: `make clients`")
    command: list[str | Path] = [node, SCRIPT, CLIENTS, url, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    responses: dict[str, Any] = json.loads(ran.stdout)
    return responses


def test_the_javascript_client_reads_rows_one_row_counts_and_errors(api: Api) -> None:
    responses = run_javascript(f"{api.url}/rest/v1")
    for name, condition in ROWS_IN_JAVASCRIPT.items():
        response = responses.pop(name)
        assert response["error"] is None, (name, response)
        assert response["data"] == ids(api, condition), name
    for name, expected in ERRORS_IN_JAVASCRIPT.items():
        response = responses.pop(name)
        assert (response["status"], response["error"]["code"]) == expected, (name, response)
        assert response["error"]["message"]
    assert [row["symbol"] for row in responses.pop("all")["data"]] == ["AAPL", "IBM", "MSFT"]
    rows = api.sql("SELECT date, close, volume FROM market_data WHERE symbol = 'IBM' ORDER BY date LIMIT 2")
    assert responses.pop("columns")["data"] == [
        {"symbol": "IBM", "date": str(date), "last": close, "shares": f"{volume:.0f}"} for date, close, volume in rows
    ]
    ordered = [row["id"] for row in responses.pop("order")["data"]]
    assert ordered == [row["id"] for row in ids(api, "TRUE", "day DESC NULLS LAST, id DESC")]
    for name in ("head", "planned"):
        response = responses.pop(name)
        assert (response["data"], response["count"]) == (None, 7), name
    for name in ("single", "maybeSingle"):
        assert responses.pop(name)["data"] == {"id": 1}
    none = responses.pop("maybeSingleOfNone")
    assert (none["data"], none["error"]) == (None, None)
    assert responses.pop("csv")["data"] == 'id,name\n1,AAPL\n2,"AAP,L"\n'
    assert not responses


def test_the_javascript_client_sends_a_key(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(server, tmp_path_factory.mktemp("javascript"), api_key_required=True) as api:
        key = create_key(api.warehouse, "desk", Scope.READ).get_secret_value()
        assert run_javascript(f"{api.url}/rest/v1", key)["all"]["data"] == []
        assert run_javascript(f"{api.url}/rest/v1")["all"]["error"]["code"] == "PGRST301"
