"""The web page in a real browser, on the real API, with gaps, flags and a failure in the database."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text

from market_pipeline.api.server import running_api
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.loading import load
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.bar_frames import columns_of
from market_pipeline_tests.end_to_end.browser import Browser, Tab
from market_pipeline_tests.integration.api_cases import environment_of, serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import load_failure, recorded, request_for

A_MINUTE_LATER = """{
  const now = Date.now;
  Date.now = () => now() + 60_000;
  document.dispatchEvent(new Event("visibilitychange"));
}"""
STOP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"

AAPL, IBM = Symbol.of("AAPL", "stock"), Symbol.of("IBM", "stock")
FIRST, LAST = date(2011, 3, 1), date(2013, 3, 1)
HOSTILE = "<img src=/gone onerror=alert(1)> the vendor returned 500"


def fill(warehouse: Engine) -> None:
    """Store AAPL with a flagged bar and IBM with a failed month, both delisted, so that nothing else is missing."""
    add_symbols(warehouse, [AAPL, IBM])
    bars = recorded("AAPL", FIRST, LAST)
    bars.loc[bars["date"] == "2012-06-15", ["open", "high", "low", "close"]] *= 2
    keep(warehouse, AAPL, bars)
    keep(warehouse, IBM, recorded("IBM", FIRST, date(2013, 1, 31)))
    load_failure(warehouse, IBM, list_sessions("XNYS", date(2013, 2, 1), LAST), HOSTILE, run_id="run-of/February")
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET delisted_on = :last"), {"last": LAST})


def keep(warehouse: Engine, symbol: Symbol, bars: Any) -> None:
    sessions = list_sessions("XNYS", FIRST, bars["date"].max().date())
    run = replace(request_for(symbol, sessions), source="sandbox", started_at=datetime.now(UTC))
    load(warehouse, run, columns_of(bars), (), find_flags)


@pytest.fixture(scope="module")
def page(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a database with bars."""
    with serving(server, tmp_path_factory.mktemp("page")) as api:
        fill(api.warehouse)
        yield api.url


@pytest.fixture
def seen(browser: Browser, page: str) -> Tab:
    return Tab(browser).open(page)


def test_every_symbol_has_a_row_and_the_verdict_names_the_one_that_failed(seen: Tab) -> None:
    sessions = len(list_sessions("XNYS", FIRST, LAST))
    assert seen.state("overview") == {"state": "ready", "rows": "2"}
    assert seen.shown("#overview .verdict").startswith("1 of 2 symbols needs attention: 1 with a failed load")
    aapl, ibm = seen.evaluate("[...document.querySelectorAll('#overview tbody tr')].map((row) => row.innerText)")
    assert f"{sessions} / {sessions}" in aapl
    assert "484 / 504" in ibm
    assert "20 failed" in ibm
    assert HOSTILE in ibm


@pytest.mark.parametrize(
    ("health", "verdict"),
    [
        ("fine", "All is well: 1 symbol complete and up to date."),
        ("behind", "All is well: 1 symbol complete and up to date, but for what the next run fetches."),
        ("attention", "1 of 1 symbol needs attention: 1 with missing sessions."),
    ],
)
def test_the_verdict_follows_the_health_of_the_symbols(seen: Tab, health: str, verdict: str) -> None:
    row = json.dumps({"loaded": 8, "fetchable": 1, "last_error": None, "health": health})
    assert seen.evaluate(f"import('/static/attention.js').then(({{ verdict }}) => verdict([{row}]))") == verdict


def test_text_from_data_is_never_read_as_markup(seen: Tab) -> None:
    assert seen.evaluate("document.querySelectorAll('main img').length") == 0
    assert not [request for request in requests(seen) if "gone" in request]


def requests(tab: Tab) -> list[str]:
    return [result["request"]["url"] for result in tab.events("Network.requestWillBeSent")]


def test_every_request_goes_to_the_api_and_none_is_rejected_or_fails(seen: Tab, page: str) -> None:
    requested = requests(seen)
    assert f"{page}/static/vendor/lightweight-charts.standalone.production.js" in requested
    assert [url for url in requested if not url.startswith((page, "data:"))] == []
    assert seen.events("Runtime.exceptionThrown") == []
    assert [result["entry"]["text"] for result in seen.events("Log.entryAdded")] == []


