"""One company, one series: each symbol's bars under the tickers that its security had, and never another security's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_corrections import COLUMNS, TickerCorrections, load_corrections
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.corporate_action_requests import refresh_actions
from market_pipeline.ingest import Run, ingest
from market_pipeline.orchestration.schedules import plan_night
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.quality.rules import find_flags
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_security
from market_pipeline.series_vendor import SecurityLookups, SeriesVendor
from market_pipeline.warehouse.corporate_action_refresh import DIVIDENDS, SPLITS, ActionTable, plan_refresh
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.load_history import LoadResult
from market_pipeline.warehouse.securities import SecurityFacts, read_securities, store_history
from market_pipeline.warehouse.symbol_names import find_aliases, resolve_active
from market_pipeline.warehouse.tracked_symbols import add_symbols, read_delistings
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.api_cases import HISTORICAL, serving
from market_pipeline_tests.integration.corporate_action_cases import DIVIDEND, SPLIT, listing, refresh_from
from market_pipeline_tests.integration.stored_bars import query

NOW = datetime(2025, 6, 2, 12, tzinfo=UTC)
META, SQ, QQQ, AAPL, GONECO, REUSED, SPLITCO = (
    Symbol.of(name, kind)
    for name, kind in (
        ("META", "stock"), ("SQ", "stock"), ("QQQ", "etf"), ("AAPL", "stock"), ("GONECO", "stock"),
        ("REUSED", "stock"), ("SPLITCO", "stock"),
    )
)  # fmt: skip
NONE = TickerCorrections({})
AROUND_META = list_sessions("XNYS", date(2022, 1, 3), date(2022, 6, 30))
CHANGE = date(2022, 6, 9)


@contextmanager
def client_at(now: datetime) -> Iterator[PolygonClient]:
    with (
        running_sandbox(SandboxConfig(now=now)) as url,
        PolygonClient(url, None, source="sandbox", limiter=LocalLimiter(100_000)) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[PolygonClient]:
    with client_at(NOW) as opened:
        yield opened


def load(
    client: PolygonClient,
    warehouse: Engine,
    symbols: Sequence[Symbol],
    sessions: Sequence[date],
    *,
    corrections: TickerCorrections = NONE,
    run_id: str = "run-1",
    nightly: bool = False,
    now: datetime = NOW,
) -> Mapping[str, LoadResult]:
    """Load sessions as a run does."""
    lookups = SecurityLookups(client, warehouse, corrections, run_id)
    histories = lookups.prepare(symbols, sessions, nightly=nightly)
    vendor = SeriesVendor(Fetcher(client, symbols, sessions, now, None, histories), lookups)
    results = ingest(
        symbols, sessions, vendor=vendor, fetch_reference=lookups.fetch_reference, delisted=read_delistings(warehouse),
        warehouse=warehouse, run=Run(run_id, "cli"),
    )  # fmt: skip
    return {result.symbol: result for together in results for result in together}


def closes(warehouse: Engine, symbol: str) -> dict[date, float]:
    rows = query(warehouse, f"SELECT date, close FROM market_data WHERE symbol = '{symbol}' ORDER BY date")
    return {row["date"]: row["close"] for row in rows}


def vendor_closes(client: PolygonClient, ticker: str, sessions: Sequence[date]) -> dict[date, float]:
    """Return the vendor's own closes under one ticker."""
    frame = frame_of(client.fetch_daily_bars(Symbol.of(ticker, "stock"), sessions[0], sessions[-1]))
    return {stamp.date(): close for stamp, close in zip(frame["date"], frame["close"], strict=True)}


def states(warehouse: Engine, symbol: str, last: date) -> dict[str, int]:
    """Return the number of sessions up to `last` by state."""
    of_symbol = f"symbol = '{symbol}' AND date <= '{last}'"
    rows = query(warehouse, f"SELECT state, count(*) AS sessions FROM session_states WHERE {of_symbol} GROUP BY 1")
    return {row["state"]: row["sessions"] for row in rows}


def periods(warehouse: Engine, symbol: Symbol) -> list[tuple[Any, ...]]:
    history = read_securities(warehouse, [symbol])[symbol].history
    return [(period.ticker, period.first, period.last) for period in history.periods]


