"""How the vendor is asked: with the key, within the rate limit and in bounded time, again where that can help.

Knows requests, pages and waits; what is asked for and what the answers hold is `client`'s business.
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
from market_pipeline.polygon.rate_limit import WINDOW_SECONDS, Limiter
from market_pipeline.polygon.response_body import Body, VendorResponse, read_body
from market_pipeline.polygon.vendor_errors import (
    BadRequestError,
    BadResponseError,
    PolygonError,
    RateLimitedError,
    TransientError,
    VendorDownError,
    quoted,
)

log = logging.getLogger(__name__)

MAX_PAGES = 1_000
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Decompressed. The longest are some 6 MB: 50,000 bars, the most of one page."""

OnWait = Callable[[float, str], None]
"""Told of every wait worth telling: its seconds and its reason."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for an answer and how often to ask again. All waits in seconds.

    `rate_limit_wait` is for a 429 that doesn't say how long to wait. An answer that asks for more than `longest_wait`
    is taken as a no: somebody waits for the run.
    """

    connect: float = 10.0
    read: float = 30.0
    whole_answer: float = 120.0
    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 120.0
    rate_limit_wait: float = WINDOW_SECONDS


@dataclass
class RequestTrace:
    """One thing wanted from the vendor, in however many requests it takes. `about` names it in messages.

    `waited_seconds` is how long those requests waited for the rate limit.
    """

    about: str
    requests: int = 0
    waited_seconds: float = 0.0


@contextmanager
def request_trace(about: str) -> Iterator[RequestTrace]:
    """A question whose requests and waits are counted, on the error too where there is no answer."""
    asked = RequestTrace(about)
    try:
        yield asked
    except PolygonError as error:
        error.requests, error.waited_seconds = asked.requests, asked.waited_seconds
        raise


