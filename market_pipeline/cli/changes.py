"""`market-pipeline changes`: every row that came, changed or went since a point, as lines of JSON."""

import json
from datetime import datetime
from typing import Annotated

import typer

from market_pipeline.cli.parameters import parse_instant, parse_symbol
from market_pipeline.core.settings import load_settings
from market_pipeline.warehouse.changes import BEGINNING, KINDS, ChangeFilter, check_kinds, read_changes
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.loads import describe_point


def parse_kinds(text: str | None) -> tuple[str, ...] | None:
    """Parse a comma-separated list of kinds.

    Raises:
        BadParameter: there is no such kind.
    """
    if text is None:
        return None
    kinds = tuple(dict.fromkeys(kind.strip() for kind in text.split(",")))
    try:
        check_kinds(kinds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return kinds


def changes(
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Changes after this instant, e.g. the `settled` of the call before; default: all.",
            parser=parse_instant,
            metavar="POINT",
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option("--kind", help=f"Comma-separated kinds of rows: {', '.join(KINDS)}; default: all.", metavar="A,B"),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Changes of one symbol.", parser=parse_symbol, metavar="SYMBOL")
    ] = None,
) -> None:
    """Print every bar, split, dividend, factor and identity that came, changed or went, as lines of JSON.

    They are in the order in which loads became visible. The last line is {"settled": POINT}: next time, request what
    came after it by --since POINT.

    Example: market-pipeline changes --since 2026-03-01T12:00Z
    """
    chosen = ChangeFilter(parse_kinds(kinds), symbol)
    with warehouse_of(load_settings()) as warehouse:
        for change in read_changes(warehouse, since or BEGINNING, chosen):
            typer.echo(change if isinstance(change, str) else json.dumps({"settled": describe_point(change)}))
