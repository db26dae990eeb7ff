"""`market-pipeline reconcile`: compares stored bars with a file from elsewhere, and explains the differences."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from market_pipeline.cli.completion import complete_symbols
from market_pipeline.cli.output import print_columns, print_note
from market_pipeline.cli.parameters import EVERY, SymbolChoice, parse_date, parse_symbols
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import format_count, name_some
from market_pipeline.reconciliation.comparison import Reconciliation, ReconciliationRequest, reconcile
from market_pipeline.reconciliation.field_series import Explanation
from market_pipeline.reconciliation.ranges import COVERAGE, ReconciledRange
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.export_query import Adjustment

TOLERANCE, VOLUME_TOLERANCE = 0.0005, 0.01
"""Relative differences. A close that two sources round differently is half a cent off: 0.0005 of 10 dollars. Volumes
differ by late and odd-lot trades, which sources count differently."""

MOST_LINES = 100
"""Ranges that the table shows; JSON and the mart have all."""

UNEXPLAINED = 3
"""Exit code if a difference has no explanation."""


KINDS = ("agreed", "explained", "unexplained")


class SeriesChoice(StrEnum):
    """The stored series that the file's prices follow; auto finds it."""

    NONE = "none"
    SPLITS = "splits"
    ALL = "all"
    AUTO = "auto"


def reconcile_file(
    against: Annotated[
        Path,
        typer.Option(
            help="File to compare with: .csv, .csv.gz or .parquet, with columns symbol, date, close and any of open, "
            "high, low, volume, vwap, adj_close; or with date and a column of closes for each symbol.",
            metavar="FILE",
        ),
    ],
    symbols: Annotated[
        SymbolChoice,
        typer.Option(
            help='Comma-separated symbols; "*" for all that the file and the warehouse have.',
            metavar="A,B,C",
            parser=parse_symbols,
            autocompletion=complete_symbols,
        ),
    ] = EVERY,
    start: Annotated[
        date | None, typer.Option(help="First date; default: any.", metavar="YYYY-MM-DD", parser=parse_date)
    ] = None,
    end: Annotated[
        date | None, typer.Option(help="Last date, inclusive; default: any.", metavar="YYYY-MM-DD", parser=parse_date)
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Relative difference of prices that is none.", min=0, max=0.5)
    ] = TOLERANCE,
    volume_tolerance: Annotated[
        float, typer.Option(help="Relative difference of volumes that is none.", min=0, max=0.5)
    ] = VOLUME_TOLERANCE,
    adjustment: Annotated[
        SeriesChoice,
        typer.Option(
            help="The file's prices: as traded (none), adjusted for splits, or for splits and dividends (all)."
        ),
    ] = SeriesChoice.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")] = False,
) -> None:
    """Compare stored bars with a file from elsewhere, and explain the differences.

    The result is kept in the table `reconciliations`, and shown by the mart `reconciliation`. Exit code 3 if a
    difference has no explanation, or nothing of a symbol can be compared.

    Example: market-pipeline reconcile --against closes.csv --symbols AAPL,MSFT
    """
    request = ReconciliationRequest(
        file=against,
        symbols=symbols.names,
        start=start,
        end=end,
        adjustment=None if adjustment is SeriesChoice.AUTO else Adjustment(adjustment),
        tolerance=tolerance,
        volume_tolerance=volume_tolerance,
    )
    with warehouse_of(load_settings()) as warehouse:
        result = reconcile(warehouse, request)
    unexplained = [found for found in result.ranges if not found.explained]
    not_compared = _find_not_compared(result)
    if as_json:
        typer.echo(json.dumps(_describe(result, request, not_compared), indent=2, default=str))
    else:
        if not quiet:
            _print_tables(result)
        _print_result(result, request, unexplained, not_compared)
    if unexplained or not_compared:
        raise typer.Exit(UNEXPLAINED)


