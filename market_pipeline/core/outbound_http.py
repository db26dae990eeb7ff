"""HTTP requests to other servers, with a deadline for the whole request and a limit on the body's size.

The callers know the URL, the content and the meaning of the response.
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
    """A response's body, decompressed, exceeds the limit."""


@dataclass(frozen=True)
class HttpResponse:
    """A response, with its body decompressed; empty if the caller wanted none."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def open_session(*, trust_env: bool = True) -> requests.Session:
    """Open a session for `send`.

    Args:
        trust_env: use the environment's proxy and .netrc, which are for hosts beyond this machine.
    """
    session = requests.Session()
    session.trust_env = trust_env
    for scheme in ("http://", "https://"):
        session.mount(scheme, _WatchedAdapter())
    return session


def send(
    session: requests.Session, method: str, url: str, *, seconds: float, most_bytes: int, **options: Any
) -> HttpResponse:
    """Send one request, follow no redirect, and read its response.

    Args:
        session: from `open_session`.
        method: GET or POST.
        url: an address with http or https.
        seconds: the deadline for all of it.
        most_bytes: the limit on the body; 0 to read none and close the connection.
        options: options of requests: headers, auth, json, timeout.

    Raises:
        DeadlineError: it took longer.
        BodyTooLargeError: the body exceeds `most_bytes`.
        OSError: there is no response, of requests' types.
        urllib3.exceptions.HTTPError: the response breaks off.
        ValueError: the URL is not valid.
    """

    def call() -> HttpResponse:
        with session.request(method, url, allow_redirects=False, stream=True, **options) as response:
            content = _read(response, most_bytes) if most_bytes else b""
            return HttpResponse(response.status_code, response.headers, content)

    return call_within(seconds, call)


def _read(response: requests.Response, most_bytes: int) -> bytes:
    """Read the body, decompressed piece by piece: a few kilobytes may expand to gigabytes."""
    body = bytearray()
    while chunk := response.raw.read1(65_536, decode_content=True):
        body += chunk
        if len(body) > most_bytes:
            raise BodyTooLargeError(f"a body of more than {most_bytes:,} bytes")
    return bytes(body)


class _WatchedConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # of http.client, as in urllib3
        watch_socket(self.sock)
        return super().getresponse()


class _WatchedTlsConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # of http.client, as in urllib3
        watch_socket(self.sock)
        return super().getresponse()


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


def _watch_sockets(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _WatchedPool, "https": _WatchedTlsPool}
    return manager


class _WatchedAdapter(HTTPAdapter):
    """Connections with sockets that are watched while they wait for a response."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _watch_sockets(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return _watch_sockets(super().proxy_manager_for(*arguments, **options))
