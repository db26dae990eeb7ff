"""Where a server of this project listens: the socket, and its address for people. Which server, others say."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

from market_pipeline.core.errors import MarketPipelineError

_CHOICE = range(20_000, 32_768)


class PortTakenError(MarketPipelineError):
    """Something else listens there already, or the address isn't one of this machine's."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, on any free port for 0; a context manager that closes it.

    Raises:
        PortTakenError: it can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise PortTakenError(
            f"can't listen on {host}:{port} ({why}): stop what uses the port, or choose another with --port"
        ) from None


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, of those that the system gives to no outgoing connection, where there are any.

    One of the others might be taken by a connection to anywhere between now and when its server starts.
    """
    taken_by_the_system = _ephemeral_ports()
    candidates = [port for port in _CHOICE if port not in taken_by_the_system]
    for port in [*random.sample(candidates, min(len(candidates), 50)), 0]:
        with suppress(PortTakenError), listen(host, port) as door:
            return int(door.getsockname()[1])
    raise PortTakenError(f"no port is free on {host}")


def _ephemeral_ports() -> range:
    """Those of outgoing connections. Source: https://docs.kernel.org/networking/ip-sysctl.html, ip_local_port_range."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()
        return range(int(low), int(high) + 1)
    except (OSError, ValueError):  # not Linux: https://www.rfc-editor.org/rfc/rfc6335, section 6
        return range(49_152, 65_536)


def base_url(door: socket.socket) -> str:
    """The address of a server that listens there."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
