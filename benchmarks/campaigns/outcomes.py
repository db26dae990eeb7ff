"""Outcomes of requests by cause: answered, ended by a documented limit, or the server's fault."""

import statistics
import threading
from collections import Counter, defaultdict
from enum import StrEnum


class Kind(StrEnum):
    """Cause of an outcome."""

    ANSWERED = "answered"
    LIMIT = "by a documented limit"
    FAULT = "the server's fault"


class Outcomes:
    """Counts, and the durations of responses by request; written from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[tuple[Kind, str]] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, kind: Kind, cause: str, *, request: str = "", seconds: float | None = None) -> None:
        """Count one outcome; `seconds` is how long the response to `request` took, where there was one."""
        with self._lock:
            self.counts[kind, cause] += 1
            if seconds is not None:
                self.seconds[request].append(seconds)

    def include(self, others: "Outcomes") -> None:
        """Add others' counts and durations to these."""
        self.counts.update(others.counts)
        for request, seconds in others.seconds.items():
            self.seconds[request] += seconds

    def count(self, kind: Kind) -> int:
        """Number of the outcomes of a kind."""
        return sum(count for (each, _), count in self.counts.items() if each is kind)

    def compute_percentile(self, percent: int) -> float:
        """Seconds within which so many percent of all responses came."""
        return _compute_percentile([each for several in self.seconds.values() for each in several], percent)

    def print(self, title: str) -> None:
        """Print everything: totals, causes, and the durations of each kind of request."""
        total = sum(self.counts.values())
        print(f"{title}: {total:,} outcomes, p50 {1000 * self.compute_percentile(50):.0f} ms, p99 "
              f"{1000 * self.compute_percentile(99):.0f} ms")  # fmt: skip
        for kind in Kind:
            print(f"  {kind}: {self.count(kind):,}")
            for (each, cause), count in sorted(self.counts.items(), key=lambda item: -item[1]):
                if each is kind:
                    print(f"    {count:,} x {cause}")
        for request, seconds in sorted(self.seconds.items()):
            p50, p99 = _compute_percentile(seconds, 50), _compute_percentile(seconds, 99)
            print(f"  {len(seconds):6,} x {request}: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms")


def _compute_percentile(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1] if len(seconds) > 1 else 0.0
