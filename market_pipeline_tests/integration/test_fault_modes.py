"""Every fault of the sandbox against the table in docs/faults.md: the client's requests and the stored bars."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.symbols import Symbol
from market_pipeline.ingest import Run, ingest
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.faults import FAULTS
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.tables import backfill_history, rejected_bars
from market_pipeline.warehouse.tracked_symbols import add_symbols

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
AAPL = Symbol.of("AAPL", "stock")
MAY = list_sessions("XNYS", date(2024, 5, 1), date(2024, 5, 31))
NOW = datetime(2024, 6, 15, 2, tzinfo=UTC)
RETRY_POLICY = RetryPolicy(
    connect=30, read=30, whole_response=60, attempts=3, first_wait=0.01, longest_wait=0.5, rate_limit_wait=0.02
)
HURRIED = replace(RETRY_POLICY, read=0.3, whole_response=2)
"""Short timeouts, for faults that end only by one. Others get long ones, so that a busy machine causes no timeout."""


CELLS = 6
"""Columns of the table of faults that happen to a range of one ticker. The others are in test_market_faults."""


def table_rows() -> list[list[str]]:
    """Return the cells of all tables' rows that begin with a fault."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def documented() -> list[list[str]]:
    """Return the table's rows: fault rule, requests, loaded, rejected, result."""
    rows = [row for row in table_rows() if len(row) == CELLS]
    return [
        [rule.strip("`"), requests, loaded, rejected, expected]
        for rule, _, requests, loaded, rejected, expected in rows
    ]


def test_every_fault_is_in_the_table() -> None:
    names = {rule.split("*")[0].split("=")[0] for rule, *_ in documented()}
    assert names == {fault.name for fault in FAULTS.values() if not fault.only}


@pytest.mark.parametrize(("rule", "requests", "loaded", "rejected", "expected"), documented(), ids=lambda cell: cell)
def test_a_fault_has_the_documented_result(
    warehouse: Engine, rule: str, requests: str, loaded: str, rejected: str, expected: str
) -> None:
    add_symbols(warehouse, [AAPL])
    policy = HURRIED if rule.startswith(("hang", "slow=5")) else RETRY_POLICY
    with (
        running_sandbox(SandboxConfig(now=NOW, faults=(rule,))) as base_url,
        PolygonClient(base_url, None, source="sandbox", limiter=LocalLimiter(100_000), retry_policy=policy) as client,
    ):
        vendor = Fetcher(client, [AAPL], MAY, NOW)
        [[found]] = ingest(
            [AAPL],
            MAY,
            vendor=vendor,
            fetch_reference=lambda symbol: refresh_reference(client, warehouse, symbol),
            delisted={},
            warehouse=warehouse,
            run=Run("run-1", "manual"),
        )
    with warehouse.connect() as connection:
        bars = connection.execute(select(func.count()).select_from(market_data)).scalar_one()
        rejected_count = connection.execute(select(func.count()).select_from(rejected_bars)).scalar_one()
        record = connection.execute(select(backfill_history)).one()
    actual = f"failed: {found.error}" if found.error else "; ".join(found.notes) or "loaded"
    assert (found.requests, bars, rejected_count) == (int(requests), int(loaded), int(rejected)), actual
    assert expected in actual
    assert (record.requests, record.loaded, record.error_details) == (found.requests, bars, found.error)
