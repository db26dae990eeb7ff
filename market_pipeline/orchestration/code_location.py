"""Having Dagster load the project's definitions again, through its webserver, once other symbols are tracked.

A code location is loaded at its start and keeps the symbols of that moment. Which symbols are tracked, and when to ask,
is the callers' business. GraphQL: https://docs.dagster.io/api/graphql
"""

import json
from collections.abc import Sequence
from typing import Any

from market_pipeline.core.deadlines import DeadlineError
from market_pipeline.core.errors import MarketPipelineError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.assets import asset_key

SENSOR = "tracked_symbols_changed"
"""The sensor by which the project's code location is told from others."""

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
ACCEPT_SECONDS = 1.0
"""How long a request to reload is given to be refused. A reload takes longer."""
RELOAD_SECONDS = 120.0
MOST_BYTES = 64_000_000
"""An asset takes some 100 bytes of the largest response."""

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
    """No Dagster webserver answers at the address that the settings give."""


class SlowWebserverError(WebserverUnreachableError):
    """It doesn't answer in time."""


class ReloadError(MarketPipelineError):
    """Dagster can't load the project's definitions."""


class ReloadUnfinishedError(ReloadError):
    """Dagster is still loading the project's definitions."""


def reload_code_location(url: str, timeout: float) -> None:
    """Have the project's definitions loaded again; returns once they are.

    Args:
        url: the webserver's address.
        timeout: how many seconds the reload may take.

    Raises:
        WebserverUnreachableError: no webserver answers there.
        ReloadUnfinishedError: the reload takes longer; it goes on.
        ReloadError: the definitions can't be loaded. Dagster then has none until they can.
    """
    for name in _locations(url):
        try:
            answer = _ask(url, _RELOAD, timeout, name=name)["reloadRepositoryLocation"]
        except SlowWebserverError:
            raise ReloadUnfinishedError(
                f"Dagster has not loaded {name} again within {timeout:g} s: try again in a minute"
            ) from None
        loaded = answer.get("locationOrLoadError") or answer
        if loaded["__typename"] != "RepositoryLocation":
            raise ReloadError(
                f"Dagster can't load {name} again: {_cause(loaded)}. Mend that, then reload it on the Deployment page "
                "of the Dagster UI"
            )


def request_reload(url: str) -> None:
    """Have the project's definitions loaded again, without waiting until they are.

    For code that runs in the code location itself, which ends with the reload.

    Raises:
        WebserverUnreachableError: no webserver answers there.
        ReloadError: the webserver refuses.
    """
    try:
        reload_code_location(url, ACCEPT_SECONDS)
    except ReloadUnfinishedError:
        return


def ensure_loaded(settings: Settings, symbols: Sequence[Symbol]) -> None:
    """Have the definitions loaded again unless Dagster's webserver knows the assets of all these symbols.

    Dagster's daemon, which executes backfills, knows them seconds after its webserver with `dagster dev`, and up to a
    minute after it otherwise.

    Raises:
        WebserverUnreachableError: no webserver answers at DAGSTER_WEBSERVER_URL.
        ReloadError: the definitions can't be loaded, or don't hold the symbols all the same.
    """
    url = settings.dagster_webserver_url
    if not _unknown(url, symbols):
        return
    reload_code_location(url, RELOAD_SECONDS)
    if unknown := _unknown(url, symbols):
        raise ReloadError(
            f"Dagster, at {url}, has no asset of {', '.join(unknown)}: see with `market-pipeline symbols list` whether "
            "they are tracked, and that Dagster uses the same DATABASE_URL"
        )


def _unknown(url: str, symbols: Sequence[Symbol]) -> list[str]:
    keys = {tuple(asset_key(symbol).path): symbol.name for symbol in symbols}
    nodes = _ask(url, _ASSETS, ANSWER_SECONDS, keys=[{"path": path} for path in keys])["assetNodes"]
    known = {tuple(node["assetKey"]["path"]) for node in nodes}
    return [name for path, name in keys.items() if path not in known]


def _locations(url: str) -> list[str]:
    """The code locations of the project; where none is loaded, those that could not be."""
    workspace = _ask(url, _LOCATIONS, ANSWER_SECONDS)["workspaceOrError"]
    entries = {entry["name"]: entry["locationOrLoadError"] for entry in workspace.get("locationEntries", [])}
    ours = [name for name, loaded in entries.items() if loaded and SENSOR in _sensors(loaded)]
    found = ours or [name for name, loaded in entries.items() if loaded and loaded["__typename"] == "PythonError"]
    if not found:
        raise ReloadError(f"the Dagster at {url} doesn't hold this project: set DAGSTER_WEBSERVER_URL to one that does")
    return found


def _sensors(location: dict[str, Any]) -> set[str]:
    return {sensor["name"] for repository in location.get("repositories", []) for sensor in repository["sensors"]}


def _cause(error: dict[str, Any]) -> str:
    causes = [error, *error.get("causes", [])]
    return (str(causes[-1].get("message") or error["__typename"]).strip().splitlines()[0]).rstrip(".")


def _ask(url: str, query: str, timeout: float, **variables: Any) -> dict[str, Any]:
    import requests  # which the definitions, that are loaded often, ask nothing with
    from urllib3.exceptions import HTTPError

    from market_pipeline.core.outbound_http import open_session, send

    unreachable = (
        f"no Dagster webserver answers at {url}: start it with `market-pipeline up`, or set DAGSTER_WEBSERVER_URL to "
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
