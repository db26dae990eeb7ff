"""Requests to one server, retried after temporary errors, and their errors."""

from collections.abc import Mapping, Sequence
from urllib.parse import urljoin

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

Parameters = Sequence[tuple[str, str]]

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
LONGEST_WAIT = 30.0
"""Seconds between two attempts, at most."""

TEMPORARY = (429, 502, 503, 504)


class ApiError(Exception):
    """A rejected or failed request: the server's own message, its status, and a reason for each wrong parameter.

    `status` is None if there was no response.
    """

    def __init__(self, message: str, status: int | None = None, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.status, self.errors = status, errors


class _TemporaryError(ApiError):
    """An error after which the request may succeed. `wait`: the seconds in its `Retry-After` header."""

    wait: float | None = None


class ServerSession:
    """A session with one server. A key is sent to no other one."""

    def __init__(self, url: str, api_key: str | None, attempts: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no server's URL: write it as http://localhost:8000")
        self._url = url.rstrip("/") + "/"
        self._session = requests.Session()
        if api_key is not None:
            if not (api_key.isascii() and api_key.isprintable()):  # requests' own error would contain the key
                raise ValueError("api_key has a line break or another character that no key has: copy it again")
            self._session.headers["X-API-Key"] = api_key
        self._retrying = Retrying(
            retry=retry_if_exception_type(_TemporaryError),
            stop=stop_after_attempt(attempts),
            wait=_choose_wait,
            reraise=True,
        )

    def get(self, path: str, parameters: Parameters = ()) -> requests.Response:
        """Request a path, with a query string or parameters.

        Raises:
            ApiError: the request was rejected, or failed at each attempt.
        """
        return self._retrying(self._send_once, urljoin(self._url, path.lstrip("/")), parameters)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send_once(self, url: str, parameters: Parameters) -> requests.Response:
        try:
            # A redirection would take the key to another server.
            response = self._session.get(
                url, params=parameters, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False
            )
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _TemporaryError(
                f"{self._url} can't be reached, or broke off ({type(error).__name__}): check the URL and the server"
            ) from error
        if response.status_code == 200:
            return response
        raise _read_error(response)


def _read_error(response: requests.Response) -> ApiError:
    """Return the error of a response, with the server's message."""
    try:
        problem = response.json()
        message, errors = str(problem["detail"]), problem.get("errors", ())
    except (ValueError, KeyError, TypeError):
        message, errors = (
            f"HTTP {response.status_code} {response.reason} without a problem: check that the URL is the API's",
            (),
        )
    if response.status_code not in TEMPORARY:
        return ApiError(message, response.status_code, errors)
    error = _TemporaryError(message, response.status_code, errors)
    seconds = response.headers.get("Retry-After", "")
    error.wait = float(seconds) if seconds.isdecimal() else None
    return error


def _choose_wait(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: those of `Retry-After`, otherwise 1, 2, 4 and so on."""
    error = state.outcome and state.outcome.exception()
    retry_after = error.wait if isinstance(error, _TemporaryError) else None
    return min(2.0 ** (state.attempt_number - 1) if retry_after is None else retry_after, LONGEST_WAIT)
