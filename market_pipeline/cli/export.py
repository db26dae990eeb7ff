"""`market-pipeline export`: bars in a Parquet or CSV file, or on standard output."""

import logging
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
from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import SymbolChoice, parse_date, parse_instant, parse_stored_symbols
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import choose_verb, format_count, name_some
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.export import HOW_TO_ADJUST, ExportManifest, ProgressCallback, export_stream
from market_pipeline.warehouse.export import export as write_file
from market_pipeline.warehouse.export_formats import FileFormat, choose_format
from market_pipeline.warehouse.export_query import (
    Adjustment,
    ExportRequestError,
    Selection,
    Summary,
    find_exportable_symbols,
)
from market_pipeline.warehouse.loads import describe_point
from market_pipeline.warehouse.snapshots import find_snapshot

PARTIAL = 3
STANDARD_OUTPUT = Path("-")


def export(
    symbols: Annotated[
        SymbolChoice,
        typer.Option(
            help='Comma-separated symbols; "*" for all, including those that are no longer tracked.',
            metavar="A,B,C",
            parser=parse_stored_symbols,
            autocompletion=complete_symbols,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            help="File to write: .parquet, .csv or .csv.gz, with a description in FILE.json. - for standard output.",
            metavar="FILE",
        ),
    ],
    start: Annotated[
        date | None,
        typer.Option(help="First date; default: that of the first bar.", metavar="YYYY-MM-DD", parser=parse_date),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(
            help="Last date, inclusive; default: that of the last bar.", metavar="YYYY-MM-DD", parser=parse_date
        ),
    ] = None,
    adjustment: Annotated[
        Adjustment,
        typer.Option(help="Prices as traded (none), adjusted for splits, or for splits and dividends (all)."),
    ] = Adjustment.NONE,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Bars as stored at this instant, e.g. 2026-03-01T12:00Z.", parser=parse_instant, metavar="INSTANT"
        ),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(help="Bars as of a snapshot, as in `snapshots list`, instead of --as-of.", metavar="NAME"),
    ] = None,
    kind: Annotated[
        FileFormat | None,
        typer.Option("--format", help="Parquet or CSV.", show_default="by the file's name; CSV to standard output"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")] = False,
) -> None:
    """Write bars to a Parquet or CSV file, with a JSON file that describes them, or to standard output.

    Exit code 3 if adjusted prices of some bars are not known; if none is known, nothing is written.

    Example: market-pipeline export --symbols AAPL,MSFT --start 2020-01-01 --adjustment all --output bars.parquet
    """
    if as_of is not None and snapshot is not None:
        raise ExportRequestError("--as-of and --snapshot each name an instant: give one of them")
    to_stream = output == STANDARD_OUTPUT
    file_format = (kind or FileFormat.CSV) if to_stream else choose_format(output, kind)
    if to_stream and file_format is FileFormat.PARQUET and sys.stdout.isatty():
        raise ExportRequestError("a terminal can't show Parquet: write it to a file or a pipe, or add --format csv")
    with warehouse_of(load_settings()) as warehouse:
        if snapshot is not None:
            as_of = find_snapshot(warehouse, snapshot).point
        selection = Selection(
            symbols=find_exportable_symbols(warehouse, symbols.names, as_of),
            start=start,
            end=end,
            adjustment=adjustment,
            as_of=as_of,
            snapshot=snapshot,
        )
        with _show_progress(quiet=quiet) as progress:
            result: ExportManifest | Summary
            if to_stream:
                result = export_stream(warehouse, selection, file_format, sys.stdout.buffer, progress=progress)
                sys.stdout.flush()
            else:
                result = write_file(warehouse, selection, file_format, output, overwrite=overwrite, progress=progress)
    count = f"{format_count(result.rows, 'bar')} of {format_count(len(selection.symbols), 'symbol')}"
    if not to_stream:
        typer.echo(f"{count} {choose_verb(result.rows)} in {output}, described in {output}.json")
    elif not quiet:
        typer.echo(f"{count}, as of {describe_point(result.as_of)}", err=True)
    if result.rows_not_adjusted:
        print_note(
            f"warning: {format_count(result.rows_not_adjusted, 'bar')} of {name_some(result.symbols_not_adjusted)} "
            f"{'has' if result.rows_not_adjusted == 1 else 'have'} no adjusted prices, as their splits or dividends "
            f"are not known: {HOW_TO_ADJUST}",
            logging.WARNING,
        )
        raise typer.Exit(PARTIAL)


@contextmanager
def _show_progress(*, quiet: bool) -> Iterator[ProgressCallback]:
    """Show a progress bar on a terminal, and yield the function that updates it."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = TextColumn("bars"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("bars", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
