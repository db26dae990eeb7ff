"""Programs for a shell's PATH that have their commands forked: `market-pipeline`, and `python` for scripts.

As a program, this module sends a command to the server of the tests, and prints the result. It imports nothing but the
standard library, so that it starts in milliseconds.
"""

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS = 240
"""Time limit of a command."""

MARKET_PIPELINE = """#!/bin/sh
exec {client} "" "$@"
"""
PYTHON = """#!/bin/sh
case "$1" in
  *.py) exec {client} "$@" ;;
  *) exec {python} "$@" ;;
esac
"""


class _Handler(socketserver.StreamRequestHandler):
    """Runs the command of a request in a forked process."""

    def handle(self) -> None:
        from market_pipeline_tests.end_to_end.forked_commands import run_forked  # the project, which clients don't need

        script, arguments, env, folder = json.loads(self.rfile.readline())
        done = run_forked(arguments, env, Path(folder), SECONDS, script=script or None)
        self.wfile.write(json.dumps([done.returncode, done.stdout, done.stderr]).encode())


@contextmanager
def forked_programs() -> Iterator[Path]:
    """Yield a folder with the programs, and serve them for as long as the context lasts."""
    with TemporaryDirectory(prefix="market-pipeline-programs-") as created:  # of a short path, as a socket needs
        folder = Path(created)
        address = folder / "socket"
        client = f'"{sys.executable}" -IS "{__file__}" "{address}"'
        for name, program in (("market-pipeline", MARKET_PIPELINE), ("python", PYTHON)):
            file = folder / name
            file.write_text(program.format(client=client, python=f'"{sys.executable}"'), encoding="utf-8")
            file.chmod(0o755)
        with socketserver.ThreadingUnixStreamServer(str(address), _Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield folder
            server.shutdown()


def _send(address: str, script: str, arguments: Sequence[str]) -> int:
    """Have the server run a command, print its output, and return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        command = [script, arguments, dict(os.environ), str(Path.cwd())]
        connection.sendall(json.dumps(command).encode() + b"\n")
        code, out, err = json.loads(connection.makefile(encoding="utf-8").read())
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(code)


if __name__ == "__main__":
    sys.exit(_send(sys.argv[1], sys.argv[2], sys.argv[3:]))
