"""Network calls that end in time, whatever the other side does.

A socket's timeout is one for each read, which a byte every few seconds never ends, and looking a name up has none. What
is called over the network, and how, is the callers' business.
"""

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class DeadlineError(TimeoutError):
    """A call over the network took longer than it was given."""


class HasFileNumber(Protocol):
    """A socket, or what wraps one."""

    def fileno(self) -> int:
        """The number that the system knows it by."""
        ...


class _Watch:
    """The sockets of one call, which are shut down once it has to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[HasFileNumber] = []
        self._over = False

    def add(self, door: HasFileNumber) -> None:
        with self._lock:
            self._sockets.append(door)
            if self._over:
                _shut_down(door)

    def end(self) -> None:
        with self._lock:
            self._over = True
            for door in self._sockets:
                _shut_down(door)


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call, which is cut off when its time is over.

    It is made in a thread of its own. A thread that waits where no socket is watched yet, for a name's address, goes on
    until the system gives up, and is then cut off before it sends anything.

    Raises:
        DeadlineError: it took longer.
    """
    watch = _Watch()
    done: Future[T] = Future()

    def run() -> None:
        _watch.set(watch)
        try:
            done.set_result(call())
        except BaseException as error:  # the caller's, whatever it is
            done.set_exception(error)

    threading.Thread(target=run, name="network call", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise
        raise DeadlineError(f"no end after {seconds:g} s") from None
    finally:
        if not done.done():
            watch.end()


def watch_socket(door: HasFileNumber) -> None:
    """Have a socket shut down when the call that is being made has to end; called before each wait for an answer."""
    if (watch := _watch.get()) is not None:
        watch.add(door)


def _shut_down(door: HasFileNumber) -> None:
    # Another socket of the same connection: what wraps it, TLS for one, is in use by the other thread.
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(door.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)
