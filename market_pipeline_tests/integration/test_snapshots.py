"""Named snapshots: the same data again, to the byte, whatever has changed since."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.export_query import COLUMNS, Adjustment
from market_pipeline.warehouse.loads import open_load
from market_pipeline.warehouse.snapshots import create_snapshot, find_snapshot
from market_pipeline.warehouse.stored_bars import read_bars
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.mart_cases import add_dividends, add_splits, refresh_all_factors, track
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded
from market_pipeline_tests.integration.test_export import description_of

IBM, BTC = Symbol.of("IBM", "stock"), Symbol.of("BTC", "crypto")
FIRST, SPLIT, LAST = date(2005, 1, 3), date(2005, 2, 28), date(2005, 3, 31)
FILES = {"traded.parquet": "none", "splits.csv": "splits", "adjusted.csv.gz": "all"}
"""Files of the test, with their adjustments: every format and adjustment."""


@pytest.fixture
def dagster_database() -> None:
    """Give Dagster no database yet, as in a new warehouse."""


@pytest.fixture
def quarter(warehouse: Engine) -> Engine:
    """Load a quarter of two stocks, with a split of AAPL and a dividend of IBM, and of a coin."""
    track(warehouse, [AAPL, IBM, BTC], first=FIRST, last=LAST)
    add_splits(warehouse, [("AAPL", SPLIT, 1, 2)])
    add_dividends(warehouse, [("IBM", date(2005, 2, 8), 0.18, "CD")])
    for symbol in (AAPL, IBM):
        load_frame(warehouse, symbol, recorded(symbol.name, FIRST, LAST))
    load_frame(warehouse, BTC, coin())
    return warehouse


def coin() -> pd.DataFrame:
    """Return bars of BTC on 90 days ten years later: the calendar of coins begins after 2005."""
    days = pd.DatetimeIndex(pd.to_datetime(list_sessions("24/7", date(2015, 1, 1), date(2015, 3, 31))))
    values = {"open": 10.5, "high": 12.0, "low": 9.25, "close": 11.0, "volume": 0.1, "vwap": 10.7, "transactions": 3.0}
    return pd.DataFrame({"date": days, "time": compute_session_starts("24/7", days), **values})


def export(command: Command, folder: Path, *options: object) -> dict[str, str]:
    """Export all symbols into files of every format and adjustment, and return the files' hashes."""
    folder.mkdir()
    for name, adjustment in FILES.items():
        arguments = ("--symbols", "*", "--adjustment", adjustment, *options, "--output", folder / name)
        assert command("export", *arguments)[0] == 0
    return {name: description_of(folder / name)["sha256"] for name in FILES}


def change_everything(warehouse: Engine) -> None:
    """Revise bars, add and withdraw splits and dividends, flag a bar, take one out, rename and remove a symbol."""
    week = recorded("AAPL", FIRST, date(2005, 1, 14))
    load_frame(warehouse, AAPL, week.assign(close=week["low"]), run_id="run-2")
    add_splits(warehouse, [("IBM", date(2005, 3, 1), 1, 3)])
    with warehouse.begin() as connection:
        connection.execute(text("DELETE FROM dividends WHERE symbol = 'IBM'"))
        connection.execute(text("UPDATE market_data SET flags = '{repeated}' WHERE date = '2005-02-01'"))
        connection.execute(text("DELETE FROM market_data WHERE symbol = 'IBM' AND date = '2005-03-31'"))
    refresh_all_factors(warehouse)
    load_frame(warehouse, IBM, recorded("IBM", date(2005, 4, 1), date(2005, 4, 15)), run_id="run-3")
    with rename_symbol(warehouse, "BTC", "BTC-USD"):
        pass
    remove_symbol(warehouse, "AAPL")


