"""`market-pipeline status`: the state of everything, as text on one screen or as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from operator import methodcaller
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from market_pipeline.cli.parameters import parse_web_url
from market_pipeline.cli.vendor_option import load_vendor_settings
from market_pipeline.core.wording import format_count

if TYPE_CHECKING:
    from market_pipeline.operations.dagster_state import DagsterState
    from market_pipeline.operations.service_probes import ServiceState
    from market_pipeline.operations.status import LastRun, PipelineState
    from market_pipeline.warehouse.adjustment import UnknownAdjustment
    from market_pipeline.warehouse.corporate_action_refresh import ActionsBehind

WRONG = 1
NAMED = 3
"""The most symbols that the line of adjusted prices names."""
WIDTH = 12
"""Width of the column with the names, in characters."""


def status(
    api_url: Annotated[
        str | None,
        typer.Option(
            parser=parse_web_url,
            help="URL of the API. Default: that of `market-pipeline up`, or port 8000.",
            metavar="URL",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the state of the database, Dagster and the API, the last run, missing sessions, and all problems.

    Exit code 0 if there is no problem, 1 if there is. Nothing is started or changed.
    """
    settings = load_vendor_settings()
    from market_pipeline.operations.status import read_pipeline_state  # importing Dagster takes a second

    state = read_pipeline_state(settings, api_url, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"ok": not state.problems, **asdict(state)}, indent=2, default=methodcaller("isoformat")))
    else:
        for name, text in _describe(state):
            typer.echo(f"{name:<{WIDTH}}{text}")
        _print_problems(state)
    if state.problems:
        raise typer.Exit(WRONG)


def _print_problems(state: "PipelineState") -> None:
    console = Console(soft_wrap=True, highlight=False)
    if not state.problems:
        console.print(Text("\nNothing is wrong.", style="green"))
        return
    console.print(Text("\nWhat is wrong", style="bold red"))
    for problem in state.problems:
        console.print(Text(f"  {problem}"))


def _describe(state: "PipelineState") -> Iterator[tuple[str, str]]:
    database = state.database
    kind = "embedded, " if database.embedded else ""
    yield "database", f"{kind}{database.where}: {'reachable' if database.reachable else 'not reachable'}"
    if database.reachable:
        yield "", f"revision {database.revision or 'none'}, this version's is {database.needed_revision}"
    if state.dagster is not None:
        yield from _describe_dagster(state.dagster)
    yield "vendor", f"{state.vendor}{' (a sandbox)' if state.vendor_is_sandbox else ''}"
    yield "UI", _describe_service(state.dagster_ui)
    yield "API", _describe_service(state.api)
    if state.symbols is not None:
        yield "last run", _describe_run(state.last_run, "none of tracked symbols yet" if state.markets else "none yet")
        symbols = state.symbols
        by_health = ", ".join(f"{number:,} {health}" for health, number in symbols.by_health.items())
        yield (
            "symbols",
            f"{symbols.tracked:,} tracked: {by_health}; {len(symbols.never_loaded):,} without bars, "
            f"{len(symbols.failed):,} failed in their last load",
        )
    for market in state.markets or ():
        newest = f"newest {market.newest_session}" if market.newest_session else "never loaded"
        loaded = f", last load {_format_instant(market.last_load)}" if market.last_load else ""
        sessions = f"{format_count(market.stored, 'session')}, {newest}, {market.missing:,} missing"
        yield "market", f"{market.market}: {sessions}{loaded}"
    if state.unknown_adjustments is not None:
        yield "adjusted", _describe_adjustments(state.unknown_adjustments)
    if state.sessions_to_fetch is not None:
        yield "to fetch", _describe_sessions(state.sessions_to_fetch)
    if state.actions_behind is not None:
        yield "actions", _describe_actions(state.actions_behind)


def _describe_adjustments(unknown: "Sequence[UnknownAdjustment]") -> str:
    if not unknown:
        return "all prices"
    more = f"; and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
    return f"not all prices of {format_count(len(unknown), 'symbol')}: {'; '.join(map(str, unknown[:NAMED]))}{more}"


def _describe_dagster(dagster: "DagsterState") -> Iterator[tuple[str, str]]:
    heartbeat = (
        f"last heartbeat {_format_instant(dagster.last_heartbeat)}" if dagster.last_heartbeat else "no heartbeat"
    )
    yield (
        "Dagster",
        f"nightly runs {'on' if dagster.running else 'off'}, daemon: {heartbeat}, "
        f"{format_count(dagster.runs_under_way, 'run')} in progress",
    )
    for schedule in dagster.schedules:
        due = f"next {_format_instant(schedule.next_run)}" if schedule.next_run else "no next run"
        yield "", f"{schedule.name}: {'on' if schedule.on else 'off'}, {due}"


def _describe_service(service: "ServiceState") -> str:
    return f"{service.url} {'responds' if service.answers else 'does not respond'}"


def _describe_run(run: "LastRun | None", none: str) -> str:
    if run is None:
        return none
    ended = f"{_format_instant(run.ended_at)} by {run.trigger}"
    return (
        f"{ended}: {format_count(run.succeeded, 'symbol')} loaded, {run.failed:,} failed; "
        f"{format_count(run.loaded, 'bar')} loaded, {run.revised:,} revised, {run.rejected:,} rejected"
    )


def _describe_sessions(by_state: Mapping[str, int]) -> str:
    counts = {name: count for name, count in by_state.items() if count}
    detail = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    return f"{format_count(sum(counts.values()), 'session')} ({detail})" if counts else "nothing"


def _describe_actions(behind: "Sequence[ActionsBehind]") -> str:
    if not behind:
        return "the splits and dividends of all symbols were requested lately"
    unknown, late = ({each.symbol for each in behind if each.never is never} for never in (True, False))
    return f"splits or dividends of {format_count(len(unknown), 'symbol')} not known, of {len(late):,} behind"


def _format_instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
