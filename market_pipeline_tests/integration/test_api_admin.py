"""Administrators' endpoints: authorization, changes of symbols and keys, and the audit trail."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from market_pipeline.api.server import running_api
from market_pipeline.cli.main import main
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key, list_keys, read_audit_trail, revoke_key
from market_pipeline.warehouse.tracked_symbols import add_symbols, list_active_symbols
from market_pipeline_tests.integration.api_cases import Api, empty, serving
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

SYMBOLS, KEYS = "/api/v1/admin/symbols", "/api/v1/admin/api-keys"


@pytest.fixture(scope="module")
def served(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One API for all tests here: what each of them stores is gone before the next."""
    with serving(server, tmp_path_factory.mktemp("admin")) as api:
        yield api


@pytest.fixture
def warehouse(served: Api) -> Engine:
    empty(served.warehouse)
    return served.warehouse


@pytest.fixture
def settings(served: Api, warehouse: Engine) -> Settings:
    return served.settings


@pytest.fixture
def dagster_database() -> None:
    """Nothing to create: the API has created it."""


@pytest.fixture
def api(served: Api, warehouse: Engine) -> str:
    return served.url


@pytest.fixture
def admin(warehouse: Engine) -> dict[str, str]:
    """The headers of an administrator."""
    return {"X-API-Key": create_key(warehouse, "operations", Scope.ADMIN).get_secret_value()}


def problem(response: requests.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["detail"]


def test_without_a_key_nothing_is_changed(api: str, warehouse: Engine) -> None:
    response = requests.post(api + SYMBOLS, json={"symbol": "NVDA"}, timeout=10)
    assert problem(response) == (401, "Missing X-API-Key header")
    assert list_active_symbols(warehouse) == []


@pytest.mark.parametrize(
    "key", ["x", "mdw_0123456789ab_" + 64 * "0", "mdw_" + 64 * "0", "é".encode().decode("latin-1")]
)
def test_a_malformed_or_unknown_key_is_rejected(api: str, key: str) -> None:
    response = requests.get(api + SYMBOLS, headers={"X-API-Key": key}, timeout=10)
    assert problem(response) == (401, "Invalid or inactive API key")


def test_a_key_with_one_wrong_character_is_rejected(api: str, admin: dict[str, str]) -> None:
    key = admin["X-API-Key"]
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert requests.get(api + SYMBOLS, headers={"X-API-Key": wrong}, timeout=10).status_code == 401
    assert requests.get(api + SYMBOLS, headers=admin, timeout=10).status_code == 200


def test_a_key_for_reading_is_not_one_for_administration(api: str, warehouse: Engine) -> None:
    key = create_key(warehouse, "notebook", Scope.READ).get_secret_value()
    response = requests.post(api + SYMBOLS, json={"symbol": "NVDA"}, headers={"X-API-Key": key}, timeout=10)
    assert problem(response)[0] == 403
    assert list_active_symbols(warehouse) == []


def test_a_revoked_key_and_an_expired_one_are_rejected_at_once(api: str, warehouse: Engine) -> None:
    revoked, expired = (create_key(warehouse, name, Scope.ADMIN, timedelta(days=1)) for name in ("a", "b"))
    ids = [row.id for row in list_keys(warehouse)]
    headers = [{"X-API-Key": key.get_secret_value()} for key in (revoked, expired)]
    assert [requests.get(api + SYMBOLS, headers=header, timeout=10).status_code for header in headers] == [200, 200]
    revoke_key(warehouse, ids[0])
    with warehouse.begin() as connection:
        connection.execute(text("UPDATE access.api_keys SET expires_at = now() WHERE id = :id"), {"id": ids[1]})
    assert [requests.get(api + SYMBOLS, headers=header, timeout=10).status_code for header in headers] == [401, 401]


def test_the_runbooks_symbol_is_added_shown_changed_and_removed(
    api: str, admin: dict[str, str], warehouse: Engine
) -> None:
    added = requests.post(api + SYMBOLS, json={"symbol": "NVDA", "asset_class": "stock"}, headers=admin, timeout=10)
    assert added.status_code == 201
    assert {name: added.json()[name] for name in ("symbol", "asset_class", "active", "backfill_status")} == {
        "symbol": "NVDA",
        "asset_class": "stock",
        "active": True,
        "backfill_status": "pending",
    }
    assert added.json()["last_backfill"] is None
    assert list_active_symbols(warehouse) == [Symbol.of("NVDA", "stock")]
    again = requests.post(api + SYMBOLS, json={"symbol": "NVDA"}, headers=admin, timeout=10)
    assert problem(again) == (409, "Symbol NVDA already tracked")
    one = f"{api}{SYMBOLS}/NVDA"
    assert requests.put(one, params={"active": "false"}, headers=admin, timeout=10).json()["active"] is False
    assert requests.get(api + SYMBOLS, headers=admin, timeout=10).json() == []
    everything = requests.get(api + SYMBOLS, params={"active_only": "false"}, headers=admin, timeout=10).json()
    assert [symbol["symbol"] for symbol in everything] == ["NVDA"]
    assert requests.put(one, params={"active": "true"}, headers=admin, timeout=10).json()["active"] is True
    removed = requests.delete(one, headers=admin, timeout=10).json()
    assert (removed["status"], removed["data_retained"]) == ("success", True)
    assert list_active_symbols(warehouse) == []
    assert requests.get(one, headers=admin, timeout=10).json()["active"] is False


def test_a_symbols_stats_are_what_is_stored(api: str, admin: dict[str, str], warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", date(2000, 9, 20), date(2000, 10, 10)))
    shown = requests.get(f"{api}{SYMBOLS}/AAPL", headers=admin, timeout=10).json()
    [counts] = query(
        warehouse,
        "SELECT count(*) AS bars, count(*) FILTER (WHERE validated) AS good,"
        " count(*) FILTER (WHERE gap_detected) AS gaps FROM market_data",
    )
    assert shown["stats"]["record_count"] == counts["bars"] == 15
    assert shown["stats"]["date_range"] == {"start": "2000-09-20", "end": "2000-10-10"}
    assert shown["stats"]["gaps_detected"] == counts["gaps"] == 1  # the crash of 2000-09-29
    assert shown["stats"]["validation_rate"] == pytest.approx(counts["good"] / 15)
    assert shown["backfill_status"] == "completed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"symbol": "../../X?A="}, "is not a stock ticker"),
        ({"symbol": "BTC/USD", "asset_class": "crypto"}, "did you mean BTC or BTC-USD?"),
        ({"symbol": "aapl"}, "did you mean AAPL?"),
    ],
)
def test_an_invalid_ticker_is_rejected_with_the_reason(
    api: str, admin: dict[str, str], body: dict[str, Any], reason: str
) -> None:
    status, detail = problem(requests.post(api + SYMBOLS, json=body, headers=admin, timeout=10))
    assert status == 400
    assert reason in detail


