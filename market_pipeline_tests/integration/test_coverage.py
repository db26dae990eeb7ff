"""Coverage: the views session_states, coverage and runs after everything that can happen to a session."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.run_planning import Gap
from market_pipeline.core.sessions import find_calendar, list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.operations.status import find_data_problems
from market_pipeline.quality.symbol_health import NewestLoad, check_symbol
from market_pipeline.warehouse.coverage import (
    FILLABLE,
    find_missing_spans,
    find_never_loaded,
    find_oldest_gaps,
    list_gaps,
    read_coverage,
)
from market_pipeline.warehouse.loading import RejectedBar
from market_pipeline.warehouse.session_calendar import record_sessions
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, query, recorded

METRICS = f"SELECT * FROM ({read_statement('metrics')}) AS series WHERE metric = 'symbols_by_health'"
OCTOBER = list_sessions("XNYS", date(2012, 10, 1), date(2012, 10, 31))
BARS = recorded("AAPL", OCTOBER[0], OCTOBER[-1])


@pytest.fixture(autouse=True)
def _tracked(warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])


def states(warehouse: Engine, until: date = OCTOBER[-1]) -> dict[str, list[date]]:
    """Return the sessions to the end of October 2012, by state."""
    found: dict[str, list[date]] = {}
    for row in query(warehouse, "SELECT * FROM session_states WHERE date <= :until ORDER BY date", until=until):
        found.setdefault(row["state"], []).append(row["date"])
    return found


def reason(warehouse: Engine, session: date) -> Any:
    return query(warehouse, "SELECT reason FROM session_states WHERE date = :day", day=session)[0]["reason"]


def test_a_symbol_that_was_never_requested_has_no_sessions_yet(warehouse: Engine) -> None:
    assert states(warehouse) == {}
    assert find_never_loaded(warehouse, ["AAPL", "IBM"]) == ["AAPL"]
    [row] = read_coverage(warehouse, ["AAPL"])
    assert (row["sessions"], row["loaded"], row["first_session"], row["last_session"]) == (0, 0, None, None)


def test_a_session_with_its_bar_is_loaded(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS)
    assert find_never_loaded(warehouse, ["AAPL"]) == []
    assert states(warehouse) == {"loaded": OCTOBER}


def test_a_session_between_two_loads_was_never_requested(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[:5])
    load_frame(warehouse, AAPL, BARS[8:])
    assert states(warehouse) == {"loaded": [*OCTOBER[:5], *OCTOBER[8:]], "never_asked": OCTOBER[5:8]}


def test_a_session_without_a_bar_at_the_vendor_is_empty(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS.drop(index=6), sessions=OCTOBER)
    assert states(warehouse)["empty"] == [OCTOBER[6]]


def test_a_session_whose_bar_was_deleted_is_fetched_again(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS)
    with warehouse.begin() as connection:
        connection.execute(text("DELETE FROM market_data WHERE date = :day"), {"day": OCTOBER[3]})
    assert states(warehouse) == {"loaded": [*OCTOBER[:3], *OCTOBER[4:]], "never_asked": [OCTOBER[3]]}
    load_frame(warehouse, AAPL, BARS)
    assert states(warehouse) == {"loaded": OCTOBER}


def test_the_time_before_a_symbol_was_listed_is_no_gap(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[10:], sessions=OCTOBER)
    assert states(warehouse) == {"loaded": OCTOBER[10:]}


def test_an_impossible_bar_leaves_its_session_rejected_with_the_reasons(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(OCTOBER[6], ["high_too_low: its high is below its open, low or close"], {"h": 1})
    load_frame(warehouse, AAPL, BARS.drop(index=6), sessions=OCTOBER, rejected=[rejected_bar])
    assert states(warehouse)["rejected"] == [OCTOBER[6]]
    assert reason(warehouse, OCTOBER[6]).startswith("high_too_low")


def test_a_rejected_bar_that_the_vendor_withdraws_leaves_its_session_empty(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(OCTOBER[6], ["high_too_low: its high is below its open, low or close"], {"h": 1})
    others = BARS.drop(index=6)
    load_frame(warehouse, AAPL, others, sessions=OCTOBER, rejected=[rejected_bar])
    load_failure(warehouse, AAPL, OCTOBER, "the vendor returned 500", run_id="run-2")
    assert states(warehouse)["rejected"] == [OCTOBER[6]]
    load_frame(warehouse, AAPL, others, sessions=OCTOBER, run_id="run-3")
    assert states(warehouse) == {"loaded": [*OCTOBER[:6], *OCTOBER[7:]], "empty": [OCTOBER[6]]}
    load_frame(warehouse, AAPL, others, sessions=OCTOBER, rejected=[rejected_bar], run_id="run-4")
    assert states(warehouse)["rejected"] == [OCTOBER[6]]


def test_without_any_bar_the_first_requested_session_counts_too(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(OCTOBER[3], ["x"], {})
    load_frame(warehouse, AAPL, BARS[:0], sessions=OCTOBER[:5], rejected=[rejected_bar])
    found = states(warehouse, OCTOBER[4])
    assert found == {"empty": [*OCTOBER[:3], OCTOBER[4]], "rejected": [OCTOBER[3]]}


def test_a_rejected_bar_that_was_not_requested_leaves_its_sessions_state(warehouse: Engine) -> None:
    unrequested = RejectedBar(OCTOBER[6], ["outside_request: its date is outside the requested dates"], {})
    load_frame(warehouse, AAPL, BARS[:6], rejected=[unrequested])
    load_frame(warehouse, AAPL, BARS[7:], run_id="run-2")
    assert states(warehouse)["never_asked"] == [OCTOBER[6]]


def test_a_failed_load_gives_the_reason_until_a_later_one_succeeds(warehouse: Engine) -> None:
    load_failure(warehouse, AAPL, OCTOBER, "the vendor returned 500")
    assert states(warehouse) == {"failed": OCTOBER}
    assert reason(warehouse, OCTOBER[0]) == "the vendor returned 500"
    load_frame(warehouse, AAPL, BARS, run_id="run-2")
    assert states(warehouse) == {"loaded": OCTOBER}


def test_an_empty_session_stays_empty_when_a_later_load_fails(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS.drop(index=6), sessions=OCTOBER)
    load_failure(warehouse, AAPL, OCTOBER, "the vendor returned 500", run_id="run-2")
    assert states(warehouse)["empty"] == [OCTOBER[6]]


def test_sessions_outside_the_plan_are_distinguished_from_empty_ones(warehouse: Engine) -> None:
    with_response = (OCTOBER[5], OCTOBER[-2])
    notes = ("your plan starts at 2012-10-08",)
    load_frame(warehouse, AAPL, BARS[5:-1], sessions=OCTOBER, answered=with_response, notes=notes)
    load_frame(warehouse, AAPL, BARS[:2], run_id="run-2")  # from another source of knowledge, as after an upgrade
    assert states(warehouse) == {
        "loaded": [*OCTOBER[:2], *OCTOBER[5:-1]],
        "not_in_plan": OCTOBER[2:5],
        "not_yet_available": [OCTOBER[-1]],
    }
    assert reason(warehouse, OCTOBER[3]) == "your plan starts at 2012-10-08"
    record = query(warehouse, "SELECT sessions, answered, refused FROM backfill_history ORDER BY id")[0]
    assert record == {"sessions": 21, "answered": 15, "refused": 6}


def test_a_symbol_ends_with_its_delisting_and_with_its_removal(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[:10])
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET delisted_on = :day"), {"day": OCTOBER[11]})
    assert states(warehouse, date.max) == {"loaded": OCTOBER[:10], "never_asked": OCTOBER[10:12]}
    remove_symbol(warehouse, "AAPL")
    assert states(warehouse) == {}


@pytest.mark.parametrize(("until", "behind"), [(date(2012, 10, 30), 0), (date(2012, 10, 31), 1)])
def test_days_without_a_session_put_no_symbol_behind(warehouse: Engine, until: date, behind: int) -> None:
    load_frame(warehouse, AAPL, BARS[BARS["date"] <= "2012-10-26"])  # a Friday; New York opened again on Wednesday
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET delisted_on = :day"), {"day": until})
    assert read_coverage(warehouse, ["AAPL"])[0]["behind"] == behind


def test_coverage_counts_every_session_once(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(OCTOBER[6], ["x"], {})
    load_frame(warehouse, AAPL, BARS.drop(index=[6, 7]), sessions=OCTOBER, rejected=[rejected_bar])
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET delisted_on = :day"), {"day": date(2012, 11, 5)})
    [row] = read_coverage(warehouse, ["AAPL"])
    counts = {name: row[name] for name in ("sessions", "loaded", "rejected", "empty", "never_asked", "behind")}
    assert counts == {"sessions": 24, "loaded": 19, "rejected": 1, "empty": 1, "never_asked": 3, "behind": 3}
    assert (row["first_session"], row["last_session"]) == (OCTOBER[0], OCTOBER[-1])


def test_gaps_are_ranges_of_one_state_and_reason(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[:3])
    load_failure(warehouse, AAPL, OCTOBER[3:6], "the vendor returned 500", run_id="run-2")
    load_frame(warehouse, AAPL, BARS[8:], run_id="run-3")
    found = [row for row in list_gaps(warehouse, ["AAPL"]) if row["last_session"] <= OCTOBER[-1]]
    assert [tuple(row.values()) for row in found] == [
        ("AAPL", OCTOBER[3], OCTOBER[5], 3, "failed", "the vendor returned 500"),
        ("AAPL", OCTOBER[6], OCTOBER[7], 2, "never_asked", None),
    ]


def test_the_fetchable_sessions_have_a_first_and_a_last(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[:8].drop(index=[2, 6]), sessions=OCTOBER[:8])
    load_failure(warehouse, AAPL, OCTOBER[8:10], "the vendor returned 500", run_id="run-2")
    load_frame(warehouse, AAPL, BARS[12:], run_id="run-3")
    other = Symbol.of("IBM", "stock")
    add_symbols(warehouse, [other])
    assert find_missing_spans(warehouse, [AAPL, other], FILLABLE, date.min, OCTOBER[-1]) == {
        AAPL: (OCTOBER[8], OCTOBER[11])
    }
    assert find_oldest_gaps(warehouse, ["AAPL", "IBM"], OCTOBER[9], OCTOBER[-1]) == {
        "AAPL": Gap(OCTOBER[9], OCTOBER[0]),
        "IBM": Gap(OCTOBER[9], None),
    }


def test_a_rejected_bar_is_fetched_again_by_a_user_and_not_by_a_night(warehouse: Engine) -> None:
    rejected_bar = RejectedBar(OCTOBER[2], ["x"], {})
    load_frame(warehouse, AAPL, BARS.drop(index=2), sessions=OCTOBER, rejected=[rejected_bar])
    assert find_oldest_gaps(warehouse, ["AAPL"], OCTOBER[0], OCTOBER[-1]) == {}
    assert find_missing_spans(warehouse, [AAPL], FILLABLE, date.min, OCTOBER[-1]) == {AAPL: (OCTOBER[2], OCTOBER[2])}


def test_the_counters_of_a_run_are_the_sums_of_its_symbols(warehouse: Engine) -> None:
    other = Symbol.of("IBM", "stock")
    add_symbols(warehouse, [other])
    load_frame(warehouse, AAPL, BARS)
    load_failure(warehouse, other, OCTOBER, "the vendor returned 500")
    [run] = query(warehouse, "SELECT * FROM runs")
    assert (run["run_id"], run["trigger"], run["symbols"], run["succeeded"], run["failed"]) == ("run-1", "cli", 2, 1, 1)
    assert (run["sessions"], run["answered"], run["refused"]) == (42, 21, 21)
    assert (run["fetched"], run["loaded"], run["requests"]) == (21, 21, 2)
    assert run["started_at"] < run["ended_at"]


def test_the_sessions_in_the_database_are_the_calendars_to_the_end_of_next_year(warehouse: Engine) -> None:
    today = datetime.now(UTC).date()
    for name in ("XNYS", "24/7"):
        days = query(warehouse, "SELECT date FROM sessions WHERE calendar = :name ORDER BY date", name=name)
        expected = list_sessions(name, find_calendar(name).first_session, date(today.year + 1, 12, 31))
        assert [row["date"] for row in days] == expected


def test_a_closure_that_becomes_known_takes_its_session_out(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("INSERT INTO sessions VALUES ('XNYS', '2012-10-29')"))  # the hurricane of that day
        record_sessions(connection, date(2026, 11, 23))
    assert query(warehouse, "SELECT date FROM sessions WHERE calendar = 'XNYS' AND date = '2012-10-29'") == []


def test_every_view_and_its_columns_are_explained_in_the_database(warehouse: Engine) -> None:
    unexplained = query(
        warehouse,
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
        "WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace "
        "AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
    )
    assert unexplained == []


@pytest.fixture
def _delisted(warehouse: Engine) -> None:
    """AAPL traded last on 31 October 2012, so that nothing depends on today's date."""
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE tracked_symbols SET delisted_on = :day"), {"day": OCTOBER[-1]})


