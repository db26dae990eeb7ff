"""The vendor's flat files: listed with their ETags, and read, over S3's HTTP API.

Contents are parsed by `flat_file_parsing`; errors of S3 are read by `flat_file_errors`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self
from urllib.parse import urlencode

from pydantic import SecretStr
from requests.auth import AuthBase

from market_pipeline.core.market_bars import MarketSession
from market_pipeline.core.markets import Market
from market_pipeline.core.outbound_http import HttpResponse
from market_pipeline.core.settings import Settings, Source
from market_pipeline.core.vendor_url import is_vendors_files
from market_pipeline.polygon.flat_file_errors import build_response_error, check_sender, read_xml
from market_pipeline.polygon.flat_file_parsing import parse_flat_file
from market_pipeline.polygon.known_tickers import KnownTickers
from market_pipeline.polygon.sending import (
    OnWait,
    RequestTrace,
    RetryPolicy,
    SelfClosing,
    VendorSession,
    ignore_wait,
    request_trace,
)
from market_pipeline.polygon.vendor_errors import BadKeyError, BadResponseError, PolygonError

BUCKET = "flatfiles"
REGION = "us-east-1"
"""Part of a signature. The vendor has one region; S3's default stands for it."""

KEYS_PER_PAGE = 1_000
"""S3's limit."""
MAX_PAGES = 100

RETRIES = RetryPolicy(attempts=3)
"""Fewer than of REST: a session that no file brings is requested there instead."""


