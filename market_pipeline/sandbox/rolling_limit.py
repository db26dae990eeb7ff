"""The vendor's rate limit: a number of requests in any window of 60 seconds, for each key."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0


class RollingLimit:
    """Counts each key's accepted requests; rejected ones don't count.

    Args:
        calls: the most requests in a window; None for no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, calls: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._clock = clock
        self._granted: defaultdict[str, deque[float]] = defaultdict(deque)

    def grant(self, key: str) -> bool:
        """Count one more request of this key and return True; return False at the limit."""
        if self._calls is None:
            return True
        now, granted = self._clock(), self._granted[key]
        while granted and granted[0] <= now - WINDOW_SECONDS:
            granted.popleft()
        if len(granted) >= self._calls:
            return False
        granted.append(now)
        return True

    def reset(self) -> None:
        """Forget every request."""
        self._granted.clear()
