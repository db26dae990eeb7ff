"""Fetching for a run: the fewest requests, the same bars in any way, and notes on what the plan lacks."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
import requests

from market_pipeline.core.plans import PLANS, PlanName
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol, list_starting_symbols
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.market_day_cache import NoDiskSpaceError
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline.polygon.vendor_errors import NotYetAvailableError, PlanError, PolygonError
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.bar_frames import frame_of

EQUITIES = [symbol for symbol in list_starting_symbols() if symbol.calendar == "XNYS"]
CRYPTO = [symbol for symbol in list_starting_symbols() if symbol.calendar == "24/7"]
NOW = datetime(2024, 6, 15, 2, tzinfo=UTC)  # a Saturday, 22:00 on Friday in New York
WEEK = list_sessions("XNYS", date(2024, 6, 10), date(2024, 6, 14))


@contextmanager
def open_client(plan: PlanName = PlanName.ADVANCED) -> Iterator[tuple[PolygonClient, str]]:
    with running_sandbox(SandboxConfig(now=NOW, plan=plan)) as base_url:
        limiter = LocalLimiter(100_000)
        with PolygonClient(base_url, None, source="sandbox", limiter=limiter) as client:
            yield client, base_url


def requests_made(base_url: str) -> int:
    return int(requests.get(f"{base_url}/_sandbox/stats", timeout=10).json()["requests"])


@pytest.mark.parametrize(
    ("symbols", "sessions", "expected"),
    [
        (EQUITIES, WEEK, 5),
        (CRYPTO, list_sessions("24/7", date(2024, 6, 10), date(2024, 6, 14)), 5),
        (EQUITIES[:1], WEEK, 1),
        (EQUITIES[:3], WEEK, 3),
    ],
)
def test_a_run_takes_the_fewest_requests(symbols: Sequence[Symbol], sessions: list[date], expected: int) -> None:
    with open_client() as (client, base_url):
        fetcher = Fetcher(client, symbols, sessions, NOW)
        results = [fetcher.fetch_bars(symbol) for symbol in symbols]
        assert requests_made(base_url) == expected
    assert sum(fetched.requests for fetched in results) == expected
    assert all(len(frame_of(fetched)) == len(sessions) for fetched in results)


def test_a_failed_session_of_the_market_is_not_tried_again_for_every_symbol() -> None:
    hurried = RetryPolicy(connect=30, read=30, whole_response=60, attempts=2, first_wait=0.01, longest_wait=0.01)
    with running_sandbox(SandboxConfig(now=NOW, faults=("500",))) as base_url:
        limiter = LocalLimiter(100_000)
        with PolygonClient(base_url, None, source="sandbox", limiter=limiter, retry_policy=hurried) as client:
            fetcher = Fetcher(client, EQUITIES, WEEK, NOW)
            for symbol in EQUITIES:
                with pytest.raises(PolygonError, match="the vendor returned 500"):
                    fetcher.fetch_bars(symbol)
        assert requests_made(base_url) == 2


def test_a_bar_is_the_same_from_the_markets_sessions_and_from_its_own_range() -> None:
    with open_client() as (client, _):
        by_day = Fetcher(client, EQUITIES, WEEK, NOW).fetch_bars(EQUITIES[0])
        by_range = Fetcher(client, EQUITIES[:1], WEEK, NOW).fetch_bars(EQUITIES[0])
    pd.testing.assert_frame_equal(frame_of(by_day), frame_of(by_range), check_exact=True)


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for temporary files, a test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_markets_days_are_in_a_file_that_no_ending_leaves_behind(temporary_files: Path) -> None:
    with open_client() as (client, _):
        fetcher = Fetcher(client, EQUITIES, WEEK, NOW)
        assert len(frame_of(fetcher.fetch_bars(EQUITIES[0]))) == len(WEEK)
        assert list(temporary_files.iterdir()) == []  # it has no name any more while it is in use
        assert len(frame_of(fetcher.fetch_bars(EQUITIES[1]))) == len(WEEK)


def test_without_a_folder_for_temporary_files_each_symbol_fails_and_nothing_is_requested_twice(
    temporary_files: Path,
) -> None:
    temporary_files.rmdir()
    with open_client() as (client, base_url):
        fetcher = Fetcher(client, EQUITIES, WEEK, NOW)
        for symbol in EQUITIES[:3]:
            with pytest.raises(
                NoDiskSpaceError, match=r"\(No such file or directory\): make room .* or let TMPDIR name one"
            ):
                fetcher.fetch_bars(symbol)
        assert requests_made(base_url) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of a given size")
def test_a_disk_too_small_for_the_markets_days_is_reported_and_with_room_the_next_run_succeeds(
    temporary_files: Path,
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", temporary_files], check=True)
    try:
        with open_client() as (client, base_url):
            fetcher = Fetcher(client, EQUITIES, WEEK, NOW)
            for symbol in EQUITIES[:3]:
                with pytest.raises(NoDiskSpaceError, match="No space left on device"):
                    fetcher.fetch_bars(symbol)
            assert requests_made(base_url) == 1
            subprocess.run(["mount", "-o", "remount,size=8m", temporary_files], check=True)
            assert len(frame_of(Fetcher(client, EQUITIES, WEEK, NOW).fetch_bars(EQUITIES[0]))) == len(WEEK)
    finally:
        subprocess.run(["umount", "--lazy", temporary_files], check=True)


def test_on_the_free_plan_the_session_just_ended_is_left_to_the_next_run() -> None:
    with open_client(PlanName.BASIC) as (client, base_url):
        fetcher = Fetcher(client, EQUITIES, WEEK[2:], NOW)
        first, second = (fetcher.fetch_bars(symbol) for symbol in EQUITIES[:2])
        assert requests_made(base_url) == 3
    assert [day.date() for day in frame_of(first)["date"]] == WEEK[2:4]
    assert first.notes == second.notes == (
        "the bars of 2024-06-14 are not available yet on your plan; the next run fetches them",
    )  # fmt: skip


def test_sessions_outside_a_known_plan_are_not_requested() -> None:
    sessions = list_sessions("XNYS", date(2022, 1, 3), date(2024, 6, 14))
    with open_client(PlanName.BASIC) as (client, base_url):
        fetched = Fetcher(client, EQUITIES[:1], sessions, NOW, PLANS[PlanName.BASIC]).fetch_bars(EQUITIES[0])
        assert requests_made(base_url) == 1
    days = [day.date() for day in frame_of(fetched)["date"]]
    assert (days[0], days[-1]) == (date(2022, 6, 15), date(2024, 6, 13))
    assert fetched.notes == (
        "your plan starts at 2022-06-15",
        "the bars of 2024-06-14 are not available yet on your plan; the next run fetches them",
    )


def test_a_single_session_that_is_not_available_yet_is_an_error() -> None:
    with open_client(PlanName.BASIC) as (client, _), pytest.raises(NotYetAvailableError):
        Fetcher(client, EQUITIES[:1], WEEK[4:], NOW).fetch_bars(EQUITIES[0])


def test_history_older_than_the_plan_is_left_out_with_a_note_and_the_rest_fetched() -> None:
    sessions = list_sessions("XNYS", date(2016, 1, 4), date(2024, 6, 13))
    with open_client(PlanName.STARTER) as (client, _):
        fetcher = Fetcher(client, EQUITIES[:1], sessions, NOW)
        fetched = fetcher.fetch_bars(EQUITIES[0])
    assert frame_of(fetched)["date"].iloc[0] == pd.Timestamp("2019-06-17")
    assert fetched.notes == ("your plan starts at 2019-06-15",)


def test_history_that_the_vendor_cuts_off_in_silence_has_a_note_too() -> None:
    sessions = list_sessions("XNYS", date(2021, 1, 4), date(2024, 6, 13))
    config = SandboxConfig(now=NOW, plan=PlanName.BASIC, history_edge="clip")
    with running_sandbox(config) as base_url:
        limiter = LocalLimiter(100_000)
        with PolygonClient(base_url, None, source="sandbox", limiter=limiter) as client:
            fetched = Fetcher(client, EQUITIES[:1], sessions, NOW).fetch_bars(EQUITIES[0])
    assert fetched.notes == (
        "the bars begin at 2022-06-14, where a plan of 2 years would: yours may start there",
    )  # fmt: skip


def test_history_entirely_older_than_the_plan_is_an_error() -> None:
    sessions = list_sessions("XNYS", date(2010, 1, 4), date(2010, 12, 31))
    with open_client(PlanName.BASIC) as (client, _), pytest.raises(PlanError):
        Fetcher(client, EQUITIES[:1], sessions, NOW).fetch_bars(EQUITIES[0])
