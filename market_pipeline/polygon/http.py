"""Requests to the vendor: authenticated, within the rate limit, with deadlines, retries and pages.

Endpoints and the contents of their responses are in `client`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import tenacity
import urllib3
from pydantic import SecretStr

from market_pipeline.core import stop_signals
from market_pipeline.core.outbound_http import BodyTooLargeError, open_session, send
from market_pipeline.core.settings import Source
from market_pipeline.core.sockets import LOOPBACK_HOSTS
from market_pipeline.core.vendor_url import POLYGON_HOSTS, is_vendor
from market_pipeline.polygon.key import BearerAuth, usable_key, without_key
from market_pipeline.polygon.limiter import WINDOW_SECONDS, Limiter
from market_pipeline.polygon.response_body import Body, VendorResponse, read_body
from market_pipeline.polygon.vendor_errors import (
    BadRequestError,
    BadResponseError,
    PolygonError,
    RateLimitedError,
    TransientError,
    VendorDownError,
    quote_text,
)

log = logging.getLogger(__name__)

MAX_PAGES = 1_000
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Decompressed. The longest have some 6 MB: 50,000 bars, the most of one page."""

OnWait = Callable[[float, str], None]
"""Called for each wait, with its seconds and its reason."""


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


class VendorConnection:
    """Connection to one vendor URL, kept open between requests. Safe to share between threads.

    Args:
        base_url: `https://host` or `http://host:port`, for a gateway with a path after it.
        api_key: the vendor key; a sandbox needs none.
        source: the expected sender of responses.
        limiter: acquired before every request.
        retry_policy: timeouts and retries.
        on_wait: called for each wait.

    Raises:
        MissingKeyError: the vendor needs a key and there is none.
        BadKeyError: the key has characters that no key has.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        source: Source,
        limiter: Limiter,
        retry_policy: RetryPolicy,
        on_wait: OnWait,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(base_url).hostname or ""
        self._key = usable_key(api_key, source)
        self._source = source
        self._limiter = limiter
        self._retry_policy = retry_policy
        self._on_wait = on_wait
        # A proxy from the environment is for other hosts, and can't reach a sandbox on loopback.
        self._session = open_session(trust_env=self._host not in LOOPBACK_HOSTS)
        self._session.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "market-pipeline"}
        )
        self._backoff = tenacity.wait_exponential(
            multiplier=retry_policy.first_wait, max=retry_policy.longest_wait
        ) + tenacity.wait_random(0, retry_policy.first_wait)

    def close(self) -> None:
        """Close the open sockets."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], trace: RequestTrace) -> Body:
        """Return the body of a successful response; retry after transient errors.

        Raises:
            PolygonError: of the subclass that fits.
        """
        send_with_retries = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_retryable),
            stop=tenacity.stop_after_attempt(self._retry_policy.attempts),
            wait=self._wait,
            sleep=stop_signals.pause,
            before_sleep=self._report_retry,
            reraise=True,
        )
        return send_with_retries(self._send_once, f"{self._base_url}{path}?{urlencode(params)}", trace)

    def pages(
        self,
        path: str,
        params: Mapping[str, str],
        trace: RequestTrace,
        *,
        keep: Mapping[str, str] | None = None,
        max_pages: int = MAX_PAGES,
    ) -> Iterator[Body]:
        """Yield the bodies of a response's pages, first to last.

        Args:
            path: the endpoint.
            params: the first page's query.
            trace: the trace that counts the requests.
            keep: parameters that every later page's query must have, should the vendor's link have lost them.
            max_pages: the most pages that are read.

        Raises:
            PolygonError: a page can't be fetched, or the pages don't end.
        """
        seen: set[str] = set()
        while True:
            body = self.get(path, params, trace)
            yield body
            link = body.get("next_url")
            if not link:
                return
            parts = self._check_next_url(link, trace)
            if link in seen or len(seen) >= max_pages:
                raise BadResponseError(f"{trace.about}: the vendor's pages don't end. Try again later")
            seen.add(link)
            path, params = self._own_path(parts), {**(keep or {}), **_query_without_key(parts)}

    def _check_next_url(self, link: object, trace: RequestTrace) -> SplitResult:
        """Check that the next page is at the vendor's address, so that the key goes nowhere else."""
        try:
            parts = urlsplit(link if isinstance(link, str) else "")
            known = parts.hostname in POLYGON_HOSTS | {self._host} and parts.path.startswith("/")
        except ValueError:
            known = False
        if not known:
            where = quote_text(str(link).partition("?")[0])
            raise BadResponseError(
                f'{trace.about}: the next page, "{where}", is not at the vendor\'s address. Report it'
            )
        return parts

    def _own_path(self, parts: SplitResult) -> str:
        """Return a next page's path below our base URL; a gateway may have put its own path before the vendor's."""
        own = urlsplit(self._base_url).path
        written = parts.hostname == self._host and parts.path.startswith(f"{own}/")
        return parts.path.removeprefix(own) if written else parts.path

    def _send_once(self, url: str, trace: RequestTrace) -> Body:
        waited = self._limiter.acquire()
        trace.waited_seconds += waited
        if waited > 0:
            self._on_wait(waited, "rate limit")
        trace.requests += 1
        try:
            return read_body(self._send(url, trace.about), self._source, trace.about)
        except PolygonError as error:
            error.args = (without_key(str(error), self._key),)
            raise

    def _send(self, url: str, about: str) -> VendorResponse:
        """Send one request. Errors hold nothing of the request, whose headers have the key."""
        try:
            response = send(
                self._session,
                "GET",
                url,
                seconds=self._retry_policy.whole_response,
                most_bytes=MAX_BODY_BYTES,
                auth=BearerAuth(self._key),
                timeout=(self._retry_policy.connect, self._retry_policy.read),
            )
        except ValueError:
            raise BadRequestError(f"{about}: {self._base_url} is not a valid URL. Fix it in .env") from None
        except BodyTooLargeError:
            raise BadResponseError(
                f"{about}: the response is larger than {MAX_BODY_BYTES // 1024**2} MB and was not read. Check "
                "POLYGON_BASE_URL, or report it"
            ) from None
        except (OSError, urllib3.exceptions.HTTPError) as problem:
            raise VendorDownError(f"{about}: {self._describe_no_response(problem)}") from None
        return VendorResponse(response.status, response.headers, response.content)

    def _describe_no_response(self, problem: Exception) -> str:
        if self._source == "sandbox":
            return (
                f"no response from {self._base_url} ({type(problem).__name__}). Is `market-pipeline sandbox` running?"
            )
        if not is_vendor(self._base_url):
            gateway = f"the gateway at {self._base_url} ({type(problem).__name__})"
            return f"no response from {gateway}. Check POLYGON_GATEWAY_URL and that the gateway runs"
        return f"no response from {self._host} ({type(problem).__name__}). Check the network, or try again later"

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


def _query_without_key(parts: SplitResult) -> dict[str, str]:
    return {name: value for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "apiKey"}
