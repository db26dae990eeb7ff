"""The limiter of one process, on a simulated clock and with threads."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.polygon.limiter import LocalLimiter


class Clock:
    """A clock that advances only by sleeps and by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def limiter_on(clock: Clock, requests_per_minute: int) -> LocalLimiter:
    return LocalLimiter(requests_per_minute, window_seconds=60, clock=clock, sleep=clock.sleep)


def test_the_first_requests_go_at_once_and_the_next_waits_for_the_window() -> None:
    limiter = limiter_on(Clock(), 5)
    assert [limiter.acquire() for _ in range(11)] == [0] * 5 + [60] + [0] * 4 + [60]


def test_a_request_waits_only_for_what_is_left_of_the_window() -> None:
    clock = Clock()
    limiter = limiter_on(clock, 2)
    limiter.acquire()
    clock.sleep(20)
    limiter.acquire()
    clock.sleep(15)
    assert limiter.acquire() == 25
    assert limiter.acquire() == 20


def test_requests_further_apart_than_the_limit_never_wait() -> None:
    clock = Clock()
    limiter = limiter_on(clock, 5)
    for _ in range(20):
        assert limiter.acquire() == 0
        clock.sleep(12)


@given(st.integers(1, 6), st.lists(st.floats(0, 90), max_size=40))
def test_no_window_ever_holds_more_requests_than_allowed(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = limiter_on(clock, limit)
    sent = []
    for pause in pauses:
        clock.sleep(pause)
        limiter.acquire()
        sent.append(clock.now)
    for earlier, later in zip(sent, sent[limit:], strict=False):
        assert later - earlier >= 60 - 1e-6


def test_waiting_threads_continue_in_their_order_of_arrival() -> None:
    """With 1 request per window each waits for the one before, in order of arrival."""
    waits: list[float] = []
    limiter = LocalLimiter(1, window_seconds=60, clock=lambda: 0.0, sleep=waits.append)
    for _ in range(5):
        limiter.acquire()
    assert waits == [60, 120, 180, 240]


def test_threads_share_one_limit() -> None:
    limiter = LocalLimiter(4, window_seconds=0.2)
    began = time.monotonic()
    threads = [threading.Thread(target=limiter.acquire) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.4
