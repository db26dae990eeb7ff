"""Output of commands: notes on standard error, or in the log if that is JSON, and tables on standard output."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from market_pipeline.core import logging_json

NARROWEST, WIDEST = 140, 1000
"""Widths of tables, in characters. Rich assumes 80 if the output is no terminal, and would cut the table off."""

log = logging.getLogger(__name__)


def print_note(message: str, level: int = logging.INFO) -> None:
    """Print a message about the command's work on standard error."""
    if logging_json.is_json():
        log.log(level, message)
    else:
        typer.echo(f"error: {message}" if level >= logging.ERROR else message, err=True)


def print_columns(
    texts: Sequence[str],
    numbers: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    totals: Mapping[str, int] | None = None,
    last: str | None = None,
) -> None:
    """Print rows as a table, as wide as its content.

    Args:
        texts: columns of text, aligned left; a missing value is blank.
        numbers: columns of numbers, aligned right; a float has one decimal.
        rows: values by column.
        totals: values of a last line, by column.
        last: a column of longer text, wrapped if it doesn't fit.
    """
    from rich import box  # a command that prints no table needn't import it
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.ASCII2, show_footer=totals is not None)
    totals = totals or {}
    for number, name in enumerate(texts):
        table.add_column(_format_heading(name), "total" if number == 0 else "", no_wrap=True)
    for name in numbers:
        table.add_column(_format_heading(name), f"{totals[name]:,}" if name in totals else "", justify="right")
    if last:
        table.add_column(_format_heading(last), overflow="fold")
    for row in rows:
        cells = [_format_text(row[name]) for name in texts] + [_format_number(row[name]) for name in numbers]
        table.add_row(*cells, *([_format_text(row[last])] if last else []))
    width = max(Console().width, NARROWEST if last else Console(width=WIDEST).measure(table).maximum)
    Console(width=width, highlight=False, markup=False).print(table)


def _format_heading(name: str) -> str:
    return name.removesuffix("_session").replace("_", " ")


def _format_text(value: Any) -> str:
    return "" if value is None else str(value)


def _format_number(value: float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"
