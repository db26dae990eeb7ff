"""The embedded server's errors, and how the system's own become one of them. Nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from market_pipeline.core.errors import MarketPipelineError


class EmbeddedServerError(MarketPipelineError):
    """The embedded server can't be started, stopped or deleted; the message says why and what to do."""


@contextmanager
def translate_os_errors(data_dir: Path) -> Iterator[None]:
    """Turn what the system refuses (rights, space, a lock never freed) into an error that names the way out.

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
