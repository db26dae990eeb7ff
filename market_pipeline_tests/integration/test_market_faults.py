"""A market of the sandbox by both interfaces: the same bars, and the result of each fault."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import MARKETS, Origin
from market_pipeline.core.sessions import list_sessions
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.flat_file_reader import FlatFileKeys, FlatFileReader
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.market_fetcher import MarketFetcher, MarketSessionError
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.faults import FAULTS
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.integration.test_fault_modes import RETRY_POLICY, table_rows

US_STOCKS, CRYPTO = MARKETS["us_stocks"], MARKETS["crypto"]
NOW = datetime(2024, 6, 15, 2, tzinfo=UTC)
WEEK = list_sessions("XNYS", date(2024, 6, 3), date(2024, 6, 7))
FAULTY = WEEK[1]
ACCESS, SECRET = "aCCess", "sEcret/4567+="
CONFIG = SandboxConfig(now=NOW, market_tickers=40, file_keys={ACCESS: SecretStr(SECRET)})
HURRIED = replace(RETRY_POLICY, read=1.5, whole_response=5)
"""Short timeouts, for faults that end only by one."""


@contextmanager
def fetcher_on_sandbox(
    *faults: str, market: str = "us_stocks", secret: str = SECRET, policy: RetryPolicy = RETRY_POLICY
) -> Iterator[MarketFetcher]:
    with ExitStack() as stack:
        url = stack.enter_context(running_sandbox(replace(CONFIG, faults=faults)))
        limiter = LocalLimiter(100_000)
        client = PolygonClient(url, None, source="sandbox", limiter=limiter, retry_policy=policy)
        keys = FlatFileKeys(SecretStr(ACCESS), SecretStr(secret))
        files = FlatFileReader(url, keys, source="sandbox", retry_policy=policy)
        yield stack.enter_context(
            MarketFetcher(stack.enter_context(client), MARKETS[market], now=NOW, requests_per_minute=1_000, files=files)
        )


def loaded(results: Sequence[MarketSession | MarketSessionError]) -> list[MarketSession]:
    failed = [result.message for result in results if isinstance(result, MarketSessionError)]
    assert not failed
    return [result for result in results if isinstance(result, MarketSession)]


@pytest.mark.parametrize("market", ["us_stocks", "crypto"])
def test_files_and_grouped_responses_bring_the_same_bars(market: str) -> None:
    with fetcher_on_sandbox(market=market) as fetcher:
        by_file = loaded(list(fetcher.iterate(WEEK, WEEK)))
        by_request = loaded(list(fetcher.iterate(WEEK)))
    assert {str(session.origin) for session in by_file} == {"flat file"}
    assert {str(session.origin) for session in by_request} == {"grouped"}
    assert [session.requests for session in by_file] == [2, 1, 1, 1, 1]
    for one, other in zip(by_file, by_request, strict=True):
        assert len(one.tickers) > 1
        mine, theirs = np.argsort(one.tickers), np.argsort(other.tickers)
        np.testing.assert_array_equal(one.tickers[mine], other.tickers[theirs])
        for name in one.columns:
            if name != "vwap":
                np.testing.assert_array_equal(one.columns[name][mine], other.columns[name][theirs], name)


def test_a_wrong_secret_key_ends_the_run_at_once() -> None:
    with fetcher_on_sandbox(secret="another") as fetcher:
        [error] = fetcher.iterate(WEEK, WEEK)
    assert isinstance(error, MarketSessionError)
    assert isinstance(error.error, vendor_errors.BadKeyError)
    assert list(error.not_requested) == WEEK[1:]


def documented(cells: int) -> list[list[str]]:
    """Return the fault, origin, requests and message of the tables' rows with so many cells."""
    rows = [[row[0].strip("`"), *row[1:]] for row in table_rows()]
    return [[row[0], *row[-3:]] for row in rows if len(row) == cells]


SESSION_FAULTS, FILE_FAULTS = documented(5), documented(4)


def test_every_fault_of_files_is_in_the_tables() -> None:
    assert [row[0] for row in SESSION_FAULTS] == [fault.name for fault in FAULTS.values() if fault.only]
    assert {row[0].partition("=")[0].partition("*")[0] for row in FILE_FAULTS} == {
        "429", "500", "html", "truncate", "reset", "slow", "hang", "plan403", "unknown_key",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "origin", "requests", "message"), SESSION_FAULTS + FILE_FAULTS, ids=lambda cell: cell
)
def test_a_fault_of_a_flat_file_has_the_documented_result(fault: str, origin: str, requests: str, message: str) -> None:
    name, star, count = fault.partition("*")
    with fetcher_on_sandbox(
        f"{name}@file/{FAULTY}{star}{count}", policy=HURRIED if fault in ("hang*1", "slow=5*1") else RETRY_POLICY
    ) as fetcher:
        results: list[Any] = list(fetcher.iterate(WEEK, WEEK))
    faulty = results[1]
    assert faulty.session == FAULTY
    if isinstance(faulty, MarketSessionError):
        assert (origin, str(faulty.error.requests)) == ("error", requests)
        assert message in faulty.message
    else:
        assert (origin, str(faulty.requests)) == (str(faulty.origin), requests), faulty.notes
        assert message in ("; ".join(faulty.notes) or "none")
    if not getattr(faulty, "not_requested", ()):
        others = loaded([*results[:1], *results[2:]])
        assert [session.session for session in others] == [day for day in WEEK if day != FAULTY]
        assert {session.origin for session in others} == {Origin.FLAT_FILE}


def test_a_file_that_is_replaced_later_is_found_and_read_again() -> None:
    with fetcher_on_sandbox(f"replaced_file@file/{FAULTY}*1") as fetcher:
        before = loaded(list(fetcher.iterate(WEEK, WEEK)))
        versions = {session.session: session.version or "" for session in before}
        changed = fetcher.find_changed_files(versions)
        assert changed == [FAULTY]
        [again] = loaded(list(fetcher.iterate(changed, changed)))
        assert fetcher.find_changed_files({**versions, FAULTY: again.version or ""}) == []
    assert again.version != versions[FAULTY]
    assert again.origin is Origin.FLAT_FILE
    assert any((again.columns[name] != before[1].columns[name]).any() for name in ("close", "volume"))


@pytest.mark.parametrize(("rule", "rows"), [("half_rows@grouped", 0.5), ("wrong_day@grouped", 0)])
def test_a_faulty_grouped_response_is_half_a_session_or_an_error(rule: str, rows: float) -> None:
    with fetcher_on_sandbox() as fetcher, fetcher_on_sandbox(f"{rule}/{FAULTY}") as faulty:
        whole = loaded(list(fetcher.iterate(WEEK)))
        results = list(faulty.iterate(WEEK))
    result = results[1]
    if rows:
        assert isinstance(result, MarketSession)
        assert len(result.tickers) == int(len(whole[1].tickers) * rows)
    else:
        assert isinstance(result, MarketSessionError)
        assert f"the response has the bars of {WEEK[2]}" in result.message
    assert len(loaded([*results[:1], *results[2:]])) == 4
