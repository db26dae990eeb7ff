"""HTTP probes: is our API, our sandbox or our Dagster UI listening at this URL?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from urllib3.exceptions import HTTPError

from market_pipeline.core.outbound_http import open_session, send

MOST_BYTES = 1_000_000
SECONDS = 3.0
"""Seconds that a probe waits for a response: enough for a service that is busy with its first request."""


@dataclass(frozen=True)
class ServiceProbe:
    """A path at which a service responds with a JSON object, and a key of that object."""

    path: str
    key: str


API = ServiceProbe("/health", "scheduler_running")
SANDBOX = ServiceProbe("/_sandbox/stats", "by_path_kind")
DAGSTER_UI = ServiceProbe("/server_info", "dagster_webserver_version")


@dataclass(frozen=True)
class ServiceState:
    """The URL of a service, and True if the expected service responds there."""

    url: str
    answers: bool


def is_listening(url: str, probe: ServiceProbe, seconds: float = SECONDS) -> bool:
    """Return True if the probed service responds at `url`, healthy or not."""
    try:
        with open_session(trust_env=False) as session:  # a proxy or a .netrc is for other hosts
            path = f"{url.rstrip('/')}{probe.path}"
            response = send(session, "GET", path, seconds=seconds, most_bytes=MOST_BYTES, timeout=seconds)
        body = json.loads(response.content)
    except (OSError, HTTPError, ValueError):
        return False
    return isinstance(body, dict) and probe.key in body


def probe_urls(urls: Sequence[str], probe: ServiceProbe) -> ServiceState:
    """Return the first of `urls` at which the service responds, or else the last one."""
    for url in urls:
        if is_listening(url, probe):
            return ServiceState(url, True)
    return ServiceState(urls[-1], False)
