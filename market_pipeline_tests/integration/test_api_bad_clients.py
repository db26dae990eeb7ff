"""Clients that hold connections or memory: each is dropped at its limits, without effect on the others."""

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from market_pipeline.api import download_slots, http_protocol, limits, request_bodies
from market_pipeline.api.limits import DOWNLOADS, HEADER_FIELDS, PIPELINED_REQUESTS
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.api_cases import IBM, MSFT, Api, problem, serving, until_served

SYMBOLS = "/api/v1/admin/symbols"
MANY = "/api/v1/tables/many"
HEAD = b"GET /api/v1/links HTTP/1.1\r\nHost: localhost\r\n"
SOON = 1.0
"""Seconds, in place of the real limits of ten or thirty."""


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with short time limits, over a table of 60 MB."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (http_protocol, "HEAD_SECONDS"), (http_protocol, "SEND_SECONDS"), (http_protocol, "LINGER_SECONDS"),
            (request_bodies, "BODY_SECONDS"), (download_slots, "DOWNLOAD_WAIT"),
        ):  # fmt: skip
            patch.setattr(module, name, 5 * SOON if name == "DOWNLOAD_WAIT" else SOON)
        with serving(server, tmp_path_factory.mktemp("api"), api_max_connections=60) as api:
            api.execute(
                "CREATE TABLE analytics.many AS SELECT i, repeat('x', 1000) AS long FROM generate_series(1, 60000) i",
                "CREATE VIEW analytics.slow AS SELECT i, pg_sleep(0.05)::text AS none FROM generate_series(1, 250) i",
                "GRANT SELECT ON analytics.many, analytics.slow TO market_reader",
            )
            until_served(api, "many")
            yield api


@pytest.fixture
def admin(api: Api) -> dict[str, str]:
    return {"X-API-Key": create_key(api.warehouse, "operations", Scope.ADMIN).get_secret_value()}


def open_connection(api: Api, address: str = "127.0.0.1") -> socket.socket:
    """Open a connection to the API, from this address."""
    place = urlsplit(api.url)
    return socket.create_connection((str(place.hostname), place.port or 80), timeout=20, source_address=(address, 0))


def read_to_end(connection: socket.socket) -> bytes:
    """Return all bytes until the other side closes."""
    parts: list[bytes] = []
    while True:
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def get_response(api: Api, request: bytes) -> bytes:
    """Return the response to these bytes until the connection is closed."""
    with closing(open_connection(api)) as connection:
        connection.sendall(request)
        return read_to_end(connection)


def status_of(response: bytes) -> int:
    assert response.startswith(b"HTTP/1.1 "), response[:100]
    return int(response[9:12])


# --- headers


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HEAD + b"X-A: " + b"a" * 300_000, 431),
        (HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(HEADER_FIELDS + 1)) + b"\r\n", 431),
        (HEAD + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(40)) + b"\r\n", 431),
        (b"GET /" + b"a" * 300_000, 414),
        (b"GET /api/v1/tables?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b?c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
)
def test_a_header_beyond_the_limits_is_rejected_at_once(api: Api, request_: bytes, status: int) -> None:
    response = get_response(api, request_)
    head, _, body = response.partition(b"\r\n\r\n")
    assert status_of(response) == status, response
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert b'"status": %d' % status in body


def test_an_endless_header_costs_neither_memory_nor_the_others_time(api: Api) -> None:
    before = psutil.Process().memory_info().rss
    alone = measure_slowest(api)
    endless = [open_connection(api) for _ in range(10)]
    over = threading.Event()

    def send(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"X-A: ")
        try:
            while not over.is_set():
                connection.sendall(b"a" * 65_536)
        except OSError:
            pass

    threads = [threading.Thread(target=send, args=(connection,)) for connection in endless]
    for thread in threads:
        thread.start()
    meanwhile = measure_slowest(api)
    over.set()
    for thread in threads:
        thread.join()
    assert psutil.Process().memory_info().rss - before < 50e6
    assert meanwhile < 10 * alone + 1  # it was 3 s and more for one


