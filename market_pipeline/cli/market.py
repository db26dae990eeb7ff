"""`market-pipeline market`: whole markets, all tickers of each session: track, load, and print their state."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from market_pipeline.cli.market_summary import (
    describe_launch,
    describe_market,
    print_launch,
    print_market_plan,
    print_markets,
)
from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import parse_date
from market_pipeline.cli.vendor_option import load_vendor_settings
from market_pipeline.core import stop_signals
from market_pipeline.core.markets import MARKETS, Market, find_market
from market_pipeline.core.run_planning import DEFAULT_DAYS, SCOPE_TAG, MarketScope, choose_dates, plan_sessions
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.wording import format_count, quote_command
from market_pipeline.polygon.flat_file_reader import FlatFileReader
from market_pipeline.polygon.market_planning import PlannedSession, count_free_requests, needs_files, plan_market
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_markets import (
    MarketSessionState,
    read_market_sessions,
    read_market_totals,
    require_tracked,
    track_market,
    untrack_market,
)

app = typer.Typer(help="Whole markets: all tickers of each session, the delisted ones included.", no_args_is_help=True)


def complete_market() -> list[str]:
    """Return the names of the markets for the shell's completion."""
    return [market.option for market in MARKETS.values()]


MarketName = Annotated[
    Market,
    typer.Argument(help="us-stocks or crypto.", metavar="MARKET", parser=find_market, autocompletion=complete_market),
]


@app.command("track")
def track(market: MarketName) -> None:
    """Track a market. Each night loads its newest sessions; load its history with `market backfill`."""
    settings = load_settings()
    with warehouse_of(settings) as warehouse:
        added = track_market(warehouse, market)
    start = datetime.now(UTC).date() - timedelta(days=DEFAULT_DAYS)
    command = quote_command("market-pipeline", "market", "backfill", market.option, "--start", start)
    typer.echo(
        f"Tracking {market.option}. Load its history with `{command}`; each nightly run loads its newest "
        f"{settings.backfill_look_back_sessions} sessions."
        if added
        else f"{market.option} is tracked already: `market-pipeline market status` prints what is there."
    )


@app.command("untrack")
def untrack(market: MarketName) -> None:
    """Stop fetching a market. Its bars stay in the database."""
    with warehouse_of(load_settings()) as warehouse:
        untrack_market(warehouse, market)
    again = quote_command("market-pipeline", "market", "track", market.option)
    typer.echo(f"{market.option} is no longer fetched. Its bars are kept; `{again}` tracks it again.")


@app.command("backfill")
def backfill(
    market: MarketName,
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
        bool, typer.Option("--missing", help="Fetch only the sessions that are not stored, since the first one.")
    ] = False,
    accept_small: Annotated[
        bool,
        typer.Option(
            "--accept-small", help="Store sessions too that have far fewer tickers than those before and after them."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the requests that would be made, and make none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the load records or the plan as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")] = False,
) -> None:
    """Load all tickers of a market's sessions, by default of five years. Each is loaded whole or not at all.

    It is safe to run again: stored bars that are equal stay unchanged; a bar that the vendor has corrected replaces the
    stored one, which is kept as a revision.
    """
    settings = load_vendor_settings(quiet=quiet)
    now = datetime.now(UTC)
    first, last = choose_dates(start, end, now.date(), missing=missing)
    with warehouse_of(settings) as warehouse:
        require_tracked(warehouse, market)
        if missing:
            states = read_market_sessions(warehouse, market)
            sessions = [each.date for each in states if not each.is_loaded and first <= each.date <= last]
            if not sessions:
                typer.echo(_describe_none_missing(states, first, last))
                return
        else:
            sessions = plan_sessions(market.calendar, first, last, now)
        if dry_run:
            print_market_plan(market, plan_requests(settings, sessions), settings.requests_per_minute, as_json=as_json)
            return
        # Importing Dagster takes a second; a wrong option needn't wait for it.
        from market_pipeline.cli.market_runs import MarketLaunch, launch_market
        from market_pipeline.orchestration.market_assets import ACCEPT_SMALL_TAG

        tags = {
            **({SCOPE_TAG: MarketScope.MISSING.value} if missing else {}),
            **({ACCEPT_SMALL_TAG: "true"} if accept_small else {}),
        }
        launch = MarketLaunch(market, sessions)
        launch_market(settings, warehouse, launch, tags, quiet=quiet)
        if as_json:
            typer.echo(json.dumps(describe_launch(launch), indent=2))
        else:
            print_launch(launch)
        stop_signals.check()
    raise typer.Exit(launch.exit_code)


def _describe_none_missing(states: Sequence[MarketSessionState], first: date, last: date) -> str:
    """Return the message for a range without missing sessions, or beyond those that are looked for."""
    if not states or last < states[0].date:
        return "No session of these dates was ever loaded: leave out --missing to load them."
    if date.min < first < states[0].date:
        return f"Nothing is missing since {states[0].date}; leave out --missing to load the sessions before it too."
    return "Nothing is missing."


def plan_requests(settings: Settings, sessions: Sequence[date]) -> list[PlannedSession]:
    """Plan the sessions as a run would if the flat file of each of them were published."""
    free_requests = count_free_requests(settings.requests_per_minute)
    reads_files = FlatFileReader.from_settings(settings) is not None and needs_files(sessions, free_requests)
    return plan_market(sessions, sessions if reads_files else (), free_requests)


@app.command("refresh-list")
def refresh_list(market: MarketName) -> None:
    """Fetch the vendor's own list of a market's tickers. Each week a night does too, once the market is tracked."""
    settings = load_vendor_settings()
    from market_pipeline.cli.symbol_lookup import open_client
    from market_pipeline.market_list import refresh_list as refresh  # frames and HTTP take half a second

    with warehouse_of(settings) as warehouse:
        require_tracked(warehouse, market)
        with open_client(settings, warehouse) as client:
            result = refresh(client, warehouse, market)
    typer.echo(
        f"The vendor lists {result.listed:,} tickers of {market.title}, and {result.delisted:,} that were delisted "
        f"({format_count(result.requests, 'request')})."
    )


@app.command("status")
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print each market's sessions by state, its symbols, and the sessions that are not stored, with the reason."""
    with warehouse_of(load_settings()) as warehouse:
        markets = [(totals, read_market_sessions(warehouse, totals.market)) for totals in read_market_totals(warehouse)]
    if as_json:
        typer.echo(json.dumps({"markets": [describe_market(*each) for each in markets]}, indent=2))
    elif markets:
        print_markets(markets)
    else:
        print_note("No market is tracked: `market-pipeline market track us-stocks` tracks all US stocks.")
