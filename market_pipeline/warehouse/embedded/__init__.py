"""The embedded PostgreSQL: a real server on loopback, used if DATABASE_URL is not set.

It is started from the programs in a wheel, keeps its data in one folder, and outlives the process that started it.
Callers use `ensure_running` every time: it costs a few milliseconds, and restarts the server after a crash. The rest of
the project uses this module alone.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from market_pipeline.core.sockets import LOOPBACK
from market_pipeline.warehouse.embedded import cluster, postmaster
from market_pipeline.warehouse.embedded.binaries import find_installation
from market_pipeline.warehouse.embedded.folders import Folders, check_ownership
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError, translate_os_errors


@dataclass(frozen=True)
class Server:
    """A running server: its address and credentials."""

    host: str
    port: int
    user: str
    password: SecretStr
    data_dir: Path
    pid: int

    def url(self, database: str = cluster.DATABASES[0]) -> SecretStr:
        """Return the address of a database, `market_data` or `market_data_dagster`, with the password."""
        password = self.password.get_secret_value()
        return SecretStr(f"postgresql://{self.user}:{password}@{self.host}:{self.port}/{quote(database, safe='')}")


def ensure_running(data_dir: Path) -> Server:
    """Return the server of a data folder, made or started if need be. Several processes may call it at once.

    Raises:
        EmbeddedServerError: it can't be started; the message names the log and what to do.
    """
    server = find_running_server(data_dir) or _start(Folders.of(data_dir))
    if server is None:
        raise EmbeddedServerError(
            f"the embedded PostgreSQL in {data_dir} was started and is gone again: see {Folders.of(data_dir).log}, "
            "then run `market-pipeline db start`."
        )
    return server


def _start(folders: Folders) -> Server | None:
    with translate_os_errors(folders.data_dir), folders.lock():
        folders.claim()
        cluster.start(folders)
        return find_running_server(folders.data_dir)


def find_running_server(data_dir: Path) -> Server | None:
    """Return the server of a data folder if it takes connections now, else None. It starts nothing.

    Raises:
        EmbeddedServerError: the folder is another user's, or the running server's password is lost.
    """
    folders = Folders.of(data_dir)
    with translate_os_errors(folders.data_dir):
        found = postmaster.find(folders.cluster) if folders.claimed else None
        if found is None or not found.answers:
            return None
        if not folders.password_file.exists():
            raise EmbeddedServerError(
                f"{folders.password_file} is gone while its server runs: run `market-pipeline db stop`, and the next "
                "start makes a new password."
            )
        password = SecretStr(folders.password_file.read_text())
    return Server(LOOPBACK, found.port, cluster.USER, password, folders.data_dir, found.process.pid)


def has_server(data_dir: Path) -> bool:
    """Return True if the data folder holds a server of ours, running or not.

    Raises:
        EmbeddedServerError: the folder is another user's.
    """
    with translate_os_errors(data_dir):
        return Folders.of(data_dir).claimed


def stop(data_dir: Path) -> bool:
    """Shut the server of a data folder down and wait for its end. Its data stays.

    Returns:
        True if one was running.

    Raises:
        EmbeddedServerError: it doesn't stop, or the folder is another user's.
    """
    folders = Folders.of(data_dir)
    with translate_os_errors(folders.data_dir):
        if not folders.claimed:
            return False
        with folders.lock():
            return folders.claimed and postmaster.stop(folders.cluster, folders.log)  # it may be gone by now


def destroy(data_dir: Path) -> bool:
    """Stop the server of a data folder and delete it with all its data, wherever that is kept.

    Returns:
        True if there was one.

    Raises:
        EmbeddedServerError: that folder holds something else, which is left alone.
    """
    folders = Folders.of(data_dir)
    with translate_os_errors(folders.data_dir):
        if not folders.homes():
            if folders.data_dir.exists():
                check_ownership(folders.data_dir)
            return False
        with folders.lock():
            for home in folders.homes():
                postmaster.stop(home / "cluster", folders.log)
            folders.remove()
    return True


def find_binary(name: str) -> Path:
    """Return the path of a program of PostgreSQL 18, such as psql, pg_dump or pg_restore. They have no TLS.

    Raises:
        EmbeddedServerError: there is none of that name, or the wheel isn't installed.
    """
    program = find_installation() / "bin" / name
    if not program.is_file():
        raise EmbeddedServerError(f"PostgreSQL has no program {name!r}: see {program.parent} for those it has.")
    return program
