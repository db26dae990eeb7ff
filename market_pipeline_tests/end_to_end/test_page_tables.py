"""The page's grid over any table: filters, order, pages, its address, and commands that read what it shows."""

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.end_to_end.browser import Browser, Tab
from market_pipeline_tests.integration.api_cases import KINDS, ROWS, Api, load_autumn, serving

CELLS = "[...document.querySelectorAll('#grid tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
CHIPS = "[...document.querySelectorAll('#grid .chips li span')].map((chip) => chip.textContent)"
CHOOSE = """{
  const form = document.querySelector('#grid form.filter');
  form.elements.column.value = %s;
  form.elements.column.dispatchEvent(new Event('change', { bubbles: true }));
  form.elements.operator.value = %s;
  form.elements.operator.dispatchEvent(new Event('change', { bubbles: true }));
  form.elements.value.value = %s;
  form.requestSubmit();
}"""
A_KEY = "sessionStorage.setItem('market-pipeline-key', %s)"


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The page over three stocks' bars of an autumn, and a table with a column of every type."""
    with serving(server, tmp_path_factory.mktemp("tables")) as api:
        load_autumn(api.warehouse)
        api.execute("CREATE SCHEMA IF NOT EXISTS analytics", KINDS, ROWS.replace("%", "%%"))
        yield api


def open_grid(browser: Browser, api: Api, address: str, **look: Any) -> Tab:
    tab = Tab(browser, **look).open(f"{api.url}/#table/{address}")
    wait(tab, "true")
    return tab


def wait(tab: Tab, condition: str) -> None:
    """Wait until the grid has loaded, and a condition holds."""
    tab.until(f"document.getElementById('grid').dataset.state === 'ready' && ({condition})")


def cells(tab: Tab) -> list[list[str]]:
    found: list[list[str]] = tab.evaluate(CELLS)
    return found


def add_filter(tab: Tab, column: str, operator: str, value: str = "") -> None:
    tab.evaluate(CHOOSE % tuple(map(json.dumps, (column, operator, value))))


def commands(tab: Tab) -> dict[str, str]:
    """Return the commands that read what is shown."""
    found = {}
    for name in ("curl", "pandas", "polars"):
        tab.click(f"#grid .commands [value={name}]")
        found[name] = tab.evaluate("document.querySelector('#grid .commands code').textContent")
    return found


def test_the_list_of_tables_leads_to_each(browser: Browser, api: Api) -> None:
    tab = Tab(browser).open(api.url)
    listed = {row[0]: row[1] for row in cells(tab)}
    assert (listed["market_data"], listed["coverage"], listed["kinds"]) == ("table", "view", "mart")
    tab.click("#grid [data-focus=market_data]")
    wait(tab, "document.getElementById('grid').dataset.rows === '25'")
    tab.until("document.querySelector('#grid .count').textContent === '66 rows'")
    assert tab.shown("#grid .range") == "Rows 1 to 25"
    assert tab.evaluate("location.hash") == "#table/market_data?limit=25"


def test_a_broken_escape_in_the_address_leads_to_the_list_of_tables(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "%E0%A4%A")
    assert "market_data" in {row[0] for row in cells(tab)}
    tab.evaluate("location.hash = '#table/market_data?limit=25'")
    wait(tab, f"{CELLS}.length === 25")
    tab.evaluate("location.hash = '#table/%E0%A4%A'")
    wait(tab, "document.querySelector('#grid [data-focus=market_data]') !== null")
    assert tab.events("Runtime.exceptionThrown") == []


def test_rows_of_a_list_are_counted_with_and_without_braces(browser: Browser, api: Api) -> None:
    [[number]] = api.sql("SELECT count(*) FROM market_data WHERE flags @> '{unexplained_move}'")
    [[others]] = api.sql("SELECT count(*) FROM market_data WHERE NOT flags @> '{unexplained_move}'")
    tab = open_grid(browser, api, "market_data?select=symbol,date&flags=cs.unexplained_move")
    for text, words, count in (
        ("cs.unexplained_move", "flags contains unexplained_move", number),
        ("cs.{unexplained_move}", "flags contains unexplained_move", number),
        ("not.cs.unexplained_move", "flags lacks unexplained_move", others),
    ):
        tab.evaluate(f"location.hash = '#table/market_data?select=symbol,date&flags={text}'")
        wait(tab, f"{CHIPS}[0] === '{words}'")
        tab.until(f"document.querySelector('#grid .count').textContent === '{count} row{'s' * (count != 1)}'")
    point = quote(api.get("/api/v1/changes").headers["X-As-Of"])
    tab.evaluate(f"location.hash = '#table/market_data?select=symbol,date&as_of={point}'")
    wait(tab, f"{CHIPS}[0]?.startsWith('as_of') && {CELLS}.length === 25")
    assert tab.shown("#grid .count") == ""  # the past is not counted
    assert [entry["entry"]["text"] for entry in tab.events("Log.entryAdded")] == []


