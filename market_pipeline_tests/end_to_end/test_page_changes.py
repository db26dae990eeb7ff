"""The page's changes of a session and since an instant, and its universe of a session by type."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from market_pipeline.warehouse import embedded
from market_pipeline_tests.end_to_end.browser import Browser, Tab
from market_pipeline_tests.integration.api_cases import Api, load_autumn, serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

DAY = date(2000, 10, 5)
MARKET_DAYS = [DAY, *(date(2000, 10, day) for day in (11, 12, 13))]  # after those of the stocks, but for one
ROWS = """[...document.querySelectorAll('#changes tbody tr')].map(
    (row) => [...row.cells].map((cell) => cell.textContent).slice(1)
)"""
TYPES = {"AAA": "CS", "BBB": "ETF"}


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The page over three stocks with a corrected and a deleted bar, and a market of four sessions."""
    with serving(server, tmp_path_factory.mktemp("changed")) as api:
        load_autumn(api.warehouse)
        for day in MARKET_DAYS:
            bars = {"AAA": Bar(10.0), "BBB": Bar(20.0), "CCC": Bar(5.0)}
            if day in (DAY, MARKET_DAYS[-1]):
                del bars["CCC"]
            load_market(api.warehouse, session_of(day, bars), run_id="run-3", accept_small=True, source="polygon")
        for ticker, kind in TYPES.items():
            api.execute(
                "INSERT INTO reference_tickers (market, ticker, name, type, fetched_at) "
                f"VALUES ('us_stocks', '{ticker}', '{ticker} Company', '{kind}', now())"
            )
        corrected = recorded("AAPL", DAY, DAY)
        corrected["close"] = 22.0
        load_frame(api.warehouse, AAPL, corrected, run_id="run-2")
        api.execute("DELETE FROM market_data WHERE symbol = 'IBM' AND date = '2000-10-05'")
        yield api


def open_changes(browser: Browser, api: Api, address: str) -> Tab:
    tab = Tab(browser).open(f"{api.url}/#changes/{address}")
    tab.until("document.getElementById('changes').dataset.state === 'ready'")
    return tab


def test_the_changes_of_a_session_are_beside_what_they_replaced(browser: Browser, api: Api) -> None:
    tab = open_changes(browser, api, str(DAY))
    [before] = api.sql("SELECT close FROM market_data_revisions WHERE symbol = 'AAPL'")
    rows = {row[2]: row for row in tab.evaluate(ROWS)}
    assert rows["AAPL"][:4] == ["bar", "changed", "AAPL", "2000-10-05"]
    assert f"close {before[0]:g} → 22" in rows["AAPL"][4]
    assert rows["IBM"][:4] == ["bar", "went", "IBM", "2000-10-05"]
    assert set(rows) == {"AAPL", "IBM", "AAA", "BBB"}  # the market's came by a later run
    assert tab.shown("#changes .summary").startswith("4 bars of 2000-10-05, the first loaded at ")
    assert tab.shown("#changes .summary").endswith("since then 2 came, 1 changed and 1 went.")
    tab.evaluate("const form = document.querySelector('#changes form'); form.elements.date.value = '2000-09-12';"
                 "form.dispatchEvent(new Event('change'))")  # fmt: skip
    tab.until("document.querySelector('#changes .summary').textContent.startsWith('3 bars of 2000-09-12')")
    assert tab.shown("#changes .summary").endswith("None has changed.")
    assert tab.evaluate("location.hash") == "#changes/2000-09-12"


