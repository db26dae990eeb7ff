"""`market-pipeline backup` and `market-pipeline restore`: both databases into a folder of files, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.wording import are, counted
from market_pipeline.warehouse.backup.backup import DAGSTER, WAREHOUSE, Backup, Told, back_up, find_backup, remove_old
from market_pipeline.warehouse.backup.restore import Restored
from market_pipeline.warehouse.backup.restore import restore as bring_back
from market_pipeline.warehouse.database import database_url

Folder = Annotated[
    Path | None,
    typer.Option(
        help="Where the backups are, best on another disk. Default: backups in the data folder.", metavar="DIR"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the result and errors only.")]


def backup(
    folder: Folder = None,
    keep: Annotated[int, typer.Option(help="How many to keep; older ones go when this one is verified.", min=1)] = 12,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Restore it into a database of its own and compare; else none is removed."
        ),
    ] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Save the warehouse and Dagster's own database, each as of one instant, while both are in use."""
    settings = load_settings()
    home = _home(settings, folder)
    made = back_up(_addresses(settings), home, datetime.now(UTC), verify=verify, told=_told(quiet=quiet))
    removed = remove_old(home, keep) if verify else []
    if as_json:
        told = {"folder": str(made.folder), **asdict(made.manifest), "removed": [str(path) for path in removed]}
        typer.echo(json.dumps(told, indent=2, default=datetime.isoformat))
        return
    typer.echo(_said_of(made))
    for path in removed:
        typer.echo(f"removed {path}")


def restore(
    what: Annotated[
        str, typer.Argument(help='A backup\'s folder, one of its dumps for that database alone, or "latest".')
    ],
    folder: Folder = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Take the place of databases that hold tables; whoever uses them is cut off."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Bring a backup back, in place of databases that are gone or empty, or, with --replace, of those in use.

    The old ones are kept under another name.
    """
    settings = load_settings()
    found, names = find_backup(what, _home(settings, folder))
    told = _told(quiet=quiet)
    done = bring_back(found, names, _addresses(settings), datetime.now(UTC), replace=replace, told=told)
    if as_json:
        typer.echo(json.dumps({"folder": str(found.folder), **asdict(done)}, indent=2))
    else:
        _report(found, done)


def _report(found: Backup, done: Restored) -> None:
    typer.echo(f"restored {' and '.join(done.databases)} from {found.folder}")
    for name, database in done.kept.items():
        typer.echo(f"what {name} held before is in the database {database}: drop it when you no longer need it")
    for problem in done.problems:
        typer.echo(problem, err=True)


def _said_of(made: Backup) -> str:
    dumps = made.manifest.databases.values()
    rows = sum(table.rows for dump in dumps for table in dump.tables.values())
    size = sum(dump.bytes for dump in dumps) / 1e6
    state = "verified" if made.manifest.verified else "not verified"
    names = " and ".join(made.manifest.databases)
    return f"{counted(rows, 'row')} of {names} {are(rows)} in {made.folder} ({size:.1f} MB, {state})"


def _home(settings: Settings, folder: Path | None) -> Path:
    return (folder or settings.market_pipeline_data_dir / "backups").expanduser().absolute()


def _addresses(settings: Settings) -> Mapping[str, SecretStr]:
    from market_pipeline.orchestration.instance_storage import dagster_database_url  # Dagster takes a second to import

    return {WAREHOUSE: database_url(settings), DAGSTER: dagster_database_url(settings)}


def _told(*, quiet: bool) -> Told:
    return (lambda _message: None) if quiet else (lambda message: typer.echo(message, err=True))
