"""Clusters: making one and starting a server on it. The caller holds the lock and knows that none is running."""

import secrets
import shlex
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from psycopg import sql

from market_pipeline.core.sockets import LOOPBACK, PortTakenError, find_free_port, listen
from market_pipeline.warehouse.embedded import postmaster
from market_pipeline.warehouse.embedded.binaries import ProgramError, Programs, prepare_installation
from market_pipeline.warehouse.embedded.folders import Folders
from market_pipeline.warehouse.embedded.postmaster import PID_FILE
from market_pipeline.warehouse.embedded.system_account import SystemAccount

USER = "market_user"
DATABASES = ("market_data", "market_data_dagster")

_PREFERRED_PORT = 25432
"""Outside the ports that Linux gives to outgoing connections (32768 to 60999), and macOS (from 49152)."""

_PARTIAL = "unfinished-cluster-"

_SETTINGS = {
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A session of a whole market touches a page of the primary key for each of 11,000 symbols, 90 MB in all, which the
    # default of 128 MB can't keep beside the table.
    "shared_buffers": "256MB",
    # A checkpoint each 1 GB of WAL, 4 million bars, writes those pages out, and in full to the WAL when next changed.
    "max_wal_size": "2GB",
}
"""Written to the new cluster's postgresql.conf, where they can be changed."""

# The server's messages, English with any LANG, about problems that pass: another process took the port, or the remains
# of a killed server or starter have not ended yet.
_PASSING = ("Address already in use", "pre-existing shared memory block", f'lock file "{PID_FILE}" already exists')
_PASSING_SECONDS = 30.0


def start(folders: Folders) -> None:
    """Start the server, after making what is missing: the cluster, its databases, the password.

    Raises:
        EmbeddedServerError: a step failed. What was done stays, and the next start goes on from there.
    """
    deadline = time.monotonic() + _PASSING_SECONDS
    while postmaster.wait_until_settled(folders.cluster, folders.log) is None:
        try:
            _try_to_start(folders)
        except ProgramError as error:
            if time.monotonic() > deadline or not any(message in error.output for message in _PASSING):
                raise
            time.sleep(0.1)


def _try_to_start(folders: Folders) -> None:
    folders.make_home()
    cluster = folders.cluster
    account = SystemAccount.for_cluster(cluster)
    programs = Programs(account, prepare_installation(account, folders.home), folders.log)
    if not cluster.exists():
        folders.password_file.unlink(missing_ok=True)  # of a deleted cluster
        _create(programs, cluster)
    # It names no live server of ours, but while it names any live process PostgreSQL does not start. Its shared memory
    # keeps two servers off one cluster, with or without this file.
    (cluster / PID_FILE).unlink(missing_ok=True)
    if not folders.password_file.exists():
        _set_password(programs, cluster, folders.password_file)
    port = _choose_port(folders.port_file)
    _launch(programs, cluster, port)
    folders.port_file.write_text(str(port))


def _create(programs: Programs, cluster: Path) -> None:
    """Make a cluster with its databases, under another name until it is complete.

    The name is a new one each time: the initdb of a starter that was killed may still be at work under the last.
    """
    for left_over in cluster.parent.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=cluster.parent))
    shutil.chown(partial, programs.account.uid, programs.account.gid)
    programs.run(
        partial,
        "initdb",
        f"--username={USER}",
        "--auth-host=scram-sha-256",
        "--auth-local=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *(f"--set={name}={value}" for name, value in _SETTINGS.items()),
    )
    _run_single(programs, partial, *(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) for name in DATABASES))
    partial.rename(cluster)


def _set_password(programs: Programs, cluster: Path, file: Path) -> None:
    """Set a new random password for the user. It is kept last, so that a password in the file works."""
    password = secrets.token_urlsafe(24)
    statement = sql.SQL("ALTER USER {} PASSWORD {}").format(sql.Identifier(USER), sql.Literal(password))
    _run_single(programs, cluster, statement)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(password)
    partial.rename(file)


def _run_single(programs: Programs, cluster: Path, *statements: sql.Composed) -> None:
    """Run statements without a server, in PostgreSQL's single-user mode, which needs neither port nor password."""
    strictly = ("-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")  # a statement may hold the password
    lines = "".join(f"{statement.as_string()};\n" for statement in statements)
    programs.run(cluster, "postgres", "--single", *strictly, "postgres", stdin=lines)


def _launch(programs: Programs, cluster: Path, port: int) -> None:
    """Start the server on `port` and wait until it takes connections."""
    options = ["-D", str(cluster), "-p", str(port)]
    options += ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="]
    command = ("start", "--silent", "--wait", "--timeout=60", "-o", shlex.join(options))
    programs.run(cluster, "pg_ctl", *command, keep_stdout=True)  # which the server inherits


def _choose_port(port_file: Path) -> int:
    """Return the first free one of the last start's port, the preferred one, and any other."""
    ports = [_PREFERRED_PORT]
    with suppress(FileNotFoundError, ValueError):
        ports.insert(0, int(port_file.read_text()))
    for port in ports:
        with suppress(PortTakenError, OverflowError):
            listen(LOOPBACK, port).close()
            return port
    return find_free_port(LOOPBACK)