def test_a_snapshot_is_exported_with_the_same_hashes_after_changes_and_a_restore(
    quarter: Engine, command: Command, tmp_path: Path, kept_databases: None
) -> None:
    code, output, _ = command("snapshots", "create", "paper", "--note", "the paper's data")
    point = find_snapshot(quarter, "paper").point
    assert (code, output.split(": ")[0]) == (0, f"paper stands for {point.astimezone(UTC).isoformat()}")
    first = export(command, tmp_path / "first", "--snapshot", "paper")
    assert export(command, tmp_path / "present") == first
    description = description_of(tmp_path / "first" / "traded.parquet")
    assert (description["snapshot"], datetime.fromisoformat(description["as_of"])) == ("paper", point)
    assert (description["rows"], description["symbols"]) == (61 + 61 + 90, ["AAPL", "BTC", "IBM"])

    change_everything(quarter)
    again = export(command, tmp_path / "again", "--snapshot", "paper")
    changed = export(command, tmp_path / "changed")
    assert again == first
    assert not set(changed.values()) & set(first.values())

    assert command("backup", "--folder", tmp_path / "backups")[0] == 0
    quarter.dispose()
    assert command("restore", "latest", "--folder", tmp_path / "backups", "--replace")[0] == 0
    assert export(command, tmp_path / "restored", "--snapshot", "paper") == first
    assert find_snapshot(quarter, "paper").note == "the paper's data"


def test_every_export_names_the_instant_by_which_it_can_be_made_again(
    quarter: Engine, command: Command, tmp_path: Path
) -> None:
    first = export(command, tmp_path / "first")
    instants = {description_of(tmp_path / "first" / name)["as_of"] for name in FILES}
    [instant] = instants  # nothing was loaded in between
    assert description_of(tmp_path / "first" / "splits.csv")["snapshot"] is None
    change_everything(quarter)
    assert export(command, tmp_path / "again", "--as-of", instant) == first
    _, _, message = command("export", "--symbols", "IBM", "--as-of", instant, "--output", "-")
    assert message == f"61 bars of 1 symbol, as of {instant}\n"


def test_a_markets_symbol_that_is_tracked_later_is_not_in_earlier_exports(
    warehouse: Engine, command: Command, tmp_path: Path
) -> None:
    add_symbols(warehouse, [AAPL])
    load_market(warehouse, session_of(date(2024, 1, 2), {"AAPL": Bar(190.0), "KO": Bar(60.0)}))
    create_snapshot(warehouse, "before")

    def export_symbols(name: str, *options: str) -> list[str]:
        assert command("export", "--symbols", "*", *options, "--output", tmp_path / name)[0] == 0
        symbols: list[str] = description_of(tmp_path / name)["symbols"]
        return symbols

    assert export_symbols("first.csv", "--snapshot", "before") == ["AAPL"]
    add_symbols(warehouse, [Symbol.of("KO", "stock")])
    assert export_symbols("again.csv", "--snapshot", "before") == ["AAPL"]
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert export_symbols("present.csv") == ["AAPL", "KO"]


def test_a_renamed_symbol_is_named_as_it_was_then(quarter: Engine, command: Command, tmp_path: Path) -> None:
    create_snapshot(quarter, "before")
    with rename_symbol(quarter, "BTC", "BTC-USD"):
        pass
    options = ("--snapshot", "before", "--output", tmp_path / "bars.csv")
    assert command("export", "--symbols", "BTC", *options)[0] == 0
    code, _, error = command("export", "--symbols", "BTC-USD", *options, "--overwrite")
    assert code == 2
    assert "symbols had other names as of that instant: BTC-USD was BTC" in error


def test_a_snapshot_holds_no_load_that_commits_after_it_and_every_one_before(quarter: Engine) -> None:
    with quarter.connect() as under_way:
        open_load(under_way, "run-2")
        under_way.execute(text("UPDATE bars SET close = 1 WHERE date = '2005-01-04'"))
        snapshot = create_snapshot(quarter, "meanwhile")
        under_way.commit()
    day = date(2005, 1, 4)
    assert read_bars(quarter, ["IBM"], day, day, as_of=snapshot.point)["close"].tolist() == [96.7]
    later = create_snapshot(quarter, "later")
    assert read_bars(quarter, ["IBM"], day, day, as_of=later.point)["close"].tolist() == [1]