# --- the cases


def test_meta_is_facebook_and_never_the_fund_that_had_its_ticker(client: PolygonClient, warehouse: Engine) -> None:
    fund = {day: close for day, close in vendor_closes(client, "META", AROUND_META).items() if day < CHANGE}
    assert max(fund) == date(2022, 1, 28)  # as in the market
    add_symbols(warehouse, [META])
    result = load(client, warehouse, [META], AROUND_META)["META"]
    expected = vendor_closes(client, "FB", AROUND_META) | {
        day: close for day, close in vendor_closes(client, "META", AROUND_META).items() if day >= CHANGE
    }
    assert closes(warehouse, "META") == expected
    assert (result.loaded, result.fetched, result.missing) == (len(AROUND_META), len(AROUND_META), 0)
    assert result.requests == 2  # one for each ticker
    assert periods(warehouse, META) == [
        ("FB", date(2012, 5, 18), date(2022, 6, 8)), ("META", date(2022, 6, 9), None),
    ]  # fmt: skip


def test_a_symbol_continues_under_its_new_ticker(client: PolygonClient, warehouse: Engine) -> None:
    sessions = list_sessions("XNYS", date(2025, 1, 2), date(2025, 2, 28))
    add_symbols(warehouse, [SQ])
    assert load(client, warehouse, [SQ], sessions)["SQ"].missing == 0
    expected = vendor_closes(client, "SQ", sessions) | vendor_closes(client, "XYZ", sessions)
    assert closes(warehouse, "SQ") == expected
    assert read_delistings(warehouse) == {}


def test_a_ticker_may_change_and_change_back(client: PolygonClient, warehouse: Engine) -> None:
    sessions = list_sessions("XNYS", date(2004, 11, 1), date(2011, 4, 29))
    add_symbols(warehouse, [QQQ])
    assert load(client, warehouse, [QQQ], sessions)["QQQ"].missing == 0
    stored, between = closes(warehouse, "QQQ"), vendor_closes(client, "QQQQ", sessions)
    assert (min(between), max(between)) == (date(2004, 12, 1), date(2011, 3, 22))
    assert stored == vendor_closes(client, "QQQ", sessions) | between


def test_bars_of_the_security_that_gave_a_ticker_up_years_ago_are_not_its_next_holders(
    client: PolygonClient, warehouse: Engine
) -> None:
    sessions = list_sessions("XNYS", date(2008, 1, 2), date(2015, 3, 31))
    assert min(vendor_closes(client, "REUSED", sessions)) == date(2008, 1, 2)
    add_symbols(warehouse, [REUSED])
    load(client, warehouse, [REUSED], sessions)
    stored = closes(warehouse, "REUSED")
    assert min(stored) == date(2012, 1, 3)  # its first day, as SECONDCO
    assert stored == vendor_closes(client, "SECONDCO", sessions) | {
        day: close for day, close in vendor_closes(client, "REUSED", sessions).items() if day >= date(2015, 1, 2)
    }


def test_a_symbol_tracked_before_its_ticker_was_reused_ends_with_its_own_security(warehouse: Engine) -> None:
    add_symbols(warehouse, [REUSED])
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET date_added = '2008-01-02'"))
    with client_at(datetime(2008, 8, 1, 12, tzinfo=UTC)) as before:
        refresh_security(before, warehouse, REUSED, NONE, run_id="run-1")
    assert read_delistings(warehouse)["REUSED"].delisted_on == date(2008, 6, 30)
    with client_at(NOW) as later:
        sessions = list_sessions("XNYS", date(2015, 1, 2), date(2015, 1, 30))
        assert load(later, warehouse, [REUSED], sessions)["REUSED"].loaded == 0
    assert closes(warehouse, "REUSED") == {}


