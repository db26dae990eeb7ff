"""`market-pipeline export`: bars into a file, for those who would rather have one than a database."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from market_pipeline.settings import load_settings
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.export import Format, Manifest, Watch
from market_pipeline.warehouse.export import export as write_file
from market_pipeline.warehouse.extract import Adjustment, Selection, exportable_symbols

DAY = ["%Y-%m-%d"]


def _instant(value: str) -> datetime:
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not an instant: write it as 2026-03-01T12:00Z") from None
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{value!r} has no time zone: write it as 2026-03-01T12:00Z")
    return instant


def export(
    symbols: Annotated[
        str, typer.Option(help='Comma-separated symbols; "*" for all, those no longer tracked too.', metavar="A,B,C")
    ],
    output: Annotated[Path, typer.Option(help="The file to write; what is in it is described in FILE.json beside it.")],
    start: Annotated[datetime | None, typer.Option(help="First date, default the first bar's.", formats=DAY)] = None,
    end: Annotated[datetime | None, typer.Option(help="Last date, included; default the last's.", formats=DAY)] = None,
    adjustment: Annotated[
        Adjustment, typer.Option(help="Prices as traded, adjusted for splits, or for splits and dividends (all).")
    ] = Adjustment.NONE,
    as_of: Annotated[
        datetime | None,
        typer.Option(help="Bars as they were stored then: 2026-03-01T12:00Z.", parser=_instant, metavar="INSTANT"),
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="Parquet or CSV.")] = Format.PARQUET,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Write bars to a Parquet or CSV file, and what they are to a JSON file beside it."""
    with warehouse_of(load_settings()) as warehouse:
        names = [name.strip() for name in symbols.split(",") if name.strip()]
        selection = Selection(
            symbols=exportable_symbols(warehouse, None if names == ["*"] else names),
            start=start.date() if start else None,
            end=end.date() if end else None,
            adjustment=adjustment,
            as_of=as_of,
        )
        with _progress(quiet=quiet) as progress:
            made = write_file(warehouse, selection, kind, output, overwrite=overwrite, progress=progress)
    _report(made, output)


def _report(made: Manifest, output: Path) -> None:
    typer.echo(f"{made.rows:,} bars of {len(made.symbols)} symbols are in {output}, described in {output}.json")
    if made.rows_not_adjusted:
        typer.echo(
            f"{made.rows_not_adjusted:,} of them have no prices: splits or dividends of their symbols aren't known. "
            "The nightly runs of Dagster ask for them; analytics.symbol_coverage says when they did.",
            err=True,
        )


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Watch]:
    """What to tell how far the export is: a bar, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = TextColumn("bars"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("bars", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