def measure_slowest(api: Api) -> float:
    """Return the seconds of the second slowest of 30 requests in a row."""
    took = []
    for _ in range(30):
        begun = time.perf_counter()
        assert api.get("/api/v1/links").status_code == 200
        took.append(time.perf_counter() - begun)
    return sorted(took)[-2]


def test_an_endless_header_is_cut_off(api: Api) -> None:
    """Headers sent slowly, only in part, not at all, or as line feeds: some of each."""
    with ExitStack() as stack:
        silent, stuck, slow, feeding = (
            [stack.enter_context(closing(open_connection(api))) for _ in range(10)] for _ in range(4)
        )
        begun = time.monotonic()
        for connection in (*stuck, *slow):
            connection.sendall(HEAD)
        over = threading.Event()

        def drip() -> None:
            while not over.wait(SOON / 10):
                for connection, piece in [*((c, b"X") for c in slow), *((c, b"\r\n") for c in feeding)]:
                    with suppress(OSError):
                        connection.send(piece)

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert [api.get("/api/v1/links").status_code for _ in range(10)] == [200] * 10
            assert {read_to_end(connection) for connection in (*silent, *feeding)} == {b""}
            assert {status_of(read_to_end(connection)) for connection in (*stuck, *slow)} == {408}
        finally:
            over.set()
            dripping.join()
        assert time.monotonic() - begun < 20 * SOON


# --- bodies


def test_a_body_is_not_read_before_the_key_is_known(api: Api, admin: dict[str, str]) -> None:
    """The client gets its response, however the body is announced, even if it goes on sending."""
    sized = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n%s\r\n"
    chunked = b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n%s\r\n"
    key = b"X-API-Key: %s\r\n" % admin["X-API-Key"].encode()
    before = psutil.Process().memory_info().rss
    for head, path, with_key, status in (
        (sized, SYMBOLS, b"", 401), (chunked, SYMBOLS, b"", 401), (sized, SYMBOLS, key, 413),
        (chunked, SYMBOLS, key, 413), (sized, "/api/v1/status", b"", 405), (chunked, "/nowhere", b"", 404),
    ):  # fmt: skip
        with closing(open_connection(api)) as connection:
            connection.sendall(head % (path.encode(), with_key))
            part = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
            sent = 0
            try:
                while sent < 100e6:
                    sent += connection.send(part)
            except OSError:
                pass
            response = read_to_end(connection)
        assert status_of(response) == status, (head, path)
        assert b"connection: close" in response
    assert psutil.Process().memory_info().rss - before < 50e6


def test_a_body_that_does_not_come_or_is_a_bomb_is_rejected(api: Api, admin: dict[str, str]) -> None:
    key = b"X-API-Key: %s\r\n" % admin["X-API-Key"].encode()
    begun = time.monotonic()
    stuck = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n%s\r\n{" % (SYMBOLS.encode(), key)
    assert status_of(get_response(api, stuck)) == 408
    assert time.monotonic() - begun < 10 * SOON
    bomb = gzip.compress(b" " * 50_000_000)
    headers = {**admin, "Content-Encoding": "gzip", "Content-Type": "application/json"}
    problem(requests.post(api.url + SYMBOLS, data=bomb, headers=headers, timeout=20), 415)
    deep = b"[" * 60_000
    json_headers = {**admin, "Content-Type": "application/json"}
    response = requests.post(api.url + SYMBOLS, data=deep, headers=json_headers, timeout=20)
    assert response.status_code in (400, 422)


def test_a_body_that_comes_late_is_taken_and_the_connection_kept(api: Api, admin: dict[str, str]) -> None:
    body = b'{"symbol": "NVDA"}'
    head = f"POST {SYMBOLS} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {admin['X-API-Key']}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with closing(open_connection(api)) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert status_of(connection.recv(1 << 16)) == 201
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        assert status_of(read_to_end(connection)) == 200


# --- connections


def test_pipelined_requests_get_responses_in_their_order_up_to_a_number(api: Api) -> None:
    few = HEAD + b"\r\n"
    last = HEAD + b"Connection: close\r\n\r\n"
    assert get_response(api, few * 9 + last).count(b"HTTP/1.1 200") == 10
    assert get_response(api, few * 5_000).count(b"HTTP/1.1 200") <= PIPELINED_REQUESTS + 1


def test_a_client_with_too_many_connections_loses_its_oldest(api: Api) -> None:
    """Sixty is the maximum here; another address can connect, and the one with most connections loses its oldest."""
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(open_connection(api))) for _ in range(80)]
        other = stack.enter_context(closing(open_connection(api, "127.0.0.2")))
        other.sendall(HEAD + b"Connection: close\r\n\r\n")
        assert status_of(read_to_end(other)) == 200
        assert read_to_end(idle[0]) == b""


