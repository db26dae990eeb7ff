"""Identities of a market's tickers: tracked symbols, reused and renamed tickers, and names."""

from datetime import date, datetime, timedelta

from sqlalchemy import Engine, text

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.export_query import find_exportable_symbols
from market_pipeline.warehouse.securities import SecurityFacts, store_history
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import query

DAYS = list_sessions("XNYS", date(2024, 1, 1), date(2024, 12, 31))
DAY = timedelta(days=1)


def closes(warehouse: Engine, symbol: str) -> dict[date, float]:
    rows = query(warehouse, "SELECT date, close FROM market_data WHERE symbol = :symbol ORDER BY date", symbol=symbol)
    return {row["date"]: row["close"] for row in rows}


def spans(warehouse: Engine) -> dict[str, tuple[date, date]]:
    rows = query(warehouse, "SELECT symbol, first_session, last_session FROM listings")
    return {row["symbol"]: (row["first_session"], row["last_session"]) for row in rows}


def names(warehouse: Engine) -> list[str]:
    return [row["symbol"] for row in query(warehouse, "SELECT symbol FROM symbol_identities ORDER BY symbol")]


def settled_point(warehouse: Engine) -> datetime:
    point: datetime = query(warehouse, "SELECT settled_point() AS point")[0]["point"]
    return point


def universe(warehouse: Engine, day: date, point: datetime) -> list[tuple[object, ...]]:
    rows = query(warehouse, "SELECT * FROM universe(:day, as_of => :point) ORDER BY symbol", day=day, point=point)
    return [tuple(row.values()) for row in rows]


def sources(warehouse: Engine) -> list[object]:
    rows = query(
        warehouse, "SELECT source FROM market_data UNION SELECT source FROM market_data_revisions ORDER BY source"
    )
    return [row["source"] for row in rows]


def delist(warehouse: Engine, ticker: str, on: date, name: str) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO reference_tickers (market, ticker, delisted_on, name, fetched_at) "
                "VALUES ('us_stocks', :ticker, :on, :name, now())"
            ),
            {"ticker": ticker, "on": on, "name": name},
        )


def history(*periods: tuple[str, date | None, date | None]) -> TickerHistory:
    return TickerHistory(tuple(TickerPeriod(*period, TickerSource.EVENTS, certain=True) for period in periods))


def test_a_tracked_symbol_takes_over_the_bars_of_its_ticker(warehouse: Engine) -> None:
    load_market(warehouse, *(session_of(day, {"AAPL": Bar(190.0), "X": Bar()}) for day in (*DAYS[:3], *DAYS[5:7])))
    [identity] = query(warehouse, "SELECT symbol_id, security_id FROM symbol_identities WHERE symbol = 'AAPL'")
    point = settled_point(warehouse)
    before = universe(warehouse, DAYS[5], point)
    assert add_symbols(warehouse, [Symbol.of("AAPL", "stock")]) == ["AAPL"]
    [tracked] = query(warehouse, "SELECT id, security_id, backfill_status FROM tracked_symbols")
    assert (tracked["id"], tracked["security_id"]) == (identity["symbol_id"], identity["security_id"])
    assert tracked["backfill_status"] == "completed"
    assert list(closes(warehouse, "AAPL")) == [*DAYS[:3], *DAYS[5:7]]
    states = query(warehouse, "SELECT date, state FROM session_states WHERE date <= :last ORDER BY 1", last=DAYS[6])
    assert [row["state"] for row in states] == ["loaded"] * 3 + ["never_asked"] * 2 + ["loaded"] * 2
    assert names(warehouse) == ["AAPL", "X"]
    assert universe(warehouse, DAYS[5], point) == before
    assert [row[1:3] for row in before] == [("AAPL", "AAPL"), ("X", "X")]
    assert sources(warehouse) == ["sandbox"]


def test_a_removed_symbol_still_gets_the_markets_bars(warehouse: Engine) -> None:
    add_symbols(warehouse, [Symbol.of("AAPL", "stock")])
    remove_symbol(warehouse, "AAPL")
    [result] = load_market(warehouse, session_of(DAYS[0], {"AAPL": Bar(190.0)}))
    assert result.present == frozenset()
    assert closes(warehouse, "AAPL") == {DAYS[0]: 190.0}
    assert names(warehouse) == ["AAPL"]


