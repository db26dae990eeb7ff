"""Shell completion of tracked symbols: quick and silent, from the database as it is, which is never started for it."""

from collections.abc import Sequence
from contextlib import suppress

from market_pipeline.core.settings import load_settings

SECONDS = 2
"""The longest that a database may take to be connected to; libpq takes no less."""

ACTIVE = "SELECT symbol FROM tracked_symbols WHERE active ORDER BY symbol"


def complete_symbol(incomplete: str) -> list[str]:
    """The tracked symbols that begin so."""
    return [name for name in _tracked() if name.startswith(incomplete)]


def complete_symbols(incomplete: str) -> list[str]:
    """Comma-separated lists that complete this one by a tracked symbol that isn't in it."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in complete_symbol(last) if name not in before.split(",")]


def _tracked() -> Sequence[str]:
    with suppress(Exception):  # a shell that completes a word has no place for an error
        import psycopg
        from sqlalchemy import make_url

        from market_pipeline.warehouse import embedded

        settings = load_settings()
        url = settings.database_url
        if url is None and (server := embedded.running(settings.market_pipeline_data_dir)) is not None:
            url = server.url()
        if url is not None:
            address = make_url(url.get_secret_value()).set(drivername="postgresql")
            limit = f"-c statement_timeout={SECONDS}s"
            with psycopg.connect(
                address.render_as_string(hide_password=False), connect_timeout=SECONDS, options=limit
            ) as connection:
                return [
                    row[0] for row in connection.execute("SELECT symbol FROM tracked_symbols WHERE active ORDER BY 1")
                ]
    return []
