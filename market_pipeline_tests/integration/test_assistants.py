"""Assistants: the tools and resources of `market-pipeline mcp`, over stdio and HTTP by the protocol's own client."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import requests
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from sqlalchemy import Engine, text

from market_pipeline.assistants.serving import AssistantKeyError, open_assistant, open_http_server
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import LOOPBACK, serve_in_thread
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key, revoke_key
from market_pipeline.warehouse.roles import ASSISTANT, grant_analyst_access
from market_pipeline_tests.integration.api_cases import FIRST, FLAGGED, LAST, load_autumn, warehouse_to_serve
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of

PROGRAM = str(Path(sys.executable).with_name("market-pipeline"))
TOOLS = ["list_symbols", "get_coverage", "get_bars", "get_universe", "get_corporate_actions", "find_problems", "query"]

Use = Callable[[Client], Awaitable[Any]]


@pytest.fixture(scope="module")
def served(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Settings]]:
    """A warehouse with three stocks' 66 bars of the autumn of 2000, and its settings."""
    with warehouse_to_serve(server, tmp_path_factory.mktemp("assistants")) as (warehouse, settings):
        load_autumn(warehouse)
        with warehouse.begin() as connection:
            connection.execute(text("UPDATE tracked_symbols SET name = 'Apple Inc.' WHERE symbol = 'AAPL'"))
        yield warehouse, settings


class Assistant:
    """A client of a server in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def use(self, use: Use) -> Any:
        """Connect a client and return what `use` returns."""

        async def connected() -> Any:
            with open_assistant(self._settings) as (server, _):
                async with Client(server) as client:
                    return await use(client)

        return asyncio.run(connected())

    def calls(self, *calls: tuple[str, Mapping[str, Any]]) -> list[CallToolResult]:
        """Call tools one after the other."""

        async def call(client: Client) -> list[CallToolResult]:
            return [await client.call_tool(name, dict(arguments)) for name, arguments in calls]

        results: list[CallToolResult] = self.use(call)
        return results

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its result."""
        [result] = self.calls((tool, arguments))
        return content(result)

    def sql_error(self, sql: str) -> str:
        """Send a query that is rejected, and return the message."""
        [result] = self.calls(("query", {"sql": sql}))
        return message(result)


@pytest.fixture
def assistant(served: tuple[Engine, Settings]) -> Assistant:
    return Assistant(served[1])


def text_of(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


def content(result: CallToolResult) -> dict[str, Any]:
    """Return a result, which is the same as text and structured."""
    assert not result.is_error, text_of(result)
    body: dict[str, Any] = json.loads(text_of(result))
    assert body == result.structured_content
    return body


def message(result: CallToolResult) -> str:
    assert result.is_error, text_of(result)
    assert "Traceback" not in text_of(result)
    return text_of(result)


def records(rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(rows["columns"], row, strict=True)) for row in rows["rows"]]


# --- tools


def test_every_tool_is_described_typed_and_only_reads(assistant: Assistant) -> None:
    async def listed(client: Client) -> Any:
        return (await client.list_tools()).tools, client.instructions

    tools, instructions = assistant.use(listed)
    assert [tool.name for tool in tools] == TOOLS
    page = (Path(__file__).parents[2] / "docs" / "assistants.md").read_text(encoding="utf-8")
    table = page.partition("<!-- tools -->")[2].partition("<!-- end -->")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == TOOLS
    for tool in tools:
        assert tool.description
        assert tool.annotations.read_only_hint
        assert tool.output_schema
        for name, schema in tool.input_schema["properties"].items():
            assert "type" in schema or "anyOf" in schema, (tool.name, name)
    assert "warehouse://schema" in instructions


def test_symbols_are_listed_with_their_health_and_found_by_symbol_or_name(assistant: Assistant) -> None:
    everything, by_name, by_symbol, cut, none = map(
        content,
        assistant.calls(
            ("list_symbols", {}),
            ("list_symbols", {"search": "apple"}),
            ("list_symbols", {"search": "ms"}),
            ("list_symbols", {"limit": 2}),
            ("list_symbols", {"search": "zzz"}),
        ),
    )
    assert [row["symbol"] for row in records(everything)] == ["AAPL", "IBM", "MSFT"]
    [apple] = records(by_name)
    assert (apple["symbol"], apple["name"], apple["loaded"]) == ("AAPL", "Apple Inc.", 22)
    assert (apple["first_session"], apple["last_session"]) == (str(FIRST), str(LAST))
    # Every session since the autumn of 2000 lacks its bar, and no run has requested it.
    assert apple["health"] == "attention"
    assert "never requested" in apple["health_reason"]
    assert [row["symbol"] for row in records(by_symbol)] == ["MSFT"]
    assert cut["truncated"]
    assert "first 2 rows" in cut["note"]
    assert none["count"] == 0
    assert "leave out search" in none["note"]


