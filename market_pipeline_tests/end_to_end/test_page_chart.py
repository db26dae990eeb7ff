"""The page's chart and its search in a real browser: gaps, averages, comparison, keys, and a table."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.browser import Browser, Tab
from market_pipeline_tests.integration.api_cases import serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import load_failure, load_frame, recorded

AAPL, IBM, MSFT = (Symbol.of(name, "stock") for name in ("AAPL", "IBM", "MSFT"))
EARLY = date(2011, 9, 1), date(2012, 6, 29)
LATE = date(2013, 1, 28), date(2013, 3, 1)
FAILED = date(2012, 3, 15)
COMMON = date(2012, 3, 1)
MARKET_DAYS = list_sessions("XNYS", date(2024, 2, 26), date(2024, 3, 15))
NONE = "\N{EN DASH}"
# The time axis's labels of the newest frame, by their places; no price or volume is a word or four digits alone.
RECORD_TEXTS = """{
  let frame;
  const { fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
    if (/^([A-Z][a-z]{2}( .*)?|\\d{4}(-.*)?)$/.test(text)) {
      if (frame !== document.timeline.currentTime) globalThis.labels = new Map();
      frame = document.timeline.currentTime;
      labels.set(x, text);
    }
    return fillText.call(this, text, x, ...rest);
  };
}"""
GAP = "No bars: 2012-07-02 to 2013-01-25, {} sessions never requested"


def fill(warehouse: Engine) -> None:
    """Store AAPL with a long gap and a failed session, MSFT, IBM without bars, and a small market."""
    add_symbols(warehouse, [AAPL, IBM, MSFT])
    early = recorded("AAPL", *EARLY)
    load_frame(warehouse, AAPL, early[early["date"].dt.date < FAILED])
    load_failure(warehouse, AAPL, [FAILED], "the vendor returned 500")
    load_frame(warehouse, AAPL, early[early["date"].dt.date > FAILED])
    load_frame(warehouse, AAPL, recorded("AAPL", *LATE))
    load_frame(warehouse, MSFT, recorded("MSFT", COMMON, LATE[1]))
    lasting = {"TAA": Bar(10.0), "TAB": Bar(20.0, 9_000.0), "TAC": Bar(30.0)}
    gone = {"SIVB": Bar(0.9)}
    sessions = [session_of(day, lasting | (gone if day == MARKET_DAYS[0] else {})) for day in MARKET_DAYS]
    load_market(warehouse, *sessions, source="polygon", accept_small=True)


@pytest.fixture(scope="module")
def page(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page over these bars."""
    with serving(server, tmp_path_factory.mktemp("chart")) as api:
        fill(api.warehouse)
        yield api.url


@pytest.fixture
def aapl(browser: Browser, page: str) -> Tab:
    """All bars of AAPL as traded with an average of 20 sessions, and the focus on the chart."""
    tab = Tab(browser).open(f"{page}/?symbol=AAPL&adjustment=none&range=All&averages=20")
    tab.evaluate("document.querySelector('.chart').focus()")
    return tab


def readout(tab: Tab) -> str:
    return " ".join(tab.shown("#candles .bar").split())


def average(tab: Tab) -> float:
    return float(readout(tab).split("average 20 ")[1].split()[0])


def close_of(name: str, day: date) -> float:
    [close] = recorded(name, day, day)["close"]
    return float(close)


def test_the_chart_comes_first_on_the_page(aapl: Tab) -> None:
    assert aapl.evaluate("document.querySelector('main > section').id") == "candles"
    assert aapl.evaluate("performance.getEntriesByName('first chart').length") == 1


def test_a_gap_is_a_step_between_the_bars_that_names_its_sessions_and_their_state(aapl: Tab) -> None:
    late = len(list_sessions("XNYS", *LATE))
    missing = len(list_sessions("XNYS", date(2012, 7, 2), date(2013, 1, 25)))
    assert aapl.state("candles")["gaps"] == "2"
    aapl.press("End", *["ArrowLeft"] * (late - 1))
    assert readout(aapl).startswith("2013-01-28 ")
    aapl.press("ArrowLeft")
    assert readout(aapl) == GAP.format(missing)
    aapl.press("ArrowLeft")
    assert readout(aapl).startswith("2012-06-29 ")
    aapl.press("ArrowRight", "ArrowRight")
    assert readout(aapl).startswith("2013-01-28 ")
    listed = aapl.evaluate("[...document.querySelectorAll('.gaps li')].map((line) => line.textContent)")
    assert listed == ["No bar: 2012-03-15, failed", GAP.format(missing)]