class Connection:
    """The way to one vendor address, kept open between requests. Safe to share between threads.

    Args:
        base_url: `https://host` or `http://host:port`, of a gateway with a path after it.
        api_key: the account's key; a sandbox needs none.
        source: who is expected to answer there.
        limiter: asked before every request.
        patience: timeouts and retries.
        on_wait: told of waits.

    Raises:
        MissingKeyError: the vendor is to be asked without a key.
        BadKeyError: the key can't be one.
    """

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None,
        *,
        source: Source,
        limiter: Limiter,
        patience: RetryPolicy,
        on_wait: OnWait,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(base_url).hostname or ""
        self._key = usable_key(api_key, source)
        self._source = source
        self._limiter = limiter
        self._patience = patience
        self._on_wait = on_wait
        # A proxy from the environment is for the world outside, and would keep a sandbox's answers away.
        self._session = open_session(trust_env=self._host not in LOOPBACK_HOSTS)
        self._session.headers.update(
            {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "market-pipeline"}
        )
        self._backoff = tenacity.wait_exponential(
            multiplier=patience.first_wait, max=patience.longest_wait
        ) + tenacity.wait_random(0, patience.first_wait)

    def close(self) -> None:
        """Close the sockets kept open."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], asked: RequestTrace) -> Body:
        """The body of one successful answer, asked for again while the failure may pass.

        Raises:
            PolygonError: of the kind that fits.
        """
        ask = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._may_pass),
            stop=tenacity.stop_after_attempt(self._patience.attempts),
            wait=self._wait,
            sleep=stop_signals.pause,
            before_sleep=self._announce,
            reraise=True,
        )
        return ask(self._attempt, f"{self._base_url}{path}?{urlencode(params)}", asked)

    def pages(
        self,
        path: str,
        params: Mapping[str, str],
        asked: RequestTrace,
        *,
        keep: Mapping[str, str] | None = None,
        most: int = MAX_PAGES,
    ) -> Iterator[Body]:
        """The bodies of an answer's pages, first to last.

        Args:
            path: the endpoint.
            params: the first page's query.
            asked: what it is for.
            keep: what every later page's query must hold, should the vendor's link have lost it.
            most: how many pages there can be.

        Raises:
            PolygonError: a page can't be had, or the pages don't end.
        """
        seen: set[str] = set()
        while True:
            body = self.get(path, params, asked)
            yield body
            link = body.get("next_url")
            if not link:
                return
            parts = self._next_page(link, asked)
            if link in seen or len(seen) >= most:
                raise BadResponseError(f"{asked.about}: the vendor's pages don't end. Try again later")
            seen.add(link)
            path, params = self._path(parts), {**(keep or {}), **_query(parts)}

    def _next_page(self, link: object, asked: RequestTrace) -> SplitResult:
        """A link to a next page, fit to be resolved against our own address: the key goes nowhere else."""
        try:
            parts = urlsplit(link if isinstance(link, str) else "")
            known = parts.hostname in POLYGON_HOSTS | {self._host} and parts.path.startswith("/")
        except ValueError:
            known = False
        if not known:
            where = quoted(str(link).partition("?")[0])
            raise BadResponseError(
                f'{asked.about}: the next page, "{where}", is not at the vendor\'s address. Report it'
            )
        return parts

    def _path(self, parts: SplitResult) -> str:
        """Path of a next page below our address; a gateway may have written its own path into the vendor's link."""
        own = urlsplit(self._base_url).path
        written = parts.hostname == self._host and parts.path.startswith(f"{own}/")
        return parts.path.removeprefix(own) if written else parts.path

    def _attempt(self, url: str, asked: RequestTrace) -> Body:
        waited = self._limiter.acquire()
        asked.waited_seconds += waited
        if waited > 0:
            self._on_wait(waited, "rate limit")
        asked.requests += 1
        try:
            return read_body(self._send(url, asked.about), self._source, asked.about)
        except PolygonError as error:
            error.args = (without_key(str(error), self._key),)
            raise

    def _send(self, url: str, about: str) -> VendorResponse:
        """One request. What is raised carries nothing of the request, whose headers hold the key."""
        try:
            response = send(
                self._session,
                "GET",
                url,
                seconds=self._patience.whole_answer,
                most_bytes=MAX_BODY_BYTES,
                auth=BearerAuth(self._key),
                timeout=(self._patience.connect, self._patience.read),
            )
        except ValueError:
            raise BadRequestError(
                f"{about}: {self._base_url} is no address that can be asked. Fix it in .env"
            ) from None
        except BodyTooLargeError:
            raise BadResponseError(
                f"{about}: the answer is larger than {MAX_BODY_BYTES // 1024**2} MB, and cut off. Check "
                "POLYGON_BASE_URL, or report it"
            ) from None
        except (OSError, urllib3.exceptions.HTTPError) as problem:
            raise VendorDownError(f"{about}: {self._no_answer(problem)}") from None
        return VendorResponse(response.status, response.headers, response.content)

    def _no_answer(self, problem: Exception) -> str:
        if self._source == "sandbox":
            return f"no answer from {self._base_url} ({type(problem).__name__}). Is `market-pipeline sandbox` running?"
        if not is_vendor(self._base_url):
            gateway = f"the gateway at {self._base_url} ({type(problem).__name__})"
            return f"no answer from {gateway}. Check POLYGON_GATEWAY_URL and that the gateway runs"
        return f"no answer from {self._host} ({type(problem).__name__}). Check the network, or try again later"

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, TransientError) and (error.retry_after or 0) <= self._patience.longest_wait

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.retry_after if isinstance(error, TransientError) else None
        if asked_for is not None:
            return asked_for
        return self._patience.rate_limit_wait if isinstance(error, RateLimitedError) else self._backoff(state)

    def _announce(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("Asking again in %.1f s (attempt %d failed): %s", wait, state.attempt_number, error)
        self._on_wait(wait, "retry")


def _query(parts: SplitResult) -> dict[str, str]:
    return {name: value for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "apiKey"}
