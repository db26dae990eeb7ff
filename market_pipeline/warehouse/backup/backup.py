"""Backups: dumps of all our databases in one folder, with a manifest, complete or absent.

A backup is a folder named by the time in UTC. It is written under a hidden name and gets its own only when every dump
in it has been restored once and found to be equal. `restore` brings one back.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import SecretStr, TypeAdapter, ValidationError

from market_pipeline import __version__
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.warehouse.backup.dump import (
    Dump,
    Snapshot,
    build_suffixed_name,
    has_database,
    open_snapshot,
    restore_copy,
    translate_errors,
    write_dump,
)
from market_pipeline.warehouse.schema import read_revision

WAREHOUSE, DAGSTER = "warehouse", "dagster"
"""Names of our databases in a backup."""

MANIFEST = "manifest.json"
LATEST = "latest"

_PARTIAL = ".partial-"
_NAME = re.compile(r"\d{8}T\d{6}Z")

Report = Callable[[str], None]
"""Reports a step of the work."""


class BackupError(MarketPipelineError):
    """A backup can't be made; nothing of it is left, and earlier ones are untouched."""


class NoSuchBackupError(UsageError):
    """The requested backup does not exist."""


@dataclass(frozen=True)
class BackupManifest:
    """A backup's time, the package's version, the schema's revision, and the dumps."""

    made_at: datetime
    version: str
    revision: str
    verified: bool
    databases: Mapping[str, Dump]


@dataclass(frozen=True)
class Backup:
    """A complete backup and its folder."""

    folder: Path
    manifest: BackupManifest


def back_up(
    addresses: Mapping[str, SecretStr], folder: Path, now: datetime, *, verify: bool = True, report: Report
) -> Backup:
    """Save the databases in a new folder below `folder`.

    Dagster's is dumped as of a moment before the warehouse's, so that all that it records as loaded is in the
    warehouse's dump. It is left out if there is none.

    Args:
        addresses: those of WAREHOUSE and, unless it is to be left out, of DAGSTER.
        folder: the folder of the backups; made if need be.
        now: the time that names the backup.
        verify: restore each dump into a database of its own beside the original, compare and drop it.
        report: called with each step.

    Raises:
        BackupError: there is nothing to save, no space, or another backup at work.
        DumpError: a dump, restored, is not what was dumped.
        ClientProgramError: pg_dump or pg_restore failed.
        DatabaseUnavailableError: a database can't be reached, or no longer.
    """
    with _partial(folder, f"{now:%Y%m%dT%H%M%SZ}") as (partial, final):
        with ExitStack() as held:
            snapshots = {
                name: held.enter_context(open_snapshot(addresses[name]))
                for name in (DAGSTER, WAREHOUSE)
                if name in addresses and (name == WAREHOUSE or has_database(addresses[name]))
            }
            revision = _read_revision(snapshots[WAREHOUSE])
            dumps = {name: _save(name, snapshot, partial, report) for name, snapshot in snapshots.items()}
        if verify:
            for name, dump in dumps.items():
                report(f"verifying {dump.file}: restoring it into a database of its own")
                with restore_copy(
                    addresses[name], partial / dump.file, dump, build_suffixed_name(addresses[name], "_verifying")
                ):
                    pass
        manifest = BackupManifest(now, __version__, revision, verify, dumps)
        text = json.dumps(asdict(manifest), indent=2, default=datetime.isoformat)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
        partial.rename(final)
    return Backup(final, manifest)


def _read_revision(snapshot: Snapshot) -> str:
    with translate_errors(snapshot.connection.engine):
        revision = read_revision(snapshot.connection)
    if revision is None:
        raise BackupError("the warehouse has no tables yet, so there is nothing to save: load something first")
    return revision


def _save(name: str, snapshot: Snapshot, folder: Path, report: Report) -> Dump:
    dump = folder / f"{name}.dump"
    report(f"dumping {name}")
    return write_dump(snapshot, dump)


@contextmanager
def _partial(folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Yield a new folder to write to and the path it takes once complete; it is deleted on failure."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / ".lock", timeout=0):
            for left in folder.glob(f"{_PARTIAL}*"):  # by a process that was killed
                shutil.rmtree(left)
            partial, final = folder / f"{_PARTIAL}{name}", folder / name
            if final.exists():
                raise BackupError(f"{final} is there already: run the command again in a second")
            partial.mkdir(mode=0o700)
            try:
                yield partial, final
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except Timeout:
        raise BackupError(f"another backup is being made in {folder}: wait for its end") from None
    except OSError as error:
        raise BackupError(f"{folder} can't be written to: {error}. Free space or name another --folder") from None


def list_backups(folder: Path) -> list[Path]:
    """Return the complete backups, oldest first."""
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if _NAME.fullmatch(path.parent.name))


def remove_old_backups(folder: Path, keep: int) -> Sequence[Path]:
    """Delete all backups but the `keep` newest, and return the deleted ones."""
    old = list_backups(folder)[:-keep]
    for backup in old:
        hidden = backup.with_name(f"{_PARTIAL}{backup.name}")  # so that half a backup is never taken for one
        backup.rename(hidden)
        shutil.rmtree(hidden)
    return old


def find_backup(what: str, folder: Path) -> tuple[Backup, Sequence[str]]:
    """Return the backup that `what` names, and the names of its databases that are meant.

    Args:
        what: a backup's folder, its name in `folder`, or its manifest: all of its databases; one of its dumps: that one
            alone; or LATEST: the newest in `folder`.
        folder: the folder of the backups.

    Raises:
        NoSuchBackupError: there is none.
    """
    path = _choose_path(what, folder)
    home = path if path.is_dir() else path.parent
    try:
        manifest = TypeAdapter(BackupManifest).validate_json((home / MANIFEST).read_bytes())
    except OSError:
        raise NoSuchBackupError(
            f"{what} is no backup: there is no {home / MANIFEST}. Name a backup's folder, or restore the newest with "
            "`market-pipeline restore latest`"
        ) from None
    except ValidationError:
        raise NoSuchBackupError(f"{home / MANIFEST} is damaged: restore another backup") from None
    in_file = [name for name, dump in manifest.databases.items() if dump.file == path.name]
    return Backup(home, manifest), in_file or list(manifest.databases)


def _choose_path(what: str, folder: Path) -> Path:
    if what == LATEST:
        backups = list_backups(folder)
        if not backups:
            raise NoSuchBackupError(f"there is no backup in {folder}: make one with `market-pipeline backup`")
        return backups[-1]
    in_folder = folder / what
    return in_folder if in_folder.exists() else Path(what)
