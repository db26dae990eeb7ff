"""`market-pipeline export`: the files' content, their manifests, and that no file is half-written."""

import hashlib
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.adjustment import refresh_factors
from market_pipeline.warehouse.export import ExportError, export
from market_pipeline.warehouse.export_formats import FileFormat
from market_pipeline.warehouse.export_query import BLOCK_ROWS, COLUMNS, Adjustment, Selection
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.mart_cases import (
    add_dividends,
    add_splits,
    database,
    read,
    track,
)
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, recorded

IBM = Symbol.of("IBM", "stock")
FIRST, SPLIT, LAST = date(2005, 1, 3), date(2005, 2, 28), date(2005, 3, 31)
KINDS = pytest.mark.parametrize("kind", list(FileFormat))


def load_quarter(warehouse: Engine) -> None:
    """Load a quarter of two stocks, with a split of AAPL and a dividend of IBM."""
    track(warehouse, [AAPL, IBM], first=FIRST, last=LAST)
    add_splits(warehouse, [("AAPL", SPLIT, 1, 2)])
    add_dividends(warehouse, [("IBM", date(2005, 2, 8), 0.18, "CD")])
    for symbol in (AAPL, IBM):
        load_frame(warehouse, symbol, recorded(symbol.name, FIRST, LAST))


@pytest.fixture
def quarter(warehouse: Engine) -> Engine:
    """Return a warehouse with the quarter, for which no mart was built."""
    load_quarter(warehouse)
    return warehouse


@pytest.fixture
def command(command: Command) -> Command:
    """Run `market-pipeline export` on this test's warehouse: exit code, standard output and error."""
    return partial(command, "export")


def frame_of(file: Path) -> pd.DataFrame:
    """Read a file as an analyst does."""
    if file.suffix == ".parquet":
        frame = pd.read_parquet(file)
    else:
        frame = pd.read_csv(file, parse_dates=["fetched_at"] if "fetched_at" in file.read_text()[:200] else [])
    frame["date"] = pd.to_datetime(frame["date"])
    return frame


def description_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.with_name(f"{file.name}.json").read_text(encoding="utf-8"))
    return found


# --- the content


@KINDS
def test_the_file_equals_the_stored_bars(quarter: Engine, command: Command, tmp_path: Path, kind: FileFormat) -> None:
    file = tmp_path / f"bars.{kind}"
    code, output, _ = command("--symbols", "IBM,AAPL", "--end", "2005-03-15", "--format", kind, "--output", file)
    assert (code, output) == (0, f"100 bars of 2 symbols are in {file}, described in {file}.json\n")
    expected = read_bars(quarter, ["AAPL", "IBM"], FIRST, date(2005, 3, 15)).reset_index()
    found = frame_of(file)
    assert list(found.columns) == list(COLUMNS[Adjustment.NONE])
    for name in ("symbol", "date", "validated", "source"):
        assert found[name].tolist() == expected[name].tolist()
    for name in ("open", "high", "low", "close", "volume", "vwap", "transactions"):
        np.testing.assert_array_equal(found[name].astype(float), expected[name].astype(float))
    assert found["volume"].dtype == float  # also in CSV, where whole numbers have a decimal point
    assert found["fetched_at"].tolist() == expected["fetched_at"].tolist()


@KINDS
def test_no_flags_and_unknown_values_are_distinguished(quarter: Engine, tmp_path: Path, kind: FileFormat) -> None:
    with quarter.begin() as connection:
        connection.execute(
            text("UPDATE market_data SET flags = '{repeated,zero_volume}', transactions = 7 WHERE date = '2005-01-04'")
        )
    file = tmp_path / f"bars.{kind}"
    export(quarter, Selection(symbols=["AAPL"], end=date(2005, 1, 5)), kind, file)
    found = frame_of(file)
    assert found["transactions"].astype("Float64").tolist() == [pd.NA, 7, pd.NA]
    flags = found["flags"].fillna("") if kind is FileFormat.CSV else found["flags"]
    assert flags.tolist() == ["", "repeated zero_volume", ""]


def test_parquet_has_the_types_of_the_tables(quarter: Engine, tmp_path: Path) -> None:
    export(quarter, Selection(symbols=["AAPL"]), FileFormat.PARQUET, tmp_path / "bars.parquet")
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "bars.parquet")}
    assert types == {
        "symbol": "string", "date": "date32[day]", **dict.fromkeys(("open", "high", "low", "close"), "double"),
        "volume": "double", "vwap": "double", "transactions": "int64", "validated": "bool", "flags": "string",
        "source": "string", "fetched_at": "timestamp[us, tz=UTC]",
    }  # fmt: skip


