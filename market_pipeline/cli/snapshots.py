"""`market-pipeline snapshots`: create, list and delete named snapshots, which `export --snapshot` reads."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from market_pipeline.cli.output import print_columns
from market_pipeline.cli.parameters import parse_instant
from market_pipeline.core.settings import load_settings
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.loads import describe_point
from market_pipeline.warehouse.snapshots import NamedSnapshot, create_snapshot, delete_snapshot, list_snapshots

app = typer.Typer(help="Named snapshots of the data.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the snapshot.", metavar="NAME")]


@app.command("create")
def create(
    name: Name,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Instant that it stands for, e.g. 2026-03-01T12:00Z; default: the present.",
            parser=parse_instant,
            metavar="INSTANT",
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="A remark, shown in the list.", metavar="TEXT")] = None,
) -> None:
    """Keep what is stored now, or as of an instant, under a name. It takes no space.

    Example: market-pipeline snapshots create paper-2026 --note "Data of the paper"
    """
    with warehouse_of(load_settings()) as warehouse:
        snapshot = create_snapshot(warehouse, name, as_of=as_of, note=note)
    point = describe_point(snapshot.point)
    typer.echo(f"{name} stands for {point}: `market-pipeline export --snapshot {name}` writes its bars.")


@app.command("list")
def print_snapshots(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print all snapshots, by the instants that they stand for."""
    with warehouse_of(load_settings()) as warehouse:
        rows = [_describe(snapshot) for snapshot in list_snapshots(warehouse)]
    if as_json:
        typer.echo(json.dumps({"snapshots": rows}, indent=2))
    elif rows:
        print_columns(("name", "point", "created_at"), (), rows, last="note")
    else:
        typer.echo("There is no snapshot: create one with `market-pipeline snapshots create NAME`.", err=True)


@app.command("delete")
def delete(name: Name) -> None:
    """Delete a name. What is stored as of its instant stays."""
    with warehouse_of(load_settings()) as warehouse:
        point = describe_point(delete_snapshot(warehouse, name).point)
    typer.echo(f"{name} is deleted; `market-pipeline export --as-of {point}` still writes the same bars.")


def _describe(snapshot: NamedSnapshot) -> dict[str, str | None]:
    instants = {"point": describe_point(snapshot.point), "created_at": describe_point(snapshot.created_at)}
    return {**asdict(snapshot), **instants}
