"""The rate limit: the interface of a limiter, and the limiter of a single process.

The limiter shared between processes needs a database, so it is in `warehouse.rate_limit`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from market_pipeline.core import stop_signals

WINDOW_SECONDS = 61.0
"""The vendor counts requests per rolling minute on arrival; the extra second covers different travel times."""


class Limiter(Protocol):
    """Decides when requests may be sent."""

    def acquire(self) -> float:
        """Wait until one request may be sent; return the seconds waited."""
        ...


class LocalLimiter:
    """Limits the requests of one process's threads in any rolling window; first come, first served.

    Args:
        requests_per_minute: the most requests within one window, at least 1.
        window_seconds: the window's length.
        clock: seconds that only go up.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        requests_per_minute: int,
        *,
        window_seconds: float = WINDOW_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = stop_signals.pause,
    ) -> None:
        self._window = window_seconds
        self._clock = clock
        self._sleep = sleep
        self._slots: deque[float] = deque(maxlen=requests_per_minute)
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Wait until one request may be sent; return the seconds waited."""
        with self._lock:
            now = self._clock()
            full = len(self._slots) == self._slots.maxlen
            slot = max(now, self._slots[0] + self._window) if full else now
            self._slots.append(slot)
        # Each caller has its slot by now, so callers can sleep at the same time and still go in order.
        wait = slot - now
        if wait > 0:
            self._sleep(wait)
        return wait