@KINDS
@pytest.mark.parametrize("adjustment", [Adjustment.SPLITS, Adjustment.ALL])
def test_adjusted_prices_are_those_of_the_view(
    quarter: Engine, tmp_path: Path, kind: FileFormat, adjustment: Adjustment
) -> None:
    file = tmp_path / f"bars.{kind}"
    made = export(quarter, Selection(symbols=["AAPL", "IBM"], adjustment=adjustment), kind, file)
    expected = read(quarter, "SELECT * FROM daily_bars_adjusted ORDER BY symbol, date")
    found = frame_of(file)
    assert (len(found), made.rows_not_adjusted) == (len(expected), 0)
    assert list(found.columns) == list(COLUMNS[adjustment])
    for name in COLUMNS[adjustment][2:7]:
        assert found[name].tolist() == expected[name].tolist()
    factors = found[found["symbol"] == "AAPL"].set_index("date")["split_factor"]
    assert [factors["2005-02-25"], factors["2005-02-28"]] == [0.5, 1]


def test_bars_are_exported_as_of_an_instant(quarter: Engine, command: Command, tmp_path: Path) -> None:
    then = read(quarter, "SELECT clock_timestamp() AS now")["now"].item()
    week = recorded("AAPL", FIRST, date(2005, 1, 7))
    load_frame(quarter, AAPL, week.assign(close=week["low"]), run_id="run-2")
    as_it_was, as_it_is = tmp_path / "then.csv", tmp_path / "now.csv"
    options = "--symbols", "AAPL", "--end", "2005-01-07", "--format", "csv"
    assert command(*options, "--as-of", then.isoformat(), "--output", as_it_was)[0] == 0
    assert command(*options, "--output", as_it_is)[0] == 0
    assert frame_of(as_it_was)["close"].tolist() == week["close"].tolist()
    assert frame_of(as_it_is)["close"].tolist() == week["low"].tolist()
    assert datetime.fromisoformat(description_of(as_it_was)["as_of"]) == then


def test_all_symbols_are_those_no_longer_tracked_too(quarter: Engine, command: Command, tmp_path: Path) -> None:
    remove_symbol(quarter, "IBM")
    assert command("--symbols", "*", "--output", tmp_path / "bars.parquet")[0] == 0
    assert description_of(tmp_path / "bars.parquet")["symbols"] == ["AAPL", "IBM"]
    assert set(frame_of(tmp_path / "bars.parquet")["symbol"]) == {"AAPL", "IBM"}


# --- the description


