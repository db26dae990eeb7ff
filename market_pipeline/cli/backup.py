"""`market-pipeline backup` and `market-pipeline restore`: both databases into a folder of files, and back again."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.wording import choose_verb, format_count
from market_pipeline.warehouse.backup.backup import (
    DAGSTER,
    WAREHOUSE,
    Backup,
    Report,
    back_up,
    find_backup,
    remove_old_backups,
)
from market_pipeline.warehouse.backup.restore import restore as restore_backup
from market_pipeline.warehouse.database import find_database_url

Folder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the backups, best on another disk. Default: backups in the data folder.", metavar="DIR"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only the result and errors.")]


def backup(
    folder: Folder = None,
    keep: Annotated[
        int, typer.Option(help="Number of backups to keep; older ones are removed once this one is verified.", min=1)
    ] = 12,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Restore the backup into temporary databases and compare; without, no older backup is removed.",
        ),
    ] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Save the warehouse and Dagster's database, each as of one instant. Both may be in use meanwhile."""
    settings = load_settings()
    home = _find_backup_folder(settings, folder)
    made = back_up(
        _read_database_urls(settings), home, datetime.now(UTC), verify=verify, report=_create_note_printer(quiet=quiet)
    )
    removed = remove_old_backups(home, keep) if verify else []
    if as_json:
        result = {"folder": str(made.folder), **asdict(made.manifest), "removed": [str(path) for path in removed]}
        typer.echo(json.dumps(result, indent=2, default=datetime.isoformat))
        return
    typer.echo(_describe(made))
    for path in removed:
        typer.echo(f"removed {path}")


def restore(
    what: Annotated[
        str, typer.Argument(help='Folder of a backup, one of its dumps to restore that database only, or "latest".')
    ],
    folder: Folder = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace databases that hold tables, and close their connections."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Restore a backup. Missing or empty databases are filled; --replace also replaces databases that hold tables.

    Replaced databases are kept under another name.
    """
    settings = load_settings()
    found, names = find_backup(what, _find_backup_folder(settings, folder))
    report = _create_note_printer(quiet=quiet)
    result = restore_backup(
        found, names, _read_database_urls(settings), datetime.now(UTC), replace=replace, report=report
    )
    if as_json:
        typer.echo(json.dumps({"folder": str(found.folder), **asdict(result)}, indent=2))
        return
    typer.echo(f"restored {' and '.join(result.databases)} from {found.folder}")
    for name, database in result.kept.items():
        typer.echo(f"the previous content of {name} is in the database {database}: drop it when you no longer need it")
    for problem in result.problems:
        typer.echo(problem, err=True)


def _describe(made: Backup) -> str:
    dumps = made.manifest.databases.values()
    rows = sum(table.rows for dump in dumps for table in dump.tables.values())
    size = sum(dump.bytes for dump in dumps) / 1e6
    state = "verified" if made.manifest.verified else "not verified"
    names = " and ".join(made.manifest.databases)
    return f"{format_count(rows, 'row')} of {names} {choose_verb(rows)} in {made.folder} ({size:.1f} MB, {state})"


def _find_backup_folder(settings: Settings, folder: Path | None) -> Path:
    return (folder or settings.market_pipeline_data_dir / "backups").expanduser().absolute()


def _read_database_urls(settings: Settings) -> Mapping[str, SecretStr]:
    from market_pipeline.orchestration.instance_storage import (
        find_dagster_database_url,  # importing Dagster takes a second
    )

    return {WAREHOUSE: find_database_url(settings), DAGSTER: find_dagster_database_url(settings)}


def _create_note_printer(*, quiet: bool) -> Report:
    return (lambda _message: None) if quiet else (lambda message: typer.echo(message, err=True))
