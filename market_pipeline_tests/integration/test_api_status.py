"""Health, status and metrics: true values, and an error whenever the database is unreachable."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import requests
from dagster import DagsterInstance
from sqlalchemy import Engine, text

from market_pipeline.api.limits import DOWNLOADS_OF_ONE
from market_pipeline.api.page import GONE
from market_pipeline.api.server import running_api
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.dagster_storage.internals import BackfillDaemon, DaemonHeartbeat, SchedulerDaemon
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.conftest import OwnCluster
from market_pipeline_tests.integration.stored_bars import AAPL, load_failure, load_frame, query, recorded

MSFT = Symbol.of("MSFT", "stock")
AUTUMN = recorded("AAPL", date(2000, 9, 20), date(2000, 10, 10))


@pytest.fixture
def api(settings: Settings, environment: dict[str, str]) -> Iterator[str]:
    with running_api(settings) as url:
        yield url


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=30)


def test_an_empty_warehouse_is_reported_as_empty(api: str) -> None:
    database = get(f"{api}/api/v1/status").json()["database"]
    assert database == {
        "symbols_available": 0,
        "latest_data": None,
        "total_records": 0,
        "validated_records": 0,
        "validation_rate_pct": None,
    }
    metrics = get(f"{api}/api/v1/metrics").json()
    assert metrics["health"]["database"] == "no_data"
    assert set(metrics["last_backfill"].values()) == {None}
    assert get(f"{api}/api/v1/symbols").json() == {"symbols_available": 0, "latest_data": None, "symbols": []}


def test_head_is_get_without_a_body(api: str) -> None:
    document = get(f"{api}/openapi.json").json()
    paths = [path for path, methods in document["paths"].items() if "get" in methods]
    assert {"/health", "/api/v1/status", "/api/v1/symbols", "/api/v1/symbols/search", "/api/v1/changes"} < {*paths}
    assert not any("head" in methods for methods in document["paths"].values())
    with requests.Session() as session:  # a body would be taken for the beginning of the next response
        for path in paths:
            url = api + path.replace("{table}", "splits").replace("{symbol}", "AAPL").replace("{", "").replace("}", "")
            expected, found = session.get(url, timeout=30), session.head(url, timeout=30)
            assert (found.status_code, found.content) == (expected.status_code, b""), path
            assert found.headers["content-type"] == expected.headers["content-type"], path
        wrong = session.head(f"{api}/nowhere", timeout=30)
        assert (wrong.status_code, session.get(f"{api}/health", timeout=30).json()["database"]) == (404, "reachable")
        rejected = session.post(f"{api}/api/v1/status", timeout=30)
    assert (rejected.status_code, rejected.headers["allow"]) == (405, "GET, HEAD")


def test_the_root_lists_endpoints_that_all_exist(api: str) -> None:
    links = get(f"{api}/").json()
    for path in (links["dashboard"], links["dashboard_direct"], links["docs"]):
        assert requests.get(api + path, headers={"Accept": "text/html"}, timeout=30).status_code == 200
    assert {get(api + links["endpoints"][name]).status_code for name in ("health", "status", "symbols", "metrics")} == {
        200
    }


@pytest.mark.parametrize("path", GONE)
def test_removed_paths_of_the_earlier_service_name_their_replacement(api: str, path: str) -> None:
    response = get(api + path)
    assert (response.status_code, response.headers["content-type"]) == (410, "application/problem+json")
    assert response.json()["detail"] == GONE[path]


def test_an_unknown_path_is_a_404_that_names_the_docs(api: str) -> None:
    response = get(f"{api}/api/v1/symbol")
    assert (response.status_code, response.json()["detail"]) == (404, "there is no such path: /docs lists all paths")


def test_status_metrics_and_symbols_equal_the_stored_rows(api: str, warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL, MSFT])
    load_frame(warehouse, AAPL, AUTUMN, run_id="first")
    load_frame(warehouse, AAPL, AUTUMN, run_id="second")
    load_failure(warehouse, MSFT, [date(2000, 9, 20)], "out of order", run_id="second")
    [stored] = query(warehouse, "SELECT count(*) AS bars, count(*) FILTER (WHERE validated) AS good FROM market_data")
    status = get(f"{api}/api/v1/status").json()
    assert status["database"] == {
        "symbols_available": 1,
        "latest_data": "2000-10-10",
        "total_records": stored["bars"],
        "validated_records": stored["good"],
        "validation_rate_pct": round(100 * stored["good"] / stored["bars"], 2),
    }
    assert status["data_quality"]["records_with_gaps_flagged"] == 1
    assert status["data_quality"]["last_backfill"] is not None
    metrics = get(f"{api}/api/v1/metrics").json()
    assert metrics["database"] == status["database"]
    last = {name: value for name, value in metrics["last_backfill"].items() if name != "time"}
    assert last == {
        "successful_symbols": 1,
        "failed_symbols": 1,
        "total_records_imported": 0,
        "run_id": "second",
        "trigger": "cli",
    }
    symbols = get(f"{api}/api/v1/symbols").json()
    assert [(s["symbol"], s["first_date"], s["last_date"], s["bars"]) for s in symbols["symbols"]] == [
        ("AAPL", "2000-09-20", "2000-10-10", 15),
        ("MSFT", None, None, 0),
    ]


def test_health_reports_that_the_nightly_runs_will_happen(
    api: str, settings: Settings, environment: dict[str, str]
) -> None:
    response = get(f"{api}/health")
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["scheduler_running"]) == ("degraded", False)
    assert "start it with `market-pipeline up`" in response.json()["scheduler"]["reason"]
    with open_instance(settings) as instance:
        beat(instance, datetime.now(UTC) - timedelta(days=1))
        assert "last alive at" in get(f"{api}/health").json()["scheduler"]["reason"]
        beat(instance, datetime.now(UTC))
        # A daemon alone is not enough: it knows no schedule yet.
        assert get(f"{api}/health").json()["scheduler_running"] is False


def beat(instance: DagsterInstance, at: datetime) -> None:
    for part in (SchedulerDaemon, BackfillDaemon):
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), part.daemon_type(), "daemon", []))


def test_the_schedule_is_that_of_the_settings(settings: Settings, environment: dict[str, str]) -> None:
    changed = settings.model_copy(update={"backfill_schedule_hour": 3, "backfill_schedule_minute": 5})
    with running_api(changed) as url:
        assert get(f"{url}/api/v1/metrics").json()["scheduler"]["schedule"] == "03:05 UTC daily"


def test_downloads_that_nobody_reads_delay_no_other_request(api: str, warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS analytics"))
        many = "CREATE TABLE analytics.many AS SELECT i, repeat('x', 1000) AS long FROM generate_series(1, 50000) AS i"
        connection.execute(text(many))
        connection.execute(text("GRANT SELECT ON analytics.many TO market_reader"))
    unread = [
        requests.get(f"{api}/api/v1/tables/many?limit=50000", stream=True, timeout=30) for _ in range(DOWNLOADS_OF_ONE)
    ]
    assert [response.status_code for response in unread] == [200] * DOWNLOADS_OF_ONE
    for path in ("/health", "/api/v1/status", "/api/v1/tables/many?limit=3") * 4:
        assert requests.get(api + path, timeout=5).status_code == 200
    for response in unread:
        response.close()


def test_an_outage_of_the_database_is_a_503_and_ends_by_itself(own_cluster: OwnCluster) -> None:
    with warehouse_of(own_cluster.settings) as warehouse:
        add_symbols(warehouse, [AAPL])
        load_frame(warehouse, AAPL, AUTUMN)
        key = create_key(warehouse, "operations", Scope.ADMIN).get_secret_value()
    with running_api(own_cluster.settings) as url:
        urls = [
            f"{url}/health",
            f"{url}/api/v1/status",
            f"{url}/api/v1/metrics",
            f"{url}/api/v1/symbols",
            f"{url}/api/v1/tables",
            f"{url}/api/v1/tables/market_data?limit=3",
            f"{url}/api/v1/tables/market_data?limit=3&format=arrow",
            f"{url}/api/v1/tables/market_data?limit=50000",
            f"{url}/api/v1/tables/market_data?limit=50000&format=csv",
            f"{url}/api/v1/historical/AAPL?start=2000-09-20&end=2000-10-10&adjustment=none",
            f"{url}/api/v1/admin/symbols",
            f"{url}/api/v1/historical/AAPL?start=2000-09-20&end=2000-10-10&format=parquet",
            f"{url}/api/v1/admin/symbols/AAPL",
            f"{url}/api/v1/admin/api-keys",
            f"{url}/api/v1/admin/backfills",
        ]
        responses = [requests.get(path, headers={"X-API-Key": key}, timeout=30) for path in urls]
        assert [response.status_code for response in responses] == [200] * len(urls)
        own_cluster.stop()
        for path in urls:
            response = requests.get(path, headers={"X-API-Key": key}, timeout=30)
            assert response.status_code == 503, path
            if path.endswith("/health"):
                assert (response.json()["status"], response.json()["database"]) == ("unhealthy", "unreachable")
            else:
                assert response.json()["detail"].startswith("the database can't be reached"), path
                assert response.headers["retry-after"] == "5"
        assert own_cluster.start().port == own_cluster.port
        again = [requests.get(path, headers={"X-API-Key": key}, timeout=30).status_code for path in urls]
        assert again == [200] * len(urls)
