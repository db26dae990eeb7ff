"""Calls to a slow or endless webhook, mail server, Dagster or vendor end in time and keep little in memory."""

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from market_pipeline.core import notifications
from market_pipeline.core.deadlines import DeadlineError, call_within
from market_pipeline.core.notifications import Alert, AlertError, Mail, Webhook
from market_pipeline.core.settings import Settings
from market_pipeline.operations.service_probes import API, is_listening
from market_pipeline.orchestration import alert_sensors, celery_app, code_location
from market_pipeline.orchestration.code_location import ReloadError, SlowWebserverError, WebserverUnreachableError
from market_pipeline.polygon import sending, vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.polygon.sending import RetryPolicy
from market_pipeline_tests.integration.polygon_cases import AAPL, APRIL_1, APRIL_4, client_of
from market_pipeline_tests.receivers import running_mail_server
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor
from market_pipeline_tests.slow_servers import HEAD, Pieces, dripping, flooding, slow_server

ALERT = Alert("test", "A title", "A text", datetime(2026, 3, 2, tzinfo=UTC))
LIMIT = 0.5
AT_MOST = 5.0
"""Seconds that a call with that limit may take on a busy machine."""
LIMITS = {name: getattr(notifications, name) for name in ("WEBHOOK_SECONDS", "MAIL_SECONDS")}
MEGABYTE = b"x" * 1_000_000
OPEN_HEAD = b"HTTP/1.1 200 OK\r\nX-Slow: "
MOST_MEMORY = 200_000_000


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.setattr(notifications, name, LIMIT)


@contextmanager
def in_time() -> Iterator[None]:
    """Check that the block ends in time and leaves none of its calls behind."""
    began = time.monotonic()
    yield
    while any(thread.name == "network call" for thread in threading.enumerate()):
        assert time.monotonic() - began < AT_MOST
        time.sleep(0.01)
    assert time.monotonic() - began < AT_MOST


@pytest.mark.parametrize("pieces", [dripping(HEAD), flooding(HEAD, MEGABYTE)])
def test_a_webhook_that_never_ends_its_response_has_taken_the_alert(pieces: Pieces) -> None:
    with slow_server(pieces) as server, in_time():
        Webhook(SecretStr(server.url)).send(ALERT)
    assert len(server.requests) == 1
    assert server.sent < 20_000_000


@pytest.mark.parametrize("pieces", [dripping(), dripping(OPEN_HEAD)])
def test_a_webhook_that_never_responds_times_out(pieces: Pieces) -> None:
    raises = pytest.raises(AlertError, match=r"the webhook at 127\.0\.0\.1 gave no response within 0\.5 s")
    with slow_server(pieces) as server, in_time(), raises:
        Webhook(SecretStr(server.url)).send(ALERT)
    assert len(server.requests) == 1, "sent once a tick at most"


def test_an_alert_that_may_have_been_taken_is_sent_again_under_the_same_key() -> None:
    with slow_server(dripping()) as server:
        for _ in range(2):
            with pytest.raises(AlertError, match="no response within"):
                Webhook(SecretStr(server.url)).send(ALERT)
    [first], [second] = (
        [line for line in sent.split(b"\r\n") if line.startswith(b"Idempotency-Key: ")] for sent in server.requests
    )
    assert first == second


def mail_to(port: int) -> Mail:
    return Mail(SecretStr(f"smtp://127.0.0.1:{port}"), "a@example.com", ["b@example.com"])


@pytest.mark.parametrize(
    "pieces", [dripping(), dripping(b"220-"), flooding(b"220-hello\r\n", b"220-hello\r\n" * 9_999)]
)
def test_a_mail_server_that_never_ends_its_greeting_times_out(pieces: Pieces) -> None:
    raises = pytest.raises(AlertError, match=r"the mail server 127\.0\.0\.1 can't be used")
    with slow_server(pieces, waits_for_request=False) as server, in_time(), raises:
        mail_to(server.port).send(ALERT)
    assert server.sent < 20_000_000