@dataclass(frozen=True)
class FlatFileKeys:
    """The pair of keys of an account's flat files, which is not its API key."""

    access: SecretStr
    secret: SecretStr

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Return the keys, without blanks around them; None if there are none.

        Raises:
            BadKeyError: there is only one of the two, or it has characters that no key has.
        """
        access, secret = (
            (key.get_secret_value().strip() if key else "")
            for key in (settings.polygon_s3_access_key, settings.polygon_s3_secret_key)
        )
        names = ("POLYGON_S3_ACCESS_KEY", "POLYGON_S3_SECRET_KEY")
        if not access and not secret:
            return None
        for name, other, key in zip(names, reversed(names), (access, secret), strict=True):
            if not key:
                raise BadKeyError(f"{other} is set without {name}: set both in .env, or neither")
            if not all("!" <= letter <= "~" for letter in key):
                raise BadKeyError(f"{name} has spaces or letters that no key has. Fix it in .env")
        return cls(SecretStr(access), SecretStr(secret))

    def sign(self) -> AuthBase:
        """Return what signs one request: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html."""
        from requests_aws4auth import AWS4Auth

        # One of its own for each request: at midnight a shared one changes its key while other threads sign with it.
        auth: AuthBase = AWS4Auth(self.access.get_secret_value(), self.secret.get_secret_value(), REGION, "s3")
        return auth

    def remove_from(self, text: str) -> str:
        """Replace the keys by *** in text from outside, which may repeat them."""
        for key in (self.secret, self.access):
            text = text.replace(key.get_secret_value(), "***")
        return text


@dataclass(frozen=True)
class FileList:
    """ETags of the flat files that there are, by session, and the requests that the list took."""

    versions: Mapping[date, str]
    requests: int


class FlatFileReader(SelfClosing):
    """Flat files of the vendor, or of a sandbox. Thread-safe; a context manager that closes its sockets.

    Every method raises a subclass of `PolygonError`, whose `requests` is the number of requests that were made. They
    don't count in the rate limit.

    Args:
        url: the URL of the vendor's files, or of a sandbox's.
        keys: the account's.
        source: the expected sender of responses; one from another sender is rejected.
        retry_policy: timeouts and retries.
        on_wait: called with the seconds of each wait before a "retry".
    """

    def __init__(
        self,
        url: str,
        keys: FlatFileKeys,
        *,
        source: Source,
        retry_policy: RetryPolicy = RETRIES,
        on_wait: OnWait = ignore_wait,
    ) -> None:
        self.source = source
        self._keys = keys
        self._known_tickers = KnownTickers()
        self._session = VendorSession(
            url, source=source, headers={"Accept-Encoding": "identity"}, retry_policy=retry_policy, on_wait=on_wait
        )

    @classmethod
    def from_settings(cls, settings: Settings, on_wait: OnWait = ignore_wait) -> Self | None:
        """Create the reader that the settings describe; None if they have no keys.

        Raises:
            BadKeyError: there is only one of the two keys, or it has characters that no key has.
        """
        keys = FlatFileKeys.from_settings(settings)
        if keys is None:
            return None
        source: Source = "polygon" if is_vendors_files(settings.files_url) else "sandbox"
        return cls(settings.files_url, keys, source=source, on_wait=on_wait)

    def close(self) -> None:
        """Close the open sockets."""
        self._session.close()

    def list_files(self, market: Market, first: date, last: date) -> FileList:
        """List a market's files from `first` to `last`, both included: one request for some four years of sessions.

        Raises:
            MissingFileError: the account may not list them.
            PolygonError: there is no usable response.
        """
        with request_trace(f"the list of flat files of {market.title} {first} to {last}") as trace:
            days = [first + timedelta(number) for number in range((last - first).days + 1)]
            sessions = {market.file_of(day): day for day in days}
            after = market.file_of(first - timedelta(days=1))
            versions: dict[date, str] = {}
            for key, version in self._list_keys(f"{market.files}/", after, len(days), trace):
                if key in sessions:
                    versions[sessions[key]] = version
                if key >= market.file_of(last):
                    break
            return FileList(versions, trace.requests)

    def read_session(self, market: Market, session: date) -> MarketSession:
        """Read the bars of a session's file. An incomplete file is requested again.

        Raises:
            MissingFileError: there is no file for these keys.
            BadResponseError: the file is not as the vendor documents it.
            PolygonError: there is no usable response.
        """
        about = f"the flat file of {market.title} on {session}"

        def read_once() -> MarketSession:
            response = self._get(f"/{BUCKET}/{market.file_of(session)}", trace)
            version = response.headers.get("ETag", "").strip('"') or None
            return parse_flat_file(
                response.content,
                market,
                session,
                about=about,
                version=version,
                requests=trace.requests,
                known_tickers=self._known_tickers,
            )

        with request_trace(about) as trace:
            return self._session.call_with_retries(read_once)

    def _list_keys(self, prefix: str, after: str, most: int, trace: RequestTrace) -> Iterator[tuple[str, str]]:
        """Yield keys, in their order, and ETags of the objects whose key begins with `prefix` and is after `after`."""
        params = {"list-type": "2", "prefix": prefix, "start-after": after, "max-keys": str(min(most, KEYS_PER_PAGE))}
        for _ in range(MAX_PAGES):
            page = self._fetch_page(f"/{BUCKET}?{urlencode(params)}", trace)
            yield from page.files
            if not page.next_token:
                return
            params["continuation-token"] = page.next_token
        raise BadResponseError(f"{trace.about}: its pages don't end. Try again later")

    def _fetch_page(self, target: str, trace: RequestTrace) -> "_KeyPage":
        return self._session.call_with_retries(lambda: _read_page(self._get(target, trace), trace.about))

    def _get(self, target: str, trace: RequestTrace) -> HttpResponse:
        trace.requests += 1
        try:
            response = self._session.get(target, self._keys.sign(), trace.about)
            check_sender(response, self.source, trace.about)
            if response.status != 200:
                raise build_response_error(response, trace.about)
        except PolygonError as error:
            error.args = (self._keys.remove_from(str(error)),)
            raise
        return response


@dataclass(frozen=True)
class _KeyPage:
    files: list[tuple[str, str]]
    next_token: str | None


def _read_page(response: HttpResponse, about: str) -> _KeyPage:
    """Read a page of a list: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html."""
    root = read_xml(response.content)
    if root is None:
        raise BadResponseError(f"{about}: the response is not a list of S3's. Check POLYGON_S3_ENDPOINT")
    files = [
        (found.findtext("{*}Key") or "", (found.findtext("{*}ETag") or "").strip('"'))
        for found in root.iterfind("{*}Contents")
    ]
    truncated = root.findtext("{*}IsTruncated") == "true"
    return _KeyPage(files, root.findtext("{*}NextContinuationToken") if truncated else None)
