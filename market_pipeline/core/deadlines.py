"""Deadlines of network calls, which end in time whatever the other side does.

A socket's timeout applies to each read, so that a byte every few seconds never ends, and name resolution has none.
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
    """A network call took longer than its deadline."""


class HasFileNumber(Protocol):
    """A socket, or an object that wraps one."""

    def fileno(self) -> int:
        """Return the system's number of the socket."""
        ...


class _CallSockets:
    """The sockets of one call, which are shut down at its deadline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[HasFileNumber] = []
        self._over = False

    def add(self, sock: HasFileNumber) -> None:
        with self._lock:
            self._sockets.append(sock)
            if self._over:
                _shut_down(sock)

    def end(self) -> None:
        with self._lock:
            self._over = True
            for sock in self._sockets:
                _shut_down(sock)


_call_sockets: ContextVar[_CallSockets | None] = ContextVar("call_sockets", default=None)


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """Return the result of a call, which is cut off at its deadline.

    The call has a thread of its own. A thread that waits without a watched socket, for a name's resolution, goes on
    until the system gives up, and is cut off before it sends anything.

    Raises:
        DeadlineError: it took longer.
    """
    sockets = _CallSockets()
    done: Future[T] = Future()

    def run() -> None:
        _call_sockets.set(sockets)
        try:
            done.set_result(call())
        except BaseException as error:  # which the caller handles
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
            sockets.end()


def watch_socket(sock: HasFileNumber) -> None:
    """Shut this socket down at the current call's deadline. Call it before each wait for a response."""
    if (sockets := _call_sockets.get()) is not None:
        sockets.add(sock)


def _shut_down(sock: HasFileNumber) -> None:
    # Another socket of the same connection: what wraps it, TLS for one, is in use by the other thread.
    with suppress(OSError, ValueError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)