def test_filters_and_order_are_kept_by_the_address(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "market_data?select=symbol,date,close")
    add_filter(tab, "symbol", "in", "AAPL, MSFT")
    wait(tab, f"{CHIPS}.length === 1")
    add_filter(tab, "date", "gte", "2000-10-09")
    wait(tab, f"{CHIPS}.length === 2")
    tab.evaluate("document.querySelector('#grid [data-sort-by=close]').focus()")
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", windowsVirtualKeyCode=13)
    wait(tab, "document.querySelector('#grid [aria-sort=ascending]') !== null")
    assert [row[:2] for row in cells(tab)] == [  # 20.87, 21.75, 54.19 and 54.56
        ["AAPL", "2000-10-10"], ["AAPL", "2000-10-09"], ["MSFT", "2000-10-09"], ["MSFT", "2000-10-10"],
    ]  # fmt: skip
    assert tab.evaluate(CHIPS) == ["symbol is one of AAPL, MSFT", "date ≥ 2000-10-09"]
    assert tab.evaluate("document.activeElement.dataset.sortBy") == "close"
    shared = open_grid(browser, api, tab.evaluate("location.hash").removeprefix("#table/"))
    assert (cells(shared), shared.evaluate(CHIPS)) == (cells(tab), tab.evaluate(CHIPS))
    tab.click("#grid .chips button")
    wait(tab, f"{CHIPS}.length === 1 && {CELLS}.length === 6")


ARROWS = """[...document.querySelectorAll('#grid thead th')].map((cell) => [...cell.querySelectorAll('button')].map(
    (button) => getComputedStyle(button, '::after').content.replace(/[" ]/g, '')
))"""


def test_each_sorted_column_has_one_arrow_and_its_place_among_several(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "market_data?select=symbol,date,close&order=close.desc,symbol.asc")
    assert tab.evaluate(ARROWS) == [["↑2", "▾"], ["none", "▾"], ["↓1", "▾"]]  # the second opens the filters
    tab.evaluate("location.hash = '#table/market_data?select=symbol,date,close&order=close.desc'")
    wait(tab, "document.querySelectorAll('#grid [aria-sort]').length === 1")
    assert tab.evaluate(ARROWS) == [["none", "▾"], ["none", "▾"], ["↓", "▾"]]


def test_pages_lead_forward_and_back_through_every_row_once(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "market_data?select=symbol,date&order=date.desc&limit=25")
    seen = [cells(tab)]
    for page in (2, 3):
        tab.click("#grid .next")
        wait(tab, f"document.getElementById('grid').dataset.page === '{page}'")
        seen.append(cells(tab))
    assert tab.shown("#grid .range") == "Rows 51 to 66"
    assert tab.evaluate("document.querySelector('#grid .next').disabled")
    expected = api.sql("SELECT symbol, date::text FROM market_data ORDER BY date DESC, symbol")
    assert [tuple(row) for page in seen for row in page] == expected
    shared = open_grid(browser, api, tab.evaluate("location.hash").removeprefix("#table/"))
    assert (cells(shared), shared.shown("#grid .range")) == (seen[2], "Rows 51 to 66")
    for page in (2, 1):
        tab.click("#grid .previous")
        wait(tab, f"document.getElementById('grid').dataset.page === '{page}'")
        assert cells(tab) == seen[page - 1]
    tab.evaluate("history.back()")
    wait(tab, "document.getElementById('grid').dataset.page === '2'")
    assert cells(tab) == seen[1]