def test_the_databases_clock_decides_and_may_be_set_back(quarter: Engine, command: Command, tmp_path: Path) -> None:
    def set_clock(hours: int) -> None:
        clock = f"SELECT clock_timestamp() + interval '{hours} hours'"
        with quarter.begin() as connection:
            connection.execute(
                text(
                    "CREATE OR REPLACE FUNCTION database_clock() RETURNS timestamptz LANGUAGE sql VOLATILE "
                    f"BEGIN ATOMIC {clock}; END"
                )
            )

    set_clock(+3)
    ahead = create_snapshot(quarter, "ahead").point
    assert ahead > datetime.now(UTC) + timedelta(hours=2)
    first = export(command, tmp_path / "first", "--snapshot", "ahead")
    set_clock(-3)
    change_everything(quarter)
    assert export(command, tmp_path / "again", "--snapshot", "ahead") == first
    assert create_snapshot(quarter, "back").point > ahead


def test_adjusted_bars_come_as_a_frame_too(quarter: Engine) -> None:
    point = create_snapshot(quarter, "before").point
    change_everything(quarter)
    day = date(2005, 1, 4)
    then = read_bars(quarter, ["AAPL", "IBM"], day, day, adjustment=Adjustment.ALL, as_of=point)
    assert list(then.columns) == list(COLUMNS[Adjustment.ALL])[2:]
    # AAPL closed at 63.94, before a split of 2 for 1; IBM at 96.70, before 0.18 were paid on a close of 94.53.
    assert then["adj_close"].tolist() == pytest.approx([31.97, 96.7 * (1 - 0.18 / 94.53)])
    now = read_bars(quarter, ["AAPL", "IBM"], day, day, adjustment=Adjustment.SPLITS)
    assert now["split_factor"].tolist() == pytest.approx([0.5, 1 / 3])


def test_snapshots_are_listed_and_deleted(quarter: Engine, command: Command) -> None:
    assert command("snapshots", "list")[2].startswith("There is no snapshot: create one with")
    early = "2026-03-01T12:00:00.000000+00:00"
    command("snapshots", "create", "march", "--as-of", "2026-03-01T12:00Z", "--note", "the report of March")
    command("snapshots", "create", "now")
    [march, present] = json.loads(command("snapshots", "list", "--json")[1])["snapshots"]
    assert (march["name"], march["point"], march["note"]) == ("march", early, "the report of March")
    assert (present["name"], present["note"]) == ("now", None)
    assert datetime.fromisoformat(present["point"]) <= datetime.fromisoformat(present["created_at"])
    assert "the report of March" in command("snapshots", "list")[1]
    code, output, _ = command("snapshots", "delete", "march")
    assert (code, output) == (
        0,
        f"march is deleted; `market-pipeline export --as-of {early}` still writes the same bars.\n",
    )
    assert [row["name"] for row in query(quarter, "SELECT name FROM snapshots")] == ["now"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["create", "taken"], "there is a snapshot taken already, as of 2026-01-01T00:00:00.000000+00:00"),
        (["create", "a b"], "'a b' can't be a snapshot's name"),
        (["create", "../x"], "'../x' can't be a snapshot's name"),
        (["create", ""], "an argument is empty"),
        (["create", "later", "--as-of", "2999-01-01T00:00Z"], "is in the future"),
        (["create", "later", "--as-of", "2026-01-01T00:00"], "has no time zone"),
        (["create", "early", "--as-of", "0001-01-01T00:00+14:00"], "is not between the years 1 and 9999 in UTC"),
        (["create", "later", "--note", ""], "--note is empty"),
        (["delete", "other"], "there is no snapshot 'other': there is taken"),
    ],
)
def test_a_wrong_command_ends_with_2_and_the_next_step(
    warehouse: Engine, command: Command, arguments: list[str], reason: str
) -> None:
    create_snapshot(warehouse, "taken", as_of=datetime(2026, 1, 1, tzinfo=UTC))
    code, output, error = command("snapshots", *arguments)
    assert (code, output) == (2, "")
    assert reason in " ".join(error.split())
    assert [row["name"] for row in query(warehouse, "SELECT name FROM snapshots")] == ["taken"]


def test_a_symbol_that_was_not_tracked_yet_is_an_error(quarter: Engine, command: Command, tmp_path: Path) -> None:
    create_snapshot(quarter, "before", as_of=datetime(2000, 1, 1, tzinfo=UTC))
    file = tmp_path / "bars.csv"
    code, _, error = command("export", "--symbols", "AAPL", "--snapshot", "before", "--output", str(file))
    assert code == 2
    assert "no bars of AAPL: never tracked until 2000-01-01T00:00:00+00:00" in " ".join(error.split())
    assert not file.exists()