def test_a_company_that_another_takes_over_ends_and_its_bars_stay_its_own(
    client: PolygonClient, warehouse: Engine
) -> None:
    sessions = list_sessions("XNYS", date(2020, 3, 2), date(2020, 4, 30))
    add_symbols(warehouse, [AAPL, GONECO])
    results = load(client, warehouse, [AAPL, GONECO], sessions)
    assert results["AAPL"].missing == 0
    assert closes(warehouse, "AAPL") == vendor_closes(client, "AAPL", sessions)
    assert max(closes(warehouse, "GONECO")) == date(2020, 3, 31)
    assert read_delistings(warehouse)["GONECO"].delisted_on == date(2020, 3, 31)
    assert states(warehouse, "GONECO", NOW.date()) == {"loaded": 22}


@pytest.mark.parametrize("length", [1, 60])
def test_classes_of_shares_that_swap_their_tickers_keep_their_own_bars(
    client: PolygonClient, warehouse: Engine, tmp_path: Path, length: int
) -> None:
    swap = date(2014, 4, 3)
    sessions = [day for day in list_sessions("XNYS", date(2014, 2, 3), date(2014, 6, 30)) if day.month == 4][:length]
    sessions = list_sessions("XNYS", date(2014, 4, 1), date(2014, 4, 7)) if length == 1 else sessions
    file = tmp_path / "own.csv"
    file.write_text(
        ",".join(COLUMNS)
        + "\nClass A,stock,SWAPA,,2014-04-02,Ann,swapped,\nClass A,stock,SWAPB,2014-04-03,,Ann,swapped,\n"
        "Class B,stock,SWAPB,,2014-04-02,Ann,swapped,\nClass B,stock,SWAPA,2014-04-03,,Ann,swapped,\n",
        encoding="utf-8",
    )
    corrections = load_corrections(file, packaged=False)
    one, other = Symbol.of("SWAPA", "stock"), Symbol.of("SWAPB", "stock")
    others = [Symbol.of(f"F{letter}", "stock") for letter in "ABCDEFG"] if length == 1 else []  # for market days
    add_symbols(warehouse, [one, other, *others])
    results = load(client, warehouse, [one, other, *others], sessions, corrections=corrections)
    assert [results[name].missing for name in ("SWAPA", "SWAPB")] == [0, 0]
    under_a, under_b = (vendor_closes(client, ticker, sessions) for ticker in ("SWAPA", "SWAPB"))
    # The symbol named SWAPA is the class that has that ticker now: class B.
    assert closes(warehouse, "SWAPA") == {day: (under_a if day >= swap else under_b)[day] for day in sessions}
    assert closes(warehouse, "SWAPB") == {day: (under_b if day >= swap else under_a)[day] for day in sessions}


def test_returns_continue_over_a_change_of_ticker(client: PolygonClient, warehouse: Engine) -> None:
    add_symbols(warehouse, [META, SQ])
    load(client, warehouse, [META, SQ], list_sessions("XNYS", date(2022, 6, 1), date(2025, 1, 31)))
    for symbol in ("META", "SQ"):
        stored = list(closes(warehouse, symbol).values())
        moves = [abs(after / before - 1) for before, after in pairwise(stored)]
        assert max(moves) < 0.12  # generated bars move by no more; two companies' prices are far apart


def test_splits_and_dividends_are_those_under_each_ticker_on_its_own_days(
    client: PolygonClient, warehouse: Engine
) -> None:
    add_symbols(warehouse, [SPLITCO, META])
    sessions = list_sessions("XNYS", date(2020, 12, 1), date(2022, 2, 1))
    load(client, warehouse, [SPLITCO, META], sessions)
    for actions in (SPLITS, DIVIDENDS):
        plan = plan_refresh(warehouse, actions, [SPLITCO, META], NOW)
        refresh_actions(client, warehouse, actions, plan, [SPLITCO, META], run_id="run-1")
    # The split is on the first day under the new ticker: half the price, and a flat adjusted series over both changes.
    assert query(warehouse, "SELECT symbol, execution_date, split_from, split_to FROM splits") == [
        {"symbol": "SPLITCO", "execution_date": date(2020, 12, 11), "split_from": 1.0, "split_to": 2.0}
    ]
    stored = closes(warehouse, "SPLITCO")
    assert stored[date(2020, 12, 11)] / stored[date(2020, 12, 10)] == pytest.approx(0.5, rel=0.06)
    assert query(warehouse, "SELECT date FROM market_data WHERE gap_detected") == []
    fund = client.fetch_dividends(date(2021, 6, 30), date(2022, 1, 30), [META]).events
    paid = query(warehouse, "SELECT ex_dividend_date FROM dividends WHERE symbol = 'META' ORDER BY 1")
    assert not {row["ex_dividend_date"] for row in paid}.intersection(event.ex_dividend_date for event in fund)


