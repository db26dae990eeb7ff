"""Tables on the terminal, as wide as they have to be: what is cut off can't be read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

NARROWEST, WIDEST = 140, 1000
"""Columns of text. Where the output is no terminal, 80 would be assumed and the table cut."""


def print_columns(
    texts: Sequence[str],
    numbers: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    *,
    totals: Mapping[str, int] | None = None,
    last: str | None = None,
) -> None:
    """Print rows under the names of their columns.

    Args:
        texts: columns to the left; a missing value is left blank.
        numbers: columns of numbers; a float gets one digit after the point.
        rows: by the columns' names.
        totals: a last line, by the columns' names.
        last: a column of longer text, folded where it doesn't fit.
    """
    table = Table(box=box.ASCII2, show_footer=totals is not None)
    totals = totals or {}
    for number, name in enumerate(texts):
        table.add_column(_heading(name), "total" if number == 0 else "", no_wrap=True)
    for name in numbers:
        table.add_column(_heading(name), f"{totals[name]:,}" if name in totals else "", justify="right")
    if last:
        table.add_column(_heading(last), overflow="fold")
    for row in rows:
        cells = [_text(row[name]) for name in texts] + [_number(row[name]) for name in numbers]
        table.add_row(*cells, *([_text(row[last])] if last else []))
    width = max(Console().width, NARROWEST if last else Console(width=WIDEST).measure(table).maximum)
    Console(width=width, highlight=False, markup=False).print(table)


def _heading(name: str) -> str:
    return name.removesuffix("_session").replace("_", " ")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"
