"""Errors of the embedded server, and the translation of the system's own into them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from market_pipeline.core.errors import MarketPipelineError


class EmbeddedServerError(MarketPipelineError):
    """The embedded server can't be started, stopped or deleted; the message names the reason and the next step."""


@contextmanager
def translate_os_errors(data_dir: Path) -> Iterator[None]:
    """Raise an error of the system (rights, space, a lock never freed) as one that names the way out.

    Raises:
        EmbeddedServerError: in place of any OSError from inside.
    """
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"the embedded PostgreSQL in {data_dir} can't be used: {error}. Run as the user it belongs to, or set "
            "MARKET_PIPELINE_DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL of your own."
        ) from error
