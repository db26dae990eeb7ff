"""`/api/v1/tables`: the list, the served tables, and filters, columns and order equal to plain SQL."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import AssetKey, AssetMaterialization

from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.statements import VIEW_KEYS
from market_pipeline.warehouse.tables import metadata
from market_pipeline_tests.integration.api_cases import (
    KINDS,
    ROWS,
    TABLES,
    Api,
    faults,
    load_autumn,
    problem,
    serving,
    until_served,
)

DECLARED = [table for table in metadata.tables.values() if not table.info.get("internal")]


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars and a table with a column of every type."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        api.execute(KINDS, ROWS.replace("%", "%%"))
        yield api


@pytest.fixture
def listed(api: Api) -> Mapping[str, Any]:
    """The tables as they are listed before a test."""
    return tables(api)


def tables(api: Api) -> Mapping[str, Any]:
    """Return the tables as the API lists them now, by name."""
    return {table["name"]: table for table in api.get(TABLES).json()["tables"]}


# --- the list


@pytest.mark.parametrize("table", DECLARED, ids=lambda table: table.name)
def test_a_declared_table_is_listed_as_it_is_declared(listed: Mapping[str, Any], table: Any) -> None:
    found = listed[table.name]
    assert (found["schema"], found["kind"], found["description"]) == ("public", "table", table.comment)
    assert [(c["name"], c["nullable"], c["description"]) for c in found["columns"]] == [
        (column.name, column.nullable, column.comment) for column in table.columns
    ]
    assert found["key"] == [column.name for column in table.primary_key]
    assert found["href"] == f"{TABLES}/{table.name}"


@pytest.mark.parametrize(("view", "key"), VIEW_KEYS.items())
def test_a_view_is_listed_with_its_key_and_comments(
    api: Api, listed: Mapping[str, Any], view: str, key: list[str]
) -> None:
    found = listed[view]
    assert (found["kind"], found["key"], found["row_estimate"]) == ("view", key, None)
    assert found["description"]
    assert all(column["description"] for column in found["columns"])
    rows = [tuple(row[name] for name in key) for row in api.rows(view)]
    assert rows == sorted(set(rows))


def test_filters_are_tested_with_every_type_of_a_declared_column(listed: Mapping[str, Any]) -> None:
    types = {column["type"] for table in DECLARED for column in listed[table.name]["columns"]}
    assert types <= {column["type"] for column in listed["kinds"]["columns"]}


def test_each_listed_table_is_served_at_its_listed_url(api: Api, listed: Mapping[str, Any]) -> None:
    for table in listed.values():
        rows = api.get(table["href"], [("limit", "1")]).json()["data"]
        assert all(list(row) == [column["name"] for column in table["columns"]] for row in rows)


@pytest.mark.parametrize(
    "table",
    ["bar_source", "request_slots", "alembic_version", "api_keys", "access.api_keys", "access.api_key_uses",
     "market_data_as_of", "pg_roles", "pg_catalog.pg_authid", "information_schema.tables", "public.market_data",
     "analytics.kinds", "MARKET_DATA", "market_data ", "nothing"],
)  # fmt: skip
def test_internal_and_unknown_tables_are_neither_listed_nor_served(
    api: Api, listed: Mapping[str, Any], table: str
) -> None:
    assert table not in listed
    assert f"{TABLES} lists all tables" in problem(api.get(f"{TABLES}/{table}"), 404)["detail"]


def test_a_tables_row_estimate_is_that_of_its_last_analysis_and_null_before(api: Api) -> None:
    api.execute("CREATE TABLE analytics.uncounted (id int PRIMARY KEY) WITH (autovacuum_enabled = false)")
    api.execute("INSERT INTO analytics.uncounted SELECT generate_series(1, 1234)")
    until_served(api, "uncounted")
    assert tables(api)["uncounted"]["row_estimate"] is None
    api.execute("ANALYZE analytics.uncounted", "CREATE TABLE analytics.counted (id int PRIMARY KEY)")
    until_served(api, "counted")  # the catalog is read again for a table that it doesn't have
    assert tables(api)["uncounted"]["row_estimate"] == 1234


def test_a_table_was_last_materialized_when_its_last_load_ended(api: Api, listed: Mapping[str, Any]) -> None:
    [(ended,)] = api.sql("SELECT max(backfill_timestamp) FROM backfill_history")
    for table in ("market_data", "market_data_revisions", "rejected_bars", "backfill_history"):
        assert datetime.fromisoformat(listed[table]["last_materialized"]) == ended
    assert listed["splits"]["last_materialized"] == "2024-04-01T00:00:00Z"
    assert listed["sessions"]["last_materialized"] is None


def test_a_mart_has_the_time_of_dagsters_last_materialization(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.settings.database_url is not None
    monkeypatch.setenv("DATABASE_URL", api.settings.database_url.get_secret_value())
    assert tables(api)["kinds"]["last_materialized"] is None
    before = datetime.now(UTC)
    with open_instance(api.settings) as instance:
        instance.report_runless_asset_event(AssetMaterialization(AssetKey(["analytics", "kinds"])))
    materialized = datetime.fromisoformat(tables(api)["kinds"]["last_materialized"])
    assert before <= materialized <= datetime.now(UTC)


# --- filters


FILTERS = [
    ("id", "eq.3", "id = 3"),
    ("id", "neq.3", "id <> 3"),
    ("id", "gt.-1", "id > -1"),
    ("id", "in.(1,7,99)", "id IN (1, 7, 99)"),
    ("id", "not.in.(1,7)", "id NOT IN (1, 7)"),
    ("name", "eq.AAPL", "name = 'AAPL'"),
    ("name", "eq.", "name = ''"),
    ("name", "neq.AAPL", "name <> 'AAPL'"),
    ("name", "not.eq.AAPL", "NOT name = 'AAPL'"),
    ("name", "eq.100%_a\\b", r"name = '100%_a\b'"),
    ("name", "eq.Ångström €", "name = 'Ångström €'"),
    ("name", "gte.a", "name >= 'a'"),
    ("name", "lt.a", "name < 'a'"),
    ("name", 'in.(AAPL,"AAP,L")', "name IN ('AAPL', 'AAP,L')"),
    ("name", r'in.("a \"b\" (c)",x)', """name IN ('a "b" (c)', 'x')"""),
    ("name", r'in.("100%_a\\b")', r"name IN ('100%_a\b')"),
    ("name", "not.in.(AAPL)", "name NOT IN ('AAPL')"),
    ("name", "like.AAP*", "name LIKE 'AAP%'"),
    ("name", "like.*b*", "name LIKE '%b%'"),
    ("name", "like.____", "name LIKE '____'"),
    ("name", r"like.100\%*", r"name LIKE '100\%%'"),
    ("name", "not.like.A*", "name NOT LIKE 'A%'"),
    ("name", "ilike.aap*", "name ILIKE 'aap%'"),
    ("name", "not.ilike.*A*", "name NOT ILIKE '%A%'"),
    ("name", "is.null", "name IS NULL"),
    ("name", "is.not_null", "name IS NOT NULL"),
    ("name", "not.in.()", "TRUE"),
    ("name", "not.is.null", "name IS NOT NULL"),
    ("price", "eq.1.5", "price = 1.5"),
    ("price", "eq.15e-1", "price = 1.5"),
    ("price", "eq.0.1", "price = 0.1"),
    ("price", "neq.1.5", "price <> 1.5"),
    ("price", "gt.-2.25", "price > -2.25"),
    ("price", "gte.+.1", "price >= 0.1"),
    ("price", "lt.1e-299", "price < 1e-299"),
    ("price", "lte.-0", "price <= 0"),
    ("price", "in.(1.5,-2.25)", "price IN (1.5, -2.25)"),
    ("price", "is.null", "price IS NULL"),
    ("ratio", "eq.0.1", "ratio = 0.1"),
    ("ratio", "gt.0.3", "ratio > 0.3"),
    ("ratio", "lte.12345678901234567890.5", "ratio <= 12345678901234567890.5"),
    ("ratio", "in.(0.10,-3)", "ratio IN (0.1, -3)"),
    ("ratio", "not.is.null", "ratio IS NOT NULL"),
    ("trades", "eq.9007199254740993", "trades = 9007199254740993"),
    ("trades", "neq.10", "trades <> 10"),
    ("trades", "gte.-10", "trades >= -10"),
    ("trades", "lt.9007199254740993", "trades < 9007199254740993"),
    ("trades", "in.(10,11)", "trades IN (10, 11)"),
    ("trades", "is.null", "trades IS NULL"),
    ("day", "eq.2024-01-31", "day = '2024-01-31'"),
    ("day", "neq.2024-01-31", "day <> '2024-01-31'"),
    ("day", "gt.2024-01-31", "day > '2024-01-31'"),
    ("day", "gte.2024-02-29", "day >= '2024-02-29'"),
    ("day", "lt.2024-01-31", "day < '2024-01-31'"),
    ("day", "lte.2024-01-31", "day <= '2024-01-31'"),
    ("day", "in.(1999-12-31,2030-01-01)", "day IN ('1999-12-31', '2030-01-01')"),
    ("day", "not.is.null", "day IS NOT NULL"),
    ("at", "eq.2024-01-31T12:00:00Z", "at = '2024-01-31 12:00+00'"),
    ("at", "eq.2024-01-31T14:00+02:00", "at = '2024-01-31 12:00+00'"),
    ("at", "gt.2024-01-31 12:00:00+00", "at > '2024-01-31 12:00+00'"),
    ("at", "gte.2024-01-31T12:00:00.000001Z", "at >= '2024-01-31 12:00:00.000001+00'"),
    ("at", "lt.2024-01-31T07:00:00-0500", "at < '2024-01-31 12:00+00'"),
    ("at", "neq.2024-01-31T12:00:00Z", "at <> '2024-01-31 12:00+00'"),
    ("at", "lte.2024-01-31T12:00:00Z", "at <= '2024-01-31 12:00+00'"),
    ("at", "in.(2030-01-01T00:00Z)", "at IN ('2030-01-01 00:00+00')"),
    ("at", "is.null", "at IS NULL"),
    ("good", "eq.true", "good"),
    ("good", "neq.true", "NOT good"),
    ("good", "lt.true", "good < true"),
    ("good", "in.(false)", "good IN (false)"),
    ("good", "is.true", "good IS TRUE"),
    ("good", "is.false", "good IS FALSE"),
    ("good", "not.is.true", "good IS NOT TRUE"),
    ("good", "is.null", "good IS NULL"),
    ("good", "is.unknown", "good IS UNKNOWN"),
    ("good", "is.not_null", "good IS NOT NULL"),
    ("flags", "cs.jump", "'jump' = ANY (flags)"),
    ("flags", "cs.{jump,volume}", "flags @> '{jump,volume}'"),
    ("flags", "cs.two words", "flags = '{two words}'"),
    ("flags", "not.cs.jump", "NOT 'jump' = ANY (flags)"),
    ("flags", "is.null", "flags IS NULL"),
    ("payload", "is.null", "payload IS NULL"),
    ("payload", "not.is.null", "payload IS NOT NULL"),
]


@pytest.mark.parametrize(("column", "value", "condition"), FILTERS, ids=[f"{f[0]}={f[1]}" for f in FILTERS])
def test_a_filter_chooses_the_rows_that_sql_chooses(api: Api, column: str, value: str, condition: str) -> None:
    expected = [row[0] for row in api.sql(f"SELECT id FROM analytics.kinds WHERE {condition} ORDER BY id")]
    assert [row["id"] for row in api.rows("kinds", (column, value))] == expected
    assert expected, "the case shows nothing"


def test_every_operator_is_tested_with_every_kind_of_column() -> None:
    tested = {(column, value.removeprefix("not.").partition(".")[0]) for column, value, _ in FILTERS}
    compared = {name for name, _, _ in FILTERS} - {"flags", "payload", "id", "good", "ratio", "trades", "name"}
    assert tested >= {(name, op) for name in compared for op in ("eq", "neq", "gt", "gte", "lt", "lte", "in", "is")}


def test_no_value_is_in_an_empty_list(api: Api) -> None:
    assert api.rows("kinds", ("name", "in.()")) == []


def test_filters_hold_together_even_two_of_one_column(api: Api) -> None:
    filters = [("price", "gt.-3"), ("price", "lte.1.5"), ("good", "is.true"), ("name", "not.like.*Å*")]
    assert [row["id"] for row in api.rows("kinds", *filters)] == [1, 4]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("id", "3", "is not of the form op.value, such as eq.1000"),
        ("id", "eq.2147483648", "is not a whole number"),
        ("trades", "eq.9223372036854775808", "is not a whole number"),
        ("id", "eq.1.5", "is not a whole number"),
        ("id", "between.1", "use one of eq, neq, gt, gte, lt, lte, in, is"),
        ("id", "like.1*", "is no operator for integer"),
        ("price", "gt.NaN", "is not a number"),
        ("price", "gt.1e400", "is not a number"),
        ("day", "eq.2024-02-30", "is not a date such as 2024-01-31"),
        ("at", "gte.2024-01-31T12:00:00", "with a time zone"),
        ("good", "eq.yes", "is not true or false"),
        ("good", "is.yes", "takes one of null, not_null, true, false, unknown"),
        ("price", "is.true", "takes one of null, not_null"),
        ("name", "in.AAPL", "takes a list in parentheses"),
        ("day", "in.(2024-01-31,soon)", "'soon' is not a date"),
        ("flags", "eq.jump", "use one of cs, is"),
        ("payload", "eq.1", "use one of is"),
        ("colour", "eq.red", "no such column: it has id, name,"),
        ("select", "id,colour", "no column 'colour'"),
        ("order", "id.nullsfirst.desc", "is not of the form column, column.asc or column.desc"),
        ("order", "id.up", "is not of the form column, column.asc or column.desc"),
        ("order", "flags", "rows have no order by flags"),
        ("limit", "0", "is not a number from 1 to 100000"),
        ("limit", "100001", "is not a number from 1 to 100000"),
        ("limit", "1e3", "is not a number"),
    ],
)
def test_an_invalid_query_is_rejected_with_the_parameter_and_the_reason(
    api: Api, column: str, value: str, reason: str
) -> None:
    [fault] = problem(api.get(f"{TABLES}/kinds", [(column, value)]), 400)["errors"]
    assert fault["parameter"] == column
    assert reason in fault["reason"]


def test_all_errors_are_reported_together(api: Api) -> None:
    wrong = [("id", "eq.x"), ("colour", "eq.red"), ("order", "id.up"), ("limit", "5"), ("limit", "6")]
    assert faults(api.get(f"{TABLES}/kinds", wrong)) == ["id", "colour", "limit", "order"]


# --- columns, order, number


def test_columns_come_as_they_are_selected(api: Api) -> None:
    assert api.rows("kinds", ("select", "day,id"), ("id", "eq.1")) == [{"day": "2024-01-31", "id": 1}]
    assert api.rows("kinds", ("select", "id,id"), ("id", "eq.1")) == [{"id": 1}]
    assert list(api.rows("kinds", ("select", "*"), ("limit", "1"))[0]) == list(api.rows("kinds", ("limit", "1"))[0])


@pytest.mark.parametrize(
    ("order", "sql"),
    [
        ("name", "name, id"),
        ("price.desc", "price DESC, id"),
        ("good.asc,day.desc", "good, day DESC, id"),
        ("at.desc,trades,id.desc", "at DESC, trades, id DESC"),
        ("ratio", "ratio, id"),
        ("trades.desc.nullslast,name.nullsfirst", "trades DESC NULLS LAST, name NULLS FIRST, id"),
        ("day,trades,day.desc", "day, trades, id"),
    ],
)
def test_rows_have_the_order_of_sql(api: Api, order: str, sql: str) -> None:
    expected = [row[0] for row in api.sql(f"SELECT id FROM analytics.kinds ORDER BY {sql}")]
    assert [row["id"] for row in api.rows("kinds", ("order", order))] == expected
    # A column of the order needn't be selected.
    assert [row["id"] for row in api.rows("kinds", ("order", order), ("select", "id"))] == expected


def test_without_an_order_rows_come_by_the_key(api: Api) -> None:
    keys = [(row["symbol"], row["date"]) for row in api.rows("market_data")]
    assert keys == sorted(keys)
    assert len(keys) == 66


def test_a_limit_is_kept_and_further_rows_are_reported(api: Api) -> None:
    first = api.get(f"{TABLES}/market_data", [("limit", "65")]).json()
    assert (first["count"], len(first["data"]), first["truncated"]) == (65, 65, True)
    last = api.get(first["next"]).json()
    assert (last["count"], last["truncated"], last["next"]) == (1, False, None)
    whole = api.get(f"{TABLES}/market_data", [("limit", "66")]).json()
    assert (whole["count"], whole["truncated"], whole["next"]) == (66, False, None)


def test_without_a_limit_there_are_1000_rows(api: Api) -> None:
    found = api.get(f"{TABLES}/sessions").json()
    assert (found["count"], found["truncated"]) == (1000, True)


# --- tables that are made while the server runs


def test_a_table_made_while_the_server_runs_is_listed_and_served(api: Api) -> None:
    api.execute(
        "CREATE TABLE analytics.made_later (id int PRIMARY KEY, note text)",
        "COMMENT ON TABLE analytics.made_later IS 'Made later.'",
        "COMMENT ON COLUMN analytics.made_later.note IS 'Its text.'",
        "INSERT INTO analytics.made_later VALUES (1, 'here')",
    )
    until_served(api, "made_later")
    assert api.rows("made_later") == [{"id": 1, "note": "here"}]
    found = tables(api)["made_later"]
    assert (found["kind"], found["schema"], found["description"]) == ("mart", "analytics", "Made later.")
    assert found["columns"][1] == {
        "name": "note",
        "type": "text",
        "nullable": True,
        "description": "Its text.",
        "operators": ["eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is"],
    }
    assert "/api/v1/tables/made_later" in api.get("/openapi.json").json()["paths"]


def test_a_table_of_a_name_that_is_taken_is_served_under_its_full_name(api: Api) -> None:
    api.execute("CREATE TABLE analytics.splits AS SELECT 1 AS mine")
    until_served(api, "analytics.splits")
    assert api.rows("analytics.splits") == [{"mine": 1}]
    assert api.rows("splits")[0]["symbol"] == "AAPL"


def test_unusual_names_of_tables_and_columns_are_served_too(api: Api) -> None:
    api.execute('CREATE TABLE analytics."Odd ""%%s"" table" ("a %%b" int PRIMARY KEY, "select" text, "c""d" float)')
    api.execute("""INSERT INTO analytics."Odd ""%%s"" table" VALUES (1, 'x', 0.5), (2, 'y', 1.5)""")
    path = 'Odd "%25s" table'
    until_served(api, path)
    assert api.rows(path, ('c"d', "gt.1")) == [{"a %b": 2, "select": "y", 'c"d': 1.5}]
    assert api.rows(path, ("order", "a %b.desc"), ("select", "a %b"), ("limit", "1")) == [{"a %b": 2}]
    assert api.get(f"{TABLES}/{path}", [("format", "csv"), ("a %b", "eq.1")]).text == 'a %b,select,"c""d"\n1,x,0.5\n'


def test_a_table_without_a_key_is_served_but_has_no_further_pages_until_it_has_one(api: Api) -> None:
    api.execute("CREATE TABLE analytics.keyless AS SELECT number, -number AS less FROM generate_series(1, 9) AS number")
    until_served(api, "keyless")
    for order in ([], [("order", "number")]):
        page = api.get(f"{TABLES}/keyless", [*order, ("limit", "4")])
        assert (page.json()["count"], page.json()["truncated"], page.json()["next"]) == (4, True, None)
        assert "link" not in page.headers
    api.execute("ALTER TABLE analytics.keyless RENAME TO keyed", "ALTER TABLE analytics.keyed ADD PRIMARY KEY (less)")
    until_served(api, "keyed")
    page = api.get(f"{TABLES}/keyed", [("limit", "4")]).json()
    assert [row["less"] for row in page["data"]] == [-9, -8, -7, -6]
    assert [row["less"] for row in api.get(page["next"]).json()["data"]] == [-5, -4, -3, -2]
