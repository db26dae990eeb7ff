"""Loading of a market's sessions: the tables' content after each kind of load, and records that reconcile."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text

from market_pipeline.core.bars import VALUE_COLUMNS, FlaggedBar
from market_pipeline.core.markets import Origin
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.bar_tables import bar_flags, bars, symbol_identities
from market_pipeline.warehouse.flagging import reflag_all
from market_pipeline.warehouse.market_loading import load_sessions
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.tables import market_listings, market_loads, securities
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.market_cases import STOCKS, Bar, RecordedBar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import load_frame, query, recorded

DAYS = list_sessions("XNYS", date(2024, 1, 1), date(2024, 3, 28))
BARS = {"AAPL": Bar(190.0), "BRK.B": Bar(360.0), "BF.Aw": Bar(), "KIMpL": Bar(22.0)}


def counters(result: MarketLoadResult) -> tuple[int, ...]:
    return result.loaded, result.revised, result.unchanged, result.rejected, result.withdrawn


def closes(warehouse: Engine, day: date) -> dict[str, float]:
    rows = query(warehouse, "SELECT symbol, close FROM market_data WHERE date = :day", day=day)
    return {row["symbol"]: row["close"] for row in rows}


def test_a_session_s_bars_are_those_of_its_tickers(warehouse: Engine) -> None:
    [first, second] = load_market(warehouse, session_of(DAYS[0], BARS), session_of(DAYS[1], BARS))
    assert [first.session, second.session] == DAYS[:2]
    assert counters(first) == (4, 0, 0, 0, 0)
    assert (first.tickers, first.error, first.fetched) == (4, None, 4)
    assert closes(warehouse, DAYS[0]) == {ticker: bar.close for ticker, bar in BARS.items()}
    [row] = query(warehouse, "SELECT * FROM market_data WHERE symbol = 'BRK.B' AND date = :day", day=DAYS[1])
    assert (row["source"], row["run_id"], row["vwap"], row["transactions"]) == ("sandbox", "run-1", 9.9, 42)
    listed = query(warehouse, "SELECT ticker, symbol, first_session, last_session, state FROM listings ORDER BY 1")
    assert listed == [
        {"ticker": ticker, "symbol": ticker, "first_session": DAYS[0], "last_session": DAYS[1], "state": "trading"}
        for ticker in sorted(BARS)
    ]


def test_the_same_session_again_changes_nothing(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    before = query(warehouse, "SELECT * FROM loads")
    [again] = load_market(warehouse, session_of(DAYS[0], BARS), run_id="run-2")
    assert counters(again) == (0, 0, 4, 0, 0)
    assert query(warehouse, "SELECT * FROM loads") == before
    assert [row["state"] for row in query(warehouse, "SELECT state FROM market_sessions LIMIT 1")] == ["loaded"]


def test_a_corrected_session_revises_withdraws_and_adds(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    point = query(warehouse, "SELECT settled_point() AS point")[0]["point"]
    corrected = {"AAPL": Bar(191.0), "BRK.B": BARS["BRK.B"], "KIMpL": BARS["KIMpL"], "NEW": Bar(5.0)}
    [result] = load_market(warehouse, session_of(DAYS[0], corrected), run_id="run-2")
    assert counters(result) == (1, 1, 2, 0, 1)
    assert result.tickers == 4
    assert closes(warehouse, DAYS[0]) == {ticker: bar.close for ticker, bar in corrected.items()}
    revisions = query(warehouse, "SELECT symbol, close, reason FROM market_data_revisions ORDER BY symbol")
    assert revisions == [
        {"symbol": "AAPL", "close": 190.0, "reason": None},
        {"symbol": "BF.Aw", "close": 10.0, "reason": "the vendor no longer gives it"},
    ]
    assert query(warehouse, "SELECT state, tickers FROM market_sessions LIMIT 1") == [
        {"state": "corrected", "tickers": 4}
    ]
    then = query(warehouse, "SELECT symbol, close FROM market_data_as_of(:point)", point=point)
    assert {row["symbol"]: row["close"] for row in then} == {ticker: bar.close for ticker, bar in BARS.items()}
    changes = query(warehouse, "SELECT kind, change, key FROM changes(:point)", point=point)
    assert sorted((row["kind"], row["change"]) for row in changes) == [
        ("bar", "came"), ("bar", "changed"), ("bar", "went"), ("security", "came"), ("symbol", "came"),
        ("ticker", "came"),
    ]  # fmt: skip
    assert query(warehouse, "SELECT symbol FROM listings WHERE symbol = 'BF.Aw'") == []


def test_a_flat_file_keeps_the_vwap_of_equal_bars_only(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    file = session_of(DAYS[0], {**BARS, "AAPL": Bar(191.0)}, origin=Origin.FLAT_FILE, version="etag-1")
    [result] = load_market(warehouse, file, run_id="run-2")
    assert counters(result) == (0, 1, 3, 0, 0)
    vwaps = query(warehouse, "SELECT symbol, vwap FROM market_data ORDER BY symbol")
    assert [row["vwap"] for row in vwaps] == [None, 9.9, 9.9, 9.9]
    assert query(warehouse, "SELECT origin, version FROM market_sessions LIMIT 1") == [
        {"origin": "flat file", "version": "etag-1"}
    ]


def test_a_session_far_smaller_than_its_neighbours_is_not_stored(warehouse: Engine) -> None:
    many = {f"T{letter}": Bar() for letter in "ABCDEFGHIJ"}
    half = dict(list(many.items())[:7])
    results = load_market(
        warehouse, *(session_of(day, many) for day in DAYS[:3]), session_of(DAYS[3], half), session_of(DAYS[4], many)
    )
    assert [result.error is None for result in results] == [True, True, True, False, True]
    failed = results[3]
    assert failed.suspicious
    assert "it has only 7 tickers, and the sessions beside it have 10" in str(failed.error)
    assert f"--start {DAYS[3]} --end {DAYS[3]} --accept-small" in str(failed.error)
    assert closes(warehouse, DAYS[3]) == {}
    states = query(warehouse, "SELECT state FROM market_sessions ORDER BY date LIMIT 5")
    assert [row["state"] for row in states] == ["loaded", "loaded", "loaded", "suspicious", "loaded"]
    [result] = load_market(warehouse, session_of(DAYS[3], half), run_id="run-2", accept_small=True)
    assert (result.error, result.tickers) == (None, 7)


def test_a_stored_session_is_kept_if_a_later_response_lacks_many_of_its_bars(warehouse: Engine) -> None:
    many = {f"T{letter}": Bar() for letter in "ABCDEFGHIJKLMNOPQRST"}
    load_market(warehouse, session_of(DAYS[0], many))
    lacking = session_of(DAYS[0], dict(list(many.items())[:9]))
    [failed] = load_market(warehouse, lacking, run_id="run-2")
    assert failed.suspicious
    assert "it has only 9 tickers, and 20 are stored; what is stored stays" in str(failed.error)
    assert len(closes(warehouse, DAYS[0])) == 20
    [result] = load_market(warehouse, session_of(DAYS[0], dict(list(many.items())[:18])), run_id="run-3")
    assert result.notes == ("2 bars withdrawn, which the vendor no longer gives",)
    assert len(closes(warehouse, DAYS[0])) == 18
    [replaced] = load_market(warehouse, lacking, run_id="run-4", accept_small=True)
    assert (replaced.error, replaced.withdrawn) == (None, 9)


def test_a_session_of_mostly_rejected_bars_is_suspicious(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    wrong = session_of(DAYS[1], {"AAPL": Bar()}, rejected=["BRK.B", "KIMpL"])
    [result] = load_market(warehouse, wrong, accept_small=True)
    assert result.suspicious
    assert "2 of its 3 bars can't be true: not_positive" in str(result.error)
    assert query(warehouse, "SELECT * FROM rejected_bars") == []


def test_a_rejected_bar_withdraws_no_stored_bar(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    others = {ticker: bar for ticker, bar in BARS.items() if ticker != "AAPL"}
    [result] = load_market(warehouse, session_of(DAYS[0], others, rejected=["AAPL"]), run_id="run-2")
    assert counters(result) == (0, 0, 3, 1, 0)
    assert "AAPL" in closes(warehouse, DAYS[0])
    assert query(warehouse, "SELECT symbol, date FROM rejected_bars") == [{"symbol": "AAPL", "date": DAYS[0]}]


def test_an_active_tracked_symbol_gets_bars_and_a_load_record(warehouse: Engine) -> None:
    add_symbols(warehouse, [Symbol.of("AAPL", "stock"), Symbol.of("NONE", "stock")])
    [first, second] = load_market(
        warehouse, session_of(DAYS[0], BARS), session_of(DAYS[1], {**BARS, "NONE": Bar()}), accept_small=True
    )
    assert first.present == {"AAPL"}
    assert second.present == {"AAPL", "NONE"}
    assert set(first.empty) == {"NONE"}
    covered = query(warehouse, "SELECT symbol, date, state FROM session_states WHERE date <= :day", day=DAYS[1])
    assert {(row["symbol"], row["date"], row["state"]) for row in covered} == {
        ("AAPL", DAYS[0], "loaded"), ("AAPL", DAYS[1], "loaded"), ("NONE", DAYS[1], "loaded"),
    }  # fmt: skip
    records = query(warehouse, "SELECT symbol, sessions, answered, loaded, missing FROM backfill_history ORDER BY 1")
    assert records == [
        {"symbol": "AAPL", "sessions": 2, "answered": 2, "loaded": 2, "missing": 0},
        {"symbol": "NONE", "sessions": 2, "answered": 2, "loaded": 1, "missing": 1},
    ]


def test_listings_cover_the_bars_that_symbols_have_loaded_themselves(warehouse: Engine) -> None:
    frame = recorded("AAPL", date(2000, 3, 1), date(2000, 4, 14))
    days = [day.date() for day in frame["date"]]
    traded = {
        day: {"AAPL": RecordedBar(recorded=tuple(values)), "OTHER": Bar()}
        for day, *values in zip(days, *(frame[name] for name in VALUE_COLUMNS), strict=True)
    }
    add_symbols(warehouse, [Symbol.of("AAPL", "stock")])

    def listed() -> list[tuple[str, date, date, str]]:
        rows = query(warehouse, "SELECT symbol, first_session, last_session, state FROM listings ORDER BY symbol")
        return [(row["symbol"], row["first_session"], row["last_session"], row["state"]) for row in rows]

    load_frame(warehouse, Symbol.of("AAPL", "stock"), frame[:10])
    from_vendor: Any = {"source": "polygon", "accept_small": True}
    load_market(warehouse, *(session_of(day, traded[day]) for day in days[5:8]), **from_vendor)
    assert listed() == [("AAPL", days[0], days[9], "trading"), ("OTHER", days[5], days[7], "trading")]
    load_frame(warehouse, Symbol.of("AAPL", "stock"), frame[10:])
    load_market(warehouse, *(session_of(day, traded[day]) for day in days[8:]), run_id="run-2", **from_vendor)
    assert listed() == [("AAPL", days[0], days[-1], "trading"), ("OTHER", days[5], days[-1], "trading")]
    for day in days[5:]:
        universe = query(warehouse, "SELECT symbol FROM universe(:day) ORDER BY symbol", day=day)
        assert [row["symbol"] for row in universe] == ["AAPL", "OTHER"]


def test_a_session_without_a_ticker_is_never_stored(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], BARS))
    [result] = load_market(warehouse, session_of(DAYS[0], {}), run_id="run-2", accept_small=True)
    assert (result.suspicious, result.error) == (
        True,
        "it has no ticker at all; what is stored stays. `market-pipeline market backfill us-stocks --start "
        f"{DAYS[0]} --end {DAYS[0]}` fetches it again",
    )
    assert len(closes(warehouse, DAYS[0])) == len(BARS)


def test_a_failure_while_loading_leaves_nothing_of_a_session(warehouse: Engine) -> None:
    def fail(*_: object) -> list[FlaggedBar]:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        load_sessions(warehouse, STOCKS, [session_of(DAYS[0], BARS)], MarketRun("run", "cli", "sandbox"), fail)
    for table in (bars, bar_flags, symbol_identities, securities, market_loads, market_listings):
        with warehouse.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(table)) == 0


def test_bars_kept_from_the_load_before_are_those_stored(warehouse: Engine) -> None:
    """Also where somebody has corrected a bar between two blocks of a run."""
    recent = RecentBars()
    for number, day in enumerate(DAYS[:60]):
        moved = {ticker: replace(bar, close=bar.close * (1 + number % 3 / 100)) for ticker, bar in BARS.items()}
        traded = moved if number % 5 else {"AAPL": moved["AAPL"]}
        load_market(warehouse, session_of(day, traded), accept_small=True, recent=recent)
        if number in {30, 45}:
            with warehouse.begin() as connection:
                connection.execute(
                    text("UPDATE market_data SET volume = 90000 WHERE symbol = 'AAPL' AND date = :day"), {"day": day}
                )
                connection.execute(
                    text("UPDATE market_data SET high = 2000, close = 1900 WHERE symbol = 'KIMpL' AND date = :day"),
                    {"day": DAYS[number - 1]},
                )
    flags = "SELECT symbol, date, flags, validation_notes FROM market_data WHERE NOT validated ORDER BY symbol, date"
    after_loads = {(row["symbol"], row["date"]): row for row in query(warehouse, flags)}
    reflag_all(warehouse, find_flags)
    after_all = {(row["symbol"], row["date"]): row for row in query(warehouse, flags)}
    # The corrected bars themselves are flagged by the next load near them only if it compares with them.
    judged = {key for key in after_all if key[1] not in {DAYS[30], DAYS[45], DAYS[29], DAYS[44]}}
    assert {key: row for key, row in after_loads.items() if key in judged} == {key: after_all[key] for key in judged}
    assert ("KIMpL", DAYS[31]) in judged


def test_bars_loaded_by_session_are_flagged_as_those_loaded_by_symbol(warehouse: Engine) -> None:
    first, last = date(2000, 3, 1), date(2001, 3, 1)
    frames = {name: recorded(name, first, last) for name in ("AAPL", "GOOG", "IBM", "MSFT")}
    frames = {name: frame for name, frame in frames.items() if len(frame)}
    frames["RARE"] = frames["AAPL"].iloc[::4].reset_index(drop=True)  # too few of its bars are near any session
    stale = frames["IBM"].copy()
    repeated = stale.index % 9 == 5
    stale.loc[repeated, list(VALUE_COLUMNS)] = stale[list(VALUE_COLUMNS)].shift(1)[repeated]
    frames["STALE"] = stale
    symbols = {name: Symbol.of(name, "stock") for name in frames}
    add_symbols(warehouse, symbols.values())
    for name, frame in frames.items():
        load_frame(warehouse, symbols[name], frame)
    days = list_sessions("XNYS", first, last)
    sessions = {day: dict[str, Bar]() for day in days}
    for name, frame in frames.items():
        for day, *values in frame[["date", *VALUE_COLUMNS]].itertuples(index=False):
            sessions[day.date()][f"{name}.M"] = RecordedBar(recorded=tuple(values))
    blocks = [days[start : start + 17] for start in range(0, len(days), 17)]
    for block in (*blocks[1::2], *blocks[::2]):  # every other one between stored ones
        load_market(warehouse, *(session_of(day, sessions[day]) for day in block), accept_small=True, source="polygon")
    compared = (
        "SELECT {} AS name, date, open, high, low, close, volume, vwap, transactions, validated, quality_score, flags, "
        "validation_notes, gap_detected, volume_anomaly FROM market_data WHERE symbol {} LIKE '%.M' ORDER BY 1, 2"
    )
    by_symbol = query(warehouse, compared.format("symbol", "NOT"))
    by_session = query(warehouse, compared.format("left(symbol, -2)", ""))
    assert by_session == by_symbol
    assert {flag for row in by_symbol for flag in row["flags"]} >= {"unexplained_move", "repeated"}
