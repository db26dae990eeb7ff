"""Ctrl-C and SIGTERM for the length of a command: it ends within seconds, and what it has done is kept.

A handler in Python runs in the main thread alone, and libraries put their own in its place: Dagster while a run is
executed, uvicorn while it serves. So the signals are read, by a thread, from the descriptor that the interpreter writes
each of them to as well: https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 4.5
"""Seconds in which a command may tidy up and report what it has done, before it is ended."""
SAME_SECONDS = 0.5
"""Signals that come this soon after the first are the same one: `timeout` sends its own to us and to our group."""

_SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """The command was told to stop."""


class _Watch:
    """The signals that a command has received."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.number: int | None = None
        self.raised = False


_watch = _Watch()


def requested() -> bool:
    """True once the command was told to stop."""
    return _watch.number is not None


def check() -> None:
    """Go on only where nobody has told the command to stop.

    Raises:
        Interrupted: somebody has.
    """
    if requested():
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleep, in whichever thread.

    Raises:
        Interrupted: the command is told to stop before that.
    """
    if _watch.stopping.wait(seconds):
        raise Interrupted


def message() -> str:
    """Say in one line that the command was told to stop."""
    how = "SIGTERM" if _watch.number == signal.SIGTERM else "Ctrl-C"
    return f"stopped by {how}: what was done until then is kept; run the same command again for the rest"


def exit_code() -> int:
    """The exit code that a shell expects: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_watch.number or signal.SIGINT)


@contextmanager
def watched() -> Iterator[None]:
    """Raise `Interrupted` in the main thread at the first signal; end the process at the second, or when time is up.

    Does nothing in another thread than the main one, which alone may handle signals.
    """
    global _watch  # noqa: PLW0603 - signals are the process's, not an object's
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch = _Watch()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup, or a shell's background
            signal.signal(number, _raise)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(target=_look, args=(reading, _watch), name="signals", daemon=True).start()
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)


def leave_to_command() -> None:
    """Set no time limit any more: the command that runs has a way of its own to end."""
    signal.set_wakeup_fd(-1)


def end_process(code: int) -> NoReturn:
    """End the process without waiting for threads that still wait for the vendor or the database."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or never there
            stream.flush()
    os._exit(code)


def _raise(number: int, _frame: FrameType | None) -> None:
    # No lock may be taken here: the main thread may hold it. The event is set by the other thread.
    _watch.number = _watch.number or number
    if not _watch.raised:
        _watch.raised = True
        # Raised in a destructor it is lost, and nobody wants to read of that: the time limit holds all the same.
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        raise Interrupted


def _look(descriptor: int, watch: _Watch) -> None:
    """Note each signal, and end the process at the second one, or where the first hasn't ended it in time."""
    first = None
    while True:
        left = None if first is None else max(first + GRACE_SECONDS - time.monotonic(), 0)
        if not select.select([descriptor], [], [], left)[0]:
            _give_up(watch)
        received = os.read(descriptor, 1)
        if not received:
            os.close(descriptor)
            return
        if received[0] not in SIGNALS:
            continue
        watch.number = watch.number or received[0]
        watch.stopping.set()
        first = first or time.monotonic()
        if time.monotonic() - first > SAME_SECONDS:
            _give_up(watch)


def _give_up(watch: _Watch) -> NoReturn:
    with suppress(OSError):
        os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + f"{message()}\n".encode())
    os._exit(128 + (watch.number or signal.SIGINT))
