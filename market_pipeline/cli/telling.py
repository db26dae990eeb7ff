"""What commands say beside their result: a line on standard error, of the log where that is JSON."""

import logging

import typer

from market_pipeline import logs

log = logging.getLogger(__name__)


def tell(message: str, level: int = logging.INFO) -> None:
    """Say something to whoever runs the command."""
    if logs.is_json():
        log.log(level, message)
    else:
        typer.echo(f"error: {message}" if level >= logging.ERROR else message, err=True)
