"""HTTP to one of the vendor's addresses: deadlines, bodies of limited size, retries; for REST and for flat files.

Authentication and the contents of responses are the callers'.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import tenacity
import urllib3
from requests.auth import AuthBase

from market_pipeline.core import stop_signals
from market_pipeline.core.outbound_http import BodyTooLargeError, HttpResponse, open_session, send
from market_pipeline.core.settings import Source
from market_pipeline.core.sockets import LOOPBACK_HOSTS
from market_pipeline.core.vendor_url import is_vendor, is_vendors_files
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.polygon.vendor_errors import (
    BadRequestError,
    BadResponseError,
    PolygonError,
    RateLimitedError,
    TransientError,
    VendorDownError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Decompressed. The longest have some 6 MB: 50,000 bars, the most of one page."""

OnWait = Callable[[float, str], None]
"""Called for each wait, with its seconds and its reason."""


def ignore_wait(_seconds: float, _reason: str) -> None:
    """Do nothing; the default for `on_wait`."""


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts, number of attempts and waits between them. All times in seconds.

    `rate_limit_wait` is for a 429 without `Retry-After`. A response that demands more than `longest_wait` is an error
    at once, since a run waits for it.
    """

    connect: float = 10.0
    read: float = 30.0
    whole_response: float = 120.0
    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 120.0
    rate_limit_wait: float = WINDOW_SECONDS


@dataclass
class RequestTrace:
    """Counts of the requests made for one purpose, which `about` names in messages.

    `waited_seconds` is the time that those requests waited for the rate limit.
    """

    about: str
    requests: int = 0
    waited_seconds: float = 0.0


@contextmanager
def request_trace(about: str) -> Iterator[RequestTrace]:
    """Count the requests and waits of the block; copy the counts to a `PolygonError` that it raises."""
    trace = RequestTrace(about)
    try:
        yield trace
    except PolygonError as error:
        error.requests, error.waited_seconds = trace.requests, trace.waited_seconds
        raise


class SelfClosing:
    """A context manager that closes itself at the end of the block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the open sockets."""
        raise NotImplementedError


class VendorSession:
    """An HTTP session with one vendor URL, kept open between requests. Safe to share between threads.

    Args:
        base_url: `https://host` or `http://host:port`, for a gateway with a path after it.
        source: the sender that is expected there, for messages.
        headers: headers of every request.
        retry_policy: timeouts and retries.
        on_wait: called for each wait before a retry.
    """

    def __init__(
        self, base_url: str, *, source: Source, headers: dict[str, str], retry_policy: RetryPolicy, on_wait: OnWait
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.host = urlsplit(base_url).hostname or ""
        self._source = source
        self._retry_policy = retry_policy
        self._on_wait = on_wait
        # A proxy from the environment is for other hosts, and can't reach a sandbox on loopback.
        self._session = open_session(trust_env=self.host not in LOOPBACK_HOSTS)
        self._session.headers.update({"User-Agent": "market-pipeline", **headers})
        self._backoff = tenacity.wait_exponential(
            multiplier=retry_policy.first_wait, max=retry_policy.longest_wait
        ) + tenacity.wait_random(0, retry_policy.first_wait)

    def close(self) -> None:
        """Close the open sockets."""
        self._session.close()

    def call_with_retries(self, call: Callable[[], T]) -> T:
        """Return what `call` returns; call it again after transient errors.

        Raises:
            PolygonError: the error of the last attempt.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_retryable),
            stop=tenacity.stop_after_attempt(self._retry_policy.attempts),
            wait=self._wait,
            sleep=stop_signals.pause,
            before_sleep=self._report_retry,
            reraise=True,
        )
        return retrying(call)

    def get(self, path: str, auth: AuthBase, about: str) -> HttpResponse:
        """Send one request and return its response. Errors hold nothing of the request, whose headers have the key.

        Args:
            path: path and query, appended to the base URL.
            auth: what signs the request.
            about: the request's subject, for messages.

        Raises:
            PolygonError: there is no response, or it is too large.
        """
        try:
            return send(
                self._session,
                "GET",
                f"{self.base_url}{path}",
                seconds=self._retry_policy.whole_response,
                most_bytes=MAX_BODY_BYTES,
                auth=auth,
                timeout=(self._retry_policy.connect, self._retry_policy.read),
            )
        except ValueError:
            raise BadRequestError(f"{about}: {self.base_url} is not a valid URL. Fix it in .env") from None
        except BodyTooLargeError:
            raise BadResponseError(
                f"{about}: the response is larger than {MAX_BODY_BYTES // 1024**2} MB and was not read. Check "
                "the vendor's URL in .env, or report it"
            ) from None
        except (OSError, urllib3.exceptions.HTTPError) as problem:
            raise VendorDownError(f"{about}: {self._describe_no_response(problem)}") from None

    def _describe_no_response(self, problem: Exception) -> str:
        if self._source == "sandbox":
            return f"no response from {self.base_url} ({type(problem).__name__}). Is `market-pipeline sandbox` running?"
        if not is_vendor(self.base_url) and not is_vendors_files(self.base_url):
            gateway = f"the gateway at {self.base_url} ({type(problem).__name__})"
            return f"no response from {gateway}. Check POLYGON_GATEWAY_URL and that the gateway runs"
        return f"no response from {self.host} ({type(problem).__name__}). Check the network, or try again later"

    def _is_retryable(self, error: BaseException) -> bool:
        return isinstance(error, TransientError) and (error.retry_after or 0) <= self._retry_policy.longest_wait

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, TransientError) else None
        if retry_after is not None:
            return retry_after
        return self._retry_policy.rate_limit_wait if isinstance(error, RateLimitedError) else self._backoff(state)

    def _report_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("Retrying in %.1f s (attempt %d failed): %s", wait, state.attempt_number, error)
        self._on_wait(wait, "retry")
