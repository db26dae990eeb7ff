"""The embedded PostgreSQL, with real servers: making, finding, protecting, restarting and deleting them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from typer.testing import CliRunner, Result

import market_pipeline
from market_pipeline.cli import db
from market_pipeline.core.settings import Settings
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be other users")
NOBODY = 65534

START = """
import sys
from pathlib import Path
from market_pipeline.warehouse import embedded
server = embedded.ensure_running(Path(sys.argv[1]))
print(server.pid, server.port)
"""

# Becomes an ordinary user after importing, because that user may not be able to read this virtual environment.
START_AS_NOBODY = f"""
import encodings.idna, os, sys
from pathlib import Path
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.embedded.server_errors import EmbeddedServerError
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    server = embedded.ensure_running(Path(sys.argv[1]))
    print(server.pid, server.port)
except EmbeddedServerError as error:
    print(error)
"""

PSQL = """
import sys
from market_pipeline.cli import db
from market_pipeline.core.settings import Settings
db.load_settings = lambda: Settings(_env_file=None)  # not the developer's .env
db.app(["psql", *sys.argv[1:]])
"""


@contextmanager
def new_data_dir(mode: int) -> Iterator[Path]:
    """Yield a data folder that doesn't exist yet, with a space in its path, below a folder of that mode."""
    above = Path(tempfile.mkdtemp(prefix="embedded server "))
    above.chmod(mode)
    try:
        yield above / "data"
    finally:
        embedded.destroy(above / "data")
        shutil.rmtree(above)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Yield a data folder for the tests that can share one: each of them starts the server itself."""
    with new_data_dir(0o755) as folder:
        yield folder


@pytest.fixture
def own_data_dir() -> Iterator[Path]:
    with new_data_dir(0o755) as folder:
        yield folder


@pytest.fixture
def closed_data_dir() -> Iterator[Path]:
    """Yield a data folder below one that only root can enter."""
    with new_data_dir(0o700) as folder:
        yield folder


@pytest.fixture(scope="module")
def wheel_copy() -> Iterator[Path]:
    """Yield a folder for PYTHONPATH that holds the wheel with the programs, readable to all."""
    installation = embedded.find_binary("initdb").parents[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        without = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(installation, folder / installation.parent.name / installation.name, ignore=without)
        shutil.copytree(f"{installation.parent}.libs", folder / f"{installation.parent.name}.libs")
        (folder / installation.parent.name / "__init__.py").touch()  # Python would prefer the installed one without
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        yield folder


def python(code: str, *arguments: str | Path, **environment: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with these environment variables on top of ours."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(market_pipeline.__file__).parents[1],
        env=os.environ | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def query(server: embedded.Server, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url().get_secret_value(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def cluster_of(server: embedded.Server) -> Path:
    return Path(str(query(server, "SHOW data_directory")[0][0]))


def listener(port: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def postmasters(cluster: Path) -> list[int]:
    """Return the processes whose command line names the cluster."""
    return [each.pid for each in psutil.process_iter(["cmdline"]) if str(cluster) in (each.info["cmdline"] or [])]


# Properties


def test_it_is_postgresql_18_with_both_databases(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    for database in ("market_data", "market_data_dagster"):
        with psycopg.connect(server.url(database).get_secret_value()) as connection:
            assert connection.info.server_version // 10000 == 18
            assert (connection.info.dbname, connection.info.user) == (database, "market_user")


def test_it_listens_on_loopback_and_nowhere_else(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    process = psutil.Process(server.pid)
    assert {each.laddr for each in process.net_connections("inet")} == {("127.0.0.1", server.port)}
    assert process.net_connections("unix") == []


def test_it_requires_a_password_that_only_we_can_read(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    password = server.password.get_secret_value()
    holders = [path for path in data_dir.rglob("*") if path.is_file() and path.read_bytes() == password.encode()]
    assert [path.stat().st_mode & 0o777 for path in holders] == [0o600]
    assert password not in "".join(psutil.Process(server.pid).cmdline()) + repr(server)
    assert query(server, "SELECT rolpassword ^@ 'SCRAM-SHA-256$' FROM pg_authid WHERE rolcanlogin") == [(True,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url().get_secret_value().replace(password, "wrong"))


def test_it_is_durable_in_utc_and_takes_200_connections(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    names = ("fsync", "synchronous_commit", "full_page_writes", "timezone", "max_connections")
    assert [query(server, f"SHOW {name}")[0][0] for name in names] == ["on", "on", "on", "UTC", "200"]


def test_the_users_language_and_postgresql_variables_do_not_matter(own_data_dir: Path) -> None:
    hostile = {"LANG": "tr_TR.ISO-8859-9", "LC_ALL": "none-such", "TZ": "Asia/Kolkata", "PGDATA": "/nowhere"}
    hostile |= {"PGPORT": "1", "PGHOST": "/nowhere", "PGOPTIONS": "--nonsense", "PGSSLMODE": "require"}
    started = python(START, own_data_dir, **hostile)
    assert started.returncode == 0, started.stderr
    server = embedded.ensure_running(own_data_dir)
    locale = "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database"
    assert set(query(server, locale)) == {("UTF8", "b", "C.UTF-8")}
    assert query(server, "SELECT upper('i é ж'), current_setting('timezone')") == [("I É Ж", "UTC")]


def test_finding_a_running_server_takes_less_than_15_milliseconds(data_dir: Path) -> None:
    embedded.ensure_running(data_dir)
    seconds = []
    for _ in range(10):
        before = time.perf_counter()
        embedded.ensure_running(data_dir)
        seconds.append(time.perf_counter() - before)
    assert min(seconds) < 0.015


# Starting, and starting again


def test_it_outlives_the_process_that_started_it(data_dir: Path) -> None:
    embedded.stop(data_dir)
    with socket.socket() as held:
        os.set_inheritable(held.fileno(), True)
        starter = python(START, data_dir)  # comes back only if the server holds none of its pipes
    server = embedded.find_running_server(data_dir)
    assert server is not None
    assert starter.stdout.split() == [str(server.pid), str(server.port)]
    assert os.getsid(server.pid) != os.getsid(0)
    assert psutil.Process(server.pid).terminal() is None


def test_eight_starters_at_once_make_one_server(own_data_dir: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", START, own_data_dir]
    folder = Path(market_pipeline.__file__).parents[1]
    starters = [subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    printed = {starter.communicate(timeout=120)[0] for starter in starters}
    server = embedded.ensure_running(own_data_dir)
    assert printed == {f"{server.pid} {server.port}\n"}
    assert postmasters(cluster_of(server)) == [server.pid]


def test_a_first_start_that_was_killed_half_way_is_begun_anew(own_data_dir: Path) -> None:
    folder = Path(market_pipeline.__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", START, own_data_dir], cwd=folder) as starter:
        while not list(own_data_dir.rglob("pg_wal")):  # PostgreSQL's initdb is at work
            assert starter.poll() is None
            time.sleep(0.01)
        starter.kill()
    assert query(embedded.ensure_running(own_data_dir), "SELECT 1") == [(1,)]


def test_every_committed_row_survives_a_killed_server(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    query(server, "DROP TABLE IF EXISTS kept")
    query(server, "CREATE TABLE kept AS SELECT generate_series(1, 5000) AS n")
    with psycopg.connect(server.url().get_secret_value()) as unfinished:
        unfinished.execute("INSERT INTO kept VALUES (0)")
        os.kill(server.pid, signal.SIGKILL)
        again = embedded.ensure_running(data_dir)
        unfinished.close()
    assert again.pid != server.pid
    assert query(again, "SELECT count(*), sum(n) FROM kept") == [(5000, 12502500)]


@pytest.mark.parametrize("names", ["another program", "a program about the same folder", "a zombie"])
def test_a_stale_pid_file_that_names_another_process_does_no_harm(data_dir: Path, names: str) -> None:
    server = embedded.ensure_running(data_dir)
    cluster = cluster_of(server)
    contents = (cluster / "postmaster.pid").read_text().splitlines()
    assert embedded.stop(data_dir)
    waiting = [sys.executable, "-c", "input()"]
    command = {"a program about the same folder": [*waiting, "-D", str(cluster)], "a zombie": ["true"]}.get(
        names, waiting
    )
    with subprocess.Popen(command, stdin=subprocess.PIPE) as unrelated:
        if names == "a zombie":
            while psutil.Process(unrelated.pid).status() != psutil.STATUS_ZOMBIE:
                os.sched_yield()
        before = psutil.Process(unrelated.pid).status()
        (cluster / "postmaster.pid").write_text("\n".join([str(unrelated.pid), *contents[1:]]) + "\n")
        with suppress(OSError), listener(server.port):
            assert embedded.find_running_server(data_dir) is None
        assert not embedded.stop(data_dir)
        assert embedded.ensure_running(data_dir).pid != unrelated.pid
        assert (before == psutil.STATUS_ZOMBIE) == (psutil.Process(unrelated.pid).status() == psutil.STATUS_ZOMBIE)
        if names != "a zombie":
            assert unrelated.poll() is None
            unrelated.communicate(b"\n")
            assert unrelated.returncode == 0


def test_it_keeps_its_port_and_takes_another_when_that_is_taken(data_dir: Path) -> None:
    first = embedded.ensure_running(data_dir)
    assert embedded.stop(data_dir)
    assert embedded.ensure_running(data_dir).port == first.port
    assert embedded.stop(data_dir)
    with ExitStack() as taken:
        taken.enter_context(listener(first.port))
        with suppress(OSError):  # the preferred port: of this server, or of another one on this machine
            taken.enter_context(listener(25432))
        moved = embedded.ensure_running(data_dir)
        assert moved.port not in (first.port, 25432)
        assert query(moved, "SELECT inet_server_port()") == [(moved.port,)]
        assert embedded.find_running_server(data_dir) == moved


def test_a_lost_password_is_replaced_by_a_new_random_one_at_the_next_start(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    (data_dir / "postgres" / "password").unlink()
    with pytest.raises(EmbeddedServerError, match="market-pipeline db stop"):
        embedded.find_running_server(data_dir)
    assert embedded.stop(data_dir)
    again = embedded.ensure_running(data_dir)
    assert again.password != server.password
    assert query(again, "SELECT 1") == [(1,)]


def test_a_cluster_that_was_deleted_is_made_anew(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    query(server, "CREATE TABLE IF NOT EXISTS lost (n int)")
    cluster = cluster_of(server)
    embedded.stop(data_dir)
    shutil.rmtree(cluster)
    assert query(embedded.ensure_running(data_dir), "SELECT to_regclass('lost')") == [(None,)]


def test_a_start_that_fails_shows_the_servers_last_line_and_its_log(data_dir: Path) -> None:
    configuration = cluster_of(embedded.ensure_running(data_dir)) / "postgresql.auto.conf"
    embedded.stop(data_dir)
    good = configuration.read_bytes()
    try:
        configuration.write_text("no_such_setting = on\n")
        with pytest.raises(EmbeddedServerError) as failure:
            embedded.ensure_running(data_dir)
    finally:
        configuration.write_bytes(good)
    message = str(failure.value)
    assert "no_such_setting" in message
    assert str(data_dir.resolve() / "postgres" / "server.log") in message
    assert "market-pipeline db start" in message
    assert "\n" not in message


# Stopping and deleting


def test_stopping_returns_whether_a_server_was_running(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    with psycopg.connect(server.url().get_secret_value()):  # a client does not hold it up
        assert embedded.stop(data_dir)
    assert not is_alive(server.pid)
    assert embedded.find_running_server(data_dir) is None
    assert not embedded.stop(data_dir)


def test_destroying_stops_the_server_and_deletes_its_files_and_no_others(own_data_dir: Path) -> None:
    server = embedded.ensure_running(own_data_dir)
    (own_data_dir / "notes.txt").write_text("the user's own")
    assert embedded.destroy(own_data_dir)
    assert not is_alive(server.pid)
    assert [path.name for path in own_data_dir.iterdir()] == ["notes.txt"]
    (own_data_dir / "notes.txt").unlink()
    assert not embedded.destroy(own_data_dir)


@pytest.mark.parametrize("file", ["thesis.txt", "postgres/PG_VERSION"])
def test_a_folder_that_is_not_ours_is_neither_deleted_nor_used(tmp_path: Path, file: str) -> None:
    foreign = tmp_path / "data" / file
    foreign.parent.mkdir(parents=True)
    foreign.write_text("someone's")
    with pytest.raises(EmbeddedServerError, match="left alone"):
        embedded.destroy(tmp_path / "data")
    if foreign.parent.name == "postgres":
        with pytest.raises(EmbeddedServerError, match="MARKET_PIPELINE_DATA_DIR"):
            embedded.ensure_running(tmp_path / "data")
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == [foreign]


def test_there_is_nothing_to_stop_or_destroy_where_none_was_started(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert (embedded.find_running_server(missing), embedded.stop(missing), embedded.destroy(missing)) == (
        None,
        False,
        False,
    )
    assert not missing.exists()


def test_a_data_folder_that_can_not_be_made_names_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="MARKET_PIPELINE_DATA_DIR"):
        embedded.ensure_running(tmp_path / "file" / "data")


# Users


@AS_ROOT
def test_for_root_another_user_runs_it_in_the_data_folder(data_dir: Path) -> None:
    server = embedded.ensure_running(data_dir)
    assert psutil.Process(server.pid).uids().real != 0
    assert psutil.Process(server.pid).gids().real != 0
    assert cluster_of(server).is_relative_to(data_dir.resolve())


@AS_ROOT
def test_for_root_it_works_where_that_user_can_read_nothing_and_opens_no_folder(
    closed_data_dir: Path, wheel_copy: Path
) -> None:
    wheel_copy.chmod(0o700)
    try:
        started = python(START, closed_data_dir, PYTHONPATH=wheel_copy)
        server = embedded.find_running_server(closed_data_dir)
        assert server is not None, started.stderr
        assert started.stdout.split()[0] == str(server.pid)
        assert psutil.Process(server.pid).uids().real != 0
        assert [folder.stat().st_mode & 0o777 for folder in (closed_data_dir.parent, wheel_copy)] == [0o700, 0o700]
    finally:
        wheel_copy.chmod(0o755)
    query(server, "CREATE TABLE kept AS SELECT 1 AS n")
    os.kill(server.pid, signal.SIGKILL)
    again = embedded.ensure_running(closed_data_dir)
    assert query(again, "SELECT n FROM kept") == [(1,)]
    home = cluster_of(again).parent
    assert not home.is_relative_to(closed_data_dir.parent)
    assert embedded.destroy(closed_data_dir)
    assert not home.exists()


@AS_ROOT
def test_a_cluster_whose_data_folder_was_deleted_is_set_aside_and_destroyed_with_the_next(
    closed_data_dir: Path,
) -> None:
    orphan = embedded.ensure_running(closed_data_dir)
    query(orphan, "CREATE TABLE lost AS SELECT 1 AS n")
    home = cluster_of(orphan).parent
    shutil.rmtree(closed_data_dir)
    server = embedded.ensure_running(closed_data_dir)
    assert not is_alive(orphan.pid)
    assert query(server, "SELECT to_regclass('lost')") == [(None,)]
    assert len(list(home.parent.glob(f"{home.name}*"))) == 2
    assert embedded.destroy(closed_data_dir)
    assert list(home.parent.glob(f"{home.name}*")) == []


@AS_ROOT
def test_an_ordinary_user_runs_it_and_root_does_so_in_that_users_name(own_data_dir: Path, wheel_copy: Path) -> None:
    own_data_dir.mkdir()
    os.chown(own_data_dir, NOBODY, NOBODY)
    started = python(START_AS_NOBODY, own_data_dir, PYTHONPATH=wheel_copy)
    server = embedded.find_running_server(own_data_dir)
    assert server is not None, started
    assert started.stdout.split() == [str(server.pid), str(server.port)]
    assert psutil.Process(server.pid).uids().real == NOBODY
    assert embedded.stop(own_data_dir)
    assert psutil.Process(embedded.ensure_running(own_data_dir).pid).uids().real == NOBODY


@AS_ROOT
def test_another_users_data_folder_is_rejected_with_the_next_step(data_dir: Path, wheel_copy: Path) -> None:
    embedded.ensure_running(data_dir)
    completed = python(START_AS_NOBODY, data_dir, PYTHONPATH=wheel_copy)
    assert "MARKET_PIPELINE_DATA_DIR" in completed.stdout, completed.stderr


# Programs and the command line


def test_the_wheels_programs_are_found_by_name() -> None:
    version = subprocess.run([embedded.find_binary("pg_dump"), "--version"], capture_output=True, text=True, check=True)
    assert "18." in version.stdout
    with pytest.raises(EmbeddedServerError, match="no-such-program"):
        embedded.find_binary("no-such-program")


@pytest.fixture
def db_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `market-pipeline db ...` with these settings and no others."""

    def run(*arguments: str, **settings: Any) -> Result:
        monkeypatch.setattr(db, "load_settings", lambda: Settings(_env_file=None, **settings))
        return CliRunner().invoke(db.app, arguments)

    return run


