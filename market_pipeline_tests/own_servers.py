"""PostgreSQL servers of one's own, as users have them: Debian's PostgreSQL 15, and PgBouncer in front of it.

Both are of packages that a machine may lack; tests that need them are skipped there, and `.ci/run` installs them.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from market_pipeline.core.sockets import find_free_port
from market_pipeline.warehouse.connections import OLDEST_SERVER
from market_pipeline.warehouse.embedded.system_account import SystemAccount
from market_pipeline_tests.cluster_folders import make_cluster_folder

PROGRAMS = Path(f"/usr/lib/postgresql/{OLDEST_SERVER}/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
ADMINISTRATOR = "postgres"
SECONDS = 60.0


@dataclass(frozen=True)
class OwnServer:
    """A running server or pooler. `sockets` is the folder of its Unix sockets."""

    port: int
    sockets: Path

    def url(self, database: str, user: str = ADMINISTRATOR, password: str = "market") -> SecretStr:
        """Return the URL of a database, over TCP."""
        return SecretStr(f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}")

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the administrator."""
        with psycopg.connect(self.url(database).get_secret_value(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def oldest_server() -> Iterator[OwnServer]:
    """Run the oldest supported PostgreSQL, new and empty. Skips the test on machines without it."""
    if not PROGRAMS.is_dir():
        pytest.skip(f"PostgreSQL {OLDEST_SERVER} is not on this machine: apt-get install postgresql-{OLDEST_SERVER}")
    with _folder() as folder:
        options = SystemAccount.for_new_cluster().process_options
        cluster, password, port = folder / "cluster", folder / "password", find_free_port()
        password.write_text("market")
        password.chmod(0o644)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
        subprocess.run(
            [PROGRAMS / "initdb", "-D", cluster, "-U", ADMINISTRATOR, "-A", "scram-sha-256", "-E", "UTF8",
             "--locale=C", f"--pwfile={password}", "--no-sync"],
            check=True, **quiet,
        )  # fmt: skip
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        log = folder / "server.log"
        command: list[str | Path] = [PROGRAMS / "pg_ctl", "-D", cluster, "-l", log, "-w", "-o", settings]
        subprocess.run([*command, "start"], check=True, **quiet)
        try:
            yield OwnServer(port, folder)
        finally:
            subprocess.run([*command, "-m", "immediate", "stop"], check=True, **quiet)


@contextmanager
def pooler(server: OwnServer, mode: str, users: Mapping[str, str]) -> Iterator[OwnServer]:
    """Run PgBouncer in front of a server, for these users and passwords. Skips the test on machines without it."""
    if not PGBOUNCER.is_file():
        pytest.skip("PgBouncer is not on this machine: apt-get install pgbouncer")
    with _folder() as folder:
        port = find_free_port()
        known = "".join(f'"{name}" "{password}"\n' for name, password in users.items())
        (folder / "users").write_text(known)
        (folder / "users").chmod(0o644)
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
            f"listen_port={port}\nunix_socket_dir=\nauth_type=scram-sha-256\nauth_file={folder / 'users'}\n"
            f"pool_mode={mode}\nmax_client_conn=200\ndefault_pool_size=30\n"
        )
        (folder / "pgbouncer.ini").chmod(0o644)
        options = SystemAccount.for_new_cluster().process_options
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            [PGBOUNCER, "-q", folder / "pgbouncer.ini"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options
        )
        try:
            _wait_for(port)
            yield OwnServer(port, folder)
        finally:
            process.terminate()
            process.wait()
            log.close()


@contextmanager
def _folder() -> Iterator[Path]:
    """Create a folder that the user who runs servers for root can write."""
    folder = make_cluster_folder("own-server")
    account = SystemAccount.for_new_cluster()
    shutil.chown(folder, account.uid, account.gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline, "the pooler doesn't listen"
            time.sleep(0.02)
        else:
            return
