"""Errors that programs repeat: said once, and then counted, so that a long outage doesn't fill a disk with tracebacks.

Works line by line, as programs write: a line of an error is passed over where the same program has said it lately, but
for its numbers. What is no error is passed on as it is.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SECONDS = 600.0
"""Seconds in which a repeated error is only counted."""

_COLOURED = re.compile(r"\x1b\[[0-9;]*m")
_FIRST = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d |[A-Z]+:[\w.]+:|\{")
"""Pattern of a log record's first line; any other line continues the record."""
_ERROR = re.compile(r"error|warning|critical|traceback|exception|fail|refused|discarding", re.IGNORECASE)
_CHANGING = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", re.IGNORECASE)


@dataclass
class _Said:
    """A line that was said, when, and how often it has been passed over since. Only what begins an error is counted."""

    line: str
    at: float
    counted: bool
    times: int = 0


class RepeatedErrors:
    """Output of programs without their repetitions. Safe to use from several threads.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], _Said] = {}
        self._in_error: dict[str, bool] = {}

    def passed_on(self, program: str, line: str) -> list[str]:
        """Lines to show for a line that a program writes: itself or nothing, after the counts that are due."""
        with self._lock:
            now = self._clock()
            shown = list(self._counts(program, now))
            plain = _COLOURED.sub("", line)
            begins = bool(_FIRST.match(plain))
            if begins or _ERROR.search(plain):
                begins = begins or not self._in_error.get(program, False)
                self._in_error[program] = bool(_ERROR.search(plain))
            if not self._in_error.get(program, False):
                return [*shown, line]
            key = (program, _CHANGING.sub("#", plain))
            if key in self._said:
                self._said[key].times += 1
                return shown
            self._said[key] = _Said(line, now, begins)
            return [*shown, line]

    def _counts(self, program: str, now: float) -> Iterator[str]:
        """Counts of the program's repeated errors whose time is over; they are new if they come again."""
        over = [key for key, said in self._said.items() if key[0] == program and now - said.at >= SECONDS]
        for key in over:
            said = self._said.pop(key)
            if said.counted and said.times:
                yield f"{said.line} ({said.times} more times in {(now - said.at) / 60:.0f} min)"