def test_the_commands_start_show_and_stop_the_server(data_dir: Path, db_command: Callable[..., Result]) -> None:
    run = partial(db_command, market_pipeline_data_dir=data_dir)
    embedded.stop(data_dir)
    assert run("status").exit_code == 1
    started = run("start")
    server = embedded.find_running_server(data_dir)
    assert server is not None
    assert f"127.0.0.1:{server.port}" in started.stdout
    assert run("status").exit_code == 0
    assert run("url").stdout == f"{server.url().get_secret_value()}\n"
    assert run("stop").stdout == "stopped\n"
    assert run("stop").stdout == "was not running\n"


def test_with_a_database_url_the_commands_leave_that_server_alone(
    data_dir: Path, tmp_path: Path, db_command: Callable[..., Result]
) -> None:
    server = embedded.ensure_running(data_dir)
    url = server.url("market_data_dagster").get_secret_value()
    run = partial(db_command, market_pipeline_data_dir=tmp_path / "unused", database_url=url)
    for command in ("start", "stop", "status"):
        done = run(command)
        assert "does not start or stop that server" in done.stdout
        assert done.exit_code == 0
        assert server.password.get_secret_value() not in done.stdout
    assert embedded.find_running_server(data_dir) == server
    assert run("url").stdout == f"{url}\n"
    assert run("status", database_url=f"{url}_missing").exit_code == 1
    assert not (tmp_path / "unused").exists()


def test_psql_gets_every_argument_unchanged_and_ignores_postgresql_variables(data_dir: Path) -> None:
    embedded.stop(data_dir)
    astray = {"PGSERVICE": "elsewhere", "PGHOSTADDR": "192.0.2.1", "PGSSLMODE": "require", "PATH": "/nowhere"}
    psql = partial(python, PSQL, MARKET_PIPELINE_DATA_DIR=data_dir, **astray)
    assert psql("-tAc", "SELECT current_database()", "--", "market_data_dagster").stdout == "market_data_dagster\n"
    assert "psql is the PostgreSQL interactive terminal" in psql("--help").stdout
    assert psql("-c", "SELECT nonsense").returncode == 1


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_psql_opens_the_database_that_database_url_names(data_dir: Path, tmp_path: Path, scheme: str) -> None:
    url = embedded.ensure_running(data_dir).url("market_data_dagster").get_secret_value()
    given = {"DATABASE_URL": url.replace("postgresql", scheme, 1), "MARKET_PIPELINE_DATA_DIR": str(tmp_path / "unused")}
    done = python(PSQL, "-tAc", "SELECT current_database()", PATH="/nowhere", **given)
    assert done.stdout == "market_data_dagster\n", done.stderr
