"""HTTP requests to others: each with a deadline for all of it and a largest body, so that no server can hold us up.

Where a request goes, what it says and what its response means is the callers' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from market_pipeline.core.deadlines import call_within, watch_socket


class BodyTooLargeError(requests.RequestException):
    """A response's body, decompressed, is larger than it may be."""


@dataclass(frozen=True)
class HttpResponse:
    """A response: its body is decompressed, and empty where it wasn't wanted."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def open_session(*, trust_env: bool = True) -> requests.Session:
    """A session for `send`.

    Args:
        trust_env: go through the environment's proxy and by its .netrc, which are for the world outside.
    """
    session = requests.Session()
    session.trust_env = trust_env
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def send(
    session: requests.Session, method: str, url: str, *, seconds: float, most_bytes: int, **options: Any
) -> HttpResponse:
    """Send one request, which follows no redirect, and read its response.

    Args:
        session: from `open_session`.
        method: GET or POST.
        url: where to.
        seconds: how long all of it may take.
        most_bytes: the longest body that is read; 0 to read none and close the connection.
        options: what requests takes: headers, auth, json, timeout.

    Raises:
        DeadlineError: it took longer.
        BodyTooLargeError: the body is longer.
        OSError: there is no response, of requests' types.
        urllib3.exceptions.HTTPError: the response breaks off.
        ValueError: the address is none.
    """

    def call() -> HttpResponse:
        with session.request(method, url, allow_redirects=False, stream=True, **options) as response:
            content = _read(response, most_bytes) if most_bytes else b""
            return HttpResponse(response.status_code, response.headers, content)

    return call_within(seconds, call)


def _read(response: requests.Response, most_bytes: int) -> bytes:
    """The body, decompressed piece by piece: a few kilobytes can be made to hold gigabytes."""
    body = bytearray()
    while chunk := response.raw.read1(65_536, decode_content=True):
        body += chunk
        if len(body) > most_bytes:
            raise BodyTooLargeError(f"a body of more than {most_bytes:,} bytes")
    return bytes(body)


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # of http.client, as in urllib3
        watch_socket(self.sock)
        return super().getresponse()


class _TlsConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # of http.client, as in urllib3
        watch_socket(self.sock)
        return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _watched(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


class _Adapter(HTTPAdapter):
    """Connections whose sockets are watched while they wait for a response."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _watched(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return _watched(super().proxy_manager_for(*arguments, **options))
