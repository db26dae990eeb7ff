"""Who answers at an address: whether a server there is the one that is looked for. Starting servers is others' work."""

import json
from dataclasses import dataclass

from urllib3.exceptions import HTTPError

from market_pipeline.core.outbound_http import open_session, send

MOST_BYTES = 1_000_000
SECONDS = 3.0
"""How long a server on this machine is given; one that is busy with its first request still makes it."""


@dataclass(frozen=True)
class ServiceProbe:
    """What a server is known by: a path that it answers with JSON, and a key of that."""

    path: str
    key: str


API = ServiceProbe("/health", "scheduler_running")
SANDBOX = ServiceProbe("/_sandbox/stats", "by_path_kind")
DAGSTER_UI = ServiceProbe("/server_info", "dagster_webserver_version")


def answers(url: str, face: ServiceProbe, seconds: float = SECONDS) -> bool:
    """Whether the server looked for answers at `url`, in good health or not."""
    try:
        with open_session(trust_env=False) as session:  # a proxy or a .netrc is for other hosts
            path = f"{url.rstrip('/')}{face.path}"
            response = send(session, "GET", path, seconds=seconds, most_bytes=MOST_BYTES, timeout=seconds)
        said = json.loads(response.content)
    except (OSError, HTTPError, ValueError):
        return False
    return isinstance(said, dict) and face.key in said
