"""The universe of a session: the tickers that traded, filters, and reads as of an instant."""

from datetime import date

import pytest
from sqlalchemy import Engine

from market_pipeline.core.markets import MARKETS
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline.warehouse.universe import NoUniverseError, require_universe
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import load_frame, query, recorded

DAYS = list_sessions("XNYS", date(2024, 1, 1), date(2024, 2, 28))


def universe(warehouse: Engine, call: str, **parameters: object) -> list[str]:
    return [row["symbol"] for row in query(warehouse, f"SELECT symbol FROM {call} ORDER BY symbol", **parameters)]


def load_days(warehouse: Engine) -> None:
    """Load 25 sessions of three tickers, of which one ends and one begins, and a list that knows two."""
    load_market(
        warehouse,
        *(
            session_of(
                day,
                {
                    "AAA": Bar(10.0, volume=100.0 + place),
                    "BBB": Bar(2.0),
                    **({"GONE": Bar(5.0)} if place < 5 else {"NEW": Bar(50.0, volume=1e6)}),
                },
            )
            for place, day in enumerate(DAYS[:25])
        ),
    )  # fmt: skip


def test_the_universe_has_the_tickers_that_traded_on_the_session(warehouse: Engine) -> None:
    load_days(warehouse)
    assert universe(warehouse, "universe(:day)", day=DAYS[4]) == ["AAA", "BBB", "GONE"]
    assert universe(warehouse, "universe(:day)", day=DAYS[5]) == ["AAA", "BBB", "NEW"]
    assert universe(warehouse, "universe(:day)", day=DAYS[25]) == []
    assert universe(warehouse, "universe(:day, 'us-stocks')", day=DAYS[4]) == ["AAA", "BBB", "GONE"]
    assert universe(warehouse, "universe(:day, 'crypto')", day=DAYS[4]) == []
    [gone] = query(warehouse, "SELECT * FROM universe(:day) WHERE symbol = 'GONE'", day=DAYS[4])
    assert (gone["first_session"], gone["last_session"]) == (DAYS[0], DAYS[4])
    assert (gone["ticker"], gone["price"], gone["dollar_volume"]) == ("GONE", 5.0, 5000.0)
    assert gone["median_dollar_volume"] is None
    assert query(warehouse, "SELECT state FROM listings WHERE symbol = 'GONE'") == [{"state": "ended"}]


def test_the_universe_is_filtered_by_price_trailing_dollar_volume_and_known_type(warehouse: Engine) -> None:
    load_days(warehouse)
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO reference_tickers (market, ticker, delisted_on, name, type, fetched_at) VALUES "
            "('us_stocks', 'AAA', NULL, 'A', 'CS', now()), ('us_stocks', 'GONE', '2024-01-09', 'G', 'CS', now()), "
            "('us_stocks', 'GONE', NULL, 'Another', 'ETF', now())"
        )
    assert universe(warehouse, "universe(:day, min_price => 5)", day=DAYS[4]) == ["AAA", "GONE"]
    assert universe(warehouse, "universe(:day, types => '{CS}')", day=DAYS[4]) == ["AAA", "GONE"]
    assert universe(warehouse, "universe(:day, types => '{ETF}')", day=DAYS[4]) == []
    # The median of the last 20 of 25: volumes 105 to 124, at a price of 10.
    [row] = query(
        warehouse, "SELECT * FROM universe(:day, min_dollar_volume => 1145) WHERE symbol = 'AAA'", day=DAYS[24]
    )
    assert row["median_dollar_volume"] == 1145.0
    assert universe(warehouse, "universe(:day, min_dollar_volume => 1145.1)", day=DAYS[24]) == ["BBB", "NEW"]


@pytest.mark.parametrize("own_first", [True, False])
def test_a_symbol_that_no_response_for_a_session_had_is_in_its_universe(warehouse: Engine, own_first: bool) -> None:
    """Stocks that are traded over the counter are in no whole session, and may be requested by themselves."""
    day, later = date(2010, 1, 5), date(2010, 1, 7)
    otc = Symbol.of("GOOG", "stock")
    frame = recorded("GOOG", date(2010, 1, 4), date(2010, 1, 6))
    add_symbols(warehouse, [otc])
    if own_first:
        load_frame(warehouse, otc, frame)
    load_market(warehouse, session_of(day, {"AAA": Bar()}), run_id="run-2", source="polygon", accept_small=True)
    if not own_first:
        load_frame(warehouse, otc, frame, run_id="run-3")
    point = query(warehouse, "SELECT settled_point() AS point")[0]["point"]
    expected = [("AAA", day, day), ("GOOG", date(2010, 1, 4), date(2010, 1, 6))]

    def found(call: str) -> list[tuple[object, ...]]:
        rows = query(warehouse, f"SELECT * FROM {call} ORDER BY symbol", day=day, point=point)
        return [(row["symbol"], row["first_session"], row["last_session"]) for row in rows]

    assert found("universe(:day)") == found("universe(:day, as_of => :point)") == expected
    load_market(
        warehouse, session_of(later, {"AAA": Bar(), "GOOG": Bar()}), run_id="run-4", source="polygon", accept_small=True
    )
    assert found("universe(:day, as_of => :point)") == expected


