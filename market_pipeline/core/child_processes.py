"""Child processes that end with the process that started them, even if that is killed by `kill -9`.

A guard, a shell that waits at the end of a pipe that only this process holds open, does the ending. It works on Linux
and macOS alike, for children that know nothing of it. The supervisor stops children in order.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_RUN = 'read -r _; exec "$@"'
_TERMINATE = 'read -r _; kill -TERM "$1"'


@contextmanager
def run_if_killed(*command: str) -> Iterator[None]:
    """Run a command if this process ends inside the block without leaving it."""
    with _guard(_RUN, *command):
        yield


@contextmanager
def terminate_with_us(pid: int) -> Iterator[None]:
    """Terminate a child if this process ends inside the block without leaving it."""
    with _guard(_TERMINATE, str(pid)):
        yield


def run_child(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, as `subprocess.run` does, and kill it if this process is killed."""
    with subprocess.Popen(command, **options) as process, terminate_with_us(process.pid):  # noqa: S603, the caller's own
        try:
            output, errors = process.communicate()
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def _guard(script: str, *arguments: str) -> Iterator[None]:
    guard = subprocess.Popen(  # noqa: S603, the command is ours
        ["/bin/sh", "-c", script, "guard", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # out of reach of what ends our process group
    )
    try:
        yield
    finally:
        guard.kill()  # first: the end of its pipe would have it act
        guard.communicate()