def _find_not_compared(result: Reconciliation) -> list[str]:
    """Return the symbols of which no value could be compared."""
    compared = {
        found.symbol
        for found in result.ranges
        if found.found_in == "both" and found.explanation is not Explanation.FACTOR_UNKNOWN
    }
    return [symbol for symbol in result.symbols if symbol not in compared]


def _describe(result: Reconciliation, request: ReconciliationRequest, not_compared: Sequence[str]) -> Mapping[str, Any]:
    return {
        "file": str(request.file),
        "made_at": result.made_at.isoformat(),
        "tolerance": request.tolerance,
        "volume_tolerance": request.volume_tolerance,
        "adjustments": result.adjustments,
        "symbols": _summarize(result.ranges),
        "unknown_symbols": result.unknown_symbols,
        "not_compared": not_compared,
        "ranges": [{**asdict(found), "explained": found.explained} for found in result.ranges],
    }


def _summarize(ranges: Sequence[ReconciledRange]) -> list[dict[str, Any]]:
    """Return one row a symbol and field: the number of dates, and how many agree, are explained or unexplained."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for found in ranges:
        other = "explained" if found.explained else "unexplained"
        kind = "agreed" if found.explanation is Explanation.AGREED else other
        counts.setdefault((found.symbol, found.field), Counter())[kind] += found.sessions
    return [
        {"symbol": symbol, "field": field, "sessions": count.total(), **{kind: count[kind] for kind in KINDS}}
        for (symbol, field), count in counts.items()
    ]


def _print_tables(result: Reconciliation) -> None:
    numbers = ("sessions", *KINDS)
    rows = _summarize(result.ranges)
    print_columns(("symbol", "field"), numbers, rows, totals={name: sum(row[name] for row in rows) for name in numbers})
    differences = [found for found in result.ranges if found.explanation is not Explanation.AGREED]
    differences.sort(key=lambda found: (found.explained, -found.sessions))  # those without an explanation first
    if not differences:
        return
    shown = [{**asdict(found), "likely reason": _format_reason(found)} for found in differences[:MOST_LINES]]
    print_columns(("symbol", "field", "first_session", "last_session"), ("sessions",), shown, last="likely reason")
    if len(differences) > MOST_LINES:
        typer.echo(
            f"and {format_count(len(differences) - MOST_LINES, 'other')}: --json and the mart reconciliation have all"
        )


def _format_reason(found: ReconciledRange) -> str:
    name = found.explanation.replace("_", " ")
    ratio = f", file / stored {_format_ratio(found)}" if found.lowest_ratio is not None else ""
    side = "" if found.field != COVERAGE else f", only in the {found.found_in}"
    return f"{name}{side}{': ' + found.detail if found.detail else ''}{ratio}"


def _format_ratio(found: ReconciledRange) -> str:
    if found.lowest_ratio is None or found.highest_ratio is None:
        return ""
    lowest, highest = f"{found.lowest_ratio:.5g}", f"{found.highest_ratio:.5g}"
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _print_result(
    result: Reconciliation,
    request: ReconciliationRequest,
    unexplained: Sequence[ReconciledRange],
    not_compared: Sequence[str],
) -> None:
    if result.unknown_symbols:
        number = len(result.unknown_symbols)
        print_note(
            f"not tracked, and left out: {format_count(number, 'symbol')} of the file: "
            f"{name_some(result.unknown_symbols)}"
        )
    if not_compared:
        print_note(f"nothing could be compared of {', '.join(not_compared)}")
    compared = ", ".join(f"{name} {_SERIES[adjustment]}" for name, adjustment in result.adjustments.items())
    sessions = sum(found.sessions for found in unexplained)
    found = f"{sessions:,} values or bars have no explanation" if unexplained else "every difference is explained"
    number = len(result.symbols) - len(not_compared)
    typer.echo(f"{format_count(number, 'symbol')} compared with {request.file} ({compared}): {found}.")


_SERIES = {
    Adjustment.NONE: "as traded",
    Adjustment.SPLITS: "adjusted for splits",
    Adjustment.ALL: "adjusted for splits and dividends",
}