def health(warehouse: Engine) -> tuple[str, str | None]:
    [row] = read_coverage(warehouse, ["AAPL"])
    return row["health"], row["health_reason"]


@pytest.mark.usefixtures("_delisted")
def test_a_symbol_is_fine_behind_or_in_need_of_attention_with_a_reason(warehouse: Engine) -> None:
    assert health(warehouse) == ("behind", "no session was requested yet")
    load_frame(warehouse, AAPL, BARS[:-2])
    assert health(warehouse) == ("attention", "2 never requested of 21 sessions")
    load_frame(warehouse, AAPL, BARS[-2:-1])
    assert health(warehouse) == ("behind", "the next run fetches the newest session")
    load_failure(warehouse, AAPL, OCTOBER[-1:], "the vendor returned 500", run_id="run-2")
    assert health(warehouse) == ("attention", "the last load failed: the vendor returned 500; 1 failed of 21 sessions")
    load_frame(warehouse, AAPL, BARS[-1:])
    assert health(warehouse) == ("fine", None)


@pytest.mark.usefixtures("_delisted")
def test_a_failed_load_of_sessions_that_all_have_their_bars_leaves_nothing_to_do(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS)
    load_failure(warehouse, AAPL, OCTOBER[:3], "the vendor returned 500", run_id="run-2")
    [row] = read_coverage(warehouse, ["AAPL"])
    assert (row["fetchable"], row["last_error"]) == (0, "the vendor returned 500")
    assert (row["health"], row["health_reason"]) == ("fine", None)
    assert all(check.passed for check in check_symbol(row, NewestLoad(newest=True, rejected=0, jumps=[])))
    assert find_data_problems([row]) == []


