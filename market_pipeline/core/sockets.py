"""Listening sockets of the project's servers: their ports and their addresses."""

import ipaddress
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from market_pipeline.core.errors import MarketPipelineError

LOOPBACK = "127.0.0.1"
LOOPBACK_HOSTS = frozenset({LOOPBACK, "localhost", "::1"})
"""Names of this machine in a URL."""

_CANDIDATES = range(20_000, 32_768)


class PortTakenError(MarketPipelineError):
    """Something else listens there already, or the address isn't one of this machine's."""


class StoppableServer(Protocol):
    """A server such as uvicorn's: `run` serves on the sockets until `should_exit` is set."""

    should_exit: bool

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on these sockets."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, on any free port for 0; a context manager that closes it.

    Raises:
        PortTakenError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise PortTakenError(
            f"can't listen on {host}:{port} ({why}): stop what uses the port, or choose another with --port"
        ) from None


def find_free_port(host: str = LOOPBACK) -> int:
    """Return a port that nothing listens on, if possible none that the system gives to outgoing connections.

    Such a port might be taken by a connection to anywhere between now and the start of its server.

    Raises:
        PortTakenError: no port is free.
    """
    ephemeral = _read_ephemeral_ports()
    candidates = [port for port in _CANDIDATES if port not in ephemeral]
    for port in [*random.sample(candidates, min(len(candidates), 50)), 0]:
        with suppress(PortTakenError), listen(host, port) as listener:
            return int(listener.getsockname()[1])
    raise PortTakenError(f"no port is free on {host}: end programs that listen there")


def _read_ephemeral_ports() -> range:
    """Return the ports of outgoing connections.

    Source: https://docs.kernel.org/networking/ip-sysctl.html, ip_local_port_range.
    """
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()
        return range(int(low), int(high) + 1)
    except (OSError, ValueError):  # not Linux: https://www.rfc-editor.org/rfc/rfc6335, section 6
        return range(49_152, 65_536)


def is_loopback(host: str) -> bool:
    """Return True if only this machine reaches a server that listens on this host."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def build_base_url(listener: socket.socket) -> str:
    """Return the URL of a server that listens on this socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def serve_in_thread(server: StoppableServer, host: str, port: int, *, name: str) -> Iterator[str]:
    """Run a server in a thread of this name while the block runs; yield its base URL.

    Raises:
        PortTakenError: something else listens on the port.
    """
    with listen(host, port) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name=name, daemon=True)
        thread.start()
        try:
            # The kernel queues connections until the server accepts them, so there is nothing to wait for.
            yield build_base_url(listener)
        finally:
            server.should_exit = True
            thread.join()