def test_every_type_of_value_is_shown_unchanged(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "kinds")
    rows = cells(tab)
    assert rows[1] == [
        "2", "AAP,L", "1.5", "0.1", "9007199254740993", "2024-02-29", "2024-01-31T12:00:00.000001+00:00", "false",
        '["jump"]', "[]",
    ]  # fmt: skip
    assert rows[5][1:4] == ["NULL", "NULL", "NULL"]
    assert rows[6][1] == "Ångström €"
    for column, operator, value, found in (
        ("name", "like", "A*", ["1", "2"]),
        ("name", "in", 'AAPL, a "b" (c)', ["1", "3"]),
        ("good", "is.true", "", ["1", "4", "7"]),
        ("price", "is.null", "", ["6"]),
        ("flags", "cs", "two words", ["5"]),
        ("flags", "not.cs", "jump", ["1", "5", "7"]),
        ("at", "lt", "2024-01-31T12:00:00Z", ["5"]),
    ):
        tab.evaluate("location.hash = '#table/kinds'")
        wait(tab, f"{CELLS}.length === 7")
        add_filter(tab, column, operator, value)
        wait(tab, f"{CHIPS}.length === 1 && {CELLS}.length === {len(found)}")
        assert [row[0] for row in cells(tab)] == found


def test_a_wrong_value_is_rejected_with_the_form_of_a_right_one(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "market_data")
    add_filter(tab, "close", "gt", "dear")
    tab.until("document.getElementById('grid').dataset.state === 'error'")
    assert "'dear' is not a number such as 100.5" in tab.shown("#grid .note")
    tab.click("#grid .chips button")
    wait(tab, f"{CELLS}.length === 25")


@pytest.mark.parametrize("is_locked", [False, True])
def test_the_commands_read_what_is_shown(
    browser: Browser, api: Api, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    tab = open_grid(browser, api, "kinds?name=not.is.null&order=name.desc&select=id,name,day&limit=25")
    if is_locked:  # the page has a key, which the commands take from the environment
        key = create_key(api.warehouse, "a reader's", Scope.READ).get_secret_value()
        monkeypatch.setenv("API_KEY", key)
        tab.evaluate(A_KEY % json.dumps(key))
    tab.evaluate("location.hash = location.hash.replace('limit=25', 'limit=25&price=gte.0')")
    wait(tab, f"{CHIPS}.length === 2")
    shown = cells(tab)
    assert len(shown) == 5
    read = commands(tab)
    assert all(("API_KEY" in command) is is_locked for command in read.values())
    done = subprocess.run(["bash", "-c", read["curl"]], capture_output=True, text=True, timeout=60, check=True)
    first, *lines = csv.reader(io.StringIO(done.stdout))
    assert first == ["id", "name", "day"]
    assert [[value or "NULL" for value in line] for line in lines] == [
        [value or "NULL" for value in row] for row in shown
    ]
    for name in ("pandas", "polars"):
        names: dict[str, Any] = {}
        exec(read[name], names)
        assert [[str(value), *rest] for value, *rest in names["frame"][["id", "name"]].to_numpy()] == [
            row[:2] for row in shown
        ]


def test_the_commands_of_a_later_page_read_that_page(browser: Browser, api: Api) -> None:
    tab = open_grid(browser, api, "market_data?select=symbol,date,close&symbol=eq.IBM&limit=25&order=close.desc")
    tab.evaluate("location.hash = location.hash.replace('symbol=eq.IBM&', '')")
    wait(tab, f"{CHIPS}.length === 0")
    tab.click("#grid .next")
    wait(tab, "document.getElementById('grid').dataset.page === '2'")
    names: dict[str, Any] = {}
    exec(commands(tab)["pandas"], names)
    assert [[row.symbol, str(row.date)] for row in names["frame"].itertuples()] == [row[:2] for row in cells(tab)]


@pytest.mark.parametrize("look", [{}, {"width": 390}, {"dark": True}])
def test_the_grid_fits_and_breaks_no_rule_of_the_page(browser: Browser, api: Api, look: dict[str, Any]) -> None:
    tab = open_grid(browser, api, "market_data?limit=50&symbol=eq.AAPL", **look)
    assert tab.evaluate("document.documentElement.scrollWidth") <= look.get("width", 1280)
    assert tab.events("Runtime.exceptionThrown") == []
    assert [entry["entry"]["text"] for entry in tab.events("Log.entryAdded")] == []
