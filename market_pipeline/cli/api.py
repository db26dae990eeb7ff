"""`market-pipeline api`: the read API and its web page, in the foreground."""

import logging
from typing import Annotated

import typer

from market_pipeline.cli.output import print_note
from market_pipeline.core.gc_tuning import freeze_existing
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.sockets import LOOPBACK, build_base_url, is_loopback, listen


def api(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all addresses of this machine.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any free one.")] = 8000,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request to standard error.")] = False,
) -> None:
    """Serve the warehouse over HTTP until Ctrl-C: the web page at /, the API's documentation at /docs."""
    settings = load_settings()
    logging.basicConfig(format="%(asctime)s %(message)s")
    # Importing FastAPI and Dagster takes seconds.
    from market_pipeline.api.server import api_server

    with listen(host, port) as listener, api_server(settings, access_log=access_log) as server:
        url = build_base_url(listener)
        print_note(f"The API is at {url} and documented at {url}/docs. Ctrl-C stops it.")
        _warn_if_open(host, settings)
        freeze_existing()
        try:
            server.run([listener])
        except KeyboardInterrupt:
            print_note("The API has stopped.")


def _warn_if_open(host: str, settings: Settings) -> None:
    if not is_loopback(host) and not settings.api_key_required:
        print_note("Anyone who reaches this address can read: API_KEY_REQUIRED=true requires a key.")