def test_a_long_gap_takes_a_visible_share_of_the_chart_and_a_short_one_its_true_length(aapl: Tab) -> None:
    script = """import("/static/timeline.js").then(({ findGaps, buildSlots }) => {
      const day = (number) => new Date(864e5 * number).toISOString().slice(0, 10);
      const days = (from, to) => Array.from({ length: to - from }, (_, place) => day(from + place));
      const bars = [...days(0, 400), ...days(403, 800), ...days(3800, 4200)];
      const slots = buildSlots(bars, findGaps(bars, days(0, 4200)));
      return [3, 3000].map((length) => slots.filter(({ gap }) => gap?.sessions.length === length).length);
    })"""
    assert aapl.evaluate(script) == [3, 60]  # a twentieth of 1,197 bars


def test_the_pointer_reads_the_bar_under_it_and_leaves_the_newest(aapl: Tab) -> None:
    left, top = aapl.evaluate(
        "(({ left, top }) => [left, top])(document.querySelector('.chart').getBoundingClientRect())"
    )
    aapl.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 3, y=top + 60)
    aapl.until("document.querySelector('#candles .bar').innerText.startsWith('2011-09-0')")
    aapl.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 3, y=top - 60)
    aapl.until(f"document.querySelector('#candles .bar').innerText.startsWith('{LATE[1]}')")


def test_no_average_no_change_and_no_arrow_crosses_a_gap(aapl: Tab) -> None:
    late = recorded("AAPL", *LATE)["close"]
    aapl.press("End")
    assert average(aapl) == pytest.approx(late.iloc[-20:].mean(), abs=0.006)
    aapl.press(*["ArrowLeft"] * (len(late) - 20))
    assert average(aapl) == pytest.approx(late.iloc[:20].mean(), abs=0.006)
    aapl.press("ArrowLeft")
    assert f"average 20 {NONE}" in readout(aapl)
    aapl.press("Home", "PageDown")
    assert f"average 20 {NONE}" not in readout(aapl)
    aapl.press("End", *["ArrowLeft"] * (len(late) - 1))
    assert "flagged: unexplained_move" in readout(aapl)  # compared with the close seven months before
    assert "%" not in readout(aapl).split("flagged")[0]
    modules = 'import("/static/chart_data.js"), import("/static/pictures.js"), import("/static/chart_view.js")'
    marked = """.then(async ([{ loadChart }, { drawCandles }, { readView }]) => {
        const view = readView(location.search);
        const { items, span } = await loadChart(view);
        const { marked, flagged } = drawCandles(items[0], view, span);
        return [marked.includes("2013-01-28"), flagged.some(({ date }) => date === "2013-01-28")];
      })"""
    assert aapl.evaluate(f"Promise.all([{modules}]){marked}") == [False, True]


