"""Statistics of the sandbox's requests, served at /_sandbox/stats."""

import time
from collections import Counter, deque
from typing import Any

MOST_TIMESTAMPS = 10_000


class RequestStats:
    """Counts the requests to the vendor's endpoints since the start or the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self._kinds: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._times: deque[float] = deque(maxlen=MOST_TIMESTAMPS)

    def count_request(self, kind: str) -> None:
        """Count a request to one kind of endpoint."""
        self._kinds[kind] += 1
        self._times.append(time.time())

    def count_fault(self, fault: str) -> None:
        """Count a fault."""
        self._faults[fault] += 1

    def report(self) -> dict[str, Any]:
        """Return all counts, and the arrival times of the last requests (seconds since the epoch)."""
        return {
            "requests": self._kinds.total(),
            "by_path_kind": dict(self._kinds),
            "faults": dict(self._faults),
            "timestamps": list(self._times),
        }
