"""The access log without API keys, which the vendor's clients may put into a URL."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_plus

LOGGER = "uvicorn.access"
KEY = "apikey"


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
        record.args = tuple(hide_keys(part) if isinstance(part, str) else part for part in record.args)
    return True


def hide_keys(target: str) -> str:
    """Return a path and its query with *** for keys, however their parameter's name is written (`api%4Bey`)."""
    path, mark, query = target.partition("?")
    return f"{path}{mark}{'&'.join(map(_hide_key, query.split('&')))}"


def _hide_key(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}=***" if equals and KEY in unquote_plus(name).lower() else parameter