def test_a_ticker_of_a_coin_s_name_has_another_name(warehouse: Engine, command: Command) -> None:
    add_symbols(warehouse, [Symbol.of("LTC", "crypto")])
    load_market(warehouse, session_of(DAYS[0], {"LTC": Bar(30.0), "ETH": Bar(25.0)}))
    assert names(warehouse) == ["ETH", "LTC", "LTC-US"]
    assert closes(warehouse, "LTC-US") == {DAYS[0]: 30.0}
    add_symbols(warehouse, [Symbol.of("ETH", "crypto")])
    assert names(warehouse) == ["ETH", "ETH-US", "LTC", "LTC-US"]
    frame = read_bars(warehouse, ["LTC-US"], DAYS[0], DAYS[0])
    assert frame["close"].tolist() == [30.0]
    assert find_exportable_symbols(warehouse, ["LTC-US"]) == ["LTC-US"]
    assert find_exportable_symbols(warehouse, None) == ["ETH", "LTC"]
    code, output, _ = command("export", "--symbols", "LTC-US", "--output", "-")
    assert (code, output.splitlines()[1].split(",")[:2]) == (0, ["LTC-US", str(DAYS[0])])
    code, _, error = command("export", "--symbols", "LTC-202402", "--output", "-")
    assert (code, "no bars of LTC-202402" in error) == (2, True)


def test_a_ticker_of_another_time_than_the_tracked_symbol_s_is_another_security(warehouse: Engine) -> None:
    meta = Symbol.of("META", "stock")
    add_symbols(warehouse, [meta])
    known = history(("FB", None, DAYS[9]), ("META", DAYS[9] + DAY, None))
    store_history(warehouse, meta, SecurityFacts(), known, run_id="run", find_flags=find_flags)
    load_market(
        warehouse,
        session_of(DAYS[0], {"FB": Bar(330.0), "META": Bar(15.0)}),
        session_of(DAYS[20], {"META": Bar(180.0), "FB": Bar(40.0)}),
    )
    assert closes(warehouse, "META") == {DAYS[0]: 330.0, DAYS[20]: 180.0}
    assert closes(warehouse, "META-202401") == {DAYS[0]: 15.0}
    assert closes(warehouse, "FB") == {DAYS[20]: 40.0}


def test_a_found_renaming_moves_the_bars_of_the_former_ticker(warehouse: Engine) -> None:
    load_market(warehouse, session_of(DAYS[0], {"FB": Bar(330.0), "META": Bar(15.0)}))
    load_market(warehouse, session_of(DAYS[1], {"META": Bar(331.0), "FB": Bar(40.0)}))
    meta = Symbol.of("META", "stock")
    add_symbols(warehouse, [meta])
    assert closes(warehouse, "META") == {DAYS[0]: 15.0, DAYS[1]: 331.0}
    point = settled_point(warehouse)
    known = history(("FB", None, DAYS[0]), ("META", DAYS[1], None))
    missing = store_history(warehouse, meta, SecurityFacts(), known, run_id="run", find_flags=find_flags)
    assert missing == []
    assert closes(warehouse, "META") == {DAYS[0]: 330.0, DAYS[1]: 331.0}
    assert closes(warehouse, "META-202401") == {DAYS[0]: 15.0}
    assert closes(warehouse, "FB") == {DAYS[1]: 40.0}
    assert spans(warehouse) == {"FB": (DAYS[1],) * 2, "META": (DAYS[0], DAYS[1]), "META-202401": (DAYS[0],) * 2}
    then = query(
        warehouse, "SELECT symbol, close FROM market_data_as_of(:point) WHERE date = :day", point=point, day=DAYS[0]
    )
    assert {row["symbol"]: row["close"] for row in then} == {"META": 15.0, "FB": 330.0}
    assert [row[1:3] for row in universe(warehouse, DAYS[0], point)] == [("FB", "FB"), ("META", "META")]
    assert sources(warehouse) == ["sandbox"]
    reasons = query(warehouse, "SELECT symbol, reason FROM market_data_revisions ORDER BY symbol")
    assert [row["symbol"] for row in reasons] == ["FB", "META"]
    assert all(row["reason"] for row in reasons)
    [result] = load_market(warehouse, session_of(DAYS[1], {"META": Bar(331.0), "FB": Bar(40.0)}), run_id="run-3")
    assert (result.loaded, result.unchanged, result.withdrawn) == (0, 2, 0)


def test_a_listing_begins_later_once_its_first_bars_move_to_another_symbol(warehouse: Engine) -> None:
    load_market(warehouse, *(session_of(day, {"NEWER": Bar(40.0)}) for day in DAYS[:3]))
    newer = Symbol.of("NEWER", "stock")
    add_symbols(warehouse, [newer])
    known = history(("NEWER", DAYS[2], None))
    store_history(warehouse, newer, SecurityFacts(), known, run_id="run", find_flags=find_flags)
    assert spans(warehouse) == {"NEWER": (DAYS[2],) * 2, "NEWER-202401": (DAYS[0], DAYS[1])}
    states = query(warehouse, "SELECT state FROM session_states WHERE date <= :last ORDER BY date", last=DAYS[2])
    assert [row["state"] for row in states] == ["loaded"]  # nothing is missing before its listing