@pytest.mark.usefixtures("_delisted")
def test_a_symbol_without_any_bar_at_the_vendor_needs_attention(warehouse: Engine) -> None:
    load_frame(warehouse, AAPL, BARS[:0], sessions=OCTOBER)
    assert health(warehouse) == ("attention", "the vendor has no bar of any session")


@pytest.mark.usefixtures("_delisted")
def test_three_rejected_bars_are_judged_alike_everywhere(warehouse: Engine) -> None:
    rejected = [RejectedBar(day, ["high_too_low: its high is below its low"], {"d": str(day)}) for day in OCTOBER[6:9]]
    load_frame(warehouse, AAPL, BARS.drop(index=[6, 7, 8]), sessions=OCTOBER, rejected=rejected)
    [row] = read_coverage(warehouse, ["AAPL"])
    assert (row["missing"], row["fetchable"], row["behind"]) == (3, 3, 0)
    assert (row["health"], row["health_reason"]) == ("attention", "3 rejected of 21 sessions")
    [completeness, *_] = check_symbol(row, NewestLoad(newest=True, rejected=3, jumps=[]))
    assert (completeness.passed, completeness.urgent) == (False, True)
    assert find_data_problems([row]) == [
        "3 sessions of AAPL are missing and can be fetched: run `market-pipeline backfill --missing`"
    ]
    metrics = {tuple(series["labels"]): series["value"] for series in query(warehouse, METRICS)}
    assert metrics == {("fine",): 0, ("behind",): 0, ("attention",): 1}