def test_a_request_for_a_websocket_or_another_protocol_gets_a_response_by_http(api: Api) -> None:
    for protocol in (b"websocket", b"h2c"):
        head = HEAD + b"Connection: Upgrade\r\nUpgrade: %s\r\n\r\n" % protocol
        assert status_of(get_response(api, head)) == 200


# --- responses


def test_downloads_that_nobody_reads_end_and_the_others_wait_for_their_place(api: Api) -> None:
    """More downloads than slots, from several addresses; a client that reads is served after them."""
    head = f"GET {MANY}?limit=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with ExitStack() as stack:
        unread = [stack.enter_context(closing(open_connection(api, f"127.0.0.{2 + n}"))) for n in range(DOWNLOADS + 2)]
        for connection in unread:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head)
        for connection in unread[:DOWNLOADS]:
            assert connection.recv(8).startswith(b"HTTP")
        honest = api.get(MANY, [("limit", "60000"), ("format", "csv")])
        assert honest.status_code in (200, 503)
        if honest.status_code == 503:
            assert "large downloads" in problem(honest, 503)["detail"]
            assert int(honest.headers["retry-after"]) > 0
        assert eventually(lambda: api.get(MANY, [("limit", "60000"), ("format", "csv")]).status_code == 200)
        assert eventually(lambda: count_streams(api) == 0)
        assert eventually(lambda: not find_held_sockets(api, unread))


def test_a_response_that_nobody_reads_does_not_stay_in_the_kernel(api: Api) -> None:
    """A megabyte is sent as far as the API goes, and all that is left is the kernel's."""
    with ExitStack() as stack:
        unread = [stack.enter_context(closing(open_connection(api, "127.0.0.9"))) for _ in range(3)]
        for connection in unread:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET {MANY}?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert connection.recv(8).startswith(b"HTTP")
        assert eventually(lambda: not find_held_sockets(api, unread))


def find_held_sockets(api: Api, clients: Sequence[socket.socket]) -> list[object]:
    """Return the kernel's sockets on the API's side of these connections, also those that the API has closed."""
    names = {client.getsockname() for client in clients}
    port = urlsplit(api.url).port
    return [
        each
        for each in psutil.net_connections("tcp4")
        if each.laddr and each.laddr.port == port and tuple(each.raddr) in names and each.status != "TIME_WAIT"
    ]