def test_a_search_has_no_wildcards(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    rename = "UPDATE tracked_symbols SET name = :name WHERE symbol = 'IBM'"
    with served[0].begin() as connection:
        connection.execute(text(rename), {"name": "100% A_B*C Machines"})
    try:
        for search, found in (
            ("%", ["IBM"]), ("_", ["IBM"]), ("*", ["IBM"]), ("A_b*", ["IBM"]), ("M_FT", []), ("M%T", []), ("M*", []),
            ("\\", []), ("mS", ["MSFT"]),
        ):  # fmt: skip
            assert [row["symbol"] for row in records(assistant.call("list_symbols", search=search))] == found, search
        [null] = assistant.calls(("list_symbols", {"search": "a\0b"}))
        assert "search: it has a null character" in message(null)
    finally:
        with served[0].begin() as connection:
            connection.execute(text(rename), {"name": None})


def test_notes_are_sentences(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    with served[0].begin() as connection:
        connection.execute(
            text(
                "INSERT INTO security_tickers (security_id, ticker, first_day, last_day, source, certain) "
                "SELECT security_id, 'OLDB', NULL, '1999-01-01', 'manual', true FROM tracked_symbols "
                "WHERE symbol = 'IBM'"
            )
        )
    try:
        note = assistant.call("get_bars", symbol="OLDB", limit=1, adjustment="none")["note"]
    finally:
        with served[0].begin() as connection:
            connection.execute(text("DELETE FROM security_tickers WHERE ticker = 'OLDB'"))
    assert note.startswith("IBM, adjustment none. OLDB is tracked as IBM")
    assert re.search(r"[^.]\. These are the first 1 rows of more: send it again .* last one\.$", note)


@pytest.mark.parametrize("day", ["infinity", "-infinity", "2024-1-1", "20240101", "0000-00-00"])
def test_a_wrong_date_is_named_by_its_argument(assistant: Assistant, day: str) -> None:
    rejected = assistant.calls(
        ("get_bars", {"symbol": "AAPL", "start": day}),
        ("get_bars", {"symbol": "AAPL", "as_of": day}),
        ("get_corporate_actions", {"symbol": "AAPL", "start": day}),
        ("get_corporate_actions", {"symbol": "AAPL", "end": day}),
        ("get_universe", {"date": day}),
        ("get_universe", {"date": "2024-06-03", "as_of": day}),
    )
    for result, argument in zip(rejected, ("start", "as_of", "start", "end", "date", "as_of"), strict=True):
        assert f": {argument}: {day!r} is no" in message(result)


def test_a_value_that_a_result_can_not_hold_is_named_with_the_next_step(assistant: Assistant) -> None:
    for value in (
        "'infinity'::date",
        "'-infinity'::timestamptz",
        "'10000-01-01'::timestamp",
        "'5000000 years'::interval",
    ):
        assert "cast such a value to text" in assistant.sql_error(f"SELECT {value}")
        assert assistant.call("query", sql=f"SELECT ({value})::text")["count"] == 1


def test_coverage_has_the_sessions_by_state_and_the_gaps(assistant: Assistant) -> None:
    found = assistant.call("get_coverage", symbol="IBM")
    counts = found["counts"]
    assert counts["loaded"] == 22
    assert counts["sessions"] == counts["loaded"] + counts["missing"]
    [gap] = records(found["gaps"])
    assert (gap["state"], gap["sessions"], gap["first_session"]) == ("never_asked", counts["missing"], "2000-10-11")


def test_bars_come_adjusted_as_requested_and_cut_with_a_note(assistant: Assistant) -> None:
    traded, split, cut, nothing = map(
        content,
        assistant.calls(
            ("get_bars", {"symbol": "AAPL", "end": "2000-09-12", "adjustment": "none"}),
            ("get_bars", {"symbol": "AAPL", "end": "2000-09-12"}),
            ("get_bars", {"symbol": "AAPL", "start": str(FLAGGED), "limit": 1, "adjustment": "none"}),
            ("get_bars", {"symbol": "IBM", "adjustment": "none"}),
        ),
    )
    assert [row["date"] for row in records(traded)] == ["2000-09-11", "2000-09-12"]
    # A 2-for-1 split in 2005, which was to come.
    assert [row["close"] * 2 for row in records(split)] == [row["close"] for row in records(traded)]
    assert split["note"] == "AAPL, adjustment splits."
    assert records(cut)[0]["flags"]
    assert cut["truncated"]
    assert "start set to the day after" in cut["note"]
    assert (nothing["count"], nothing["truncated"]) == (22, False)


def test_bars_are_returned_as_of_an_instant(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    with served[0].connect() as connection:
        now: str = connection.execute(text("SELECT settled_point()")).scalar_one().isoformat()
    before, after, naive = assistant.calls(
        ("get_bars", {"symbol": "IBM", "as_of": "2001-01-01T00:00:00Z"}),
        ("get_bars", {"symbol": "IBM", "as_of": now}),
        ("get_bars", {"symbol": "IBM", "as_of": "yesterday"}),
    )
    assert "No data found for IBM" in message(before)
    assert content(after)["count"] == 22
    assert "as_of: " in message(naive)


def test_the_universe_of_a_session_has_the_largest_first(
    server: embedded.Server, warehouse: Engine, settings: Settings
) -> None:
    day = date(2024, 6, 3)
    load_market(
        warehouse, session_of(day, {"SMALL": Bar(5.0, 100.0), "LARGE": Bar(50.0, 1e6), "MIDDLE": Bar(20.0, 1000.0)})
    )
    all_of_it, cut, dear, typed, unloaded, closed = Assistant(settings).calls(
        ("get_universe", {"date": "2024-06-03"}),
        ("get_universe", {"date": "2024-06-03", "limit": 1}),
        ("get_universe", {"date": "2024-06-03", "min_price": 10}),
        ("get_universe", {"date": "2024-06-03", "types": ["CS"]}),
        ("get_universe", {"date": "2024-06-04"}),
        ("get_universe", {"date": "2024-06-02"}),
    )
    assert [row["ticker"] for row in records(content(all_of_it))] == ["LARGE", "MIDDLE", "SMALL"]
    assert records(content(all_of_it))[0]["dollar_volume"] == 5e7
    assert [row["ticker"] for row in records(content(cut))] == ["LARGE"]
    assert "3 tickers traded on 2024-06-03" in content(cut)["note"]
    assert [row["ticker"] for row in records(content(dear))] == ["LARGE", "MIDDLE"]
    assert "3 of the 3 tickers of 2024-06-03 have no known type and are left out" in content(typed)["note"]
    assert "market-pipeline market backfill us-stocks" in message(unloaded)
    assert "it is no session of XNYS" in message(closed)


def test_splits_and_dividends_are_returned_by_date(assistant: Assistant) -> None:
    apple, ibm = map(
        content,
        assistant.calls(
            ("get_corporate_actions", {"symbol": "AAPL", "start": "2001-01-01"}),
            ("get_corporate_actions", {"symbol": "IBM"}),
        ),
    )
    assert apple["splits"]["rows"] == [["2005-02-28", 1.0, 2.0]]
    assert [row["cash_amount"] for row in records(ibm["dividends"])] == [0.13, 0.13]
    assert ibm["rejected"]["rows"] == []


def test_problems_are_sentences_with_the_next_step_and_the_rows_behind_them(
    served: tuple[Engine, Settings], assistant: Assistant
) -> None:
    with served[0].begin() as connection:
        connection.execute(
            text(
                "INSERT INTO rejected_bars (symbol, date, reasons, payload, source, first_rejected_at, "
                "last_rejected_at, run_id) "
                "VALUES ('MSFT', '2000-10-11', '{high below low}', '{}', 'polygon', now(), now(), 'a-run')"
            )
        )
    everything, one = map(content, assistant.calls(("find_problems", {}), ("find_problems", {"symbol": "AAPL"})))
    assert any("market-pipeline backfill --missing" in problem for problem in everything["problems"])
    assert [row["symbol"] for row in records(everything["symbols"])] == ["AAPL", "IBM", "MSFT"]
    assert {row["state"] for row in records(everything["missing_sessions"])} == {"never_asked", "rejected"}
    [rejected] = records(everything["rejected_bars"])
    assert (rejected["symbol"], rejected["reasons"]) == ("MSFT", ["high below low"])
    assert [row["symbol"] for row in records(one["symbols"])] == ["AAPL"]
    assert one["rejected_bars"]["rows"] == []


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("get_bars", {}, "symbol: Field required"),
    ("get_bars", {"symbol": "AAPL", "start": "2024-13-01"}, "start: "),
    ("get_bars", {"symbol": "AAPL", "limit": 10**6}, "limit: "),
    ("get_bars", {"symbol": "AAPL", "adjustment": "some"}, "adjustment: "),
    ("get_bars", {"symbol": "AAPL", "to": "2000-10-02", "from": "2000-09-29"}, "no argument from, to: use symbol, "),
    ("get_universe", {"date": "2000-09-29", "type": "CS"}, "there is no argument type: use date, market, types, "),
    ("get_bars", {"symbol": "aapl"}, "did you mean AAPL?"),
    ("get_bars", {"symbol": "NONE"}, "NONE is not tracked"),
    ("get_universe", {"date": "2024-02-30"}, "is no date: use YYYY-MM-DD"),
    ("get_universe", {"date": "2024-06-03", "market": "mars"}, "market: "),
    ("get_universe", {"date": "2024-06-03", "as_of": "then"}, "as_of: "),
    ("get_universe", {"date": "2024-06-03"}, "`market-pipeline market track us-stocks`"),
    ("get_coverage", {"symbol": "NONE"}, "list_symbols finds symbols"),
    ("find_problems", {"symbol": "NONE\x00"}, "symbol"),
    ("query", {"sql": "SELECT * FROM prices"}, "read the resource warehouse://schema"),
    ("query", {"sql": "SELECT price FROM market_data"}, "read the resource warehouse://schema"),
    ("query", {"sql": "EXPLAIN SELECT 1"}, "give one query"),
    ("query", {"sql": ""}, "give one query"),
    ("query", {"sql": "SELECT \x00"}, "null character"),
    ("query", {"sql": "SELECT 1/0"}, "division by zero"),
]


def test_a_wrong_call_is_rejected_by_one_line_with_the_next_step(assistant: Assistant) -> None:
    results = assistant.calls(*((tool, arguments) for tool, arguments, _ in WRONG))
    for (tool, arguments, expected), result in zip(WRONG, results, strict=True):
        error = message(result)
        assert expected in error, (tool, arguments)
        assert "\n" not in error
        assert len(error) < 400, error


# --- SQL


def test_a_query_returns_values_that_json_has_and_is_cut_with_a_note(assistant: Assistant) -> None:
    values, cut, large = map(
        content,
        assistant.calls(
            (
                "query",
                {
                    "sql": "SELECT 1::numeric / 4 AS a, 1e400, DATE '2024-01-02', 'NaN'::float8, ARRAY[1, 2], "
                    "'\\xff'::bytea;"
                },
            ),
            ("query", {"sql": "SELECT symbol, date FROM market_data ORDER BY 1, 2 -- all", "limit": 3}),
            ("query", {"sql": "SELECT repeat('x', 90000) FROM generate_series(1, 10)"}),
        ),
    )
    assert values["rows"] == [[0.25, "1" + 400 * "0", "2024-01-02", None, [1, 2], "ff"]]
    assert [row[0] for row in cut["rows"]] == ["AAPL"] * 3
    assert cut["truncated"]
    assert "first 3 rows" in cut["note"]
    assert (large["count"], large["truncated"]) == (2, True)


WRITES = [
    "DELETE FROM market_data",
    "INSERT INTO splits SELECT * FROM splits",
    "UPDATE tracked_symbols SET active = false",
    "TRUNCATE splits",
    "DROP TABLE splits",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine (a integer)",
    "SELECT 1 AS a INTO mine",
    "WITH gone AS (DELETE FROM splits RETURNING *) SELECT * FROM gone",
    "SELECT 1; DELETE FROM splits",
    "SELECT 1; COMMIT; DELETE FROM splits",
    "COMMIT",
    "ROLLBACK",
    "SET TRANSACTION READ WRITE",
    "SET ROLE postgres",
    "RESET ROLE",
    "DO $$ BEGIN DELETE FROM splits; END $$",
    "COPY splits TO '/tmp/splits'",
    "COPY splits FROM PROGRAM 'echo'",
    "COPY (SELECT 1) TO STDOUT",
    "LOCK TABLE splits",
    "GRANT ALL ON splits TO PUBLIC",
    "CALL anything()",
    "EXPLAIN ANALYZE DELETE FROM splits",
    "NOTIFY everyone",
    "PREPARE a AS DELETE FROM splits",
    "SELECT * FROM splits FOR UPDATE",
    "SELECT settle()",
    "SELECT open_load('mine', 'polygon')",
    "SELECT nextval('loads_id_seq')",
    "SELECT setval('loads_id_seq', 1)",
    "SELECT lo_create(0)",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT * FROM access.api_keys",
    "SELECT rolpassword FROM pg_authid",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "SELECT query_to_xml('DELETE FROM splits', true, true, '')",
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT * FROM access.api_keys', true, true, '')",
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT pg_read_file(''PG_VERSION'')', true, true, '')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
]


def test_nothing_can_be_written_by_a_query(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    state = text(
        "SELECT (SELECT array_agg(s ORDER BY s) FROM splits AS s)::text, (SELECT count(*) FROM market_data), "
        "(SELECT count(*) FROM loads), (SELECT count(*) FROM pg_class), settled_point(), "
        "(SELECT count(*) FROM tracked_symbols WHERE active), (SELECT count(*) FROM pg_largeobject_metadata)"
    )
    with served[0].connect() as connection:
        before = connection.execute(state).one()
    results = assistant.calls(*(("query", {"sql": sql}) for sql in WRITES))
    with served[0].connect() as connection:
        assert connection.execute(state).one() == before
    accepted = [sql for sql, result in zip(WRITES, results, strict=True) if not result.is_error]
    assert accepted == []
    assert not any("Traceback" in text_of(result) for result in results)


def test_settings_and_locks_of_a_query_end_with_it(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    first, second = map(
        content,
        assistant.calls(
            ("query", {"sql": "SELECT set_config('statement_timeout', '0', false), pg_advisory_lock(7310533) IS NULL"}),
            (
                "query",
                {
                    "sql": "SELECT current_setting('statement_timeout'), current_setting('transaction_read_only'), "
                    "session_user, current_user, pg_has_role(session_user, 'market_reader', 'MEMBER')"
                },
            ),
        ),
    )
    assert first["count"] == 1
    assert second["rows"] == [["15s", "on", ASSISTANT, ASSISTANT, False]]
    with served[0].connect() as connection:
        assert connection.execute(text("SELECT pg_try_advisory_lock(7310533)")).scalar_one()


def test_a_query_has_a_time_limit_that_it_can_not_lift(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_pipeline.assistants.analyst_query.SECONDS", 0.2)
    for sql in (
        "SELECT pg_sleep(60)",
        "SELECT set_config('statement_timeout', '0', false), pg_sleep(1) FROM generate_series(1, 60)",
    ):
        assert "filter by symbol and date" in assistant.sql_error(sql)


def test_the_password_of_another_process_is_replaced(served: tuple[Engine, Settings]) -> None:
    async def both() -> list[dict[str, Any]]:
        with open_assistant(served[1]) as (one, _), open_assistant(served[1]) as (other, _):
            async with Client(one) as first, Client(other) as second:
                return [
                    content(await client.call_tool("query", {"sql": "SELECT current_user"}))
                    for client in (first, second, first, second)
                ]

    assert [result["rows"] for result in asyncio.run(both())] == [[[ASSISTANT]]] * 4


def test_the_address_of_an_analyst_is_enough(served: tuple[Engine, Settings]) -> None:
    access = grant_analyst_access(served[0], new_password=True)
    settings = served[1].model_copy(update={"database_url": access.url})
    analyst = Assistant(settings)
    listed, bars, found, queried, recent = analyst.calls(
        ("list_symbols", {}),
        ("get_bars", {"symbol": "IBM"}),
        ("find_problems", {}),
        ("query", {"sql": "SELECT current_user"}),
        ("get_bars", {"symbol": "IBM", "as_of": "2020-01-01T00:00:00Z"}),
    )
    assert content(listed)["count"] == 3
    assert content(bars)["count"] == 22
    assert content(found)["problems"]
    assert content(queried)["rows"] == [["market_analyst"]]
    assert "No data found" in message(recent)
    with pytest.raises(AssistantKeyError, match="may not check"), open_http_server(settings, "0.0.0.0"):
        pass


# --- resources


def test_the_schema_and_the_glossary_can_be_read(assistant: Assistant) -> None:
    async def read(client: Client) -> list[str]:
        uris = ("warehouse://schema", "warehouse://schema/coverage", "warehouse://glossary")
        results = [await client.read_resource(uri) for uri in uris]
        with pytest.raises(Exception, match="warehouse://schema lists all"):
            await client.read_resource("warehouse://schema/nothing")
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert listed == ["warehouse://schema", "warehouse://glossary"]
        return [str(getattr(result.contents[0], "text", "")) for result in results]

    schema, table, glossary = assistant.use(read)
    assert "`market_data`" in schema
    assert "access" not in schema.split("`")
    assert "- `health_reason` text: Why the symbol is behind or needs attention" in table
    assert "| as traded |" in glossary


# --- transports


def test_an_assistant_starts_the_command_and_talks_over_its_standard_streams(
    served: tuple[Engine, Settings], tmp_path: Path
) -> None:
    settings = served[1]
    assert settings.database_url is not None
    environment = {**os.environ, "DATABASE_URL": settings.database_url.get_secret_value()}
    log = tmp_path / "stderr"

    async def use() -> list[CallToolResult]:
        parameters = StdioServerParameters(command=PROGRAM, args=["mcp"], env=environment, cwd=tmp_path)
        async with Client(parameters) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
            return [
                await client.call_tool("get_bars", {"symbol": "IBM", "limit": 5}),
                await client.call_tool("query", {"sql": "SELECT count(*) FROM market_data"}),
                await client.call_tool("query", {"sql": "DELETE FROM market_data"}),
            ]

    bars, count, rejected = asyncio.run(use())
    assert content(bars)["count"] == 5
    assert content(count)["rows"] == [[66]]
    assert "give one query" in message(rejected)
    assert not log.exists()


@contextmanager
def serve_over_http(settings: Settings, host: str = LOOPBACK) -> Iterator[str]:
    """Serve over HTTP as if for `host`, on loopback; yield the URL."""
    with open_http_server(settings, host) as server, serve_in_thread(server, LOOPBACK, 0, name="assistants") as url:
        yield f"{url}/mcp"


def use_over_http(url: str, use: Use, **headers: str) -> Any:
    @asynccontextmanager
    async def transport() -> Any:
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            streamable_http_client(url, http_client=http) as streams,
        ):
            yield streams

    async def connected() -> Any:
        async with Client(transport()) as client:
            return await use(client)

    return asyncio.run(connected())


async def count_bars(client: Client) -> Any:
    return content(await client.call_tool("query", {"sql": "SELECT count(*) FROM market_data"}))["rows"]


def test_on_this_machine_no_key_is_needed_and_no_page_of_another_name_gets_in(
    served: tuple[Engine, Settings],
) -> None:
    with serve_over_http(served[1]) as url:
        assert use_over_http(url, count_bars) == [[66]]
        for headers in ({"Host": "rebound.example"}, {"Origin": "http://page.example"}):
            response = requests.post(url, json={}, headers=headers, timeout=60)
            assert response.status_code in (403, 421), headers
        large = requests.post(url, json={"a": "x" * 10**6}, timeout=60)
        assert large.status_code == 413


@pytest.mark.parametrize("host", ["0.0.0.0", LOOPBACK])
def test_a_key_is_required_beyond_this_machine_or_by_the_settings(served: tuple[Engine, Settings], host: str) -> None:
    warehouse, settings = served
    settings = settings.model_copy(update={"api_key_required": host == LOOPBACK})
    key = create_key(warehouse, "an assistant", Scope.READ).get_secret_value()
    with serve_over_http(settings, host) as url:
        for headers in ({}, {"X-API-Key": "mdw_wrong"}, {"Authorization": "Bearer wrong"}):
            response = requests.post(url, json={}, headers=headers, timeout=60)
            assert response.status_code == 401
            assert "market-pipeline keys create" in response.json()["detail"]
        assert use_over_http(url, count_bars, **{"X-API-Key": key}) == [[66]]
        assert use_over_http(url, count_bars, Authorization=f"Bearer {key}") == [[66]]
        revoke_key(warehouse, key.split("_")[1])
        assert requests.post(url, json={}, headers={"X-API-Key": key}, timeout=60).status_code == 401


def test_no_secret_is_in_a_result(served: tuple[Engine, Settings], assistant: Assistant) -> None:
    url = served[1].database_url
    assert url is not None
    password = psycopg.conninfo.conninfo_to_dict(url.get_secret_value())["password"]
    away = Assistant(served[1].model_copy(update={"database_max_connections": 20}))
    results = [
        *assistant.calls(("find_problems", {}), ("query", {"sql": "SELECT * FROM pg_stat_activity"})),
        *away.calls(("query", {"sql": "SELECT * FROM pg_settings"}), ("query", {"sql": "TABLE pg_user"})),
    ]
    assert not any(str(password) in text_of(result) for result in results)
