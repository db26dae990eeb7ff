"""Loading: the tables' content after each kind of load, and that the load record always reconciles."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.exc import IntegrityError

from market_pipeline.core.sessions import compute_session_starts, list_sessions
from market_pipeline.core.settings import Source
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags
from market_pipeline.warehouse.bar_tables import market_data, market_data_revisions
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_failure
from market_pipeline.warehouse.loading import MixedSourcesError, RejectedBar
from market_pipeline.warehouse.loading import load as load_examined
from market_pipeline.warehouse.tables import backfill_history, rejected_bars, tracked_symbols
from market_pipeline.warehouse.tracked_symbols import NotTrackedError, add_symbols, lock_symbol
from market_pipeline_tests.bar_frames import columns_of

AAPL = Symbol.of("AAPL", "stock")
WEEK = list_sessions("XNYS", date(2024, 1, 1), date(2024, 1, 5))  # four sessions: the first is a holiday


def bars(sessions: Sequence[date], close: float = 10.0) -> pd.DataFrame:
    days = pd.DatetimeIndex(list(sessions))
    return pd.DataFrame(
        {
            "date": days,
            "time": compute_session_starts("XNYS", days),
            "open": 9.5,
            "high": 11.0,
            "low": 9.0,
            "close": close,
            "volume": 1000.25,
            "vwap": 9.9,
            "transactions": 42.0,
        }
    )


def request_for(sessions: Sequence[date] = WEEK, *, run_id: str = "run-1", source: Source = "sandbox") -> LoadRequest:
    return LoadRequest(
        AAPL,
        sessions,
        source,
        run_id,
        "cli",
        datetime.now(UTC),
        requests=1,
        answered=(sessions[0], sessions[-1]),
    )


def load(
    warehouse: Engine, request: LoadRequest, accepted: pd.DataFrame, rejected: Sequence[RejectedBar]
) -> LoadResult:
    return load_examined(warehouse, request, columns_of(accepted), rejected, find_flags)


def counts(result: LoadResult) -> tuple[int, int, int, int, int]:
    return result.fetched, result.loaded, result.revised, result.unchanged, result.rejected


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])


def test_new_bars_are_loaded_with_every_value(warehouse: Engine) -> None:
    result = load(warehouse, request_for(), bars(WEEK), [])
    assert counts(result) == (4, 4, 0, 0, 0)
    assert result.present == set(WEEK)
    with warehouse.connect() as connection:
        rows = connection.execute(select(market_data).order_by(market_data.c.date)).mappings().all()
    assert [row["date"] for row in rows] == WEEK
    first = rows[0]
    assert first["time"] == datetime(2024, 1, 2, 5, tzinfo=UTC)
    values = [first[name] for name in ("open", "high", "low", "close", "volume", "vwap", "transactions")]
    assert values == [9.5, 11.0, 9.0, 10.0, 1000.25, 9.9, 42]
    assert (first["symbol"], first["source"], first["run_id"], first["validated"]) == ("AAPL", "sandbox", "run-1", True)


def test_a_value_the_vendor_does_not_give_is_null(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK).assign(vwap=float("nan"), transactions=float("nan")), [])
    with warehouse.connect() as connection:
        missing = connection.execute(select(market_data.c.vwap, market_data.c.transactions).distinct()).all()
    assert [tuple(row) for row in missing] == [(None, None)]


def test_the_same_bars_again_change_nothing_and_are_counted_as_unchanged(warehouse: Engine) -> None:
    frame = bars(WEEK).assign(vwap=float("nan"))
    load(warehouse, request_for(), frame, [])
    with warehouse.connect() as connection:
        before = connection.execute(select(market_data)).all()
    assert counts(load(warehouse, request_for(run_id="run-2"), frame, [])) == (4, 0, 0, 4, 0)
    with warehouse.connect() as connection:
        assert connection.execute(select(market_data)).all() == before
        assert connection.execute(select(func.count()).select_from(market_data_revisions)).scalar_one() == 0


def test_a_corrected_bar_replaces_the_old_one_which_is_kept(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK), [])
    corrected = pd.concat([bars(WEEK[:3]), bars(WEEK[3:], close=10.5)])
    assert counts(load(warehouse, request_for(run_id="run-2"), corrected, [])) == (4, 0, 1, 3, 0)
    with warehouse.connect() as connection:
        now = connection.execute(select(market_data.c.close, market_data.c.run_id).order_by(market_data.c.date)).all()
        old = connection.execute(select(market_data_revisions)).mappings().one()
    assert [tuple(row) for row in now] == [(10.0, "run-1")] * 3 + [(10.5, "run-2")]
    assert (old["date"], old["close"], old["run_id"], old["replaced_by_run_id"]) == (WEEK[3], 10.0, "run-1", "run-2")


def test_a_rejected_bar_is_kept_once_with_its_payload_and_reasons(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(WEEK[3], ["high_too_low: ..."], {"o": 1, "h": 0, "t": 5})
    for run_id in ("run-1", "run-2"):
        result = load(warehouse, request_for(run_id=run_id), bars(WEEK[:3]), [rejected_bar])
        assert result.rejected == 1
        assert result.missing == 1
    with warehouse.connect() as connection:
        row = connection.execute(select(rejected_bars)).mappings().one()
    assert (row["symbol"], row["date"], row["reasons"]) == ("AAPL", WEEK[3], ["high_too_low: ..."])
    assert row["payload"] == {"o": 1, "h": 0, "t": 5}
    assert row["run_id"] == "run-2"
    assert row["last_rejected_at"] > row["first_rejected_at"]


def test_a_bar_that_the_vendor_no_longer_returns_stays(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK), [])
    result = load(warehouse, request_for(run_id="run-2"), bars(WEEK[:2]), [])
    assert counts(result) == (2, 0, 0, 2, 0)
    assert result.missing == 0


def test_the_load_record_is_stored_with_the_bars(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK[:3]), [RejectedBar(WEEK[3], ["x"], {})])
    with warehouse.connect() as connection:
        row = connection.execute(select(backfill_history)).mappings().one()
        status: str = connection.execute(select(tracked_symbols.c.backfill_status)).scalar_one()
    expected = {
        "symbol": "AAPL", "run_id": "run-1", "trigger": "cli", "start_date": WEEK[0], "end_date": WEEK[-1],
        "sessions": 4, "requests": 1, "fetched": 4, "loaded": 3, "revised": 0, "unchanged": 0, "rejected": 1,
        "missing": 1, "records_imported": 3, "success": True, "error_details": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["duration_seconds"] >= 0
    assert status == "completed"


def test_a_failure_has_a_load_record_and_loads_nothing(warehouse: Engine) -> None:
    record_failure(warehouse, request_for(), "the vendor is down")
    with warehouse.connect() as connection:
        row = connection.execute(select(backfill_history)).mappings().one()
        symbol = connection.execute(select(tracked_symbols)).mappings().one()
        bars_held = connection.execute(select(func.count()).select_from(market_data)).scalar_one()
    assert (row["success"], row["error_details"], row["records_imported"], row["missing"]) == (
        False, "the vendor is down", 0, 4,
    )  # fmt: skip
    assert (symbol["backfill_status"], symbol["last_backfill"], bars_held) == ("failed", None, 0)


def test_a_database_of_one_source_rejects_the_other_and_keeps_its_bars(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK), [])
    with pytest.raises(MixedSourcesError, match="holds sandbox bars and accepts no polygon"):
        load(warehouse, request_for(source="polygon"), bars(WEEK, close=99.0), [])
    with warehouse.connect() as connection:
        assert connection.execute(select(market_data.c.close).distinct()).scalars().all() == [10.0]
        assert connection.execute(select(func.count()).select_from(backfill_history)).scalar_one() == 1


def test_a_symbol_that_is_not_tracked_is_rejected(warehouse: Engine) -> None:
    stranger = LoadRequest(Symbol.of("MSFT", "stock"), WEEK, "sandbox", "run-1", "cli", datetime.now(UTC))
    with pytest.raises(NotTrackedError, match="symbols add MSFT"):
        load(warehouse, stranger, bars(WEEK), [])


def test_a_load_that_fails_at_its_last_step_leaves_nothing(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("ALTER TABLE backfill_history ADD CHECK (loaded < 3)"))
    with pytest.raises(Exception, match="check constraint"):
        load(warehouse, request_for(), bars(WEEK), [RejectedBar(None, ["x"], {})])
    with warehouse.connect() as connection:
        for table in (market_data, rejected_bars, backfill_history):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


@pytest.mark.parametrize(
    "untrue",
    [
        {"loaded": 5, "records_imported": 5}, {"fetched": 5}, {"rejected": 1}, {"answered": 3}, {"refused": 1},
        {"records_imported": 3}, {"success": False}, {"error_details": "the vendor returned 500"},
    ],
    ids=str,
)  # fmt: skip
def test_the_database_rejects_a_load_record_whose_sums_differ(warehouse: Engine, untrue: dict[str, object]) -> None:
    load(warehouse, request_for(), bars(WEEK), [])
    with pytest.raises(IntegrityError, match="check constraint"), warehouse.begin() as connection:
        connection.execute(update(backfill_history).values(untrue))


def test_tracking_symbols_and_flagging_them_anew_do_not_deadlock(warehouse: Engine) -> None:
    others = [Symbol.of(name, "stock") for name in ("MSFT", "AAPL")]
    add_symbols(warehouse, others)
    with ThreadPoolExecutor(1) as pool:
        with warehouse.begin() as flagging:
            lock_symbol(flagging, AAPL)
            adding = pool.submit(add_symbols, warehouse, others)
            while not flagging.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                assert not adding.done()
            lock_symbol(flagging, others[0])
        assert adding.result(timeout=60) == []


def test_loads_of_one_symbol_at_once_take_turns(warehouse: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: load(warehouse, request_for(run_id=f"run-{n}"), bars(WEEK), []), range(8)))
    assert sum(result.loaded for result in results) == 4
    assert sum(result.unchanged for result in results) == 28
    assert sum(result.revised for result in results) == 0


def test_times_are_right_in_any_time_zone_of_the_database(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        name: str = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET timezone = 'America/New_York'"))
    warehouse.dispose()
    load(warehouse, request_for(), bars(WEEK), [])
    with warehouse.connect() as connection:
        first: datetime = connection.execute(select(func.min(market_data.c.time))).scalar_one()
    assert first == datetime(2024, 1, 2, 5, tzinfo=UTC)


def test_a_rejected_bar_with_values_that_json_lacks_is_kept_too(warehouse: Engine) -> None:
    load(warehouse, request_for(), bars(WEEK[:3]), [RejectedBar(WEEK[3], ["x"], {"h": float("inf"), "T": "A\u0000B"})])
    with warehouse.connect() as connection:
        payload: dict[str, str] = connection.execute(select(rejected_bars.c.payload)).scalar_one()
    assert payload == {"h": "Infinity", "T": "A\u0000B"}