def test_the_changes_since_an_instant_are_pages_of_the_feed(browser: Browser, api: Api) -> None:
    [[point]] = api.sql("SELECT replaced_at FROM market_data_revisions WHERE symbol = 'AAPL'")
    since = (point - timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    tab = open_changes(browser, api, f"since/{since}?kind=bar")
    assert [row[:4] for row in tab.evaluate(ROWS)] == [
        ["bar", "changed", "AAPL", "2000-10-05"], ["bar", "went", "IBM", "2000-10-05"],
    ]  # fmt: skip
    all_of_them = open_changes(browser, api, "since/2000-01-01T00:00Z?kind=bar&symbol=AAPL")
    assert all_of_them.shown("#changes .summary") == "23 changes since 2000-01-01 00:00 UTC."
    exact = tab.shown("#changes .summary")
    assert exact == f"2 changes since {since.replace('T', ' ').rstrip('0Z')} UTC."
    # Another symbol leaves the instant of the address as it is.
    tab.evaluate("document.querySelector('#changes [name=symbol]').value = 'IBM';"
                 "document.querySelector('#changes form').dispatchEvent(new Event('change'))")  # fmt: skip
    tab.until("document.getElementById('changes').dataset.rows === '1'")
    assert tab.evaluate("location.hash") == f"#changes/since/{since}?kind=bar&symbol=IBM"
    assert tab.shown("#changes .summary") == exact.replace("2 changes", "1 change")
    all_changes = open_changes(browser, api, "since/2000-01-01T00:00Z")
    number = api.get("/api/v1/changes").json()["count"]
    shown = int(all_changes.state("changes")["rows"])
    assert shown == min(number, 200)
    assert all_changes.evaluate("document.querySelector('#changes .more').hidden") is (number <= 200)


@pytest.mark.parametrize("address", ["2000-13-45", "since/%E0%A4%A"])
def test_a_wrong_address_of_changes_shows_the_reason(browser: Browser, api: Api, address: str) -> None:
    tab = Tab(browser).open(f"{api.url}/#changes/{address}")
    assert tab.state("changes")["state"] == "error"
    assert "is not a" in tab.shown("#changes .note")
    assert tab.events("Runtime.exceptionThrown") == []


def test_the_universe_of_a_session_by_type(browser: Browser, api: Api) -> None:
    tab = Tab(browser).open(api.url)
    tab.until("document.getElementById('universe').dataset.state === 'ready'")
    assert tab.shown("#universe .count") == "2 tickers traded; the 2 largest"
    tab.click("#universe .earlier")
    tab.until("document.getElementById('universe').dataset.date === '2000-10-12'")
    assert tab.shown("#universe .count") == "3 tickers traded; the 3 largest"
    tab.evaluate("const type = document.querySelector('#universe [name=type]'); type.value = 'ETF';"
                 "type.dispatchEvent(new Event('change', { bubbles: true }))")  # fmt: skip
    tab.until(
        "document.querySelector('#universe .count').textContent === '3 tickers traded; the 1 largest of type ETF'"
    )
    assert tab.shown("#universe tbody tr").split("\t")[:3] == ["BBB", "BBB Company", "ETF"]
    assert "1 of the 3 tickers of 2000-10-12 has no known type" in tab.shown("#universe .hint")
    assert "type=ETF" in tab.evaluate("document.querySelector('#universe .downloads a').href")
    assert tab.events("Runtime.exceptionThrown") == []


def test_the_universe_of_an_address_is_shown_and_a_wrong_one_has_the_reason(browser: Browser, api: Api) -> None:
    tab = Tab(browser).open(f"{api.url}/#universe/2000-10-11")
    tab.until("document.getElementById('universe').dataset.date === '2000-10-11'")
    assert tab.evaluate("document.activeElement.id") == "universe-title"
    tab.click("#universe .later")
    tab.until("location.hash === '#universe/2000-10-12'")
    tab.evaluate("location.hash = '#universe/2000-10-05'")
    tab.until("document.getElementById('universe').dataset.date === '2000-10-05'")
    tab.evaluate("location.hash = '#universe/2000-10-07'")
    tab.until("document.querySelector('#universe .note').innerText.includes('it is no session of XNYS')")
    for wrong in ("2000-13-45", "soon", "%E0%A4%A"):
        tab.evaluate(f"location.hash = '#universe/{wrong}'")
        tab.until(f"document.querySelector('#universe .note').innerText.startsWith('{wrong} is no date: use one such')")
    assert tab.events("Runtime.exceptionThrown") == []


def test_without_a_market_the_address_of_a_universe_names_what_to_do_first(
    browser: Browser, server: embedded.Server, tmp_path: Path
) -> None:
    with serving(server, tmp_path) as api:
        load_autumn(api.warehouse)
        tab = Tab(browser).open(f"{api.url}/#universe/2000-10-05")
        assert tab.state("universe")["state"] == "empty"
        assert "market-pipeline market track us-stocks" in tab.shown("#universe .note")
        assert "market-pipeline market backfill us-stocks" in tab.shown("#universe .note")
        assert tab.evaluate("document.querySelector('#universe form').checkVisibility()") is False
        assert tab.evaluate("document.activeElement.id") == "universe-title"
        other = Tab(browser).open(api.url)
        assert other.evaluate("document.getElementById('universe').checkVisibility()") is False
        other.evaluate("location.hash = '#universe'")
        other.until("document.getElementById('universe').checkVisibility()")
        assert other.events("Runtime.exceptionThrown") == []
