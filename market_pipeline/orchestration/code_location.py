"""Reloads of the project's code location, requested from Dagster's webserver by GraphQL.

A code location keeps the symbols that were tracked when it was loaded. Callers decide when to reload. GraphQL:
https://docs.dagster.io/api/graphql
"""

import json
from collections.abc import Sequence
from typing import Any

from market_pipeline.core.deadlines import DeadlineError
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.assets import build_asset_key

TRACKED_SYMBOLS_SENSOR = "tracked_symbols_changed"
"""A sensor of the project alone, which identifies its code location."""

CONNECT_SECONDS = 2.0
RESPONSE_SECONDS = 15.0
ACCEPT_SECONDS = 1.0
"""Time in which the webserver rejects a reload that it can't start. A reload takes longer."""
RELOAD_SECONDS = 120.0
MOST_BYTES = 64_000_000
"""The largest response has some 100 bytes per asset."""

_LOCATIONS = """
query {
  workspaceOrError {
    ... on PythonError { message }
    ... on Workspace {
      locationEntries {
        name
        locationOrLoadError { __typename ... on RepositoryLocation { repositories { sensors { name } } } }
      }
    }
  }
}
"""
_RELOAD = """
mutation ($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {
    __typename
    ... on ReloadNotSupported { message }
    ... on RepositoryLocationNotFound { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message causes { message } }
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { message causes { message } } }
    }
  }
}
"""
_ASSETS = """
query ($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) { assetKey { path } } }
"""


class WebserverUnreachableError(MarketPipelineError):
    """No Dagster webserver responds at DAGSTER_WEBSERVER_URL."""


class SlowWebserverError(WebserverUnreachableError):
    """The webserver does not respond in time."""


class ReloadError(MarketPipelineError):
    """Dagster can't load the project's definitions."""


class ReloadUnfinishedError(ReloadError):
    """Dagster is still loading the project's definitions."""


def reload_code_location(url: str, timeout: float) -> None:
    """Reload the project's definitions in Dagster, and return once they are loaded.

    Args:
        url: the webserver's URL.
        timeout: seconds that the reload may take.

    Raises:
        WebserverUnreachableError: no webserver responds there.
        ReloadUnfinishedError: the reload takes longer; it goes on.
        ReloadError: the definitions can't be loaded. Dagster has none until they can.
    """
    for name in _find_locations(url):
        try:
            response = _send_query(url, _RELOAD, timeout, name=name)["reloadRepositoryLocation"]
        except SlowWebserverError:
            raise ReloadUnfinishedError(
                f"Dagster has not loaded {name} again within {timeout:g} s: try again in a minute"
            ) from None
        loaded = response.get("locationOrLoadError") or response
        if loaded["__typename"] != "RepositoryLocation":
            raise ReloadError(
                f"Dagster can't load {name} again: {_describe_cause(loaded)}. Fix that, then reload it on the "
                "Deployment page of the Dagster UI"
            )


def request_reload(url: str) -> None:
    """Request a reload of the project's definitions without waiting for it.

    For code that runs in the code location itself, which ends with the reload.

    Raises:
        WebserverUnreachableError: no webserver responds there.
        ReloadError: the webserver rejects the request.
    """
    try:
        reload_code_location(url, ACCEPT_SECONDS)
    except ReloadUnfinishedError:
        return


def ensure_loaded(settings: Settings, symbols: Sequence[Symbol]) -> None:
    """Reload the definitions unless Dagster's webserver has the assets of all these symbols.

    Dagster's daemon, which executes backfills, has them seconds after its webserver with `dagster dev`, and up to a
    minute after it otherwise.

    Raises:
        WebserverUnreachableError: no webserver responds at DAGSTER_WEBSERVER_URL.
        ReloadError: the definitions can't be loaded, or still lack the symbols after the reload.
    """
    url = settings.dagster_webserver_url
    if not _find_unknown(url, symbols):
        return
    reload_code_location(url, RELOAD_SECONDS)
    if unknown := _find_unknown(url, symbols):
        raise ReloadError(
            f"Dagster, at {url}, has no asset of {', '.join(unknown)}: check with `market-pipeline symbols list` that "
            "they are tracked, and that Dagster uses the same DATABASE_URL"
        )


def _find_unknown(url: str, symbols: Sequence[Symbol]) -> list[str]:
    keys = {tuple(build_asset_key(symbol).path): symbol.name for symbol in symbols}
    nodes = _send_query(url, _ASSETS, RESPONSE_SECONDS, keys=[{"path": path} for path in keys])["assetNodes"]
    known = {tuple(node["assetKey"]["path"]) for node in nodes}
    return [name for path, name in keys.items() if path not in known]


def _find_locations(url: str) -> list[str]:
    """Return the project's code locations; if none is loaded, those that failed to load."""
    workspace = _send_query(url, _LOCATIONS, RESPONSE_SECONDS)["workspaceOrError"]
    entries = {entry["name"]: entry["locationOrLoadError"] for entry in workspace.get("locationEntries", [])}
    ours = [name for name, loaded in entries.items() if loaded and TRACKED_SYMBOLS_SENSOR in _list_sensor_names(loaded)]
    found = ours or [name for name, loaded in entries.items() if loaded and loaded["__typename"] == "PythonError"]
    if not found:
        raise ReloadError(f"the Dagster at {url} doesn't hold this project: set DAGSTER_WEBSERVER_URL to one that does")
    return found


def _list_sensor_names(location: dict[str, Any]) -> set[str]:
    return {sensor["name"] for repository in location.get("repositories", []) for sensor in repository["sensors"]}


def _describe_cause(error: dict[str, Any]) -> str:
    causes = [error, *error.get("causes", [])]
    return (str(causes[-1].get("message") or error["__typename"]).strip().splitlines()[0]).rstrip(".")


def _send_query(url: str, query: str, timeout: float, **variables: Any) -> dict[str, Any]:
    import requests  # imported here: loading the definitions, which is done often, needs no HTTP
    from urllib3.exceptions import HTTPError

    from market_pipeline.core.outbound_http import open_session, send

    unreachable = (
        f"no Dagster webserver responds at {url}: start it with `market-pipeline up`, or set DAGSTER_WEBSERVER_URL to "
        "where it is"
    )
    try:
        with open_session(trust_env=False) as session:  # a proxy or a .netrc is for other hosts
            response = send(
                session,
                "POST",
                f"{url}/graphql",
                seconds=CONNECT_SECONDS + timeout,
                most_bytes=MOST_BYTES,
                json={"query": query, "variables": variables},
                timeout=(CONNECT_SECONDS, timeout),
            )
        return dict(json.loads(response.content)["data"])
    except (DeadlineError, requests.ReadTimeout):
        raise SlowWebserverError(unreachable) from None
    except (OSError, HTTPError, KeyError, TypeError, ValueError):
        raise WebserverUnreachableError(unreachable) from None