def test_filtering_and_sorting_show_the_right_rows(seen: Tab) -> None:
    seen.click("#only-attention")
    assert seen.shown("#overview tbody th") == "IBM"
    seen.until("document.querySelector('#heatmap tbody').rows.length === 1")
    seen.click("#only-attention")
    seen.click("#overview thead button")
    assert seen.shown("#overview tbody th") == "IBM"
    assert seen.evaluate("document.querySelector('[aria-sort=descending]').innerText") == "Symbol"
    filter_by = (
        "const box = document.getElementById('filter'); box.value = '%s'; box.dispatchEvent(new Event('input'));"
    )
    seen.evaluate(filter_by % "aap")
    assert seen.state("overview")["rows"] == "1"
    assert seen.shown("#overview .count") == "1 of 2 symbols"


def test_the_heatmap_shows_every_months_numbers_and_its_sessions(seen: Tab) -> None:
    label = "document.querySelector(`[data-focus='%s']`).getAttribute('aria-label')"
    assert seen.evaluate(label % "AAPL 2012-03-01") == "AAPL, March 2012: 22 of 22 sessions loaded."
    assert seen.evaluate(label % "AAPL 2012-06-01") == "AAPL, June 2012: 21 of 21 sessions loaded, 2 flagged."
    seen.evaluate("document.querySelector(`[data-focus='AAPL 2013-01-01']`).focus()")
    seen.press("ArrowDown", "ArrowRight")
    assert seen.shown("#heatmap .description") == "IBM, February 2013: 0 of 19 sessions loaded, 19 failed."
    seen.press("Enter")
    seen.until("document.getElementById('month').dataset.state === 'ready'")
    assert seen.state("month")["rows"] == "19"
    assert seen.shown("#month tbody tr").split("\t") == ["2013-02-01", "failed", HOSTILE]


def test_a_run_links_to_its_page_in_the_dagster_ui(seen: Tab) -> None:
    assert seen.state("runs") == {"state": "ready", "rows": "2"}
    links = seen.evaluate("[...document.querySelectorAll('#runs tbody td:last-child a')].map((link) => link.href)")
    assert "http://127.0.0.1:3000/runs/run-of%2FFebruary" in links
    assert "0 ok, 1 failed" in seen.shown("#runs table")


def test_clicking_a_symbol_shows_its_candles_under_an_address_of_their_own(seen: Tab, browser: Browser) -> None:
    seen.evaluate("document.querySelector('[name=adjustment][value=none]').click()")
    seen.until("document.getElementById('candles').dataset.adjustment === 'none'")
    seen.click("[data-symbol=IBM]")
    seen.until("document.getElementById('candles').dataset.symbol === 'IBM'")
    bars = len(list_sessions("XNYS", date(2012, 1, 31), date(2013, 1, 31)))
    assert seen.state("candles")["bars"] == str(bars)
    assert seen.shown("#candles .sandbox") == "Sandbox data: not the market"
    assert seen.evaluate("document.querySelectorAll('.chart canvas').length") > 0
    shared = Tab(browser).open(seen.evaluate("location.href"))
    assert shared.state("candles") == seen.state("candles")


