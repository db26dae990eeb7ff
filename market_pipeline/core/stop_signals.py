"""Ctrl-C and SIGTERM during a command: it ends within seconds and keeps what it has done.

A handler in Python runs in the main thread alone, and libraries replace it: Dagster during a run, uvicorn while it
serves. So a thread reads the signals from the descriptor to which the interpreter also writes them:
https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
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
"""Time limit for a command to clean up and report what it has done."""
SAME_SECONDS = 0.5
"""Signals within this time of the first count as the same: `timeout` signals us and our group."""

_SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """The command has received a signal to stop."""


class _ReceivedSignals:
    """Signals that a command has received."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.number: int | None = None
        self.raised = False


_received = _ReceivedSignals()


def is_requested() -> bool:
    """Return True once the command has received a signal to stop."""
    return _received.number is not None


def check() -> None:
    """Raise if the command has received a signal to stop.

    Raises:
        Interrupted: it has.
    """
    if is_requested():
        raise Interrupted


def pause(seconds: float) -> None:
    """Sleep, in any thread.

    Raises:
        Interrupted: the command received a signal to stop before that.
    """
    if _received.stopping.wait(seconds):
        raise Interrupted


def describe_stop() -> str:
    """Return the line that tells the user that the command was stopped."""
    how = "SIGTERM" if _received.number == signal.SIGTERM else "Ctrl-C"
    return f"stopped by {how}: what was done until then is kept; run the same command again for the rest"


def choose_exit_code() -> int:
    """Return the exit code that a shell expects: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_received.number or signal.SIGINT)


@contextmanager
def watch_signals() -> Iterator[None]:
    """Raise `Interrupted` in the main thread at the first signal, and end the process at the second.

    The process also ends GRACE_SECONDS after the first. Does nothing in any other thread, as only the main one may
    handle signals.
    """
    global _received  # noqa: PLW0603 - signals are the process's, not an object's
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = _ReceivedSignals()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup, or a shell's background
            signal.signal(number, _raise)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(target=_read_signals, args=(reading, _received), name="signals", daemon=True).start()
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)


def remove_time_limit() -> None:
    """Remove the time limit, for a command that has its own way to end."""
    signal.set_wakeup_fd(-1)


def end_process(code: int) -> NoReturn:
    """End the process without waiting for threads that still wait for the vendor or the database."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or never there
            stream.flush()
    os._exit(code)


def _raise(number: int, _frame: FrameType | None) -> None:
    # No lock may be taken here: the main thread may hold it. The event is set by the other thread.
    _received.number = _received.number or number
    if not _received.raised:
        _received.raised = True
        # Raised in a destructor it is lost, which needs no report: the time limit ends the process anyway.
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        raise Interrupted


def _read_signals(descriptor: int, received: _ReceivedSignals) -> None:
    """Record each signal, and end the process at the second one, or at the time limit after the first."""
    first = None
    while True:
        left = None if first is None else max(first + GRACE_SECONDS - time.monotonic(), 0)
        if not select.select([descriptor], [], [], left)[0]:
            _end_now(received)
        signal_byte = os.read(descriptor, 1)
        if not signal_byte:
            os.close(descriptor)
            return
        if signal_byte[0] not in SIGNALS:
            continue
        received.number = received.number or signal_byte[0]
        received.stopping.set()
        first = first or time.monotonic()
        if time.monotonic() - first > SAME_SECONDS:
            _end_now(received)


def _end_now(received: _ReceivedSignals) -> NoReturn:
    with suppress(OSError):
        os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + f"{describe_stop()}\n".encode())
    os._exit(128 + (received.number or signal.SIGINT))
