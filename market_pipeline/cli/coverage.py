"""`market-pipeline coverage` and `market-pipeline gaps`: stored and missing sessions of each symbol, with reasons."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from market_pipeline.cli.completion import complete_symbols
from market_pipeline.cli.output import print_columns
from market_pipeline.cli.parameters import EVERY, SymbolChoice, parse_symbols
from market_pipeline.cli.symbol_option import select_symbols
from market_pipeline.core.settings import load_settings
from market_pipeline.core.wording import choose_verb, format_count, quote_command
from market_pipeline.warehouse import coverage as coverage_views
from market_pipeline.warehouse.database import warehouse_of

Symbols = Annotated[
    SymbolChoice,
    typer.Option(
        help='Comma-separated symbols; "*" for all tracked symbols.',
        metavar="A,B,C",
        parser=parse_symbols,
        autocompletion=complete_symbols,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COUNTS = (
    "sessions", "loaded", "rejected", "empty", "not_yet_available", "not_in_plan", "failed", "never_asked", "flagged",
    "behind",
)  # fmt: skip


def coverage(symbols: Symbols = EVERY, as_json: AsJson = False) -> None:
    """Print the number of sessions of each symbol since its first one, by state.

    sessions = loaded + rejected + empty + not yet available + not in plan + failed + never requested. `flagged` counts
    loaded bars with a flag, `behind` the sessions since the newest loaded bar.
    """
    with warehouse_of(load_settings()) as warehouse:
        names = [symbol.name for symbol in select_symbols(warehouse, symbols)]
        rows = coverage_views.read_coverage(warehouse, names)
    if as_json:
        typer.echo(json.dumps({"symbols": _format_dates(rows)}, indent=2))
        return
    print_columns(
        ("symbol", "first_session", "last_session"),
        COUNTS,
        rows,
        totals={name: sum(row[name] for row in rows) for name in COUNTS if name != "behind"},
    )


def gaps(symbols: Symbols = EVERY, as_json: AsJson = False) -> None:
    """Print the sessions without a bar, as ranges with the reason, and the symbols that were never loaded."""
    with warehouse_of(load_settings()) as warehouse:
        names = [symbol.name for symbol in select_symbols(warehouse, symbols)]
        rows = coverage_views.list_gaps(warehouse, names)
        unknown = coverage_views.find_never_loaded(warehouse, names)
    if as_json:
        typer.echo(json.dumps({"gaps": _format_dates(rows), "never_loaded": unknown}, indent=2))
        return
    if rows:
        print_columns(("symbol", "first_session", "last_session", "state"), ("sessions",), rows, last="reason")
    fillable = sum(row["sessions"] for row in rows if row["state"] in coverage_views.FILLABLE)
    if fillable:
        count = f"{format_count(fillable, 'session')} {choose_verb(fillable)} missing and can be fetched."
        typer.echo(f"{count} Fill them with `market-pipeline backfill --missing`.")
    if unknown:
        typer.echo(describe_never_loaded(unknown))
    if not rows and not unknown:
        typer.echo("Every session has its bar.")


def describe_never_loaded(names: Sequence[str]) -> str:
    """Return the message about symbols, at least one, that were never loaded and so have no missing sessions."""
    command = quote_command("market-pipeline", "backfill", "--symbols", ",".join(names))
    return f"Never loaded yet: load with `{command}`."


def _format_dates(rows: Sequence[coverage_views.Row]) -> list[coverage_views.Row]:
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in rows
    ]
