"""`/metrics` as Prometheus scrapes it: of the API's requests, of stored bars, and of a database that is down."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from market_pipeline.api import pipeline_metrics
from market_pipeline.api.server import running_api
from market_pipeline.core.sessions import find_newest_ended_session, list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.loading import RejectedBar
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.conftest import OwnCluster
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, recorded

MSFT = Symbol.of("MSFT", "stock")
FIRST, LAST = date(2000, 9, 20), date(2000, 10, 10)
AUTUMN = recorded("AAPL", FIRST, LAST)

Scraped = dict[str, dict[tuple[str, ...], float]]
"""Values by metric, without the project's prefix, and the values of the labels in the order of their names."""


def scrape(url: str, **headers: str) -> Scraped:
    response = requests.get(f"{url}/metrics", headers=headers, timeout=10)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: Scraped = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix("market_pipeline_"), {})[labels] = sample.value
    return found


@pytest.fixture
def api(settings: Settings, environment: dict[str, str]) -> Iterator[str]:
    with running_api(settings.model_copy(update={"api_requests_per_minute": 5})) as url:
        yield url


@pytest.fixture
def _read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_metrics, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(pipeline_metrics, "SHARE", 0)


def test_an_empty_warehouse_has_its_series_too(api: str) -> None:
    metrics = scrape(api)
    assert metrics["database_up"] == {(): 1}
    assert metrics["scheduler_up"] == {(): 0}
    assert set(metrics["sessions"].values()) == set(metrics["bars_total"].values()) == {0}
    assert ("never_asked",) in metrics["sessions"]
    assert metrics["symbol_loads_total"] == {("success",): 0, ("failure",): 0}
    assert "symbol_sessions_behind" not in metrics
    assert metrics["process_resident_memory_bytes"][()] > 0


@pytest.mark.usefixtures("_read_each_time")
def test_the_metrics_equal_the_stored_counters(api: str, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, MSFT])
    broken = RejectedBar(LAST, ["high_below_low: it is"], {"h": 1})
    load_frame(warehouse, AAPL, AUTUMN.iloc[:-1], rejected=[broken], sessions=list_sessions("XNYS", FIRST, LAST),
           waited_seconds=2.5, requests=3)  # fmt: skip
    load_failure(warehouse, MSFT, [FIRST], "out of order", run_id="run-1")
    metrics = scrape(api)
    latest = find_newest_ended_session("XNYS", datetime.now(UTC))
    assert latest is not None
    since = len(list_sessions("XNYS", LAST, latest)) - 1
    assert metrics["symbols"] == {("stock",): 2}
    assert metrics["sessions"][("loaded",)] == len(AUTUMN) - 1
    assert (metrics["sessions"][("rejected",)], metrics["sessions"][("failed",)]) == (1, 1)
    assert metrics["symbol_sessions_behind"][("XNYS", "AAPL")] == since + 1
    newest = AUTUMN["date"].iloc[-2].tz_localize("UTC").timestamp()
    assert metrics["symbol_newest_bar_timestamp_seconds"] == {("XNYS", "AAPL"): newest}
    assert metrics["bars_flagged"][()] >= 1
    assert metrics["bars_total"] == {
        ("loaded",): len(AUTUMN) - 1, ("revised",): 0, ("unchanged",): 0, ("rejected",): 1,
    }  # fmt: skip
    assert metrics["symbol_loads_total"] == {("success",): 1, ("failure",): 1}
    assert metrics["vendor_requests_total"] == {(): 4}
    assert metrics["rate_limit_wait_seconds_total"] == {(): 2.5}
    run = ("XNYS", "cli")
    assert (metrics["last_run_success"][run], metrics["last_run_failed_symbols"][run]) == (0, 1)
    assert time.time() - 60 < metrics["last_run_start_timestamp_seconds"][run] < time.time()
    assert 0 <= metrics["last_run_duration_seconds"][run] < 60


@pytest.mark.usefixtures("_read_each_time")
def test_counters_include_the_loads_of_every_process(api: str, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    load_failure(warehouse, AAPL, [FIRST], "the vendor returned 500", run_id="first")
    before = scrape(api)
    load_frame(warehouse, AAPL, AUTUMN, run_id="second")
    load_frame(warehouse, AAPL, AUTUMN, run_id="third")
    after = scrape(api)
    assert after["bars_total"][("unchanged",)] == after["bars_total"][("loaded",)] == len(AUTUMN)
    for name in (name for name in before if name.endswith("_total")):
        assert all(value <= after[name][labels] for labels, value in before[name].items()), name
    assert (before["last_run_success"], after["last_run_success"]) == ({("XNYS", "cli"): 0}, {("XNYS", "cli"): 1})


def test_a_scrape_a_moment_later_does_not_query_the_database(api: str, warehouse: Engine) -> None:
    assert scrape(api)["symbol_loads_total"][("success",)] == 0
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, AUTUMN)
    assert scrape(api)["symbol_loads_total"][("success",)] == 0


def test_requests_are_counted_by_route_and_by_no_value_of_a_client(api: str) -> None:
    dates = "start=2000-09-20&end=2000-10-10"
    requests_sent = [
        ("GET", f"/api/v1/historical/AAPL?{dates}"), ("GET", f"/api/v1/historical/MSFT?{dates}"),
        ("GET", "/no/such/path"), ("TRACE", "/health"), ("GET", "/health"), ("GET", "/health"),
    ]  # fmt: skip
    statuses = [requests.request(method, api + path, timeout=10).status_code for method, path in requests_sent]
    assert statuses == [404, 404, 404, 405, 200, 429]
    requested = scrape(api)["api_requests_total"]
    assert requested == {
        ("GET", "/api/v1/historical/{symbol}", "404"): 2, ("GET", "none", "404"): 1, ("other", "/health", "405"): 1,
        ("GET", "/health", "200"): 1, ("GET", "none", "429"): 1,
    }  # fmt: skip
    metrics = scrape(api)
    assert metrics["api_requests_total"][("GET", "/metrics", "200")] == 1
    assert metrics["api_request_duration_seconds_count"][("GET", "/api/v1/historical/{symbol}")] == 2
    assert metrics["api_request_duration_seconds_bucket"][("+Inf", "GET", "/health")] == 1


def test_scraping_takes_a_key_where_reading_does_and_is_not_limited(
    settings: Settings, environment: dict[str, str], warehouse: Engine
) -> None:
    key = create_key(warehouse, "prometheus", Scope.READ).get_secret_value()
    closed = settings.model_copy(update={"api_key_required": True, "api_requests_per_minute": 1})
    with running_api(closed) as url:
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 401
        for _ in range(3):
            assert scrape(url, **{"X-API-Key": key})["database_up"] == {(): 1}


@pytest.mark.usefixtures("_read_each_time")
def test_a_database_that_is_down_is_reported_in_time_and_its_return_too(own_cluster: OwnCluster) -> None:
    with warehouse_of(own_cluster.settings) as warehouse:
        add_symbols(warehouse, [AAPL])
    with running_api(own_cluster.settings) as url:
        assert scrape(url)["symbols"] == {("stock",): 1}
        own_cluster.stop()
        down = scrape(url)
        assert down["database_up"] == {(): 0}
        assert not {"symbols", "sessions", "bars_total", "scheduler_up"} & set(down)
        assert down["api_requests_total"][("GET", "/metrics", "200")] == 1
        own_cluster.start()
        assert scrape(url)["symbols"] == {("stock",): 1}
