"""`market-pipeline backfill`: fetch and load the history of symbols over a range of dates, as partition-range runs."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from market_pipeline.cli.backfill_plan import find_symbols_behind, plan_backfill, print_plan
from market_pipeline.cli.completion import complete_symbols
from market_pipeline.cli.coverage import describe_never_loaded
from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import EVERY, SymbolChoice, parse_date, parse_symbols
from market_pipeline.cli.summary import describe_actions, print_records
from market_pipeline.cli.symbol_option import select_symbols
from market_pipeline.cli.vendor_option import load_vendor_settings
from market_pipeline.core import stop_signals
from market_pipeline.core.run_planning import choose_dates, plan_missing_runs, plan_range_runs
from market_pipeline.core.symbols import DEFAULT_BACKFILL
from market_pipeline.core.ticker_corrections import read_configured_corrections
from market_pipeline.warehouse.coverage import FILLABLE, find_missing_spans, find_never_loaded
from market_pipeline.warehouse.database import warehouse_of

if TYPE_CHECKING:
    from market_pipeline.cli.runs import LaunchResult

DONE, FAILED, PARTIAL = 0, 1, 3


def backfill(
    symbols: Annotated[
        SymbolChoice | None,
        typer.Option(
            help='Comma-separated symbols, or "*" for all tracked symbols (the default with --missing).',
            metavar="A,B,C",
            show_default="15 large-cap stocks",
            parser=parse_symbols,
            autocompletion=complete_symbols,
        ),
    ] = None,
    start: Annotated[
        date | None,
        typer.Option(
            help="First date; default: five years before the last one.", metavar="YYYY-MM-DD", parser=parse_date
        ),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(help="Last date, inclusive; default: today (UTC).", metavar="YYYY-MM-DD", parser=parse_date),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Fetch only the missing sessions that `market-pipeline gaps` lists, and splits and dividends that are "
            "not known.",
        ),
    ] = False,
    marts: Annotated[
        bool,
        typer.Option(
            "--marts",
            help="Also build the marts; otherwise Dagster's daemon does.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests that would be made, and make none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the load records or the plan as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")] = False,
) -> None:
    """Load the history of symbols, by default five years of 15 large-cap stocks, with their splits and dividends.

    It is safe to run again: stored bars that are equal stay unchanged; a bar that the vendor has corrected replaces the
    stored one, which is kept as a revision.
    """
    settings = load_vendor_settings(quiet=quiet)
    now = datetime.now(UTC)
    first, last = choose_dates(start, end, now.date(), missing=missing)
    with warehouse_of(settings) as warehouse:
        selected = select_symbols(warehouse, symbols or (EVERY if missing else SymbolChoice(DEFAULT_BACKFILL)))
        if missing:
            runs = plan_missing_runs(find_missing_spans(warehouse, selected, FILLABLE, first, last))
            if not quiet and (names := find_never_loaded(warehouse, [symbol.name for symbol in selected])):
                print_note(describe_never_loaded(names))
        else:
            runs = plan_range_runs(selected, first, last, now)
        if dry_run:
            plan = plan_backfill(warehouse, runs, selected, read_configured_corrections(settings), now, missing=missing)
            print_plan(plan, settings.requests_per_minute, as_json=as_json)
            return
        # Importing Dagster takes a second; a plan or a wrong option needn't wait for it.
        from market_pipeline.cli.runs import LaunchResult, build_marts, launch_runs, refresh_actions

        result = launch_runs(settings, warehouse, runs, quiet=quiet) if runs else LaunchResult([])
        requested = {name for each in result.actions for name in each.plan.symbols}
        behind = find_symbols_behind(warehouse, selected, now).difference(requested) if missing else set()
        if behind and not stop_signals.is_requested():
            refreshed = refresh_actions(settings, warehouse, quiet=quiet)
            result = replace(result, actions=[*result.actions, *refreshed])
        _print(result, as_json=as_json)
        stop_signals.check()
        if marts:
            build_marts(settings, warehouse, quiet=quiet)
    raise typer.Exit(find_exit_code(result))


def _print(result: "LaunchResult", *, as_json: bool) -> None:
    if as_json:
        actions = [describe_actions(each) for each in result.actions]
        typer.echo(json.dumps({"symbols": result.records, "corporate_actions": actions}, indent=2))
    elif result.records or result.actions:
        print_records(result.records, result.actions)
    else:
        typer.echo("Nothing is missing.")


def find_exit_code(result: "LaunchResult") -> int:
    """Return the exit code: 0 if all was loaded, 1 if nothing was, 3 if symbols, splits or dividends failed."""
    failures = [not record["success"] for record in result.records] or [
        each.error is not None for each in result.actions
    ]
    if any(failures) and all(failures):
        return FAILED
    incomplete = any(failures) or any(each.error is not None for each in result.actions)
    return PARTIAL if incomplete else DONE