RENAMING = date(2020, 10, 15)


def change_ticker(former: str, present: str) -> TickerHistory:
    """Return a history whose only change is dated by the vendor's events."""
    before = TickerPeriod(former, date(2012, 1, 3), RENAMING - timedelta(days=1), TickerSource.EVENTS, certain=True)
    return TickerHistory((before, TickerPeriod(present, RENAMING, None, TickerSource.EVENTS, certain=True)))


def store_listed(
    warehouse: Engine, actions: ActionTable, histories: Mapping[str, TickerHistory], *listed: tuple[str, str, float]
) -> set[tuple[str, str, float]]:
    """Return the stored actions of symbols with these histories, of those that the vendor lists under each ticker."""
    symbols = [Symbol.of(name, "stock") for name in histories]
    add_symbols(warehouse, symbols)
    for symbol in symbols:
        store_history(warehouse, symbol, SecurityFacts(), histories[symbol.name], run_id="run-0", find_flags=find_flags)
    records = [
        {**SPLIT, "ticker": ticker, "execution_date": day, "split_to": value, "id": f"{ticker}{day}"}
        if actions is SPLITS else
        {**DIVIDEND, "ticker": ticker, "ex_dividend_date": day, "cash_amount": value, "id": f"{ticker}{day}"}
        for ticker, day, value in listed
    ]  # fmt: skip
    refresh_from(warehouse, listing(*records), actions=actions)
    value = "split_to" if actions is SPLITS else "cash_amount"
    rows = query(warehouse, f"SELECT symbol, {actions.date} AS day, {value} AS value FROM {actions.name}")
    return {(row["symbol"], str(row["day"]), row["value"]) for row in rows}


@pytest.mark.parametrize("actions", [SPLITS, DIVIDENDS], ids=lambda actions: actions.name)
def test_the_next_holder_of_a_former_ticker_keeps_its_splits_and_dividends(
    warehouse: Engine, actions: ActionTable
) -> None:
    listed = [("AOLD", "2020-10-14", 2.0), ("ANEW", "2020-10-16", 3.0), ("AOLD", "2020-10-20", 50.0)]
    stored = store_listed(warehouse, actions, {"ANEW": change_ticker("AOLD", "ANEW")}, *listed)
    assert stored == {("ANEW", "2020-10-14", 2.0), ("ANEW", "2020-10-16", 3.0)}


@pytest.mark.parametrize("actions", [SPLITS, DIVIDENDS], ids=lambda actions: actions.name)
@pytest.mark.parametrize("day", ["2020-10-15", "2020-10-20"])
@pytest.mark.parametrize("number", [1, 2])
def test_classes_of_shares_that_swap_their_tickers_keep_their_own_splits_and_dividends(
    warehouse: Engine, actions: ActionTable, day: str, number: int
) -> None:
    histories = {"SWA": change_ticker("SWB", "SWA"), "SWB": change_ticker("SWA", "SWB")}
    listed = [("SWA", day, 2.0), ("SWB", day, 20.0)][:number]
    assert store_listed(warehouse, actions, histories, *listed) == set(listed)


@pytest.mark.parametrize(
    ("actions", "tickers", "stored"),
    [(SPLITS, ["AOLD"], [2.0]), (SPLITS, ["AOLD", "ANEW"], [3.0]), (DIVIDENDS, ["AOLD"], [])],
)
def test_only_a_split_on_the_day_of_a_renaming_counts_under_the_former_ticker_if_the_new_one_has_none(
    warehouse: Engine, actions: ActionTable, tickers: Sequence[str], stored: Sequence[float]
) -> None:
    listed = [(ticker, str(RENAMING), value) for ticker, value in zip(tickers, (2.0, 3.0), strict=False)]
    found = store_listed(warehouse, actions, {"ANEW": change_ticker("AOLD", "ANEW")}, *listed)
    assert found == {("ANEW", str(RENAMING), value) for value in stored}


