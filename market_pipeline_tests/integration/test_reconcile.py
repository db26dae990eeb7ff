"""`market-pipeline reconcile`: stored bars against published ones, with known errors put in, and unusable files."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, select, text, update

from market_pipeline.cli.main import main
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline_tests.integration.mart_cases import database, read
from market_pipeline_tests.integration.reconciliation_cases import KO_SPLIT, fill_warehouse, ko_bars, write_long
from market_pipeline_tests.published_prices import INDEX, STOCKS, index_bars, published_file

RECORDED_RANGE = ("--start", "2000-03-01", "--end", "2013-03-01")


@dataclass(frozen=True)
class Result:
    """The end of a command."""

    code: int
    output: str
    error: str

    @property
    def ranges(self) -> list[dict[str, Any]]:
        """The ranges of `--json` that don't agree."""
        return [found for found in json.loads(self.output)["ranges"] if found["explanation"] != "agreed"]

    def found(self, explanation: str, field: str = "close") -> list[tuple[str, str, int]]:
        """Return the first and last session and the number of them of each range with an explanation."""
        return [
            (found["first_session"], found["last_session"], found["sessions"])
            for found in self.ranges
            if (found["explanation"], found["field"]) == (explanation, field)
        ]


Command = Callable[..., Result]


@pytest.fixture(scope="module")
def published(server: embedded.Server) -> Iterator[Engine]:
    """A warehouse with published bars, which the tests leave as they are but for the results."""
    with database(server, "published_bars") as engine:
        fill_warehouse(engine)
        yield engine


