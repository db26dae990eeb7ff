"""Where a server keeps what it has, and which of that is ours to delete.

Everything is below `<data folder>/postgres`, with one exception. Run by root, the server is another account, and where
that account can't enter the data folder the cluster is kept in /var/lib/market-pipeline instead. The marker file, which
says that the folder is ours, holds the way there.
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
"""The longest wait for another process that is starting or stopping the same server."""


@dataclass(frozen=True)
class Folders:
    """The places of one server. `data_dir` is resolved, so that every way to a folder leads to the same server."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folders":
        """The places of the server whose data folder that is."""
        return cls(data_dir.resolve())

    @property
    def root(self) -> Path:
        """The folder that is ours alone."""
        return self.data_dir / "postgres"

    @property
    def password_file(self) -> Path:
        """The server's password, for our eyes only."""
        return self.root / "password"

    @property
    def port_file(self) -> Path:
        """The port of the last start, which the next one prefers."""
        return self.root / "port"

    @property
    def log(self) -> Path:
        """What the server and the programs that made it wrote."""
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
        """Whether a server was ever started here."""
        return (self.root / _MARKER).is_file()

    def lock(self) -> FileLock:
        """Held by whoever starts, stops or deletes the server; makes `root`, where the lock is a file.

        Raises:
            EmbeddedServerError: there is something else in that folder.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        check_ownership(self.root)
        return FileLock(self.root / _LOCK, timeout=_LOCK_SECONDS)

    def claim(self) -> None:
        """Mark `root` as ours and settle where the cluster goes. Call it under the lock."""
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
        """Make the cluster's folder and the one above it where they are missing, open to the server's account."""
        for folder in (self.home.parent, self.home):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o711)
        if self.home != self.root:
            (self.home / _MARKER).write_text(str(self.data_dir))

    def homes(self) -> list[Path]:
        """Every folder that holds, or once held, a cluster of this data folder; `root` comes last.

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
            for path in home.iterdir():  # all but marker and lock, so that it can be tried again until the end
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
        """Move the cluster of a data folder that someone deleted out of a new one's way. Its password is lost."""
        if self._outside.exists():
            postmaster.stop(self._outside / "cluster", self.log)
            self._outside.rename(f"{self._outside}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")


def check_ownership(folder: Path) -> None:
    """Let a folder of ours pass, and an empty one.

    Raises:
        EmbeddedServerError: there is something in it, and not our marker.
    """
    names = {path.name for path in folder.iterdir()}
    if _MARKER not in names and any(not name.startswith((_LOCK, _MARKER)) for name in names):
        raise EmbeddedServerError(
            f"{folder} was not made by an embedded PostgreSQL of this project and is left alone: "
            "set MARKET_PIPELINE_DATA_DIR to another folder."
        )