# --- later findings


def load_under_own_ticker(client: PolygonClient, warehouse: Engine, symbol: Symbol, sessions: Sequence[date]) -> None:
    """Load a symbol as earlier versions did: its own ticker, of any security."""
    [[_]] = ingest(
        [symbol], sessions, vendor=Fetcher(client, [symbol], sessions, NOW), fetch_reference=None, delisted={},  # type: ignore[arg-type]
        warehouse=warehouse, run=Run("run-0", "cli"),
    )  # fmt: skip


def test_bars_stored_of_another_security_move_to_the_revisions_and_the_right_ones_are_fetched(
    client: PolygonClient, warehouse: Engine
) -> None:
    add_symbols(warehouse, [META])
    load_under_own_ticker(client, warehouse, META, AROUND_META)
    wrong = {day: close for day, close in closes(warehouse, "META").items() if day < CHANGE}
    assert len(wrong) == 19
    refresh_actions(
        client, warehouse, DIVIDENDS, plan_refresh(warehouse, DIVIDENDS, [META], NOW), [META], run_id="run-0"
    )
    [before] = query(warehouse, "SELECT clock_timestamp() AS at")
    moved_by = refresh_security(client, warehouse, META, NONE, run_id="run-1")
    assert query(warehouse, "SELECT symbol FROM corporate_action_inquiries") == []  # they were the fund's too
    assert moved_by.history.current.first == CHANGE
    revisions = query(warehouse, "SELECT date, close, reason, replaced_by_run_id FROM market_data_revisions ORDER BY 1")
    assert {row["date"]: row["close"] for row in revisions} == wrong
    assert {row["reason"] for row in revisions} == {
        "another security's bar, which the vendor has as META: META traded as FB then"
    }
    to_fetch = len([day for day in AROUND_META if day < CHANGE])
    assert states(warehouse, "META", AROUND_META[-1]) == {"loaded": 15, "never_asked": to_fetch}
    assert load(client, warehouse, [META], AROUND_META, run_id="run-2")["META"].missing == 0
    assert states(warehouse, "META", AROUND_META[-1]) == {"loaded": len(AROUND_META)}
    then = query(
        warehouse,
        f"SELECT date, close FROM market_data_as_of('{before['at']}') WHERE date < '{CHANGE}'",
    )
    assert {row["date"]: row["close"] for row in then} == wrong


def test_a_renaming_is_noticed_in_the_night_after_it(warehouse: Engine) -> None:
    add_symbols(warehouse, [SQ, AAPL])
    with client_at(datetime(2025, 1, 18, 12, tzinfo=UTC)) as before:
        load(before, warehouse, [SQ, AAPL], list_sessions("XNYS", date(2025, 1, 2), date(2025, 1, 17)))
    assert periods(warehouse, SQ) == [("SQ", date(2015, 11, 19), None)]
    with warehouse.begin() as connection:  # a look-up is not repeated on the same day
        connection.execute(text("UPDATE securities SET checked_at = checked_at - interval '1 day'"))
    night = datetime(2025, 1, 22, 7, tzinfo=UTC)
    with client_at(night) as after:
        sessions = list_sessions("XNYS", date(2025, 1, 14), date(2025, 1, 21))
        result = load(after, warehouse, [SQ, AAPL], sessions, run_id="run-2", now=night)["SQ"]
        expected = vendor_closes(after, "XYZ", sessions)
    assert (result.missing, result.loaded, result.unchanged) == (0, 1, 4)
    assert "its ticker is XYZ since 2025-01-21" in result.notes
    assert closes(warehouse, "SQ")[date(2025, 1, 21)] == expected[date(2025, 1, 21)]
    assert states(warehouse, "SQ", sessions[-1]) == {"loaded": 12}  # 9 January was a day of mourning


