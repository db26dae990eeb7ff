"""The marts against independent numbers: real bars, splits and dividends, and the published adjusted closes.

The bars' package took its adjusted closes from Quandl's WIKI prices, which reinvest a dividend at the close of its
ex-date, as CRSP's returns do. Ours, as Yahoo's, reinvest it at the close before. The returns have to agree to the last
digit then, and the adjusted closes as far as the two closes of each ex-date do.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.recorded import RECORDED
from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.mart_cases import (
    add_bars,
    add_recorded_actions,
    database,
    dbt,
    read,
    settings_of,
    track,
)

FIRST, LAST = date(2000, 3, 1), date(2013, 3, 1)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "analysts.md").read_text(encoding="utf-8")


def published(symbol: str) -> pd.DataFrame:
    """Return the package's bars: date, open, high, low, close, volume, adj_close."""
    from bokeh_sampledata import stocks  # reads its file on import

    bars = pd.DataFrame(getattr(stocks, symbol))
    return bars.assign(date=pd.to_datetime(bars["date"]).dt.date)


@pytest.fixture(scope="module")
def marts(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Yield a warehouse with the recorded symbols' bars and actions, and the marts that `dbt build` makes of them."""
    with database(server, "marts_of_recorded_symbols") as engine:
        load_recorded(engine)
        dbt(settings_of(engine, tmp_path_factory.mktemp("marts")), "build", today=LAST)
        yield engine


def load_recorded(warehouse: Engine) -> None:
    symbols = [Symbol.of(name, "stock") for name in RECORDED]
    track(warehouse, symbols, first=FIRST, last=LAST)
    for symbol in symbols:
        add_bars(warehouse, symbol, published(symbol.name).drop(columns="adj_close"))
    add_recorded_actions(warehouse)


@pytest.mark.parametrize("symbol", RECORDED)
def test_closes_as_traded_are_the_published_ones(marts: Engine, symbol: str) -> None:
    ours = read(marts, "SELECT date, close FROM analytics.daily_bars WHERE symbol = :symbol ORDER BY 1", symbol=symbol)
    theirs = published(symbol)
    assert list(ours["date"]) == list(theirs["date"])
    assert (ours["close"].round(2) == theirs["close"].round(2)).all()


@pytest.mark.parametrize("symbol", RECORDED)
def test_total_returns_are_the_changes_of_the_published_adjusted_closes(marts: Engine, symbol: str) -> None:
    query = "SELECT total_return FROM analytics.daily_returns WHERE symbol = :symbol ORDER BY date"
    ours = read(marts, query, symbol=symbol)["total_return"].to_numpy(float)
    theirs = published(symbol)["adj_close"].pct_change().to_numpy()
    assert np.isnan(ours[0])
    np.testing.assert_allclose(ours[1:], theirs[1:], rtol=0, atol=1e-12)


def test_adjusted_closes_are_the_published_ones_but_for_the_day_of_reinvestment(marts: Engine) -> None:
    differences = {symbol: relative_difference(marts, symbol) for symbol in RECORDED}
    documented = re.findall(r"^\| ([A-Z]+) \| ([\d,]+) \| equal \| (\S+) %? *\|", DOCUMENT, re.MULTILINE)
    assert {symbol: (sessions, largest) for symbol, sessions, largest in documented} == {
        symbol: (f"{len(difference):,}", in_per_cent(difference.abs().max()))
        for symbol, difference in differences.items()
    }
    # Where there was no dividend of a tenth of the price, no more than 0.04 %, which the page explains.
    assert all(found[found.index >= date(2004, 11, 15)].abs().max() < 4e-4 for found in differences.values())
    assert differences["MSFT"][differences["MSFT"].index < date(2004, 11, 15)].abs().min() > 1e-3


def in_per_cent(difference: float) -> str:
    return f"{difference * 100:.3f}" if difference > 1e-12 else "0"


def relative_difference(marts: Engine, symbol: str) -> "pd.Series[float]":
    """Return the difference of our adjusted closes and the published ones, by session.

    Each is taken relative to its last, as the published ones are also adjusted for later actions.
    """
    query = "SELECT date, adj_close FROM analytics.daily_bars_adjusted WHERE symbol = :symbol ORDER BY date"
    ours = read(marts, query, symbol=symbol).set_index("date")["adj_close"]
    theirs = published(symbol).set_index("date")["adj_close"]
    difference: pd.Series[float] = (ours / ours.iloc[-1]) / (theirs / theirs.iloc[-1]) - 1
    assert not difference.isna().any()
    return difference


def test_a_crash_is_not_taken_for_a_split(marts: Engine) -> None:
    query = "SELECT simple_return FROM analytics.daily_returns WHERE symbol = 'AAPL' AND date = '2000-09-29'"
    assert read(marts, query)["simple_return"].item() == pytest.approx(-0.5187, abs=1e-4)


def test_weeks_expect_no_session_while_the_exchange_was_closed(marts: Engine) -> None:
    query = """
        SELECT week, sessions_expected, is_complete FROM analytics.weekly_bars
        WHERE symbol = 'AAPL' AND week IN ('2001-09-10', '2012-10-29', '2013-02-25') ORDER BY week
    """
    weeks = read(marts, query)
    assert list(weeks["sessions_expected"]) == [1, 3, 5]  # September 2001, a hurricane, an ordinary week
    assert weeks["is_complete"].all()


def test_the_month_of_a_listing_is_partial(marts: Engine) -> None:
    query = "SELECT * FROM analytics.monthly_bars WHERE symbol = 'GOOG' ORDER BY month LIMIT 2"
    months = read(marts, query)
    assert list(months["is_complete"]) == [False, True]
    first = months.iloc[0]
    assert (first["sessions_expected"], first["sessions_loaded"]) == (22, 9)
    assert (first["first_session"], first["last_session"]) == (date(2004, 8, 2), date(2004, 8, 31))
    bars = published("GOOG")
    august = bars[bars["date"] < date(2004, 9, 1)]
    assert (first["open"], first["close"]) == (august["open"].iloc[0], august["close"].iloc[-1])
    assert (first["high"], first["low"]) == (august["high"].max(), august["low"].min())
    assert first["volume"] == august["volume"].sum()
    assert first["vwap"] is None


def test_two_dividends_of_one_day_are_applied_together(marts: Engine) -> None:
    query = "SELECT * FROM analytics.corporate_actions WHERE symbol = 'MSFT' AND ex_date = '2004-11-15' ORDER BY 1"
    found = read(marts, query)
    assert list(found["cash_amount"]) == [0.08, 3.00]
    assert list(found["previous_close"]) == [29.97, 29.97]
    assert list(found["dividend_factor"]) == pytest.approx([1 - 3.08 / 29.97] * 2)
    assert found["in_effect"].all()
    assert found["not_applied_because"].isna().all()


def test_the_newest_bars_and_the_coverage_give_the_last_session(marts: Engine) -> None:
    newest = read(marts, "SELECT symbol, date, close FROM analytics.latest_bars ORDER BY symbol")
    assert list(newest["symbol"]) == sorted(RECORDED)
    assert set(newest["date"]) == {LAST}
    assert newest["close"].iloc[0] == 430.47
    covered = read(marts, "SELECT * FROM analytics.symbol_coverage ORDER BY symbol").set_index("symbol")
    assert covered.loc["AAPL", "loaded"] == 3270
    assert covered.loc["FB", "first_session"] == date(2012, 5, 18)
    assert (covered["behind"] > 3000).all()  # nobody has loaded any since
    assert (covered["last_session"] == LAST).all()


def test_each_session_has_its_number_of_bars(marts: Engine) -> None:
    query = "SELECT * FROM analytics.data_quality_daily WHERE date IN ('2000-03-01', '2012-05-18') ORDER BY date"
    days = read(marts, query)
    assert list(days["loaded"]) == [3, 5]
    assert list(days["completeness"]) == [1, 1]
    assert list(days["mean_quality_score"]) == [1, 1]


def test_the_database_has_a_comment_on_each_column(marts: Engine) -> None:
    query = """
        SELECT c.relname AS relation, a.attname AS column, obj_description(c.oid) AS about,
               col_description(c.oid, a.attnum) AS comment
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace::regnamespace::text IN ('analytics', 'analytics_staging') AND c.relkind IN ('r', 'v')
    """
    columns = read(marts, query)
    expected = {
        "corporate_actions", "daily_bars", "daily_bars_adjusted", "daily_returns", "data_quality_daily", "latest_bars",
        "monthly_bars", "symbol_coverage", "weekly_bars",
    }  # fmt: skip
    assert expected <= set(columns["relation"])
    assert columns[columns["comment"].isna() | columns["about"].isna()].empty
