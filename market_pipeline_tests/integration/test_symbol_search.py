"""`/api/v1/symbols/search`: tracked symbols and listings of markets, by ticker and by name."""

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import text

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import Api, serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of

DAYS = list_sessions("XNYS", date(2024, 2, 26), date(2024, 3, 15))
LASTING = {"AA": Bar(28.0), "AAP": Bar(60.0), "SPY": Bar(515.0, 80_000.0), "BRK.B": Bar(410.0, 9_000.0)}
NAMES = {"AA": "Alcoa Corp", "AAP": "Advance Auto Parts", "SIVB": "SVB Financial 100%", "BRK.B": "Berkshire Hathaway"}


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over a market of five tickers, of which SIVB has gone, and two tracked symbols, one without bars."""
    with serving(server, tmp_path_factory.mktemp("search")) as api:
        add_symbols(api.warehouse, [Symbol.of("SPY", "etf"), Symbol.of("META", "stock")])
        load_market(
            api.warehouse,
            *(session_of(day, LASTING | ({"SIVB": Bar(0.9)} if day == DAYS[0] else {})) for day in DAYS),
        )
        with api.warehouse.begin() as connection:
            for ticker, name in NAMES.items():
                connection.execute(
                    text(
                        "INSERT INTO reference_tickers (market, ticker, name, fetched_at) "
                        "VALUES ('us_stocks', :ticker, :name, now())"
                    ),
                    {"ticker": ticker, "name": name},
                )
            connection.exec_driver_sql(
                "UPDATE tracked_symbols SET name = 'Meta Platforms' WHERE symbol = 'META';"
                "INSERT INTO security_tickers (security_id, ticker, last_day, source, certain) "
                "SELECT security_id, 'FB', '2022-06-08', 'manual', true FROM tracked_symbols WHERE symbol = 'META'"
            )
        yield api


def search(api: Api, **parameters: object) -> list[str]:
    """Return the symbols that a search finds."""
    response = api.get("/api/v1/symbols/search", [(name, str(value)) for name, value in parameters.items()])
    assert response.status_code == 200, response.text
    return [row["symbol"] for row in response.json()["symbols"]]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("aa", ["AA", "AAP"]),
        ("AAP", ["AAP"]),
        ("spy", ["SPY"]),
        ("b", ["BRK.B"]),
        ("BRK.", ["BRK.B"]),
        ("hathaway", ["BRK.B"]),
        ("  meta plat ", ["META"]),
        ("fb", ["META"]),
        ("100%", ["SIVB"]),
        ("%", []),
        ("_", []),
        ("\\", []),
        ("zz", []),
    ],
)
def test_a_text_finds_the_beginning_of_a_ticker_and_a_part_of_a_name(api: Api, typed: str, found: list[str]) -> None:
    assert search(api, q=typed) == found


def test_a_ticker_is_found_before_a_name_and_an_ended_listing_after_those_that_trade(api: Api) -> None:
    assert search(api, q="a") == ["AA", "AAP"]  # one character is sought in tickers alone
    assert search(api, q="al") == ["AA", "SIVB"]
    assert search(api, q="s") == ["SPY", "SIVB"]


def test_without_a_text_tracked_symbols_come_first_and_then_the_largest_of_the_market(api: Api) -> None:
    assert search(api) == ["SPY", "META", "BRK.B", "AAP", "AA"]
    response = api.get("/api/v1/symbols/search", [("limit", "2")]).json()
    assert (response["truncated"], [row["symbol"] for row in response["symbols"]]) == (True, ["SPY", "META"])


def test_a_found_symbol_has_its_name_its_market_and_its_first_and_last_session(api: Api) -> None:
    [gone] = api.get("/api/v1/symbols/search", [("q", "sivb")]).json()["symbols"]
    assert gone == {
        "symbol": "SIVB", "asset_class": "stock", "calendar": "XNYS", "market": "us_stocks",
        "name": "SVB Financial 100%", "tracked": False, "ended": True, "first_session": "2024-02-26",
        "last_session": "2024-02-26", "ticker": None,
    }  # fmt: skip
    [meta] = api.get("/api/v1/symbols/search", [("q", "FB")]).json()["symbols"]
    assert (meta["ticker"], meta["tracked"], meta["last_session"]) == ("FB", True, None)
    assert api.get("/api/v1/symbols/search", [("limit", "0")]).status_code == 422
