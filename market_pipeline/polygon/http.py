"""Requests to the vendor's REST API: authenticated, within the rate limit, with retries and pages.

Endpoints and the contents of their responses are in `client`; deadlines and retries are in `sending`.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from market_pipeline.core.settings import Source
from market_pipeline.core.vendor_url import POLYGON_HOSTS
from market_pipeline.polygon.key import BearerAuth, prepare_key, remove_key
from market_pipeline.polygon.limiter import Limiter
from market_pipeline.polygon.response_body import Body, read_body
from market_pipeline.polygon.sending import OnWait, RequestTrace, RetryPolicy, VendorSession
from market_pipeline.polygon.vendor_errors import BadResponseError, PolygonError, quote_text

MAX_PAGES = 1_000


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
        self._key = prepare_key(api_key, source)
        self._source = source
        self._limiter = limiter
        self._on_wait = on_wait
        self._session = VendorSession(
            base_url,
            source=source,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
            retry_policy=retry_policy,
            on_wait=on_wait,
        )

    def close(self) -> None:
        """Close the open sockets."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], trace: RequestTrace) -> Body:
        """Return the body of a successful response; retry after transient errors.

        Raises:
            PolygonError: of the subclass that fits.
        """
        target = f"{path}?{urlencode(params)}"
        return self._session.call_with_retries(lambda: self._send_once(target, trace))

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
            path, params = self._own_path(parts), {**(keep or {}), **_read_query_without_key(parts)}

    def _check_next_url(self, link: object, trace: RequestTrace) -> SplitResult:
        """Check that the next page is at the vendor's address, so that the key goes nowhere else."""
        try:
            parts = urlsplit(link if isinstance(link, str) else "")
            known = parts.hostname in POLYGON_HOSTS | {self._session.host} and parts.path.startswith("/")
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
        own = urlsplit(self._session.base_url).path
        written = parts.hostname == self._session.host and parts.path.startswith(f"{own}/")
        return parts.path.removeprefix(own) if written else parts.path

    def _send_once(self, target: str, trace: RequestTrace) -> Body:
        waited = self._limiter.acquire()
        trace.waited_seconds += waited
        if waited > 0:
            self._on_wait(waited, "rate limit")
        trace.requests += 1
        try:
            response = self._session.get(target, BearerAuth(self._key), trace.about)
            return read_body(response, self._source, trace.about)
        except PolygonError as error:
            error.args = (remove_key(str(error), self._key),)
            raise


def _read_query_without_key(parts: SplitResult) -> dict[str, str]:
    return {name: value for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "apiKey"}