def test_a_night_looks_up_a_few_symbols_in_turn(client: PolygonClient, warehouse: Engine) -> None:
    symbols = [Symbol.of(f"N{letter}", "stock") for letter in "ABCDEFGHIJ"]
    add_symbols(warehouse, symbols)
    sessions = list_sessions("XNYS", date(2025, 5, 29), date(2025, 5, 30))
    for night in (1, 2):
        load(client, warehouse, symbols, sessions, nightly=True, run_id=f"run-{night}")
        records = read_securities(warehouse, symbols).values()
        assert sum(record.checked_at is not None for record in records) == 5 * night


# --- names


def test_a_symbol_is_found_by_every_ticker_it_has_had(client: PolygonClient, warehouse: Engine) -> None:
    add_symbols(warehouse, [META, SQ])
    for symbol in (META, SQ):
        refresh_security(client, warehouse, symbol, NONE, run_id="run-1")
    found = resolve_active(warehouse, ["FB", "XYZ", "META"])
    assert [(symbol.name, alias.note if alias else None) for symbol, alias in found] == [
        ("META", "FB is tracked as META: META since 2022-06-09"),
        ("SQ", "XYZ is tracked as SQ: XYZ since 2025-01-21"),
    ]
    assert find_aliases(warehouse, ["NONE"]) == {}


def test_the_api_responds_alike_for_every_ticker_of_a_symbol_with_a_note(
    client: PolygonClient, server: Server, tmp_path: Path
) -> None:
    span = (("start", "2022-06-06"), ("end", "2022-06-10"), ("adjustment", "none"))
    with serving(server, tmp_path) as api:
        add_symbols(api.warehouse, [META])
        load(client, api.warehouse, [META], AROUND_META)
        now, before = (api.get(f"{HISTORICAL}/{ticker}", span).json() for ticker in ("META", "FB"))
        assert [row["date"] for row in now["data"]] == [f"2022-06-{day:02}" for day in range(6, 11)]
        assert before["data"] == now["data"]
        assert (before["symbol"], before["note"]) == ("META", "FB is tracked as META: META since 2022-06-09")
        assert now["note"] is None
        assert api.get(f"{HISTORICAL}/NOPE", span).status_code == 404
        stored = api.rows("security_tickers", ("order", "first_day"))
        assert [(row["ticker"], row["source"], row["certain"]) for row in stored] == [
            ("FB", "vendor events", True), ("META", "vendor events", True),
        ]  # fmt: skip


def test_the_next_night_fetches_the_right_bars_however_old_they_are(
    client: PolygonClient, warehouse: Engine, settings: Settings
) -> None:
    add_symbols(warehouse, [AAPL, META])
    load_under_own_ticker(client, warehouse, META, AROUND_META)
    recent = settings.model_copy(update={"backfill_reach_back_sessions": 5})
    latest = date(2025, 5, 30)
    assert all(run.sessions[0] >= date(2025, 5, 23) for run in plan_night(recent, [AAPL, META], latest))
    refresh_security(client, warehouse, META, NONE, run_id="run-1")
    [*_, caught_up] = plan_night(recent, [AAPL, META], latest)
    assert (caught_up.symbols, caught_up.sessions[0]) == ([META], AROUND_META[0])
    assert caught_up.sessions[-1] == date(2022, 6, 8)
    load(client, warehouse, [META], caught_up.sessions, run_id="run-2")
    assert all(run.sessions[0] >= date(2025, 5, 23) for run in plan_night(recent, [AAPL, META], latest))


def test_after_a_withdrawn_correction_the_vendors_history_counts(
    client: PolygonClient, warehouse: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "own.csv"
    file.write_text(f"{','.join(COLUMNS)}\nOne,stock,SQ,2015-11-19,,Ann,mistaken,\n", encoding="utf-8")
    add_symbols(warehouse, [SQ])
    sessions = list_sessions("XNYS", date(2025, 1, 2), date(2025, 1, 31))
    load(client, warehouse, [SQ], sessions, corrections=load_corrections(file, packaged=False))
    assert periods(warehouse, SQ) == [("SQ", date(2015, 11, 19), None)]
    assert load(client, warehouse, [SQ], sessions, run_id="run-2")["SQ"].missing == 0
    assert periods(warehouse, SQ)[-1] == ("XYZ", date(2025, 1, 21), None)
