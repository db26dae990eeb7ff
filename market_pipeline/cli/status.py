"""`market-pipeline status`: the state of the whole on one screen, for people, and as JSON for programs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from market_pipeline.cli.vendor_option import vendor_settings
from market_pipeline.core.wording import counted

if TYPE_CHECKING:
    from market_pipeline.operations.status import DagsterState, LastRun, ServiceState, State

WRONG = 1
WIDTH = 12
"""Columns of text that the names on the left take."""


def status(
    api_url: Annotated[
        str | None,
        typer.Option(help="Where the API should be. Default: where `up` has it, or port 8000.", metavar="URL"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print how everything is: database, Dagster, API, the last run, what is missing, and what is wrong.

    Exit code 0 if nothing is wrong, 1 if something is. Nothing is started or changed.
    """
    settings = vendor_settings()
    from market_pipeline.operations.status import state_of_all  # Dagster takes a second that other commands needn't

    state = state_of_all(settings, api_url and api_url.rstrip("/"), datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"ok": not state.problems, **asdict(state)}, indent=2, default=datetime.isoformat))
    else:
        for name, told in _lines(state):
            typer.echo(f"{name:<{WIDTH}}{told}")
        _print_problems(state)
    if state.problems:
        raise typer.Exit(WRONG)


def _print_problems(state: "State") -> None:
    console = Console(soft_wrap=True, highlight=False)
    if not state.problems:
        console.print(Text("\nNothing is wrong.", style="green"))
        return
    console.print(Text("\nWhat is wrong", style="bold red"))
    for problem in state.problems:
        console.print(Text(f"  {problem}"))


def _lines(state: "State") -> Iterator[tuple[str, str]]:
    database = state.database
    kind = "embedded, " if database.embedded else ""
    yield "database", f"{kind}{database.where}: {'reachable' if database.reachable else 'not reachable'}"
    if database.reachable:
        yield "", f"revision {database.revision or 'none'}, this version's is {database.needed_revision}"
    if state.dagster is not None:
        yield from _of_dagster(state.dagster)
    yield "vendor", f"{state.vendor}{' (a sandbox)' if state.vendor_is_sandbox else ''}"
    yield "UI", _of_service(state.dagster_ui)
    yield "API", _of_service(state.api)
    if state.symbols is not None:
        yield "last run", _of_run(state.last_run)
        symbols = state.symbols
        yield (
            "symbols",
            f"{symbols.tracked:,} tracked, {len(symbols.behind):,} behind, {len(symbols.failed):,} failed last, "
            f"{len(symbols.never_loaded):,} without a bar yet",
        )
    if state.sessions_to_fetch is not None:
        yield "to fetch", _of_sessions(state.sessions_to_fetch)


def _of_dagster(dagster: "DagsterState") -> Iterator[tuple[str, str]]:
    seen = f"last heard of {_instant(dagster.last_heartbeat)}" if dagster.last_heartbeat else "never heard of"
    yield (
        "Dagster",
        f"nightly runs {'on' if dagster.running else 'off'}, daemon {seen}, "
        f"{counted(dagster.runs_under_way, 'run')} under way",
    )
    for schedule in dagster.schedules:
        due = f"next {_instant(schedule.next_run)}" if schedule.next_run else "no next run"
        yield "", f"{schedule.name}: {'on' if schedule.on else 'off'}, {due}"


def _of_service(service: "ServiceState") -> str:
    return f"{service.url} {'answers' if service.answers else 'does not answer'}"


def _of_run(run: "LastRun | None") -> str:
    if run is None:
        return "none yet"
    return (
        f"{_instant(run.ended_at)} by {run.trigger}: {counted(run.succeeded, 'symbol')} loaded, {run.failed:,} failed; "
        f"{counted(run.loaded, 'bar')} new, {run.revised:,} revised, {run.rejected:,} rejected"
    )


def _of_sessions(by_state: Mapping[str, int]) -> str:
    counts = {name: count for name, count in by_state.items() if count}
    detail = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    return f"{counted(sum(counts.values()), 'session')} ({detail})" if counts else "nothing"


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
