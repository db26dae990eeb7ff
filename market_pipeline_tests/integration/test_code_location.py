"""Reload requests to a webserver that is down, rejects them or is slow. Successful reloads are tested end to end."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterInstance
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings, SettingsError, load_settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.orchestration.backfill_launch import start_backfill
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.code_location import (
    ReloadError,
    ReloadUnfinishedError,
    WebserverUnreachableError,
    ensure_loaded,
    reload_code_location,
    request_reload,
)
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols, remove_symbol
from market_pipeline_tests.dagster_internals import SensorExecutionData

AAPL, MSFT, NVDA = (Symbol.of(name, "stock") for name in ("AAPL", "MSFT", "NVDA"))

OURS = {"__typename": "RepositoryLocation", "repositories": [{"sensors": [{"name": "tracked_symbols_changed"}]}]}
ANOTHERS = {"__typename": "RepositoryLocation", "repositories": [{"sensors": []}]}
BROKEN = {"__typename": "PythonError", "message": "DagsterUserCodeLoadError", "causes": [{"message": "no dbt\n"}]}


@dataclass
class Webserver:
    """A webserver with these code locations and this response to a reload; None for no response."""

    locations: dict[str, Any] = field(default_factory=lambda: {"another": ANOTHERS, "ours": OURS})
    reload: dict[str, Any] | None = None
    reloaded: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def respond(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "assetNodes" in query:
            return {"assetNodes": []}
        if "workspaceOrError" in query:
            entries = [{"name": name, "locationOrLoadError": found} for name, found in self.locations.items()]
            return {"workspaceOrError": {"locationEntries": entries}}
        self.reloaded.append(variables["name"])
        if self.reload is None:
            self.over.wait()
        return {"reloadRepositoryLocation": self.reload}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        webserver: Webserver = self.server.webserver  # type: ignore[attr-defined]
        body = json.dumps({"data": webserver.respond(request["query"], request["variables"])}).encode()
        if not webserver.over.is_set():
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def webserver() -> Iterator[Webserver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    scripted = Webserver(url=f"http://127.0.0.1:{server.server_address[1]}")
    server.webserver = scripted  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    scripted.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:3000", "ftp://host", "http://user:hunter2@host:3000", "http://host?key=hunter2"]
)
def test_an_address_that_can_not_be_a_webservers_is_rejected(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", address)
    with pytest.raises(SettingsError, match=r"^DAGSTER_WEBSERVER_URL: ") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("call", [request_reload, lambda url: reload_code_location(url, 1)])
def test_an_address_where_nothing_responds_is_named(call: Callable[[str], None]) -> None:
    with pytest.raises(WebserverUnreachableError, match=r"http://127\.0\.0\.1:9: .*set DAGSTER_WEBSERVER_URL"):
        call("http://127.0.0.1:9")


def test_an_address_where_something_else_responds_is_named(settings: Settings) -> None:
    with running_sandbox(SandboxConfig()) as base_url:
        elsewhere = settings.model_copy(update={"dagster_webserver_url": base_url})
        with pytest.raises(WebserverUnreachableError, match="set DAGSTER_WEBSERVER_URL"):
            ensure_loaded(elsewhere, [AAPL])


def test_a_slow_reload_is_waited_for_no_longer_than_requested(webserver: Webserver) -> None:
    with pytest.raises(ReloadUnfinishedError, match=r"within 0\.1 s"):
        reload_code_location(webserver.url, 0.1)
    request_reload(webserver.url)
    assert webserver.reloaded == ["ours", "ours"]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": BROKEN},
            "can't load ours again: no dbt. Fix",
        ),
        ({"__typename": "ReloadNotSupported", "message": "Not here"}, "can't load ours again: Not here. Fix"),
    ],
)
def test_a_failed_reload_gives_the_reason(webserver: Webserver, reply: dict[str, Any], message: str) -> None:
    webserver.reload = reply
    with pytest.raises(ReloadError, match=message):
        request_reload(webserver.url)


def test_a_location_that_could_not_be_loaded_is_tried_again(webserver: Webserver) -> None:
    webserver.locations = {"another": ANOTHERS, "broken": BROKEN}
    webserver.reload = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": OURS}
    reload_code_location(webserver.url, 10)
    assert webserver.reloaded == ["broken"]


def test_a_webserver_without_the_project_is_distinguished_from_one_with_it(webserver: Webserver) -> None:
    webserver.locations = {"another": ANOTHERS}
    with pytest.raises(ReloadError, match="doesn't hold this project"):
        reload_code_location(webserver.url, 10)


def test_a_symbol_that_no_reload_brings_is_an_error(webserver: Webserver, settings: Settings) -> None:
    webserver.reload = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": OURS}
    with pytest.raises(ReloadError, match="no asset of MSFT"):
        ensure_loaded(settings.model_copy(update={"dagster_webserver_url": webserver.url}), [MSFT])
    assert webserver.reloaded == ["ours"]


Tick = Callable[..., SensorExecutionData]


@pytest.fixture
def tick(webserver: Webserver, settings: Settings, instance: DagsterInstance, warehouse: Engine) -> Tick:
    """Evaluate the sensor of definitions with AAPL and MSFT, against the webserver above."""
    add_symbols(warehouse, [AAPL, MSFT])

    def _tick(cursor: str | None = None, url: str = webserver.url) -> SensorExecutionData:
        definitions = sensors.setdefault(url, build_loading(settings.model_copy(update={"dagster_webserver_url": url})))
        sensor = definitions.get_repository_def().get_sensor_def("tracked_symbols_changed")
        return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))

    sensors: dict[str, dg.Definitions] = {}
    for url in (webserver.url, "http://127.0.0.1:9"):
        _tick(url=url)
    return _tick


def test_the_sensor_reports_that_all_is_loaded(tick: Tick, webserver: Webserver) -> None:
    assert tick().skip_message == "All 2 active symbols are loaded."
    assert webserver.reloaded == []


def test_the_sensor_requests_one_reload_for_a_change(tick: Tick, webserver: Webserver, warehouse: Engine) -> None:
    add_symbols(warehouse, [NVDA])
    first = tick()
    assert first.skip_message == "1 new (NVDA): a reload was requested."
    second = tick(first.cursor)
    assert "1 new (NVDA): a reload was requested at" in str(second.skip_message)
    assert "has not happened yet" in str(second.skip_message)
    assert (webserver.reloaded, second.cursor) == (["ours"], first.cursor)
    remove_symbol(warehouse, "MSFT")
    third = tick(second.cursor)
    assert third.skip_message == "1 new (NVDA); 1 no longer tracked (MSFT): a reload was requested."
    wanted = str(third.cursor).split()[0]
    tick(f"{wanted} {(datetime.now(UTC) - timedelta(minutes=11)).isoformat()}")
    assert len(webserver.reloaded) == 3


def test_the_sensor_names_an_address_where_nothing_responds(tick: Tick, warehouse: Engine) -> None:
    add_symbols(warehouse, [NVDA])
    result = tick(url="http://127.0.0.1:9")
    assert "1 new (NVDA), but no Dagster webserver responds at http://127.0.0.1:9" in str(result.skip_message)
    assert "DAGSTER_WEBSERVER_URL" in str(result.skip_message)
    assert result.cursor is None  # it is requested again at the next tick


def test_the_sensor_does_not_reload_in_a_loop_where_that_fails(
    tick: Tick, webserver: Webserver, warehouse: Engine
) -> None:
    webserver.reload = {"__typename": "ReloadNotSupported", "message": "Not here"}
    add_symbols(warehouse, [NVDA])
    result = tick()
    assert "1 new (NVDA), but Dagster can't load ours again: Not here" in str(result.skip_message)
    assert "has not happened yet" in str(tick(result.cursor).skip_message)
    assert webserver.reloaded == ["ours"]


def test_a_removed_symbol_is_kept_until_a_backfill_that_covers_it_has_ended(
    tick: Tick, settings: Settings, webserver: Webserver, instance: DagsterInstance, warehouse: Engine
) -> None:
    unreachable = settings.model_copy(update={"dagster_webserver_url": "http://127.0.0.1:9"})
    both, days, now = [AAPL, MSFT], (date(2024, 3, 1), date(2024, 3, 8)), datetime.now(UTC)
    job = start_backfill(unreachable, instance, warehouse, both, *days, now=now)
    remove_symbol(warehouse, "MSFT")
    assert f"would end the backfill {job.id}" in str(tick().skip_message)
    assert webserver.reloaded == []
