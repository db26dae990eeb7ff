"""Shell completion of tracked symbols: fast and silent, from the database if it is running."""

from collections.abc import Sequence
from contextlib import suppress

from market_pipeline.core.settings import load_settings

SECONDS = 2
"""Time limits in seconds for connecting and for the query; libpq's shortest is 2."""

ACTIVE_SYMBOLS = "SELECT symbol FROM tracked_symbols WHERE active ORDER BY symbol"


def complete_symbol(incomplete: str) -> list[str]:
    """Return the tracked symbols that begin with `incomplete`."""
    return [name for name in _read_tracked_symbols() if name.startswith(incomplete)]


def complete_symbols(incomplete: str) -> list[str]:
    """Return lists that complete a comma-separated list by one tracked symbol that isn't in it."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_symbol(last) if name not in before.split(",")]


def _read_tracked_symbols() -> Sequence[str]:
    with suppress(Exception):  # a shell can't show an error while it completes a word
        import psycopg
        from sqlalchemy import make_url

        from market_pipeline.warehouse import embedded

        settings = load_settings()
        url = settings.database_url
        if url is None and (server := embedded.find_running_server(settings.market_pipeline_data_dir)) is not None:
            url = server.url()
        if url is not None:
            address = make_url(url.get_secret_value()).set(drivername="postgresql")
            limit = f"-c statement_timeout={SECONDS}s"
            with psycopg.connect(
                address.render_as_string(hide_password=False), connect_timeout=SECONDS, options=limit
            ) as connection:
                return [row[0] for row in connection.execute(ACTIVE_SYMBOLS)]
    return []