@pytest.fixture
def reconcile(
    published: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `market-pipeline reconcile` against a file."""
    url = published.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path / "data"))

    def run(file: Path, *arguments: object) -> Result:
        with pytest.raises(SystemExit) as ended:
            main(["reconcile", "--against", str(file), *map(str, arguments)])
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return Result(ended.value.code or 0, *capsys.readouterr())

    return run


# --- published closes


def test_adjusted_closes_are_those_that_another_source_publishes(reconcile: Command) -> None:
    """But for one factor, as those were adjusted ten years later, and eleven closes of which one source is wrong."""
    result = reconcile(
        published_file("skfolio", STOCKS), "--symbols", "AAPL,MSFT", *RECORDED_RANGE, "--json", "--quiet"
    )
    assert result.code == 3
    described = json.loads(result.output)
    assert described["adjustments"] == {"close": "all"}
    rows = {(row["symbol"], row["field"]): row for row in described["symbols"]}
    assert {key: (row["sessions"], row["unexplained"]) for key, row in rows.items()} == {
        ("AAPL", "close"): (3270, 5),
        ("MSFT", "close"): (3270, 6),
    }
    factors = {found["symbol"]: found for found in result.ranges if found["explanation"] == "constant_factor"}
    # AAPL: splits of 7 and 4 for one, and the dividends from 2013 to 2022; MSFT: its dividends alone.
    assert 1 / 28 * 0.85 < factors["AAPL"]["lowest_ratio"] < 1 / 28 * 0.9
    assert factors["MSFT"]["highest_ratio"] - factors["MSFT"]["lowest_ratio"] < 0.0005
    different = {found["first_session"] for found in result.ranges if not found["explained"]}
    assert {"2003-01-29", "2006-06-09", "2007-05-01"} <= different


def test_an_index_of_two_publishers_agrees(reconcile: Command) -> None:
    result = reconcile(published_file("skfolio", INDEX), "--start", "2000-01-03", "--end", "2018-12-31")
    assert result.code == 0
    assert "| SP500  | close |    4,779 |  4,779 |         0 |           0 |" in result.output
    assert "1 symbol compared with" in result.output
    assert "every difference is explained" in result.output


def test_a_close_and_an_adjusted_close_are_compared_each_with_its_series(reconcile: Command, tmp_path: Path) -> None:
    file = write_long(tmp_path / "published.parquet", ["IBM", "GOOG", "FB", "MSFT"])
    result = reconcile(file, "--json")
    assert result.code == 0
    described = json.loads(result.output)
    assert described["adjustments"] == {"close": "none", "adj_close": "all"}
    closes = {row["symbol"]: row["agreed"] for row in described["symbols"] if row["field"] == "close"}
    assert closes == {"IBM": 3270, "GOOG": 2148, "FB": 196, "MSFT": 3270}
    assert {(found["symbol"], found["explanation"]) for found in result.ranges} == {
        ("IBM", "constant_factor"), ("GOOG", "constant_factor"), ("MSFT", "constant_factor"),
        ("MSFT", "dividend_basis"),  # the regular and the special dividend of 2004-11-15 are applied in another way
    }  # fmt: skip
    [dividend] = [found for found in result.ranges if found["explanation"] == "dividend_basis"]
    assert dividend["last_session"] == "2004-11-12"


def test_closes_between_two_dividends_are_compared_with_the_series_that_they_equal(
    published: Engine, reconcile: Command, tmp_path: Path
) -> None:
    query = (
        "SELECT symbol, date, adj_close AS close FROM daily_bars_adjusted WHERE symbol = 'AAPL' AND date > '2010-01-01'"
    )
    bars = pd.read_sql(query, published)
    file = tmp_path / "adjusted.csv"
    bars[bars["date"] < date(2012, 8, 1)].to_csv(file, index=False)
    described = json.loads(reconcile(file, "--json", "--quiet").output)
    assert described["adjustments"] == {"close": "all"}
    assert [row["agreed"] for row in described["symbols"] if row["field"] == "close"] == [650]


# --- published bars with errors put in


def write_composite(file: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """Write the Nasdaq Composite of 2010 to 2013 as a file of one symbol, changed."""
    bars = index_bars("nasdaq").loc["2010":"2013"].copy()  # type: ignore[misc]
    changed = change(bars).rename_axis("Date").reset_index()
    changed.columns = changed.columns.str.title()
    changed.to_csv(file, index=False)
    return file


def test_errors_put_into_published_bars_are_found_and_nothing_else(reconcile: Command, tmp_path: Path) -> None:
    def spoil(bars: pd.DataFrame) -> pd.DataFrame:
        days = pd.DatetimeIndex(bars.index)
        wrong = bars["close"] * (1.02 + np.arange(len(bars)) % 3 / 50)
        bars["high"] = bars["high"].mask(days == "2010-03-10", bars["high"] * 1.01)
        bars["volume"] = bars["volume"].mask(days == "2011-06-14", bars["volume"] * 1.5)
        bars["close"] = bars["close"].mask(days.isin(pd.date_range("2012-02-01", "2012-02-03")), wrong)
        saturday = bars[days == "2013-07-05"].set_axis(pd.DatetimeIndex(["2013-07-06"]))
        return pd.concat([bars[days != "2013-05-20"], saturday]).sort_index()

    result = reconcile(write_composite(tmp_path / "spoilt.csv", spoil), "--symbols", "COMP", "--json")
    assert result.code == 3
    assert {
        (found["field"], found["first_session"], found["last_session"], found["explanation"])
        for found in result.ranges
        if found["explanation"] != "outside_file"
    } == {
        ("high", "2010-03-10", "2010-03-10", "unexplained"),
        ("volume", "2011-06-14", "2011-06-14", "unexplained"),
        ("close", "2012-02-01", "2012-02-03", "unexplained"),
        ("bar", "2013-05-20", "2013-05-20", "unexplained"),
        ("bar", "2013-07-06", "2013-07-06", "no_session"),
    }


@pytest.mark.parametrize("days", [1, -1])
def test_a_file_whose_dates_are_a_day_off_is_recognized(reconcile: Command, tmp_path: Path, days: int) -> None:
    def shift(bars: pd.DataFrame) -> pd.DataFrame:
        return bars.set_axis(bars.index + timedelta(days))

    result = reconcile(write_composite(tmp_path / "shifted.csv", shift), "--symbols", "COMP", "--json")
    explained = {found["explanation"]: 0 for found in result.ranges}
    for found in result.ranges:
        explained[found["explanation"]] += found["sessions"]
    [(name, sessions)] = sorted(explained.items(), key=lambda item: item[1])[-1:]
    assert (name, sessions > 4000) == ("shifted_day", True)  # five columns of some 800 sessions
    assert explained.get("unexplained", 0) <= 20, result.ranges


def write_ko(file: Path, closes: "pd.Series[float]") -> Path:
    pd.DataFrame({"symbol": "KO", "date": closes.index, "price": closes.to_numpy()}).to_csv(file, index=False)
    return file


def ko_closes() -> "pd.Series[float]":
    """Return the stored closes of KO, as traded."""
    return ko_bars().set_index("date")["close"]


def test_prices_rounded_by_the_file_agree(reconcile: Command, tmp_path: Path) -> None:
    result = reconcile(write_ko(tmp_path / "rounded.csv", ko_closes().round(1)), "--json")
    assert result.code == 0
    [(_, _, rounded)] = result.found("rounding")
    assert 500 < rounded < 1258


def test_a_basis_switched_in_mid_series_is_explained(reconcile: Command, tmp_path: Path) -> None:
    closes = ko_closes()
    halved = (closes.index > pd.Timestamp("2011-05-31")) & (closes.index < pd.Timestamp(KO_SPLIT))
    file = write_ko(tmp_path / "switched.csv", closes.mask(halved, closes / 2))
    result = reconcile(file, "--adjustment", "splits", "--json")
    assert result.code == 0
    assert result.found("split_basis") == [("2010-01-04", "2011-05-31", 355)]
    opposite = reconcile(file, "--adjustment", "none", "--json")
    assert opposite.code == 0
    assert opposite.found("split_basis") == [("2011-06-01", "2012-08-10", 303)]


def test_corrections_and_another_symbols_closes_are_explained(
    reconcile: Command, published: Engine, tmp_path: Path
) -> None:
    closes = ko_closes()
    corrected = date(2013, 6, 3)
    closes = closes.mask(closes.index == pd.Timestamp(corrected), 39.5)
    run = (closes.index >= pd.Timestamp("2014-02-03")) & (closes.index <= pd.Timestamp("2014-03-14"))
    closes = closes.mask(run, index_bars("sp500")["close"].reindex(closes.index))
    bar = (market_data.c.symbol == "KO") & (market_data.c.date == corrected)
    prices = [market_data.c[name] for name in ("open", "high", "low", "close")]
    with published.connect() as connection:
        right = dict(connection.execute(select(*prices).where(bar)).mappings().one())
    for values in (dict.fromkeys(right, 39.5), right):  # each transaction is a load of its own
        with published.begin() as connection:
            connection.execute(update(market_data).where(bar).values(values))
    result = reconcile(write_ko(tmp_path / "mixed.csv", closes), "--json")
    assert result.code == 0
    assert result.found("correction") == [("2013-06-03", "2013-06-03", 1)]
    assert result.found("another_security") == [("2014-02-03", "2014-03-14", run.sum())]
    [other] = [found for found in result.ranges if found["explanation"] == "another_security"]
    assert other["detail"] == "values of SP500"


def test_prices_whose_factor_is_not_known_are_set_apart(reconcile: Command, published: Engine, tmp_path: Path) -> None:
    closes = ko_closes()
    before = closes.index < pd.Timestamp(KO_SPLIT)
    file = write_ko(tmp_path / "adjusted.csv", closes.mask(before, closes / 2))
    because = "the vendor contradicts itself"
    held = "symbol = 'KO' AND from_date < '2012-08-13'"
    with published.begin() as connection:
        connection.execute(
            text(f"UPDATE adjustment_factors SET split_factor = NULL, unknown_because = '{because}' WHERE {held}")
        )
    try:
        result = reconcile(file, "--adjustment", "splits", "--json")
        recent = reconcile(file, "--end", "2012-06-29", "--adjustment", "splits", "--quiet")
    finally:
        with published.begin() as connection:
            connection.execute(
                text(f"UPDATE adjustment_factors SET split_factor = 0.5, unknown_because = NULL WHERE {held}")
            )
    assert result.code == 0
    [unknown] = [found for found in result.ranges if found["explanation"] == "factor_unknown"]
    assert (unknown["last_session"], unknown["detail"]) == ("2012-08-10", because)
    assert recent.code == 3  # nothing could be compared
    assert "nothing could be compared of KO" in recent.error


# --- options, the stored result


def test_each_files_last_result_is_kept(reconcile: Command, published: Engine, tmp_path: Path) -> None:
    file = write_ko(tmp_path / "kept.csv", ko_closes() * np.where(np.arange(1258) == 100, 1.2, 1))
    assert reconcile(file).code == 3
    shorter = reconcile(file, "--start", "2010-06-01", "--quiet")
    assert shorter.code == 0
    assert shorter.output == (f"1 symbol compared with {file} (close as traded): every difference is explained.\n")
    rows = read(published, "SELECT * FROM reconciliations WHERE file = 'kept.csv'")
    [row] = rows.to_dict("records")
    assert (row["symbol"], row["field"], row["explanation"], row["explained"]) == ("KO", "close", "agreed", True)
    assert (row["first_session"], row["last_session"]) == (date(2010, 6, 1), date(2014, 12, 31))


def test_symbols_that_are_not_tracked_are_left_out(reconcile: Command) -> None:
    result = reconcile(published_file("skfolio", STOCKS), "--start", "2014-12-01", "--end", "2014-12-31")
    assert result.code == 3  # there is no bar of AAPL and MSFT to compare
    assert "not tracked, and left out: 17 symbols of the file: " in result.error
    assert "nothing could be compared of AAPL, MSFT" in result.error
    assert "| KO     | close |       22 |     22 |         0 |           0 |" in result.output


def test_rows_under_a_former_ticker_are_the_symbols(reconcile: Command, published: Engine, tmp_path: Path) -> None:
    file = tmp_path / "renamed.csv"
    closes = ko_closes()
    names = np.where(closes.index <= pd.Timestamp("2011-12-30"), "OLD", "KO")
    pd.DataFrame({"Ticker": names, "Date": closes.index, "Close": closes.to_numpy()}).to_csv(file, index=False)
    period = (
        "INSERT INTO security_tickers (security_id, ticker, last_day, source, certain) "
        "SELECT security_id, 'OLD', '2011-12-30', 'manual', true FROM tracked_symbols WHERE symbol = 'KO'"
    )
    with published.begin() as connection:
        connection.execute(text(period))
    try:
        for arguments in ((), ("--symbols", "KO"), ("--symbols", "OLD")):
            result = reconcile(file, *arguments)
            assert result.code == 0
            assert "| KO     | close |    1,258 |  1,258 |         0 |           0 |" in result.output
    finally:
        with published.begin() as connection:
            connection.execute(text("DELETE FROM security_tickers WHERE ticker = 'OLD'"))


def test_a_wider_tolerance_accepts_more(reconcile: Command, tmp_path: Path) -> None:
    file = write_ko(tmp_path / "slightly.csv", ko_closes() * np.where(np.arange(1258) % 100 == 0, 1.002, 1))
    assert reconcile(file, "--quiet").code == 3
    assert reconcile(file, "--quiet", "--tolerance", "0.003").code == 0


# --- files that can't be compared

HEADER = "symbol,date,close\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("gone.csv", None, "No such file or directory. Check the path"),
        ("empty.csv", "", "is empty: choose another file"),
        ("header.csv", HEADER, "no row with a value"),
        ("bars.txt", HEADER, "is no .csv, .csv.gz or .parquet file"),
        ("broken.parquet", "PAR?", "can't be read"),
        ("broken.csv.gz", "no gzip", "can't be read"),
        ("ragged.csv", f"{HEADER}KO,2014-01-02\n", "Expected 3 columns, got 2"),
        ("no-date.csv", "symbol,close\nKO,1\n", "no column of dates among 'symbol', 'close': name one date"),
        ("no-price.csv", "symbol,date,weight\nKO,2014-01-02,1\n", "no column of prices among"),
        ("no-symbol.csv", "date,close\n2014-01-02,1\n", "no column of symbols among 'date', 'close'"),
        ("twice.csv", "symbol,date,close,last\nKO,2014-01-02,1,1\n", "'close' and 'last' both mean close"),
        ("day.csv", f"{HEADER}KO,2/1/2014,1\n", "'2/1/2014' is not a date: write it as YYYY-MM-DD"),
        ("leap.csv", f"{HEADER}KO,2014-02-30,1\n", "2014-02-30"),
        ("undated.csv", f"{HEADER}KO,,1\n", "'' is not a date"),
        ("unnamed.csv", f"{HEADER},2014-01-02,1\n", "a row has no symbol in the column 'symbol'"),
        ("word.csv", f"{HEADER}KO,2014-01-02,ten\n", "the column 'close' has a value that is no number"),
        ("infinite.csv", f"{HEADER}KO,2014-01-02,inf\n", "the column 'close' has an infinite value"),
        ("repeated.csv", f"{HEADER}KO,2014-01-02,1\nKO,20140102,2\n", "2 rows of KO on 2014-01-02: leave one"),
        ("unknown.csv", f"{HEADER}K0,2014-01-02,1\n", "no symbol of"),
    ],
)
def test_a_file_that_can_not_be_compared_is_rejected_in_one_line(
    reconcile: Command, tmp_path: Path, name: str, content: str | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    result = reconcile(tmp_path / name)
    assert (result.code, result.output) == (2, "")
    assert reason in result.error
    assert result.error.startswith("error: ")
    assert result.error.count("\n") == 1


def test_folders_unknown_symbols_and_wrong_ranges_are_rejected(reconcile: Command, tmp_path: Path) -> None:
    file = write_ko(tmp_path / "closes.csv", ko_closes())
    assert "is a folder" in reconcile(tmp_path).error
    for arguments, reason in (
        (("--symbols", "KOO"), "no bars of KOO (did you mean KO?): never tracked"),
        (("--symbols", "IBM"), "has no rows of IBM on these dates"),
        (("--start", "2020-01-01"), "has no rows on these dates"),
        (("--start", "2014-01-02", "--end", "2013-01-02"), "is after the end"),
        (("--tolerance", "2"), "--tolerance: Input should be less than or equal to 0.5"),
    ):
        result = reconcile(file, *arguments)
        assert (result.code, reason in result.error) == (2, True), result.error


def test_compressed_and_wide_files_are_read(reconcile: Command, tmp_path: Path) -> None:
    closes = ko_closes()
    wide = pd.DataFrame({"KO": closes, "C": closes * 3}).rename_axis("Date")  # C is a ticker there, and no close
    zipped = tmp_path / "wide.csv.gz"
    zipped.write_bytes(gzip.compress(wide.to_csv(float_format="%.6f").encode("utf-8-sig")))
    wide.to_parquet(tmp_path / "wide.parquet")
    for file in (zipped, tmp_path / "wide.parquet"):
        result = reconcile(file)
        assert result.code == 0
        assert "not tracked, and left out: 1 symbol of the file: " in result.error
