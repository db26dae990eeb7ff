"""The sandbox's server: on a loopback address only, in the foreground or in a thread for tests."""

import ipaddress
import socket
from asyncio import Transport
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from market_pipeline.core.errors import UsageError
from market_pipeline.core.sockets import LOOPBACK, listen, serve_in_thread
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.routes import create_app


class NotLoopbackError(UsageError):
    """The sandbox may listen on loopback addresses only."""


class _Protocol(H11Protocol):
    """Puts the connection into the request's state as `transport`, for faults; ASGI has no other access to it."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as the base class has it
        self.app_state = {**self.app_state, "transport": transport}
        # Without it, header and body in two writes cost 40 ms: the second waits for the first's acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def shutdown(self) -> None:
        """Close the connection when the server stops, even during a request without a response."""
        super().shutdown()
        self.transport.abort()


@contextmanager
def running_sandbox(config: SandboxConfig | None = None, port: int = 0) -> Iterator[str]:
    """Run a sandbox on 127.0.0.1 in a thread while the block runs; yield its base URL.

    Args:
        config: its options; None for the defaults.
        port: 0 for any free port.

    Raises:
        FaultError: a fault rule can't be used.
        PortTakenError: something else listens on the port.
    """
    server = create_sandbox_server(config or SandboxConfig())
    with serve_in_thread(server, LOOPBACK, port, name="sandbox") as url:
        yield url


def create_sandbox_server(config: SandboxConfig) -> uvicorn.Server:
    """Create a sandbox's server. Its `run([socket])` serves requests until it is stopped.

    Raises:
        FaultError: a fault rule can't be used.
    """
    options = uvicorn.Config(
        create_app(config),
        http=_Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # its lines would show keys that came in a query
    )
    return uvicorn.Server(options)


def listen_on_loopback(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a loopback address; a context manager that closes it.

    Raises:
        NotLoopbackError: the address isn't a loopback address.
        PortTakenError: something else listens there.
    """
    return listen(str(_parse_loopback(host)), port)


def _parse_loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(LOOPBACK if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise NotLoopbackError(f"the sandbox listens on this machine only: use --host {LOOPBACK}, not {host}")
    return address
