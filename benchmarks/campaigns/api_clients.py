"""Clients of the API that send whole requests and read whole responses, each from a loopback address of its own."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.campaigns.outcomes import Kind, Outcomes

TIMEOUT = 60.0
"""Seconds. Beyond all that the API documents: 30 for a download's place, 15 for its query."""


@dataclass(frozen=True)
class Request:
    """One of the requests that clients take turns with. `same` says that its response must never change."""

    name: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    same: bool = False


def build_backfill_request(key: str, symbols: Sequence[str], start: str, end: str) -> Request:
    """A post of a backfill, with an administrator's key."""
    body = json.dumps({"symbols": list(symbols), "start": start, "end": end}).encode()
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    return Request("POST /admin/backfills", "/api/v1/admin/backfills", body, headers)


class Clients:
    """So many clients, each in a thread, that send one request after another until they are told to stop."""

    def __init__(self, url: str, requests: Sequence[Request]) -> None:
        place = urlsplit(url)
        self._host, self._port = str(place.hostname), place.port
        self._requests = requests
        self._known: dict[str, bytes] = {}

    def run(self, number: int, seconds: float, outcomes: Outcomes) -> None:
        """Return once the time is over and all have their last response."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._send_requests, args=(each, end, outcomes)) for each in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_requests(self, number: int, end: float, outcomes: Outcomes) -> None:
        address = f"127.0.{1 + number // 250}.{1 + number % 250}"
        turn = number
        connection: http.client.HTTPConnection | None = None
        while time.monotonic() < end:
            request = self._requests[turn % len(self._requests)]
            turn += 1
            if connection is None:
                connection = http.client.HTTPConnection(
                    self._host, self._port, timeout=TIMEOUT, source_address=(address, 0)
                )
            begun = time.perf_counter()
            try:
                kind, cause = self._send_request(connection, request)
                outcomes.add(kind, cause, request=request.name, seconds=time.perf_counter() - begun)
            except (OSError, http.client.HTTPException) as error:
                outcomes.add(Kind.FAULT, f"{type(error).__name__} for {request.name}: {error}")
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _send_request(self, connection: http.client.HTTPConnection, request: Request) -> tuple[Kind, str]:
        connection.request("POST" if request.body else "GET", request.path, request.body, request.headers)
        response = connection.getresponse()
        body = response.read()
        if response.status in (200, 202):
            if request.same and self._known.setdefault(request.path, body) != body:
                return Kind.FAULT, f"another response than before to {request.name}"
            return Kind.ANSWERED, f"{response.status}"
        detail = body[:200].decode(errors="replace")
        with suppress(ValueError, KeyError, TypeError):
            detail = json.loads(body)["detail"]
        cause = f"{response.status} to {request.name}: {detail}"
        is_limit = response.getheader("Retry-After") and (response.status == 429 or "large downloads" in detail)
        return (Kind.LIMIT if is_limit else Kind.FAULT), cause
