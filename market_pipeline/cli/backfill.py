"""`market-pipeline backfill`: fetch and load history for some symbols and dates, as partition-range runs."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from market_pipeline.cli.completion import complete_symbols
from market_pipeline.cli.coverage import told_of_never_loaded
from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import EVERY, SymbolChoice, parse_date, parse_symbols
from market_pipeline.cli.summary import Account, print_plan, print_table
from market_pipeline.cli.symbol_option import chosen_symbols
from market_pipeline.cli.vendor_option import vendor_settings
from market_pipeline.core import stop_signals
from market_pipeline.core.run_planning import range_runs, runs_for_missing
from market_pipeline.core.sessions import check_order
from market_pipeline.core.symbols import DEFAULT_BACKFILL
from market_pipeline.warehouse.coverage import missing_spans, never_loaded
from market_pipeline.warehouse.database import warehouse_of

DEFAULT_DAYS = 1825
DONE, FAILED, PARTIAL = 0, 1, 3


def backfill(
    symbols: Annotated[
        SymbolChoice | None,
        typer.Option(
            help='Comma-separated tickers, or "*" for all that are tracked, which is the default of --missing.',
            metavar="A,B,C",
            show_default="15 large-cap stocks",
            parser=parse_symbols,
            autocompletion=complete_symbols,
        ),
    ] = None,
    start: Annotated[
        date | None,
        typer.Option(help="First date, default five years before the last.", metavar="YYYY-MM-DD", parser=parse_date),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(help="Last date, included, default today (UTC).", metavar="YYYY-MM-DD", parser=parse_date),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option("--missing", help="Only what `market-pipeline gaps` shows as missing, as far back as that goes."),
    ] = False,
    marts: Annotated[
        bool,
        typer.Option(
            "--marts",
            help="Fetch splits and dividends too, and build the analysts' tables; else Dagster's daemon does.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be asked for, and ask nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary or the plan as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the result and errors only.")] = False,
) -> None:
    """Load the history of some symbols, by default five years of 15 large-cap stocks.

    What is there already is compared and left alone; what the vendor has corrected replaces the old, and the old is
    kept. So running it again is always safe.
    """
    settings = vendor_settings(quiet=quiet)
    now = datetime.now(UTC)
    last = end or now.date()
    first = start or (date.min if missing else last - timedelta(days=DEFAULT_DAYS))
    check_order(first, last)
    with warehouse_of(settings) as warehouse:
        chosen = chosen_symbols(warehouse, symbols or (EVERY if missing else SymbolChoice(DEFAULT_BACKFILL)))
        if missing:
            runs = runs_for_missing(missing_spans(warehouse, chosen, first, last))
            if not quiet and (unknown := never_loaded(warehouse, [symbol.name for symbol in chosen])):
                print_note(told_of_never_loaded(unknown))
        else:
            runs = range_runs(chosen, first, last, now)
        if dry_run:
            print_plan(runs, settings.requests_per_minute, as_json=as_json)
            return
        # Dagster takes a second that a plan or a mistake needn't.
        from market_pipeline.cli.runs import build_marts, launch_all, refresh_actions

        accounts = launch_all(settings, warehouse, runs, quiet=quiet) if runs else []
        _print(accounts, as_json=as_json)
        stop_signals.check()
        if marts:
            refresh_actions(settings, warehouse, quiet=quiet)
            build_marts(settings, warehouse, quiet=quiet)
    raise typer.Exit(exit_code(accounts))


def _print(accounts: Sequence[Account], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"symbols": accounts}, indent=2))
    elif accounts:
        print_table(accounts)
    else:
        typer.echo("Nothing is missing.")


def exit_code(accounts: Sequence[Account]) -> int:
    """What the shell is told: all loaded, none loaded, or some."""
    failures = sum(not account["success"] for account in accounts)
    if failures == 0:
        return DONE
    return FAILED if failures == len(accounts) else PARTIAL