def test_the_arrow_keys_read_the_bars_and_a_flagged_one_shows_its_reason(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=AAPL&adjustment=none&range=All")
    assert tab.state("candles")["bars"] == str(len(list_sessions("XNYS", FIRST, LAST)))
    assert int(tab.state("candles")["flagged"]) >= 1
    assert "2012-06-15: " in tab.evaluate("document.querySelector('.flags').textContent")
    tab.evaluate("document.querySelector('.chart').focus()")
    tab.press("Home", "ArrowRight")
    assert tab.shown("#candles .bar").split()[:5] == ["2011-03-02", "open", "349.96", "high", "354.35"]


def test_an_unknown_adjustment_has_a_reason_and_a_link_to_the_bars_as_traded(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=AAPL&adjustment=all&range=6M")
    assert tab.state("candles")["state"] == "error"
    assert "splits and dividends were never requested" in tab.shown("#candles .note")
    tab.click(".instead button")
    tab.until("document.getElementById('candles').dataset.state === 'ready'")
    assert tab.state("candles")["adjustment"] == "none"


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_the_page_itself_never_scrolls_sideways(browser: Browser, page: str, width: int) -> None:
    tab = Tab(browser, width=width).open(f"{page}/?symbol=AAPL&adjustment=none")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_a_dark_colour_scheme_has_a_dark_page(browser: Browser, page: str) -> None:
    grounds = [
        Tab(browser, dark=dark).open(page).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    light, dark = (sum(map(int, ground.strip("rgb()").split(","))) for ground in grounds)
    assert light > 600
    assert dark < 150


def test_an_empty_warehouse_names_the_next_command(browser: Browser, settings: Settings) -> None:
    with environment_of(settings), running_api(settings) as address:
        tab = Tab(browser).open(address)
        assert tab.shown("#overview .note") == "No symbol is tracked yet: run market-pipeline symbols init."
        assert tab.state("candles")["state"] == tab.state("runs")["state"] == "empty"
        for command in ("symbols init", "backfill", "up --sandbox"):
            assert f"market-pipeline {command}" in tab.shown("#candles .steps")


def test_the_page_prompts_for_a_key_where_reading_requires_one(
    browser: Browser, warehouse: Engine, settings: Settings
) -> None:
    key = create_key(warehouse, "a reader's", Scope.READ).get_secret_value()
    with environment_of(settings), running_api(settings.model_copy(update={"api_key_required": True})) as address:
        tab = Tab(browser).open(address)
        assert "Use it in this tab" in tab.shown("body")
        assert tab.evaluate("document.activeElement.name") == "key"
        for words in ("Overview", "Missing", "Nothing to show", "can't be", "not accepted"):
            assert words not in tab.shown("body")
        for tried, locked in (("wrong", True), (key, False)):
            tab.evaluate(f"document.querySelector('#key input').value = '{tried}'")
            tab.click("#key button")
            tab.until(f"document.getElementById('key-rejected').checkVisibility() === {str(locked).lower()}")
            tab.until(f"document.getElementById('key').hidden === {str(not locked).lower()}")
        tab.until("document.getElementById('overview').dataset.state === 'empty'")


def test_the_documentation_shows_under_the_security_policy(browser: Browser, page: str) -> None:
    for path, shown in (("docs", ".opblock"), ("redoc", "h1")):
        tab = Tab(browser)
        tab.call("Page.navigate", url=f"{page}/{path}")
        tab.until(f"document.querySelector('{shown}') !== null")
        result = [entry["entry"]["text"] for entry in tab.events("Log.entryAdded")]
        blocked = [text for text in result if "Content Security Policy" in text]
        # Redoc also requests its maker's logo from elsewhere, once it has shown everything, and goes without.
        assert [text for text in blocked if "/redoc/logo-mini.svg" not in text] == []


def test_five_hundred_symbols_are_pages_of_thirty_in_the_heatmap(
    browser: Browser, warehouse: Engine, settings: Settings
) -> None:
    others = [Symbol.of(f"X{number:03}", "stock") for number in range(499)]
    add_symbols(warehouse, [AAPL, *others])
    keep(warehouse, AAPL, recorded("AAPL", FIRST, LAST))
    for symbol in others[:60]:
        load_failure(warehouse, symbol, [LAST], "the vendor returned 500")
    with environment_of(settings), running_api(settings) as address:
        tab = Tab(browser).open(address)
        assert tab.state("overview")["rows"] == "500"
        assert tab.shown(".pager .count") == "1 to 30 of 61"  # the others were never requested
        requested = [url for url in requests(tab) if "coverage_by_month" in url]
        assert [url.count("%22%2C%22") for url in requested] == [29]
        # Of the tenth last session no bar was requested, of the 61 symbols that ever were.
        cells = "[...document.querySelectorAll('#days tbody tr:nth-child(10) td')].map((cell) => cell.innerText)"
        assert tab.evaluate(cells)[:2] == ["missing", "0 / 61"]


def test_a_whole_market_has_a_chart_of_its_months_and_the_universe_of_each_session(
    browser: Browser, warehouse: Engine, settings: Settings, seen: Tab
) -> None:
    assert seen.evaluate("document.getElementById('markets').checkVisibility()") is False  # that database has no market
    days = list_sessions("XNYS", date(2024, 2, 26), date(2024, 3, 15))
    lasting = {"AA": Bar(28.0), "SPY": Bar(515.0, 80_000.0)}
    gone = [{"SIVB": Bar(0.9), "FRCB": Bar(0.3)}, {"SIVB": Bar(0.9)}, {"SIVB": Bar(0.9), "FRCB": Bar(0.3)}]
    sessions = [session_of(day, lasting | (gone[place] if place < 3 else {})) for place, day in enumerate(days)]
    load_market(warehouse, *sessions, accept_small=True)
    with environment_of(settings), running_api(settings) as address:
        tab = Tab(browser).open(address)
        assert tab.state("markets") == {"state": "ready", "months": "2"}
        assert tab.shown("#markets .sandbox") == "Sandbox data: not the market"
        for part in ("overview", "days", "heatmap", "runs"):  # no symbol is tracked, so these point to the market
            assert tab.state(part)["state"] == "empty"
            assert "the last load, of us-stocks on 2024-03-15, ended at " in tab.shown(f"#{part} .note")
        assert "symbols init" not in tab.shown("main")
        bar = "document.querySelector(`[data-focus='us_stocks 2024-02-01']`)"
        label = "February 2024: 4 listed, of which 2 are gone now (4 sessions)."
        assert tab.evaluate(f"{bar}.getAttribute('aria-label')") == label
        tab.until("document.getElementById('universe').dataset.state === 'ready'")
        assert tab.shown("#universe .count") == "2 tickers traded; the 2 largest"
        assert tab.shown("#universe tbody th") == "SPY"
        tab.evaluate("document.querySelector('.bar-of-month:last-child').focus()")
        tab.press("ArrowLeft", "Enter")
        assert tab.shown("#markets .description") == label
        tab.until("document.getElementById('universe').dataset.date === '2024-02-29'")
        tab.evaluate(
            "const day = document.querySelector('#universe [name=date]'); day.value = '2024-02-27';"
            "document.querySelector('#universe [value=gone]').click()"
        )
        tab.until("document.getElementById('universe').dataset.date === '2024-02-27'")
        # FRCB is listed and gone too, and didn't trade on that session.
        assert tab.shown("#universe .count") == "3 tickers traded; 1 gone since"
        assert tab.evaluate("document.querySelectorAll('#universe tbody tr').length") == 1
        assert tab.shown("#universe tbody tr").split("\t")[:2] == ["SIVB", "SIVB"]
        assert tab.evaluate("document.querySelector('#universe .downloads a').href").endswith(
            "/api/v1/universe?date=2024-02-27&market=us-stocks&format=csv"
        )
        tab.evaluate("day.value = '2024-03-16'; day.dispatchEvent(new Event('change', { bubbles: true }))")
        for way in ("gone", "largest"):
            tab.click(f"#universe [value={way}]")
            tab.until("document.getElementById('universe').dataset.state === 'error'")
            assert "it is no session of XNYS; the nearest ones are" in tab.shown("#universe .note")
            assert tab.evaluate("document.querySelectorAll('#universe tbody tr').length") == 0
            assert tab.shown("#universe .count") == ""


def test_a_lost_database_leaves_the_page_as_it_was_and_marks_it_as_old(
    browser: Browser, warehouse: Engine, settings: Settings, server: embedded.Server
) -> None:
    fill(warehouse)
    with environment_of(settings), running_api(settings) as address:
        tab = Tab(browser).open(address)
        with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {warehouse.url.database} ALLOW_CONNECTIONS false")
            connection.execute(STOP, [warehouse.url.database])
        tab.evaluate(A_MINUTE_LATER)
        tab.until("!document.getElementById('banner').hidden")
        assert "the database can't be reached" in tab.shown("#banner").lower()
        assert tab.shown("#health .facts").startswith("Database\nunreachable")
        assert {tab.state(part)["state"] for part in ("overview", "heatmap", "runs", "candles")} == {"stale"}
        assert "Shown is what was known at" in tab.shown("#overview .note")
        assert "AAPL" in tab.shown("#overview table")
        afresh = Tab(browser).open(address)
        assert afresh.state("candles")["state"] == "error"
        assert "market-pipeline up" in afresh.shown("#candles .steps")
