"""Repeated errors of services: shown once and then counted, so that a long outage doesn't fill a disk with tracebacks.

Works line by line: a line of an error is dropped if the same service has written it lately, numbers aside. Lines that
belong to no error pass unchanged.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SECONDS = 600.0
"""Seconds in which a repeated error is only counted."""

_COLOURED = re.compile(r"\x1b\[[0-9;]*m")
_FIRST_LINE = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d |[A-Z]+:[\w.]+:|\{")
"""Pattern of a log record's first line; any other line continues the record."""
_ERROR = re.compile(r"error|warning|critical|traceback|exception|fail|refused|discarding", re.IGNORECASE)
_CHANGING = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", re.IGNORECASE)


@dataclass
class _ShownLine:
    """A line shown at clock second `at`, and its repetitions since; only first lines of errors are counted."""

    line: str
    at: float
    counted: bool
    times: int = 0


class RepeatedErrors:
    """Filter of services' output that drops and counts repeated errors. Thread-safe.

    Args:
        clock: returns seconds that never decrease.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shown: dict[tuple[str, str], _ShownLine] = {}
        self._in_error: dict[str, bool] = {}

    def filter_line(self, service: str, line: str) -> list[str]:
        """Return the lines to show: the counts that are due, then the service's line unless it is repeated."""
        with self._lock:
            now = self._clock()
            lines = list(self._pop_counts(service, now))
            plain = _COLOURED.sub("", line)
            begins = bool(_FIRST_LINE.match(plain))
            if begins or _ERROR.search(plain):
                begins = begins or not self._in_error.get(service, False)
                self._in_error[service] = bool(_ERROR.search(plain))
            if not self._in_error.get(service, False):
                return [*lines, line]
            key = (service, _CHANGING.sub("#", plain))
            if key in self._shown:
                self._shown[key].times += 1
                return lines
            self._shown[key] = _ShownLine(line, now, begins)
            return [*lines, line]

    def _pop_counts(self, service: str, now: float) -> Iterator[str]:
        """Forget the service's errors whose time is over, and yield their counts."""
        over = [key for key, shown in self._shown.items() if key[0] == service and now - shown.at >= SECONDS]
        for key in over:
            shown = self._shown.pop(key)
            if shown.counted and shown.times:
                yield f"{shown.line} ({shown.times} more times in {(now - shown.at) / 60:.0f} min)"
