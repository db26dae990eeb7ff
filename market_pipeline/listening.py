"""Where a server of this project listens: the socket, and its address for people. Which server, others say."""

import os
import socket

from market_pipeline.errors import MarketPipelineError


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


def base_url(door: socket.socket) -> str:
    """The address of a server that listens there."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