def test_a_ticker_reused_after_a_delisting_is_two_symbols(warehouse: Engine) -> None:
    delist(warehouse, "TWTR", DAYS[2], "Twitter")
    days = (*DAYS[:3], *DAYS[40:42])
    load_market(warehouse, *(session_of(day, {"TWTR": Bar(50.0 + place)}) for place, day in enumerate(days)))
    assert closes(warehouse, "TWTR-202401") == {day: 50.0 + place for place, day in enumerate(days[:3])}
    assert closes(warehouse, "TWTR") == {DAYS[40]: 53.0, DAYS[41]: 54.0}
    listed = query(warehouse, "SELECT symbol, ticker, first_session, last_session, name FROM listings ORDER BY symbol")
    assert [tuple(row.values()) for row in listed] == [
        ("TWTR", "TWTR", DAYS[40], DAYS[41], None), ("TWTR-202401", "TWTR", DAYS[0], DAYS[2], "Twitter"),
    ]  # fmt: skip
    load_market(warehouse, session_of(DAYS[42], {"TWTR": Bar(60.0)}))
    assert DAYS[42] in closes(warehouse, "TWTR")


def test_a_universe_as_of_an_instant_is_the_same_after_a_split(warehouse: Engine) -> None:
    days = (*DAYS[:3], *DAYS[40:42])
    load_market(warehouse, *(session_of(day, {"TWTR": Bar(50.0)}) for day in days))
    point = settled_point(warehouse)
    before = [universe(warehouse, day, point) for day in days]
    assert [[row[1:3] for row in rows] for rows in before] == [[("TWTR", "TWTR")]] * 5
    delist(warehouse, "TWTR", DAYS[2], "Twitter")
    load_market(warehouse, session_of(DAYS[42], {"TWTR": Bar(60.0)}), run_id="run-2")
    assert names(warehouse) == ["TWTR", "TWTR-202401"]
    assert [universe(warehouse, day, point) for day in days] == before
    assert sources(warehouse) == ["sandbox"]


def test_a_universe_as_of_an_instant_is_the_same_after_a_renaming(warehouse: Engine) -> None:
    load_market(warehouse, *(session_of(day, {"FB": Bar(330.0), "X": Bar()}) for day in DAYS[:3]))
    load_market(warehouse, *(session_of(day, {"META": Bar(331.0), "X": Bar()}) for day in DAYS[3:5]))
    points = {"alone": settled_point(warehouse)}
    seen = {"alone": [universe(warehouse, day, points["alone"]) for day in DAYS[:5]]}
    assert [row[1:3] for row in seen["alone"][0]] == [("FB", "FB"), ("X", "X")]
    meta = Symbol.of("META", "stock")
    add_symbols(warehouse, [meta])
    points["tracked"] = settled_point(warehouse)
    seen["tracked"] = [universe(warehouse, day, points["tracked"]) for day in DAYS[:5]]
    assert seen["tracked"] == seen["alone"]
    known = history(("FB", None, DAYS[2]), ("META", DAYS[3], None))
    store_history(warehouse, meta, SecurityFacts(name="Meta"), known, run_id="symbols", find_flags=find_flags)
    steel = Symbol.of("STEEL", "stock")
    add_symbols(warehouse, [steel])
    renamed = history(("X", None, None))
    store_history(warehouse, steel, SecurityFacts(), renamed, run_id="symbols", find_flags=find_flags)
    assert names(warehouse) == ["FB", "META", "STEEL"]
    assert [row["symbol"] for row in query(warehouse, "SELECT symbol FROM listings ORDER BY 1")] == ["META", "STEEL"]
    for name, point in points.items():
        assert [universe(warehouse, day, point) for day in DAYS[:5]] == seen[name]
    now = universe(warehouse, DAYS[0], settled_point(warehouse))
    assert [row[1:3] for row in now] == [("FB", "META"), ("X", "STEEL")]
    assert sources(warehouse) == ["sandbox"]


def test_a_company_that_continues_under_its_name_is_not_split(warehouse: Engine) -> None:
    delist(warehouse, "GOOG", DAYS[2], "Google Inc.")
    delist(warehouse, "GOOG", date(9999, 1, 1), "GOOGLE INC.")
    load_market(warehouse, *(session_of(day, {"GOOG": Bar()}) for day in (*DAYS[:3], *DAYS[40:42])))
    assert names(warehouse) == ["GOOG"]


def test_a_listing_ends_after_ten_sessions_without_a_bar_and_reopens(warehouse: Engine) -> None:
    def state() -> str:
        [row] = query(warehouse, "SELECT state FROM listings WHERE symbol = 'RARE'")
        return str(row["state"])

    load_market(warehouse, session_of(DAYS[0], {"RARE": Bar(), "X": Bar()}))
    load_market(warehouse, *(session_of(day, {"X": Bar()}) for day in DAYS[1:10]), accept_small=True)
    assert state() == "trading"
    load_market(warehouse, session_of(DAYS[10], {"X": Bar()}))
    assert state() == "ended"
    load_market(warehouse, session_of(DAYS[11], {"RARE": Bar(), "X": Bar()}))
    assert state() == "trading"
