"""The access log without API keys, which the vendor's clients may put into a URL."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "uvicorn.access"
KEY = re.compile(r"(?i)(apikey=)[^&\s\"]*")


@contextmanager
def hidden_keys() -> Iterator[None]:
    """Replace keys in URLs by *** in the access log while the block runs."""
    logger = logging.getLogger(LOGGER)
    logger.addFilter(_hide_keys)
    try:
        yield
    finally:
        logger.removeFilter(_hide_keys)


def _hide_keys(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(KEY.sub(r"\1***", part) if isinstance(part, str) else part for part in record.args)
    return True