@pytest.mark.parametrize(
    "body", [{}, {"symbol": ""}, {"symbol": "A", "asset_class": "bond"}, {"symbol": "A", "x": 1}, []]
)
def test_a_wrong_body_is_rejected_with_the_field(api: str, admin: dict[str, str], body: Any) -> None:
    response = requests.post(api + SYMBOLS, json=body, headers=admin, timeout=10)
    assert problem(response)[0] == 422
    assert response.json()["errors"][0]["parameter"]


def test_a_symbol_in_small_letters_is_not_another_symbol(api: str, admin: dict[str, str], warehouse: Engine) -> None:
    add_symbols(warehouse, [AAPL])
    for method in ("get", "put", "delete"):
        response = requests.request(method, f"{api}{SYMBOLS}/aapl?active=true", headers=admin, timeout=10)
        assert problem(response) == (404, "Symbol aapl not tracked: did you mean AAPL?")


def test_the_audit_trail_has_every_request_and_survives_the_key(
    api: str, admin: dict[str, str], warehouse: Engine
) -> None:
    requests.post(api + SYMBOLS, json={"symbol": "NVDA"}, headers=admin, timeout=10)
    requests.post(api + SYMBOLS, json={"symbol": "NVDA"}, headers=admin, timeout=10)
    requests.post(api + SYMBOLS, json={"symbol": "no ticker"}, headers=admin, timeout=10)
    requests.get(f"{api}{SYMBOLS}/NVDA", headers=admin, timeout=10)
    [key] = list_keys(warehouse)
    revoke_key(warehouse, key.id)
    trail = [(row.method, row.endpoint, row.status_code) for row in read_audit_trail(warehouse, key.id, 10)]
    assert trail == [
        ("GET", f"{SYMBOLS}/NVDA", 200),
        ("POST", SYMBOLS, 400),
        ("POST", SYMBOLS, 409),
        ("POST", SYMBOLS, 201),
    ]
    assert key.last_used is not None


