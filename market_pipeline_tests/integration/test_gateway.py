"""A gateway in front of the vendor: its requests, and the source of its bars."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select

from market_pipeline.core.settings import Settings
from market_pipeline.ingest import Run, ingest
from market_pipeline.operations.doctor import run_checks
from market_pipeline.polygon import vendor_errors
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.fetcher import Fetcher
from market_pipeline.polygon.key_check import check_key
from market_pipeline.polygon.limiter import LocalLimiter
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.security_refresh import refresh_reference
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.tables import bar_source
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.bar_frames import frame_of
from market_pipeline_tests.integration.polygon_cases import AAPL, APRIL_1, APRIL_4, BARS, HURRY, KEY, body
from market_pipeline_tests.scripted_vendor import Reply, ScriptedVendor, scripted_vendor

FIRST = "/polygon/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04?adjusted=false&sort=asc&limit=50000"
NEXT = "/v2/aggs/ticker/AAPL/range/1/day/1112587200000/2005-04-04"
LINKS = {
    "the vendor's": "https://api.polygon.io" + NEXT + "?cursor=abc",
    "the gateway's": "{gateway}/polygon" + NEXT + "?cursor=abc",
    "the gateway's host and the vendor's path": "{gateway}" + NEXT + "?cursor=abc",
}


@pytest.fixture
def gateway() -> Iterator[ScriptedVendor]:
    with scripted_vendor() as vendor:
        yield vendor


def through(gateway: ScriptedVendor, settings: Settings, **changes: object) -> Settings:
    """Return settings with the gateway, below a path of its host."""
    declared = {
        "polygon_base_url": "https://api.massive.com",
        "polygon_gateway_url": f"{gateway.base_url}/polygon",
        "polygon_api_key": SecretStr(KEY),
    }
    return settings.model_copy(update={**declared, **changes})


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_every_page_is_requested_from_the_gateway_with_the_key(
    settings: Settings, gateway: ScriptedVendor, link: str
) -> None:
    gateway.replies += [Reply(body(BARS[:1], next_url=link.format(gateway=gateway.base_url))), Reply(body(BARS[1:]))]
    with PolygonClient.from_settings(through(gateway, settings), LocalLimiter(9)) as client:
        fetched = client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    assert len(frame_of(fetched)) == 2
    assert gateway.paths == [FIRST, f"/polygon{NEXT}?adjusted=false&cursor=abc"]
    assert {requested.headers["Authorization"] for requested in gateway.requests} == {f"Bearer {KEY}"}


def test_a_gateways_bars_have_the_markets_source(
    settings: Settings, gateway: ScriptedVendor, warehouse: Engine
) -> None:
    gateway.replies += [Reply(body(BARS))]
    add_symbols(warehouse, [AAPL])
    with PolygonClient.from_settings(through(gateway, settings), LocalLimiter(9)) as client:
        [[result]] = ingest(
            [AAPL],
            [APRIL_1, APRIL_4],
            vendor=Fetcher(client, [AAPL], [APRIL_1, APRIL_4], datetime(2024, 6, 15, tzinfo=UTC)),
            fetch_reference=partial(refresh_reference, client, warehouse),
            delisted={},
            warehouse=warehouse,
            run=Run("run-1", "cli"),
        )
    assert (result.error, result.loaded) == (None, 2)
    with warehouse.connect() as connection:
        assert set(connection.scalars(select(market_data.c.source))) == {"polygon"}
        assert connection.scalars(select(bar_source.c.source)).all() == ["polygon"]


def test_a_gateway_requires_the_vendor_key(settings: Settings, gateway: ScriptedVendor) -> None:
    with pytest.raises(vendor_errors.MissingKeyError):
        PolygonClient.from_settings(through(gateway, settings, polygon_api_key=None), LocalLimiter(9))


def test_a_sandbox_behind_a_gateway_is_not_the_market(settings: Settings) -> None:
    with running_sandbox(SandboxConfig()) as url:
        declared = settings.model_copy(
            update={"polygon_base_url": url, "polygon_gateway_url": url, "polygon_api_key": SecretStr(KEY)}
        )
        with (
            PolygonClient.from_settings(declared, LocalLimiter(9)) as client,
            pytest.raises(vendor_errors.BadResponseError, match="the response is a sandbox's, not the vendor's"),
        ):
            client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)


def test_an_undeclared_gateway_is_an_error_that_names_the_setting(settings: Settings, gateway: ScriptedVendor) -> None:
    gateway.replies += [Reply(body(BARS))]
    undeclared = settings.model_copy(update={"polygon_base_url": gateway.base_url})
    with (
        PolygonClient.from_settings(undeclared, LocalLimiter(9)) as client,
        pytest.raises(vendor_errors.BadResponseError, match="declared by POLYGON_GATEWAY_URL"),
    ):
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)


def test_the_key_is_sent_to_no_undeclared_host_on_the_internet(
    settings: Settings, gateway: ScriptedVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", gateway.base_url)  # it gets requests to a host that doesn't exist
    gateway.replies += [Reply(body(BARS))]
    mistyped = settings.model_copy(
        update={"polygon_base_url": "http://api.massive.example", "polygon_api_key": SecretStr(KEY)}
    )
    with (
        PolygonClient.from_settings(mistyped, LocalLimiter(9)) as client,
        pytest.raises(vendor_errors.BadResponseError, match="neither the vendor nor a sandbox"),
    ):
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)
    [requested] = gateway.requests
    assert requested.path.startswith("http://api.massive.example/v2/aggs/")
    assert requested.headers["Authorization"] == "Bearer sandbox"


def test_a_gateway_that_is_down_is_named_in_the_error(settings: Settings, gateway: ScriptedVendor) -> None:
    down = through(gateway, settings, polygon_gateway_url="http://127.0.0.1:9/polygon")
    with pytest.raises(vendor_errors.VendorDownError, match=r"http://127\.0\.0\.1:9/polygon.*POLYGON_GATEWAY_URL"):
        check_key(down, LocalLimiter(9))
    url, limiter = down.vendor_url, LocalLimiter(9)
    with (
        PolygonClient(url, SecretStr(KEY), source="polygon", limiter=limiter, retry_policy=HURRY) as client,
        pytest.raises(
            vendor_errors.VendorDownError, match=r"no response from the gateway at http://127\.0\.0\.1:9/polygon"
        ),
    ):
        client.fetch_daily_bars(AAPL, APRIL_1, APRIL_4)


@pytest.mark.usefixtures("dbt_manifest")
def test_doctor_reports_the_gateway(settings: Settings, gateway: ScriptedVendor) -> None:
    gateway.replies += [Reply({"status": "OK", "request_id": "1", "results": {}})]
    findings = {found.check: found for found in run_checks(through(gateway, settings), ask_vendor=True)}
    named = f"the vendor's gateway at {gateway.base_url}/polygon"
    assert findings["vendor key"].found == f"POLYGON_API_KEY is set, and sent to {named}; --ask tries it"
    assert findings["vendor"].found == f"{named} responds, and accepts the key"
    assert gateway.paths == ["/polygon/v3/reference/tickers/AAPL"]
