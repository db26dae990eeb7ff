"""The API's server: in the foreground, or in a thread for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from market_pipeline.api.access_log import hidden_keys
from market_pipeline.api.app import create_app
from market_pipeline.api.context import Context
from market_pipeline.api.generated.catalog import Catalog
from market_pipeline.api.generated.reader import Reader
from market_pipeline.api.http_protocol import ApiServer, HttpConnection
from market_pipeline.api.limits import ENDING_SECONDS, IDLE_SECONDS
from market_pipeline.api.page import HEADERS
from market_pipeline.core.logging_json import limit_repeats
from market_pipeline.core.settings import Settings
from market_pipeline.core.sockets import LOOPBACK, serve_in_thread
from market_pipeline.orchestration.run_launch import open_instance
from market_pipeline.warehouse.database import find_database_url, warehouse_of
from market_pipeline.warehouse.roles import make_reading_role


@contextmanager
def api_server(settings: Settings, *, access_log: bool = False) -> Iterator[ApiServer]:
    """Open the API's server. Its `run([socket])` serves requests until it is stopped.

    Raises:
        MarketPipelineError: the database can't be used, or its reading role can't be created.
    """
    with warehouse_of(settings) as warehouse, open_instance(settings) as instance:
        reader = Reader(
            find_database_url(settings), make_reading_role(warehouse), most=settings.database_max_connections
        )
        context = Context(
            settings=settings, reader=reader, catalog=Catalog(reader), warehouse=warehouse, instance=instance
        )
        with create_http_server(create_app(context), settings, access_log=access_log) as server:
            yield server


@contextmanager
def create_http_server(app: ASGIApp, settings: Settings, *, access_log: bool = False) -> Iterator[ApiServer]:
    """Create a server of an application with the API's limits on connections and time."""
    options = uvicorn.Config(
        app,
        http=partial(HttpConnection, most=settings.api_max_connections),  # type: ignore[arg-type]  # it only calls it
        ws="none",
        log_config=None,
        log_level="info" if access_log else "warning",
        access_log=access_log,
        server_header=False,
        headers=HEADERS,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    with limit_repeats(), hidden_keys():
        yield ApiServer(options)


@contextmanager
def running_api(settings: Settings, host: str = LOOPBACK, port: int = 0) -> Iterator[str]:
    """Run the API in a thread while the block runs; yield its base URL.

    Raises:
        MarketPipelineError: the database can't be used.
        PortTakenError: something else listens on the port.
    """
    with api_server(settings) as server, serve_in_thread(server, host, port, name="api") as url:
        yield url