def test_an_accepted_mail_counts_as_sent_even_if_closing_the_connection_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "MAIL_SECONDS", LIMITS["MAIL_SECONDS"])
    with running_mail_server() as mailbox, in_time():
        mailbox.responds_to_quit = False
        mail_to(mailbox.port).send(ALERT)
        assert len(mailbox.mails) == 1


def test_a_redis_that_accepts_connections_and_never_responds_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_app, "SOCKET_SECONDS", LIMIT)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        app = celery_app.make_celery_app(Settings(_env_file=None, celery_broker_url=SecretStr(url)), "runs")
        with in_time(), pytest.raises(RedisError):
            app.AsyncResult("a task").state  # noqa: B018, reading it queries Redis
        with app.connection_for_write() as broker:  # which tries four times, and takes longer than is worth here
            assert broker.transport_options["socket_timeout"] == LIMIT


def test_the_sensors_have_the_time_that_their_channels_may_take() -> None:
    webhook = notifications.ATTEMPTS * LIMITS["WEBHOOK_SECONDS"] + notifications.PAUSES
    # Dagster aborts a tick after a minute, and its alerts are sent again.
    assert alert_sensors.LONGEST_TICK + webhook + LIMITS["MAIL_SECONDS"] < 55


@pytest.mark.parametrize("pieces", [dripping(), dripping(HEAD), flooding(HEAD, MEGABYTE)])
def test_a_server_with_an_endless_response_is_not_ours(pieces: Pieces) -> None:
    with slow_server(pieces) as server, in_time():
        assert not is_listening(server.url, API, LIMIT)
    assert server.sent < 20_000_000


@pytest.mark.parametrize(("at_once", "then"), [(b"", b"x"), (HEAD, b" ")])
def test_a_webserver_that_never_ends_its_response_delays_no_reload(
    at_once: bytes, then: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_location, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(code_location, "RESPONSE_SECONDS", LIMIT)
    with slow_server(dripping(at_once, then)) as server, in_time(), pytest.raises(SlowWebserverError):
        code_location.request_reload(server.url)


def test_a_webserver_with_an_endless_response_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_location, "MOST_BYTES", 3_000_000)
    with slow_server(flooding(HEAD, MEGABYTE)) as server, in_time(), pytest.raises(WebserverUnreachableError):
        code_location.reload_code_location(server.url, 60)
    assert server.sent < 30_000_000
    assert not issubclass(WebserverUnreachableError, ReloadError)


@pytest.mark.parametrize("at_once", [OPEN_HEAD, HEAD, HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_slow_vendor_times_out_at_the_deadline(at_once: bytes) -> None:
    policy = RetryPolicy(connect=2, read=2, whole_response=LIMIT, attempts=1)
    with slow_server(dripping(at_once, b"0")) as server, in_time():
        client = PolygonClient(server.url, None, source="sandbox", limiter=LocalLimiter(10_000), retry_policy=policy)
        with client, pytest.raises(vendor_errors.VendorDownError, match="DeadlineError"):
            client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert len(server.requests) == 1


def test_a_gzip_bomb_from_the_vendor_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(400_000_000), 6)
    assert len(bomb) < 1_000_000
    with scripted_vendor(Reply(bomb, headers={"Content-Encoding": "gzip"})) as vendor, client_of(vendor) as client:
        tracemalloc.start()
        try:
            with pytest.raises(vendor_errors.BadResponseError, match="larger than 64 MB"):
                client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()
    assert len(vendor.requests) == 1
    assert sending.MAX_BODY_BYTES == 64 * 1024**2


def test_a_call_without_a_socket_yet_times_out() -> None:
    """A name server that doesn't respond holds up getaddrinfo, which can't be ended."""
    looked_up = threading.Event()
    with pytest.raises(DeadlineError, match=r"no end after 0\.1 s"):
        call_within(0.1, looked_up.wait)
    looked_up.set()