@KINDS
def test_the_description_lists_the_contents_of_the_file(
    quarter: Engine, command: Command, tmp_path: Path, kind: FileFormat
) -> None:
    file = tmp_path / f"bars.{kind}"
    command("--symbols", "AAPL", "--start", "2005-02-19", "--end", "2005-03-13", "--format", kind, "--output", file)
    description = description_of(file)
    made_at = datetime.fromisoformat(description.pop("made_at"))
    assert datetime.fromisoformat(description.pop("as_of")) == read(quarter, "SELECT settled_point() AS p")["p"].item()
    assert made_at.utcoffset() == UTC.utcoffset(None)
    columns = {column["name"]: column["meaning"] for column in description.pop("columns")}
    assert list(columns) == list(COLUMNS[Adjustment.NONE])
    assert columns["close"] == "Last price of the session, US dollars, as traded."
    assert description == {
        "file": file.name, "format": kind, "symbols": ["AAPL"], "start": "2005-02-19", "end": "2005-03-13",
        "adjustment": "none", "snapshot": None, "first_date": "2005-02-22", "last_date": "2005-03-11", "rows": 14,
        "rows_not_adjusted": 0, "symbols_not_adjusted": [], "source": "polygon",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_prices_that_are_not_known_are_counted_and_reported(quarter: Engine, command: Command, tmp_path: Path) -> None:
    with quarter.begin() as connection:
        connection.execute(text("DELETE FROM corporate_action_inquiries WHERE symbol = 'IBM' AND kind = 'dividends'"))
        refresh_factors(connection, ["IBM"])
    code, _, error = command("--symbols", "*", "--adjustment", "all", "--output", tmp_path / "bars.parquet")
    assert code == 3
    assert "61 bars of IBM have no adjusted prices" in error
    assert "`market-pipeline backfill --missing`" in error
    manifest = description_of(tmp_path / "bars.parquet")
    assert (manifest["rows_not_adjusted"], manifest["symbols_not_adjusted"]) == (61, ["IBM"])
    code, output, error = command(
        "--symbols", "IBM", "--adjustment", "all", "--quiet", "--output", tmp_path / "none.csv"
    )
    assert (code, output) == (1, "")
    assert "no adjusted price of IBM is known" in error
    assert [file.name for file in sorted(tmp_path.glob("*.*"))] == ["bars.parquet", "bars.parquet.json"]


def test_one_bar_of_one_symbol_is_reported_in_the_singular(quarter: Engine, command: Command, tmp_path: Path) -> None:
    day = "--start", "2005-01-03", "--end", "2005-01-03"
    output = command("--symbols", "AAPL", *day, "--output", tmp_path / "bars.csv")[1]
    assert output == f"1 bar of 1 symbol is in {tmp_path}/bars.csv, described in {tmp_path}/bars.csv.json\n"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("bars.csv", FileFormat.CSV), ("bars.PARQUET", FileFormat.PARQUET), ("bars.csv.gz", FileFormat.CSV)],
)
def test_the_format_follows_the_name_of_the_file(
    quarter: Engine, command: Command, tmp_path: Path, name: str, kind: FileFormat
) -> None:
    assert command("--symbols", "AAPL", "--output", tmp_path / name)[0] == 0
    assert description_of(tmp_path / name)["format"] == kind
    read = pd.read_csv if kind is FileFormat.CSV else pd.read_parquet
    assert len(read(tmp_path / name)) == description_of(tmp_path / name)["rows"] == 61


def test_a_name_without_a_format_takes_one_that_is_named(quarter: Engine, command: Command, tmp_path: Path) -> None:
    assert command("--symbols", "AAPL", "--format", "csv", "--output", tmp_path / "bars")[0] == 0
    assert len(pd.read_csv(tmp_path / "bars")) == 61


def test_an_export_without_bars_is_an_empty_file_and_a_message(quarter: Engine, tmp_path: Path) -> None:
    for kind in FileFormat:
        file = tmp_path / f"bars.{kind}"
        made = export(quarter, Selection(symbols=["AAPL"], start=date(2020, 1, 1)), kind, file)
        assert (made.rows, made.first_date, len(frame_of(file))) == (0, None, 0)


