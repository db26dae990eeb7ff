"""`market-pipeline mcp`: tools for assistants over the Model Context Protocol, on standard input and output or HTTP."""

from typing import Annotated

import typer

from market_pipeline.cli.output import print_note
from market_pipeline.core.settings import load_settings
from market_pipeline.core.sockets import LOOPBACK, build_base_url, listen


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on with --http; beyond this machine an API key is required.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port for --http; 0 for any free one.")] = 8765,
) -> None:
    """Let an assistant read the warehouse: symbols, bars, corporate actions, problems, and read-only SQL.

    An assistant starts this command itself and reads it over standard input and output. No tool changes anything.
    """
    settings = load_settings()
    # Importing the protocol, FastAPI and Dagster takes seconds.
    from market_pipeline.assistants.serving import PATH, open_http_server, requires_key, serve_stdio

    if not http:
        serve_stdio(settings)
        return
    with listen(host, port) as listener, open_http_server(settings, host) as server:
        key = "; requests need an API key" if requires_key(settings, host) else ""
        print_note(f"Assistants connect to {build_base_url(listener)}{PATH}{key}. Ctrl-C stops it.")
        try:
            server.run([listener])
        except KeyboardInterrupt:
            print_note("The assistants' server has stopped.")
