"""`market-pipeline api`: the read API and its page, in the foreground."""

import ipaddress
import logging
from contextlib import suppress
from typing import Annotated

import typer

from market_pipeline.cli.output import print_note
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.sockets import base_url, listen


def api(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any.")] = 8000,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request to standard error.")] = False,
) -> None:
    """Serve the warehouse over HTTP until Ctrl-C: the page at /, its documentation at /docs."""
    settings = load_settings()
    logging.basicConfig(format="%(asctime)s %(message)s")
    # FastAPI and Dagster take seconds that other commands needn't.
    from market_pipeline.api.server import api_server

    with listen(host, port) as door, api_server(settings, access_log=access_log) as server:
        print_note(f"The API is at {base_url(door)} and documented at {base_url(door)}/docs. Ctrl-C stops it.")
        _warn_if_open(host, settings)
        try:
            server.run([door])
        except KeyboardInterrupt:
            print_note("The API has stopped.")


def _warn_if_open(host: str, settings: Settings) -> None:
    is_here_only = host == "localhost"
    with suppress(ValueError):
        is_here_only = ipaddress.ip_address(host).is_loopback
    if not is_here_only and not settings.api_key_required:
        print_note("Whoever reaches this address may read: API_KEY_REQUIRED=true asks them for a key.")