def test_an_average_begins_with_the_range_where_earlier_bars_are_stored(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=MSFT&adjustment=none&range=6M&averages=20")
    tab.evaluate("document.querySelector('.chart').focus()")
    tab.press("Home")
    day = date.fromisoformat(readout(tab).split()[0])
    assert day == date(2012, 9, 4)  # half a year before, after Labor Day
    closes = recorded("MSFT", COMMON, day)["close"].iloc[-20:]
    assert average(tab) == pytest.approx(closes.mean(), abs=0.006)


def test_symbols_are_compared_from_100_on_the_first_session_that_both_have(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=AAPL&adjustment=none&range=All&compare=MSFT")
    assert f"100 on {COMMON}" in tab.shown("#candles .summary")
    last = [f"{name} {100 * close_of(name, LATE[1]) / close_of(name, COMMON):.1f}" for name in ("AAPL", "MSFT")]
    assert readout(tab) == f"{LATE[1]} {last[0]} {last[1]}"
    tab.evaluate("document.querySelector('.chart').focus()")
    tab.press("Home", "ArrowRight")
    tab.press(*["PageDown"] * 5)
    assert f"AAPL {NONE}" in readout(tab)  # within its gap, of which MSFT has the sessions
    tab.click(".compared button")
    tab.until("document.querySelector('.compared').children.length === 0")
    tab.until("document.querySelector('#candles .bar').innerText.includes('volume')")
    assert "compare" not in tab.evaluate("location.search")


def test_a_symbol_is_found_by_typing_and_chosen_by_keys_alone(aapl: Tab) -> None:
    box = "document.getElementById('symbol')"
    aapl.press("/")
    assert aapl.evaluate("document.activeElement.id") == "symbol"
    aapl.call("Input.insertText", text="siv")
    aapl.until("document.querySelectorAll('#symbol-list [role=option]').length === 1")
    assert aapl.evaluate(f"{box}.getAttribute('aria-expanded')") == "true"
    active = aapl.evaluate(f"document.getElementById({box}.getAttribute('aria-activedescendant')).innerText")
    assert active.split() == ["SIVB", "ended", "2024-02-26"]
    aapl.press("Escape")
    assert aapl.evaluate(f"[{box}.value, {box}.getAttribute('aria-expanded')]") == ["AAPL", "false"]
    aapl.call("Input.insertText", text="TA")
    aapl.until("document.querySelectorAll('#symbol-list [role=option]').length === 3")
    aapl.press("ArrowDown", "Enter")
    aapl.until("document.getElementById('candles').dataset.symbol === 'TAB'")
    assert aapl.shown("#candles-title") == "TAB"
    assert "symbol=TAB" in aapl.evaluate("location.search")
    aapl.evaluate("document.getElementById('compare').focus()")
    aapl.call("Input.insertText", text="TAC")
    aapl.press("Enter")  # before the list is there
    aapl.until("document.querySelector('.compared button')?.dataset.symbol === 'TAC'")


def test_without_a_symbol_the_chart_is_of_the_first_tracked_one_with_bars(browser: Browser, page: str) -> None:
    assert Tab(browser).open(page).state("candles")["symbol"] == "AAPL"


def test_the_options_are_in_the_address_and_zooming_works_by_keys(aapl: Tab, browser: Browser) -> None:
    aapl.click("[name=scale]")
    aapl.click('[name=averages][value="50"]')
    aapl.until("new URLSearchParams(location.search).get('averages') === '20,50'")
    shared = Tab(browser).open(aapl.evaluate("location.href"))
    checked = (
        "[...document.querySelectorAll('#candles :checked')].map(({ type, value }) => type === 'checkbox' && value)"
    )
    assert [value for value in shared.evaluate(checked) if value] == ["20", "50", "log"]
    shared.evaluate("document.querySelector('.chart').focus()")
    shared.press("End", "+", "+", "Home")
    assert readout(shared).startswith("2011-09-01 ")


def test_the_chart_is_a_table_too_in_which_a_gap_is_a_row(aapl: Tab) -> None:
    aapl.evaluate("document.querySelector('.as-table').open = true")
    aapl.until("document.querySelector('.as-table tbody tr')")
    rows = aapl.evaluate("[...document.querySelectorAll('.as-table tbody tr')].map((row) => row.innerText)")
    late, early = (recorded("AAPL", *span) for span in (LATE, EARLY))
    assert len(rows) == len(late) + len(early) - 1 + 2  # a session failed; two gaps
    newest = late.iloc[-1]
    assert rows[0].split("\t")[:5] == [
        str(LATE[1]),
        *(f"{newest[name]:.2f}" for name in ("open", "high", "low", "close")),
    ]
    assert rows[len(late)].startswith("No bars: 2012-07-02 to 2013-01-25")


def test_a_symbol_without_bars_names_the_next_command_and_leaves_the_search(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=IBM")
    assert tab.shown("#candles .note") == "No bars of IBM are loaded yet."
    assert "market-pipeline backfill" in tab.shown("#candles .steps")
    assert "market-pipeline up --sandbox" in tab.shown("#candles .steps")
    assert tab.evaluate("document.getElementById('symbol').checkVisibility()") is True


def test_an_unknown_symbol_is_named_with_the_next_step(browser: Browser, page: str) -> None:
    tab = Tab(browser).open(f"{page}/?symbol=NOSUCHX")
    assert "There is no symbol NOSUCHX here" in tab.shown("#candles .note")
    assert "market-pipeline symbols add SYMBOL" in tab.shown("#candles .note")
    assert "2000-01-01" not in tab.shown("#candles")
    assert Tab(browser).open(f"{page}/?symbol=aapl&adjustment=none").state("candles")["symbol"] == "AAPL"


def test_a_chart_stays_beside_symbols_that_can_not_be_compared(browser: Browser, page: str) -> None:
    alone = len(recorded("AAPL", *EARLY)) - 1 + len(recorded("AAPL", *LATE))  # a session failed
    tab = Tab(browser).open(f"{page}/?symbol=AAPL&adjustment=none&range=All&compare=NOSUCH,IBM")
    assert (tab.state("candles")["state"], tab.state("candles")["bars"]) == ("ready", str(alone))
    assert "There is no symbol NOSUCH here" in tab.shown("#candles .picture-note")
    assert "No data found for IBM" in tab.shown("#candles .picture-note")
    tab.click(".compared [data-symbol=NOSUCH]")
    tab.until("!document.querySelector('.picture-note').innerText.includes('NOSUCH')")


def test_a_symbol_without_a_common_session_is_named_beside_the_chart_of_the_others(
    browser: Browser, server: embedded.Server, tmp_path: Path
) -> None:
    winter, spring = (date(2012, 1, 3), date(2012, 2, 1)), (date(2012, 3, 5), date(2012, 4, 2))
    summer = date(2012, 6, 1), date(2012, 7, 2)
    with serving(server, tmp_path) as api:
        add_symbols(api.warehouse, [AAPL, IBM, MSFT])
        for symbol, span in ((AAPL, winter), (AAPL, summer), (MSFT, spring), (IBM, summer)):
            load_frame(api.warehouse, symbol, recorded(symbol.name, *span))
        alone = Tab(browser).open(f"{api.url}/?symbol=AAPL&compare=MSFT&range=All&adjustment=none")
        both = Tab(browser).open(f"{api.url}/?symbol=AAPL&compare=MSFT,IBM&range=All&adjustment=none")
        states = [tab.state("candles") for tab in (alone, both)]
        assert [state["state"] for state in states] == ["ready", "ready"]
        note = "MSFT has no session in common with AAPL{} in this range, and no line."
        assert alone.shown("#candles .picture-note") == note.format("")
        assert alone.shown("#candles .summary").startswith("Closes, 100 on 2012-01-03 · to 2012-07-02")
        assert both.shown("#candles .picture-note") == note.format(" and IBM")
        assert "Closes, 100 on 2012-06-01, the first session in common" in both.shown("#candles .summary")
        assert f"MSFT {NONE}" in readout(both)
        alone.click(".compared [data-symbol=MSFT]")
        alone.until("document.querySelector('#candles .bar').innerText.includes('volume')")


@pytest.mark.parametrize(
    ("view", "labels"),
    [
        ("symbol=MSFT&range=1Y", "Mar Apr May Jun Jul Aug Sep Oct Nov Dec 2013 Feb Mar"),
        ("symbol=AAPL&range=All", "Sep Oct Nov Dec 2012 Feb Mar Apr May Jun 2013 Mar"),
    ],
)
def test_the_time_axis_has_months_and_the_year_where_it_changes(
    browser: Browser, page: str, view: str, labels: str
) -> None:
    tab = Tab(browser)
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=RECORD_TEXTS)
    tab.open(f"{page}/?{view}&adjustment=none")
    tab.until("globalThis.labels?.size > 0")
    shown = tab.evaluate("[...labels].sort(([one], [other]) => one - other).map(([, label]) => label)")
    assert " ".join(shown) == labels


def test_a_tick_has_its_month_and_the_year_after_a_break_that_hides_its_change(aapl: Tab) -> None:
    script = """import("/static/timeline.js").then(({ labelTick }) => {
      const gap = { first: "2025-12-29", last: "2026-10-30", sessions: Array(200) };
      const times = ["2025-12-26", "2025-12-29", "2026-01-02", "2026-11-02", "2026-11-16"];
      const slots = times.map((time, place) => ({ time, ...(place === 1 || place === 2 ? { gap } : {}) }));
      return [2, 0, 0, 1, 2].map((kind, index) => labelTick(slots, index, kind));
    })"""
    assert aapl.evaluate(script) == ["Dec 26", "", "", "Nov 2026", "Nov 16, 2026"]


def test_on_a_phone_the_list_of_symbols_stays_on_the_page(browser: Browser, page: str) -> None:
    tab = Tab(browser, width=390).open(f"{page}/?symbol=AAPL&adjustment=none")
    for box in ("symbol", "compare"):
        tab.evaluate(f"document.getElementById('{box}').focus()")
        tab.press("ArrowDown")
        tab.until(f"document.querySelectorAll('#{box}-list [role=option]').length > 3")
        edges = tab.evaluate(
            f"(({{ left, right }}) => [left, right])(document.getElementById('{box}-list').getBoundingClientRect())"
        )
        assert 0 <= edges[0] < edges[1] <= 390
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