def test_keys_are_stored_as_hashes_out_of_readers_reach(warehouse: Engine, api: str, admin: dict[str, str]) -> None:
    secret = admin["X-API-Key"].rpartition("_")[2]
    assert secret not in str(query(warehouse, "SELECT * FROM access.api_keys"))
    denied = requests.get(f"{api}/api/v1/tables/api_keys", timeout=10)
    assert denied.status_code == 404
    with warehouse.connect() as connection:
        connection.execute(text("SET ROLE market_reader"))
        with pytest.raises(ProgrammingError, match="permission denied for schema access"):
            connection.execute(text("SELECT * FROM access.api_keys"))


def test_keys_are_made_listed_and_revoked_on_the_command_line(
    environment: dict[str, str], warehouse: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_keys(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["keys", *arguments])
        assert ended.value.code in (0, None)
        return capsys.readouterr().out

    key = run_keys("create", "notebook", "--days", "30").strip()
    [row] = list_keys(warehouse)
    assert key.startswith(f"mdw_{row.id}_")
    assert (row.name, row.scope, (row.expires_at - row.created_at).days) == ("notebook", "read", 30)
    assert row.id in run_keys("list")
    assert key not in run_keys("list", "--json")
    assert row.id in run_keys("revoke", row.id)
    assert list_keys(warehouse)[0].revoked_at is not None
    run_keys("audit", row.id)
    with pytest.raises(SystemExit) as ended:
        main(["keys", "revoke", "nosuch"])
    assert ended.value.code == 2
    assert "there is no key 'nosuch'" in capsys.readouterr().err


def test_keys_are_made_listed_rejected_and_accepted_again_over_http(
    api: str, admin: dict[str, str], warehouse: Engine
) -> None:
    made = requests.post(api + KEYS, json={"name": "night shift", "scope": "admin"}, headers=admin, timeout=10)
    assert made.status_code == 201
    created = made.json()
    theirs = {"X-API-Key": created["api_key"]}
    one = f"{api}{KEYS}/{created['id']}"
    assert created["key_preview"] == created["api_key"][:12] + "..."
    assert requests.get(api + SYMBOLS, headers=theirs, timeout=10).status_code == 200
    listed = requests.get(api + KEYS, headers=admin, timeout=10)
    assert created["api_key"] not in listed.text
    mine, shown = listed.json()
    assert mine["name"] == "operations"
    assert (shown["name"], shown["scope"], shown["active"], shown["request_count"]) == ("night shift", "admin", True, 1)

    denied = requests.put(one, json={"active": False}, headers=admin, timeout=10).json()
    assert (denied["status"], denied["key_id"], denied["active"]) == ("success", created["id"], False)
    assert requests.get(api + SYMBOLS, headers=theirs, timeout=10).status_code == 401
    active = requests.get(api + KEYS, params={"active_only": "true"}, headers=admin, timeout=10).json()
    assert [key["name"] for key in active] == ["operations"]
    assert requests.put(one, json={"active": True}, headers=admin, timeout=10).json()["active"] is True
    assert requests.get(api + SYMBOLS, headers=theirs, timeout=10).status_code == 200

    assert requests.delete(one, headers=admin, timeout=10).json()["active"] is False
    assert requests.get(api + SYMBOLS, headers=theirs, timeout=10).status_code == 401
    trail = requests.get(f"{one}/audit", params={"limit": 1, "offset": 1}, headers=admin, timeout=10).json()
    assert (trail["key_id"], trail["total"], trail["limit"], trail["offset"]) == (created["id"], 2, 1, 1)
    [entry] = trail["entries"]
    assert (entry["endpoint"], entry["method"], entry["status_code"]) == (SYMBOLS, "GET", 200)


def test_a_key_does_not_reject_itself(api: str, admin: dict[str, str]) -> None:
    [mine] = requests.get(api + KEYS, headers=admin, timeout=10).json()
    one = f"{api}{KEYS}/{mine['id']}"
    for response in (
        requests.put(one, json={"active": False}, headers=admin, timeout=10),
        requests.delete(one, headers=admin, timeout=10),
    ):
        status, detail = problem(response)
        assert (status, f"`market-pipeline keys revoke {mine['id']}`" in detail) == (409, True)
    assert requests.get(api + SYMBOLS, headers=admin, timeout=10).status_code == 200


def test_a_key_is_for_reading_unless_more_is_requested(api: str, admin: dict[str, str]) -> None:
    made = requests.post(api + KEYS, json={"name": "notebook", "days": 30}, headers=admin, timeout=10).json()
    assert (made["scope"], made["active"], made["request_count"]) == ("read", True, 0)
    assert made["expires_at"] > made["created_at"]
    denied = requests.post(api + KEYS, json={"name": "x"}, headers={"X-API-Key": made["api_key"]}, timeout=10)
    assert problem(denied)[0] == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
def test_an_unknown_key_is_a_404(api: str, admin: dict[str, str], method: str) -> None:
    path = f"{api}{KEYS}/nosuch" + ("/audit" if method == "GET" else "")
    response = requests.request(method, path, json={"active": True}, headers=admin, timeout=10)
    assert problem(response) == (404, "there is no key 'nosuch': `market-pipeline keys list` shows what there is")


@pytest.mark.parametrize("name", ["", " ", "a\0", "x" * 101])
def test_a_key_needs_a_name(api: str, admin: dict[str, str], name: str) -> None:
    response = requests.post(api + KEYS, json={"name": name}, headers=admin, timeout=10)
    assert problem(response)[0] == 422
    assert response.json()["errors"][0]["parameter"] == "name"


@pytest.mark.parametrize("prefix", [SYMBOLS, KEYS, "/api/v1/admin/backfills"])
@pytest.mark.parametrize("name", ["%00", "a%00b", "%FF", "..%2f..", "'%3B%20DROP%20TABLE%20market_data%3B%20--"])
def test_no_name_in_a_path_does_harm_and_its_request_is_recorded(
    api: str, admin: dict[str, str], warehouse: Engine, prefix: str, name: str
) -> None:
    path = f"{prefix}/{name}" + ("/audit" if prefix == KEYS else "")
    response = requests.get(api + path, headers=admin, timeout=10)
    status, _ = problem(response)
    assert status in (404, 422)
    if "%2f" not in name:  # which is a path that no route takes
        [line] = read_audit_trail(warehouse, admin["X-API-Key"].split("_")[1], 10)
        assert (line.endpoint, line.status_code) == (path, status)


def test_a_text_with_a_lone_surrogate_is_rejected(api: str, admin: dict[str, str]) -> None:
    body = b'{"symbols": ["\\ud800"], "start": "2024-01-01", "end": "2024-01-31"}'
    headers = {**admin, "Content-Type": "application/json"}
    response = requests.post(f"{api}/api/v1/admin/backfills", data=body, headers=headers, timeout=10)
    assert problem(response)[0] == 404


DOCUMENTS = "/openapi.json", "/docs", "/redoc"


def test_reading_takes_a_key_where_the_settings_require_one(
    settings: Settings, environment: dict[str, str], warehouse: Engine
) -> None:
    key = create_key(warehouse, "notebook", Scope.READ).get_secret_value()
    read = "/api/v1/status", "/api/v1/tables", "/api/v1/tables/sessions", "/api/v1/symbols", "/metrics"
    with running_api(settings.model_copy(update={"api_key_required": True})) as url:
        for path in (*read, *DOCUMENTS):
            assert problem(requests.get(url + path, timeout=10))[0] == 401
            assert requests.get(url + path, headers={"X-API-Key": key}, timeout=10).status_code == 200
            # A browser prompts for a password, which is the key, but not for the page's own requests.
            browser = requests.get(url + path, headers={"Accept": "text/html"}, timeout=10)
            assert browser.headers["www-authenticate"].startswith("Basic ")
            assert requests.get(url + path, auth=("", key), timeout=10).status_code == 200
            assert requests.get(url + path, auth=("", "x"), timeout=10).headers["www-authenticate"].startswith("ApiKey")
        charts = requests.get(f"{url}/udf/config", timeout=10)
        assert (charts.status_code, charts.json()["s"]) == (401, "error")
        document = requests.get(f"{url}/openapi.json", headers={"X-API-Key": key}, timeout=10).json()
        assert document["security"] == [{"APIKeyHeader": []}]


def test_the_health_is_for_everyone_and_its_details_for_those_who_may_read(
    settings: Settings, environment: dict[str, str], warehouse: Engine
) -> None:
    key = create_key(warehouse, "notebook", Scope.READ).get_secret_value()
    with running_api(settings.model_copy(update={"api_key_required": True})) as url:
        public, detailed = (requests.get(f"{url}/health", headers=h, timeout=10) for h in ({}, {"X-API-Key": key}))
    assert (public.status_code, detailed.status_code) == (200, 200)
    assert set(public.json()) == {"status", "timestamp", "scheduler_running", "database"}
    assert "market-pipeline up" in detailed.json()["scheduler"]["reason"]


def test_a_forwarded_address_counts_only_from_a_named_proxy(settings: Settings, environment: dict[str, str]) -> None:
    def rejected(**changes: str) -> list[int]:
        with running_api(settings.model_copy(update={"api_requests_per_minute": 3, **changes})) as url:
            responses = [
                requests.get(f"{url}/api/v1/links", headers={"X-Forwarded-For": f"192.0.2.{n}"}, timeout=10)
                for n in range(5)
            ]
        return [n for n, response in enumerate(responses) if response.status_code == 429]

    assert rejected() == [3, 4]
    assert rejected(api_trusted_proxies="10.0.0.0/8") == [3, 4]
    assert rejected(api_trusted_proxies="127.0.0.0/8, ::1") == []


def test_the_same_backfill_is_started_once_and_no_more_than_a_number_of_others(
    settings: Settings, environment: dict[str, str], warehouse: Engine, admin: dict[str, str]
) -> None:
    add_symbols(warehouse, [AAPL])
    backfills = "/api/v1/admin/backfills"
    wanted = {"symbols": ["AAPL"], "start": "2024-01-02", "end": "2024-01-31"}
    unreachable = {"dagster_webserver_url": "http://127.0.0.1:9", "api_max_backfills": 3}
    with running_api(settings.model_copy(update=unreachable)) as url, ThreadPoolExecutor(20) as clients:

        def post(**changes: str) -> requests.Response:
            return requests.post(url + backfills, json={**wanted, **changes}, headers=admin, timeout=60)

        same = list(clients.map(lambda _: post(), range(20)))
        others = [post(end=f"2024-02-0{day}") for day in (1, 2, 5)]
        listed = requests.get(url + backfills, headers=admin, timeout=60).json()
        cancelled = requests.post(f"{url}{backfills}/{same[0].json()['id']}/cancel", headers=admin, timeout=60)
        again = post()
    assert sorted(response.status_code for response in same) == [200] * 19 + [202]
    assert len({response.json()["id"] for response in same}) == 1
    assert len({response.headers["location"] for response in same}) == 1
    assert [response.status_code for response in others] == [202, 202, 429]
    assert problem(others[-1])[1].startswith("3 backfills have not ended")
    assert others[-1].headers["retry-after"] == "60"
    assert len(listed) == 3
    assert (cancelled.status_code, again.status_code) == (202, 429)  # it is being cancelled still


def test_a_client_above_the_rate_limit_gets_the_wait(settings: Settings, environment: dict[str, str]) -> None:
    with running_api(settings.model_copy(update={"api_requests_per_minute": 3})) as url:
        responses = [requests.get(f"{url}/api/v1/links", timeout=10) for _ in range(5)]  # the first begins a minute
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 200
    assert [response.status_code for response in responses] == [200, 200, 200, 429, 429]
    denied = responses[-1]
    assert problem(denied)[1].startswith("more than 3 requests in a minute: wait ")
    assert 1 <= int(denied.headers["retry-after"]) <= 60
    remaining = [response.headers["ratelimit"].split(";")[1] for response in responses]
    assert remaining == ["r=2", "r=1", "r=0", "r=0", "r=0"]
    assert {response.headers["ratelimit-policy"] for response in responses} == {'"minute";q=3;w=60'}


def test_pages_of_other_origins_may_read_only_where_they_are_named(
    settings: Settings, environment: dict[str, str]
) -> None:
    mine, other = "https://app.example.com", "https://evil.example.com"
    with running_api(settings) as url:
        response = requests.get(f"{url}/api/v1/links", headers={"Origin": mine}, timeout=10)
        assert "access-control-allow-origin" not in response.headers
    with running_api(settings.model_copy(update={"api_cors_origins": mine})) as url:
        allowed, denied = (
            requests.get(f"{url}/api/v1/links", headers={"Origin": o}, timeout=10) for o in (mine, other)
        )
    assert allowed.headers["access-control-allow-origin"] == mine
    assert "access-control-allow-credentials" not in allowed.headers
    assert "access-control-allow-origin" not in denied.headers
