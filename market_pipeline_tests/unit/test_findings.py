"""Limits of doctor's findings."""

import pytest

from market_pipeline.operations.findings import (
    Level,
    has_error,
    judge_clock,
    judge_connections,
    judge_port,
    judge_space,
    judge_writable,
    ok,
    warning,
)


@pytest.mark.parametrize(
    ("free", "level"), [(10**9 - 1, "error"), (10**9, "warning"), (5 * 10**9 - 1, "warning"), (5 * 10**9, "ok")]
)
def test_little_free_space_is_a_warning_before_it_is_an_error(free: int, level: Level) -> None:
    assert judge_space("data folder", "/data", free).level == level


@pytest.mark.parametrize(
    ("ahead", "level", "output"),
    [(0.2, "ok", "0.2 s ahead of"), (-5.0, "ok", "5.0 s behind"), (5.1, "warning", "ahead"), (-7, "warning", "behind")],
)
def test_clocks_may_differ_by_some_seconds(ahead: float, level: Level, output: str) -> None:
    finding = judge_clock("clock", "the database's clock", ahead)
    assert finding.level == level
    assert output in finding.found


@pytest.mark.parametrize(
    ("ours", "free", "level"), [(True, False, "ok"), (False, True, "ok"), (False, False, "warning")]
)
def test_a_port_may_be_free_or_ours(ours: bool, free: bool, level: Level) -> None:
    finding = judge_port("API's port", 8000, ours=ours, free=free, option="--port")
    assert finding.level == level
    assert ("--port" in str(finding.fix)) is (level == "warning")


def test_a_warning_is_no_error() -> None:
    assert not has_error([ok("a", "b"), warning("a", "b", "c")])
    assert has_error([judge_space("data folder", "/data", 0)])


def test_a_server_that_accepts_no_writes_is_an_error() -> None:
    assert judge_writable("writing", standby=False, read_only=False).level == "ok"
    assert judge_writable("writing", standby=False, read_only=True).level == "error"
    standby = judge_writable("writing", standby=True, read_only=True)
    assert (standby.level, standby.fix) == ("error", "set DATABASE_URL to the primary")


def test_the_limit_that_leaves_the_fewest_connections_counts() -> None:
    assert judge_connections("connections", {"server": 90}).level == "ok"
    assert judge_connections("connections", {"server": 90, "role": 7}).level == "warning"
    few = judge_connections("connections", {"server": 90, "role": 2})
    assert few.level == "error"
    assert few.found.startswith("2 more are possible by the limit of the role")
