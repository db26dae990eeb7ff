"""The shared rate limit: several processes stay under it, use it fully, and take turns. Windows of two seconds."""

import multiprocessing
import time
from collections.abc import Sequence
from datetime import datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.rate_limit import SharedLimiter

WINDOW = 2.0
LIMIT = 20
PROCESSES = 4
REQUESTS_EACH = 15


def send_requests(
    address: str, zone: str, started: "multiprocessing.synchronize.Barrier", sent: "multiprocessing.Queue[float]"
) -> None:
    engine = create_warehouse_engine(SecretStr(f"{address}?options=-c%20timezone%3D{zone}"))
    limiter = SharedLimiter(engine, LIMIT, window_seconds=WINDOW)
    started.wait()
    for _ in range(REQUESTS_EACH):
        limiter.acquire()
        sent.put(time.time())
    engine.dispose()


def test_processes_in_different_time_zones_share_the_limit_and_use_it(database_url: SecretStr) -> None:
    context = multiprocessing.get_context("spawn")
    sent: multiprocessing.Queue[float] = context.Queue()
    barrier = context.Barrier(PROCESSES)
    zones = ["UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata"]
    children = [
        context.Process(target=send_requests, args=(database_url.get_secret_value(), zone, barrier, sent))
        for zone in zones
    ]
    for child in children:
        child.start()
    times = sorted(sent.get(timeout=120) for _ in range(PROCESSES * REQUESTS_EACH))
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * PROCESSES
    # 60 requests at 20 a window: the third batch goes out two windows after the first, and not much later.
    early = 0.1  # a request may leave a little after its slot, the one a window later on time
    assert all(later - sooner > WINDOW - early for sooner, later in zip(times, times[LIMIT:], strict=False))
    assert times[-1] - times[0] < 2 * WINDOW / 0.9 + 1


def test_slots_are_handed_out_in_order_and_a_window_apart(warehouse: Engine) -> None:
    limiter = SharedLimiter(warehouse, 2, window_seconds=0.5)
    waits = [limiter.acquire() for _ in range(5)]
    assert waits[0] == waits[1] == 0
    with warehouse.connect() as connection:
        slots: list[datetime] = list(connection.execute(text("SELECT at FROM request_slots ORDER BY at")).scalars())
    gaps = [(later - sooner).total_seconds() for sooner, later in zip(slots, slots[2:], strict=False)]
    assert gaps
    assert min(gaps) >= 0.5


def set_clock_back(warehouse: Engine, hours: float) -> None:
    """Leave the instants of a server's clock that was set back: they lie ahead of it."""
    with warehouse.begin() as connection:
        instants: Sequence[str] = connection.execute(text("SELECT column_name FROM information_schema.columns WHERE "
            "table_name = 'request_slots' AND data_type = 'timestamp with time zone'")).scalars().all()  # fmt: skip
        moved = ", ".join(f"{name} = {name} + make_interval(secs => :seconds)" for name in instants)
        connection.execute(text(f"UPDATE request_slots SET {moved}"), {"seconds": 3600 * hours})


@pytest.mark.parametrize("hours", [2.0, 1 / 120])
def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_a_window(
    warehouse: Engine, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("market_pipeline.warehouse.rate_limit.stop_signals.pause", slept.append)
    limiter = SharedLimiter(warehouse, 5, window_seconds=61)
    for _ in range(5):
        limiter.acquire()
    set_clock_back(warehouse, hours)
    waits = [limiter.acquire() for _ in range(6)]
    # Five have just been sent, and the eleventh request comes after the next five.
    assert waits == pytest.approx([61] * 5 + [122], abs=3)
    # In the middle of it, with slots handed out that are still to come.
    set_clock_back(warehouse, hours)
    assert limiter.acquire() == pytest.approx(122, abs=3)


def test_a_long_wait_is_logged(
    warehouse: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("market_pipeline.warehouse.rate_limit.stop_signals.pause", slept.append)
    limiter = SharedLimiter(warehouse, 1, window_seconds=14)
    with caplog.at_level("INFO"):
        limiter.acquire()
        limiter.acquire()
    assert [record.getMessage() for record in caplog.records] == ["waiting for the rate limit, 14 s"]
    assert slept[1] == pytest.approx(14, abs=1)
