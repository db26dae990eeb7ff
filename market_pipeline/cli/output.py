"""What commands say beside their result: a line on standard error, of the log where that is JSON."""

import logging

import typer

from market_pipeline.core import logging_json

log = logging.getLogger(__name__)


def print_note(message: str, level: int = logging.INFO) -> None:
    """Say something to whoever runs the command."""
    if logging_json.is_json():
        log.log(level, message)
    else:
        typer.echo(f"error: {message}" if level >= logging.ERROR else message, err=True)