def test_a_list_newer_than_the_sessions_names_the_company_of_then(warehouse: Engine) -> None:
    load_days(warehouse)
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO reference_tickers (market, ticker, delisted_on, name, type, fetched_at) VALUES "
            "('us_stocks', 'AAA', '2025-08-21', 'A of 2003', NULL, now()), "
            "('us_stocks', 'AAA', NULL, 'A of 2025', 'ETF', now()), "
            "('us_stocks', 'NEW', '2024-12-30', 'N', 'CS', now())"
        )
    rows = query(warehouse, "SELECT symbol, name, type FROM universe(:day) ORDER BY symbol", day=DAYS[24])
    assert [tuple(row.values()) for row in rows] == [
        ("AAA", "A of 2003", None),
        ("BBB", None, None),
        ("NEW", "N", "CS"),
    ]
    listed = query(warehouse, "SELECT symbol, name, type FROM listings WHERE state = 'trading' ORDER BY symbol")
    assert listed == rows


def test_postgresql_expects_about_as_many_rows_as_a_universe_has(warehouse: Engine) -> None:
    """Of 11,000 tickers it once expected 7 million, and took 48 s for joins that suit few rows."""
    names = [f"{first}{second}{third}" for first in "ABCDEFG" for second in "ABCDEFGHIJ" for third in "ABCDEFGHIJ"]
    load_market(warehouse, *(session_of(day, dict.fromkeys(names, Bar(10.0))) for day in DAYS[:3]))
    with warehouse.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    [row] = query(warehouse, "EXPLAIN (FORMAT JSON) SELECT * FROM universe(:day) ORDER BY ticker", day=DAYS[1])
    [plan] = row["QUERY PLAN"]
    assert 350 <= plan["Plan"]["Plan Rows"] <= 1_400


def test_the_universe_as_of_an_instant_does_not_change(warehouse: Engine) -> None:
    load_days(warehouse)
    point = query(warehouse, "SELECT settled_point() AS point")[0]["point"]
    load_market(warehouse, session_of(DAYS[4], {"AAA": Bar(11.0), "BBB": Bar(2.0), "ALSO": Bar(3.0)}), run_id="run-2")
    assert universe(warehouse, "universe(:day)", day=DAYS[4]) == ["AAA", "ALSO", "BBB"]
    then = query(warehouse, "SELECT * FROM universe(:day, as_of => :point) ORDER BY symbol", day=DAYS[4], point=point)
    assert [(row["symbol"], row["price"], row["last_session"]) for row in then] == [
        ("AAA", 10.0, DAYS[24]), ("BBB", 2.0, DAYS[24]), ("GONE", 5.0, DAYS[4]),
    ]  # fmt: skip
    dollars = "universe(:day, as_of => :point, min_dollar_volume => 1021)"
    assert universe(warehouse, dollars, day=DAYS[4], point=point) == ["BBB", "GONE"]
    # The vendor's list is not kept as of an instant, so a list that is fetched later has no effect.
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO reference_tickers (market, ticker, delisted_on, name, type, fetched_at) "
            "VALUES ('us_stocks', 'AAA', NULL, 'A', 'CS', now())"
        )
    assert universe(warehouse, "universe(:day, types => '{CS}')", day=DAYS[4]) == ["AAA"]
    later = query(warehouse, "SELECT * FROM universe(:day, as_of => :point) ORDER BY symbol", day=DAYS[4], point=point)
    assert later == then


def test_a_session_whose_bars_were_all_there_has_a_universe_from_the_point_of_its_first_load_on(
    warehouse: Engine,
) -> None:
    session = session_of(DAYS[4], {"AAA": Bar(11.0)})
    load_market(warehouse, session)
    with warehouse.begin() as connection:
        connection.exec_driver_sql("DELETE FROM market_loads")  # as if AAA had been loaded by requests of its own
    before = query(warehouse, "SELECT settled_point() AS point")[0]["point"]
    for run in ("run-2", "run-3"):
        [result] = load_market(warehouse, session, run_id=run)
        assert (result.unchanged, result.loaded, result.revised) == (1, 0, 0)
    loads = query(
        warehouse,
        "SELECT l.run_id, loads.point FROM market_loads AS l LEFT JOIN loads ON loads.id = l.load_id ORDER BY l.id",
    )
    assert [(load["run_id"], load["point"] is None) for load in loads] == [("run-2", False), ("run-3", True)]
    as_of = "universe(:day, as_of => :point)"
    assert universe(warehouse, as_of, day=DAYS[4], point=before) == []
    assert universe(warehouse, as_of, day=DAYS[4], point=loads[0]["point"]) == ["AAA"]


@pytest.mark.parametrize("day", [date.min, date(1800, 1, 1), date(2262, 4, 12), date.max])
def test_any_date_without_a_universe_has_its_reason(warehouse: Engine, day: date) -> None:
    load_days(warehouse)
    with pytest.raises(NoUniverseError, match=r"the session is not over|the first session of XNYS here is 2000-01-03"):
        require_universe(warehouse, MARKETS["us_stocks"], day)
