"""Folders of a server, and the check that they are ours to delete.

Everything is below `<data folder>/postgres`, with one exception. If root runs it, the server uses another account, and
if that account can't enter the data folder, the cluster is in /var/lib/market-pipeline instead. The marker file, which
declares that the folder is ours, holds the path to it.
"""

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from market_pipeline.warehouse.embedded import postmaster
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
from market_pipeline.warehouse.embedded.system_account import SystemAccount

_OUTSIDE = Path("/var/lib/market-pipeline")
_MARKER = "made-by-market-pipeline"
_LOCK = "lock"
_LOCK_SECONDS = 180.0
"""Longest wait for another process that is starting or stopping the same server."""


@dataclass(frozen=True)
class Folders:
    """The folders of one server. `data_dir` is resolved, so that every path to a folder leads to the same server."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folders":
        """Return the folders of the server whose data folder that is."""
        return cls(data_dir.resolve())

    @property
    def root(self) -> Path:
        """The folder that is ours alone."""
        return self.data_dir / "postgres"

    @property
    def password_file(self) -> Path:
        """The server's password, which only we may read."""
        return self.root / "password"

    @property
    def port_file(self) -> Path:
        """The port of the last start, which the next one prefers."""
        return self.root / "port"

    @property
    def log(self) -> Path:
        """The log of the server and of the programs that made it."""
        return self.root / "server.log"

    @property
    def home(self) -> Path:
        """The folder that holds the cluster: `root`, or one that the server's account can enter."""
        return self.root / (self.root / _MARKER).read_text().strip()

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.home / "cluster"

    @property
    def claimed(self) -> bool:
        """True if a server was ever started here."""
        return (self.root / _MARKER).is_file()

    def lock(self) -> FileLock:
        """Return the lock for starting, stopping and deleting the server; makes `root`, which holds its file.

        Raises:
            EmbeddedServerError: there is something else in that folder.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        check_ownership(self.root)
        return FileLock(self.root / _LOCK, timeout=_LOCK_SECONDS)

    def claim(self) -> None:
        """Mark `root` as ours and decide where the cluster goes. Call it under the lock."""
        if self.claimed:
            return
        home = "."
        if os.geteuid() == 0:
            self.root.chmod(0o711)
            if not SystemAccount.for_new_cluster().can_run("test", "-x", self.root):
                self._set_aside()
                home = str(self._outside)
        partial = self.root / f"{_MARKER}.partial"
        partial.write_text(home)
        partial.rename(self.root / _MARKER)

    def make_home(self) -> None:
        """Make the cluster's folder and its parent if they are missing, open to the server's account."""
        for folder in (self.home.parent, self.home):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o711)
        if self.home != self.root:
            (self.home / _MARKER).write_text(str(self.data_dir))

    def homes(self) -> list[Path]:
        """Return every folder that holds, or once held, a cluster of this data folder; `root` comes last.

        Raises:
            EmbeddedServerError: one of them is not ours.
        """
        known = {*_OUTSIDE.glob(f"{self._outside.name}*"), *([self.home] if self.claimed else [])} - {self.root}
        found = [folder for folder in (*sorted(known), self.root) if folder.exists()]
        for folder in found:
            check_ownership(folder)
        return found

    def remove(self) -> None:
        """Delete every folder of the stopped server, and the folders above them that are then empty."""
        for home in self.homes():
            for path in home.iterdir():  # all but marker and lock, so that it can be repeated until it succeeds
                if not path.name.startswith((_LOCK, _MARKER)):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.rmtree(home)
        for folder in (self.data_dir, _OUTSIDE):
            with suppress(OSError):  # it holds something else
                folder.rmdir()

    @property
    def _outside(self) -> Path:
        return _OUTSIDE / hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]

    def _set_aside(self) -> None:
        """Move the cluster of a deleted data folder out of a new one's way. Its password is lost."""
        if self._outside.exists():
            postmaster.stop(self._outside / "cluster", self.log)
            self._outside.rename(f"{self._outside}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")


def check_ownership(folder: Path) -> None:
    """Check that a folder is ours, or empty.

    Raises:
        EmbeddedServerError: there is something in it, and not our marker.
    """
    names = {path.name for path in folder.iterdir()}
    if _MARKER not in names and any(not name.startswith((_LOCK, _MARKER)) for name in names):
        raise EmbeddedServerError(
            f"{folder} was not made by an embedded PostgreSQL of this project and is left alone: "
            "set MARKET_PIPELINE_DATA_DIR to another folder."
        )
