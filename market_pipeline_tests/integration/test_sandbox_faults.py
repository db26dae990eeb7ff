"""Every fault of the sandbox, as a client receives it on a real socket."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.faults import FAULTS
from market_pipeline.sandbox.loopback_server import running_sandbox

PATH = "/v2/aggs/ticker/SPY/range/1/day/2024-05-28/2024-05-31"
KEY = {"Authorization": "Bearer any"}
NOW = datetime(2024, 6, 4, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_sandbox(SandboxConfig(now=NOW)) as address:
        yield address


@pytest.fixture(scope="module")
def good(url: str) -> dict[str, Any]:
    body: dict[str, Any] = requests.get(url + PATH, headers=KEY, timeout=20).json()
    return body


def get(url: str, fault: str, path: str = PATH, timeout: float = 20) -> requests.Response:
    return requests.get(url + path, headers={**KEY, "X-Sandbox-Fault": fault}, timeout=timeout)


def body_of(url: str, fault: str, path: str = PATH) -> dict[str, Any]:
    response = get(url, fault, path)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("429", 429, "You've exceeded the maximum requests per minute"),
        ("500", 500, "Internal Server Error"),
        ("html", 502, "<html>"),
        ("eod403", 403, "Attempted to request today's data before end of day."),
        ("history403", 403, "Your plan doesn't include this data timeframe."),
        ("plan403", 403, "You are not entitled to this data."),
        ("unknown_key", 401, "Unknown API Key"),
        ("not_authorized_200", 200, '"status":"NOT_AUTHORIZED"'),
    ],
)
def test_an_error_comes_instead_of_the_response(url: str, fault: str, status: int, words: str) -> None:
    response = get(url, fault)
    assert response.status_code == status
    assert words in response.text
    assert "results" not in response.text
    assert response.headers["X-Market-Pipeline-Sandbox"] == "1"


def test_too_many_requests_come_with_or_without_a_time_to_wait_and_without_a_body(url: str) -> None:
    assert "Retry-After" not in get(url, "429").headers
    assert get(url, "429=30").headers["Retry-After"] == "30"
    empty = get(url, "429_empty")
    assert (empty.status_code, empty.content) == (429, b"")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_truncated_body_is_shorter_than_announced(url: str, encoding: str) -> None:
    headers = {**KEY, "X-Sandbox-Fault": "truncate=0.25", "Accept-Encoding": encoding}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
        connection.request("GET", PATH, headers=headers)
        response = connection.getresponse()
        with pytest.raises(IncompleteRead) as cut:
            response.read()
    announced = int(response.headers["Content-Length"])
    assert len(cut.value.partial) == announced // 4


def test_bad_json_arrives_in_full_and_can_not_be_read(url: str) -> None:
    response = get(url, "bad_json")
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_a_reset_connection_gives_no_response(url: str) -> None:
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        get(url, "reset")


def test_a_slow_response_is_the_right_one_and_late(url: str, good: dict[str, Any]) -> None:
    started = time.monotonic()
    assert body_of(url, "slow=0.4")["results"] == good["results"]
    assert time.monotonic() - started >= 0.4


def test_a_hanging_request_gets_no_response_and_delays_no_other(url: str) -> None:
    with pytest.raises(requests.ReadTimeout):
        get(url, "hang", timeout=0.3)
    assert requests.get(url + PATH, headers=KEY, timeout=20).status_code == 200


def test_the_sandbox_stops_while_a_request_hangs() -> None:
    started = time.monotonic()
    with running_sandbox(SandboxConfig(now=NOW, faults=("hang",))) as url:
        host, port = url.removeprefix("http://").split(":")
        waiting = socket.create_connection((host, int(port)))
        waiting.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while not requests.get(f"{url}/_sandbox/stats", timeout=20).json()["faults"]:
            pass
    assert waiting.recv(1) == b""
    waiting.close()
    assert time.monotonic() - started < 10


def test_adjusted_contradicts_the_request(url: str) -> None:
    assert body_of(url, "wrong_adjusted", f"{PATH}?adjusted=false")["adjusted"] is True
    assert body_of(url, "wrong_adjusted")["adjusted"] is False


def test_a_foreign_next_page_is_named_on_the_last_page_too(url: str) -> None:
    assert body_of(url, "foreign_next_url")["next_url"].startswith("https://foreign.invalid/v2/aggs/ticker/SPY/")
    link = body_of(url, "foreign_next_url=127.0.0.1:9", f"{PATH}?limit=2")["next_url"]
    assert link.startswith("https://127.0.0.1:9/v2/aggs/ticker/SPY/")


@pytest.mark.parametrize(("fault", "different"), [("repeated_next_url", 1), ("endless_next_url", 9)])
def test_pages_without_end(url: str, good: dict[str, Any], fault: str, different: int) -> None:
    path, links = PATH, []
    for _ in range(9):
        body = body_of(url, fault, path)
        assert body["results"] == good["results"]
        links.append(body["next_url"])
        path = links[-1].removeprefix(url)
    assert len(set(links)) == different


@pytest.mark.parametrize("limit", [3, 4, 5000])
def test_a_trailing_page_is_empty_and_the_last(url: str, good: dict[str, Any], limit: int) -> None:
    path, pages = f"{PATH}?limit={limit}", []
    while path:
        pages.append(body_of(url, "trailing_empty_page", path))
        path = pages[-1].get("next_url", "").removeprefix(url)
    assert [bar for page in pages for bar in page.get("results", [])] == good["results"]
    assert "results" not in pages[-1]


def test_every_row_comes_twice(url: str, good: dict[str, Any]) -> None:
    body = body_of(url, "duplicate_rows")
    assert body["results"] == good["results"] * 2
    assert body["resultsCount"] == 8


def test_fields_are_missing(url: str) -> None:
    assert all(bar.keys() == {"v", "o", "c", "h", "l", "t"} for bar in body_of(url, "missing_fields")["results"])
    assert all("c" not in bar and "t" not in bar for bar in body_of(url, "missing_fields=c,t")["results"])


def test_bars_lie_outside_the_range(url: str, good: dict[str, Any]) -> None:
    first, *inside, last = body_of(url, "out_of_range_bars")["results"]
    assert inside == good["results"]
    assert first["t"] < inside[0]["t"] < inside[-1]["t"] < last["t"]


def test_bars_are_impossible_in_three_ways(url: str, good: dict[str, Any]) -> None:
    crossed, zero, negative, *rest = body_of(url, "impossible_bars")["results"]
    assert crossed["h"] < crossed["l"]
    assert zero["c"] == 0
    assert negative["v"] < 0
    assert rest == good["results"][3:]


def test_results_are_missing_or_null_though_there_are_some(url: str) -> None:
    assert "results" not in body_of(url, "empty")
    assert body_of(url, "empty")["resultsCount"] == 0
    assert body_of(url, "results_null")["results"] is None


def test_an_unknown_fault_is_a_bad_request_that_names_the_known_ones(url: str) -> None:
    response = get(url, "nope")
    assert response.status_code == 400
    assert all(name in response.json()["error"] for name in FAULTS)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in ("hang", "reset", "slow", "truncate")])
def test_a_fault_in_a_response_without_bars_is_harmless(url: str, fault: str) -> None:
    for path in ("/v2/aggs/ticker/NOSUCH/prev", "/v3/reference/splits?ticker=AAPL", "/v1/marketstatus/upcoming"):
        assert get(url, fault, path).status_code in (200, 401, 403, 429, 500, 502), path


def test_a_scenario_hits_its_share_of_the_requests_and_the_same_ones_again() -> None:
    tickers = [f"T{letter}{other}" for letter in "ABCDEFGH" for other in "ABCDEFGH"]

    def statuses(seed: int) -> list[int]:
        with running_sandbox(SandboxConfig(now=NOW, faults=("500:0.3",), seed=seed)) as url:
            return [
                requests.get(f"{url}/v2/aggs/ticker/{name}/prev", headers=KEY, timeout=20).status_code
                for name in tickers
            ]

    first = statuses(1)
    assert first == statuses(1) != statuses(2)
    assert 8 < first.count(500) < 32


def test_a_scenario_ends_after_the_times_it_was_given() -> None:
    with running_sandbox(SandboxConfig(now=NOW, faults=("429=7@SPY*2",))) as url:
        got = [requests.get(url + PATH, headers=KEY, timeout=20) for _ in range(3)]
        other = requests.get(url + PATH.replace("SPY", "QQQ"), headers=KEY, timeout=20)
    assert [response.status_code for response in got] == [429, 429, 200]
    assert got[0].headers["Retry-After"] == "7"
    assert other.status_code == 200
