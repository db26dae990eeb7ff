"""`market-pipeline export`: bars into a file, for those who would rather have one than a database."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from market_pipeline.cli.completion import complete_symbols
from market_pipeline.cli.parameters import SymbolChoice, parse_date, parse_instant, parse_symbols
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import are, counted
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.export import Format, Manifest, Watch, export_stream, format_of
from market_pipeline.warehouse.export import export as write_file
from market_pipeline.warehouse.export_query import (
    Adjustment,
    ExportRequestError,
    Selection,
    Summary,
    exportable_symbols,
)

STANDARD_OUTPUT = Path("-")


def export(
    symbols: Annotated[
        SymbolChoice,
        typer.Option(
            help='Comma-separated symbols; "*" for all, those no longer tracked too.',
            metavar="A,B,C",
            parser=parse_symbols,
            autocompletion=complete_symbols,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="The file to write, .parquet, .csv or .csv.gz; what is in it is described in FILE.json beside it. "
            "- for standard output.",
            metavar="FILE",
        ),
    ],
    start: Annotated[
        date | None, typer.Option(help="First date, default the first bar's.", metavar="YYYY-MM-DD", parser=parse_date)
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(help="Last date, included; default the last bar's.", metavar="YYYY-MM-DD", parser=parse_date),
    ] = None,
    adjustment: Annotated[
        Adjustment, typer.Option(help="Prices as traded, adjusted for splits, or for splits and dividends (all).")
    ] = Adjustment.NONE,
    as_of: Annotated[
        datetime | None,
        typer.Option(help="Bars as they were stored then: 2026-03-01T12:00Z.", parser=parse_instant, metavar="INSTANT"),
    ] = None,
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="Parquet or CSV.", show_default="by the file's name; CSV to standard output"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result and errors only.")] = False,
) -> None:
    """Write bars to a Parquet or CSV file, and what they are to a JSON file beside it; or to standard output.

    Example: market-pipeline export --symbols AAPL,MSFT --start 2020-01-01 --adjustment all --output bars.parquet
    """
    to_stream = output == STANDARD_OUTPUT
    named = (kind or Format.CSV) if to_stream else format_of(output, kind)
    if to_stream and named is Format.PARQUET and sys.stdout.isatty():
        raise ExportRequestError("Parquet is not for a terminal: send it to a file or a pipe, or add --format csv")
    with warehouse_of(load_settings()) as warehouse:
        selection = Selection(
            symbols=exportable_symbols(warehouse, symbols.names),
            start=start,
            end=end,
            adjustment=adjustment,
            as_of=as_of,
        )
        with _progress(quiet=quiet) as progress:
            made: Manifest | Summary
            if to_stream:
                made = export_stream(warehouse, selection, named, sys.stdout.buffer, progress=progress)
                sys.stdout.flush()
            else:
                made = write_file(warehouse, selection, named, output, overwrite=overwrite, progress=progress)
    told = f"{counted(made.rows, 'bar')} of {counted(len(selection.symbols), 'symbol')}"
    if not to_stream:
        typer.echo(f"{told} {are(made.rows)} in {output}, described in {output}.json")
    elif not quiet:
        typer.echo(told, err=True)
    if made.rows_not_adjusted:
        _warn_of_unadjusted(made.rows_not_adjusted)


def _warn_of_unadjusted(rows: int) -> None:
    typer.echo(
        f"{rows:,} of them {'has' if rows == 1 else 'have'} no prices: splits or dividends of their symbols aren't "
        "known. The nightly runs of Dagster ask for them; analytics.symbol_coverage says when they did.",
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