# --- rejected commands


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--symbols", "AAPL", "--start", "2005-02-30"], "2005-02-30"),
        (["--symbols", "AAPL", "--start", "2005-03-01", "--end", "2005-02-01"], "after the end"),
        (["--symbols", "AAPL,NOSUCH"], "no bars of NOSUCH"),
        (["--symbols", ""], "--symbols is empty"),
        (["--symbols", "APPL"], "no bars of APPL (did you mean AAPL?)"),
        (["--symbols", "AAPL", "--output", "bars.txt"], "let its name end with .parquet, .csv, .csv.gz"),
        (["--symbols", "AAPL", "--output", "bars.csv", "--format", "parquet"], "bars.csv is not the name of a parquet"),
        (["--symbols", "AAPL", "--output", "bars.parquet", "--format", "csv"], "leave --format csv out"),
        (["--symbols", "AAPL", "--as-of", "yesterday"], "not an instant"),
        (["--symbols", "AAPL", "--as-of", "2026-01-01T12:00"], "no time zone"),
        (["--symbols", "AAPL", "--as-of", "2999-01-01T12:00Z"], "in the future"),
        (["--symbols", "AAPL", "--snapshot", "none"], "there is no snapshot 'none'"),
        (["--symbols", "AAPL", "--snapshot", "a", "--as-of", "2026-01-01T12:00Z"], "give one of them"),
        (["--symbols", "AAPL", "--adjustment", "some"], "some"),
        (["--symbols", "AAPL", "--output", "no/such/folder/bars.csv"], "there is no folder"),
    ],
)
def test_a_wrong_command_exits_with_2_and_writes_nothing(
    quarter: Engine,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    code, output, error = command("--output", "bars.csv", *arguments)
    assert (code, output) == (2, "")
    assert reason in " ".join(error.split())
    assert not list(folder.iterdir())


def test_a_file_that_is_there_is_replaced_only_on_demand(quarter: Engine, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("mine")
    arguments = "--symbols", "AAPL", "--format", "csv", "--output", file
    code, _, error = command(*arguments)
    assert (code, file.read_text()) == (2, "mine")
    assert "add --overwrite" in error
    assert command(*arguments, "--overwrite")[0] == 0
    assert description_of(file)["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert sorted(tmp_path.glob("*bars*")) == [file, tmp_path / "bars.csv.json"]


# --- to standard output


def test_standard_output_gets_the_bars_and_nothing_else(
    quarter: Engine, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command("--symbols", "AAPL,IBM", "--output", "bars.csv")
    code, output, error = command("--symbols", "AAPL,IBM", "--output", "-")
    assert (code, error) == (0, f"122 bars of 2 symbols, as of {description_of(Path('bars.csv'))['as_of']}\n")
    assert output == (tmp_path / "bars.csv").read_text(encoding="utf-8")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bars.csv", "bars.csv.json"]
    assert command("--symbols", "AAPL,IBM", "--output", "-", "--quiet")[2] == ""


def test_a_pipe_takes_parquet_and_may_be_left_early(quarter: Engine, environment: dict[str, str]) -> None:
    program = Path(sys.executable).with_name("market-pipeline")
    arguments: list[str | Path] = [program, "export", "--symbols", "*", "--format", "parquet", "--output", "-"]
    done = subprocess.run(arguments, env=environment, capture_output=True, check=True)
    assert len(pd.read_parquet(io.BytesIO(done.stdout))) == 122
    shell = f"{program} export --symbols '*' --output - | head -n 1"
    left = subprocess.run(["sh", "-c", shell], env=environment, capture_output=True, text=True, check=True)
    assert left.stdout.startswith("symbol,date,open")
    assert "Traceback" not in left.stderr
    with Path("/dev/full").open("wb") as full:
        arguments = [program, "export", "--symbols", "*", "--output", "-"]
        lost = subprocess.run(arguments, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (lost.returncode, lost.stderr.splitlines()[0]) == (
        1, "error: standard output can't be written: No space left on device. Free space or choose another --output",
    )  # fmt: skip


# --- streaming


@KINDS
def test_an_interrupted_export_leaves_the_earlier_file(many: Engine, tmp_path: Path, kind: FileFormat) -> None:
    file = tmp_path / f"bars.{kind}"
    before = export(many, Selection(symbols=["A00"]), kind, file)

    def cut_off(_done: int, _total: int) -> None:
        with many.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"))

    with pytest.raises(ExportError, match="the database broke off the export"):
        export(many, EVERYTHING, kind, file, overwrite=True, progress=cut_off)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before.sha256 == description_of(file)["sha256"]
    assert len(list(tmp_path.iterdir())) == 2


NAMES = [f"A{number:02}" for number in range(60)]
EVERYTHING = Selection(symbols=NAMES)


@pytest.fixture(scope="module")
def many(server: embedded.Server) -> Iterator[Engine]:
    """Yield a warehouse with 300,000 bars."""
    with database(server, "bars_to_export") as engine:
        add_symbols(engine, [Symbol.of(name, "stock") for name in NAMES])
        with engine.begin() as connection:
            connection.execute(text("SELECT open_load('1', 'sandbox')"))
            connection.execute(
                text(
                    "INSERT INTO bars (symbol_id, date, open, high, low, close, volume) "
                    "SELECT id, day, 10, 11, 9, 10 + random(), 1000 FROM tracked_symbols, "
                    "(SELECT date AS day FROM sessions WHERE calendar = 'XNYS' ORDER BY date LIMIT 5000) AS first"
                )
            )
        yield engine


@KINDS
def test_memory_does_not_grow_with_the_rows_and_progress_is_reported(
    many: Engine, tmp_path: Path, kind: FileFormat
) -> None:
    reported: list[tuple[int, int]] = []
    export(many, Selection(symbols=["A00"]), kind, tmp_path / "warm")
    tracemalloc.start()
    made = export(many, EVERYTHING, kind, tmp_path / "bars", progress=lambda *counts: reported.append(counts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.rows == 300_000
    assert reported == [(done, made.rows) for done in range(BLOCK_ROWS, made.rows + 1, BLOCK_ROWS)]
    assert peak < 25e6