def test_the_query_of_a_client_that_leaves_is_cancelled(api: Api) -> None:
    """One query that is streamed, and one whose rows take long to find."""
    paths = "/api/v1/tables/slow?limit=5&order=none.desc", f"{MANY}?limit=60000&order=long.desc"
    for path in paths:
        with closing(open_connection(api)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert eventually(lambda: count_streams(api) > 0)
        assert eventually(lambda: count_streams(api) == 0, 5)  # the slow one would take 12 s


def count_streams(api: Api) -> int:
    """Return the number of the API's running statements on the two large tables."""
    [(number,)] = api.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' "
        "AND application_name = 'market_pipeline_api' AND (query LIKE '%many%' OR query LIKE '%slow%')"
    )
    return int(number)


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Return True if the condition becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_the_requested_host_does_not_matter(api: Api) -> None:
    """The header Host is neither in the next page's URL nor in a problem."""
    add_symbols(api.warehouse, [IBM, MSFT])
    shown = api.get("/api/v1/tables/tracked_symbols", [("limit", "1")], host="other.localhost:1").json()
    assert shown["next"].startswith("/api/v1/tables/tracked_symbols?")
    gone = api.get("/api/v1/performance/cache", host="evil.example")
    assert problem(gone, 410)["instance"] == "/api/v1/performance/cache"


def test_a_page_whose_name_leads_to_this_machine_reads_nothing(
    api: Api, server: embedded.Server, tmp_path: Path
) -> None:
    """Without keys, a request for another host may be that of a page on the web (DNS rebinding)."""
    paths = "/api/v1/status", "/api/v1/tables/sessions", "/rest/v1/sessions", "/metrics", "/openapi.json", "/udf/config"
    for path in paths:
        rejected = api.get(path, host="page.example:8000")
        assert rejected.status_code == 421, path
        assert "API_KEY_REQUIRED=true" in rejected.text
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert api.get(path, host=host).status_code == 200, path
    assert api.get("/health", host="page.example").status_code == 200
    with serving(server, tmp_path, api_trusted_proxies="127.0.0.1") as behind_a_proxy:
        assert behind_a_proxy.get(paths[0], host="bars.example").status_code == 200


def test_the_same_headers_are_on_every_response(api: Api) -> None:
    paths: Sequence[str] = ("/", "/docs", "/redoc", "/openapi.json", "/health", "/nowhere", "/static/page.js", MANY)
    for path in paths:
        headers = api.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "unsafe-inline" not in headers["content-security-policy"].partition("style-src")[0]


def test_the_documented_limits_are_those_in_force() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "api.md").read_text(encoding="utf-8")
    rows = text.partition("## Limits")[2].partition("\n## ")[0].splitlines()
    table = {row.split("|")[1].strip(): row for row in rows if row.startswith("| ")}
    default: dict[str, Any] = {name: field.default for name, field in Settings.model_fields.items()}
    documented: dict[str, list[float]] = {
        "URL": [limits.URL_BYTES], "header": [limits.HEADER_FIELDS, limits.HEADER_BYTES], "body": [limits.BODY_BYTES],
        "time for a header to arrive": [limits.HEAD_SECONDS], "time for a body to arrive": [limits.BODY_SECONDS],
        "requests sent ahead of their responses on one connection": [limits.PIPELINED_REQUESTS],
        "connection without a request": [limits.IDLE_SECONDS], "connections": [default["api_max_connections"]],
        "requests of one address in a minute": [default["api_requests_per_minute"]],
        "rows of one page: of JSON, and of a file with `limit`": [default["api_max_rows"]],
        "time to the first byte of a response": [limits.QUERY_SECONDS],
        "downloads of more than 10,000 rows at once": [
            limits.DOWNLOADS, limits.DOWNLOADS_OF_ONE, limits.DOWNLOAD_WAIT
        ],
        "files kept to be read by parts": [
            limits.KEPT_FILES, limits.KEPT_FILES_OF_ONE, limits.KEPT_FILE_BYTES / 1024**2, limits.KEPT_BYTES / 1024**3
        ],
        "such a download as a whole": [limits.STREAM_SECONDS],
        "time to receive a response": [limits.SEND_BYTES, limits.SEND_SECONDS],
        "backfills that have not ended": [default["api_max_backfills"]],
    }  # fmt: skip
    for name, numbers in documented.items():
        for number in numbers:
            assert re.search(rf"(?<![\d,]){number:,.0f}(?!,?\d)", table[name]), (name, number)
