"""Database of `market-pipeline up`: one `up` at a time, and an embedded server that is restarted."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from market_pipeline.core.settings import Settings
from market_pipeline.operations import up_database
from market_pipeline.operations.up_database import AnotherUpError, MovedServerError, UpDatabase, open_up_database
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline_tests.cluster_folders import make_cluster_folder
from market_pipeline_tests.processes import until

BACK_SECONDS = 30.0
"""A second or so on a machine that has nothing else to do."""
HOLDER = """
import sys, time
from market_pipeline.operations.up_database import open_up_database
from market_pipeline.core.settings import load_settings
with open_up_database(load_settings(), print):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _watch_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up_database, "SERVER_EVERY", 0.0)
    monkeypatch.setattr(up_database, "LOCK_EVERY", 0.0)


@pytest.fixture
def output() -> list[str]:
    return []


def lose_lock(warehouse: Engine) -> None:
    """End the connection that holds the lock, as a restart of the server does."""
    with warehouse.begin() as connection:
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name LIKE 'up %' AND datname = current_database()"
            )
        )
        assert ended.scalars().all() == [True]


def test_a_second_up_on_one_database_is_an_error_that_names_the_first(
    settings: Settings, environment: dict[str, str], output: list[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        holder = rf"on {socket.gethostname()[:36]}, process {first.pid}, since 20\d\d-\d\d-\d\d \d\d:\d\d UTC"
        with pytest.raises(AnotherUpError, match=holder), open_up_database(settings, output.append):
            pass
        first.kill()
    with (
        open_up_database(settings, output.append),
        pytest.raises(AnotherUpError),
        open_up_database(settings, output.append),
    ):
        pass
    with open_up_database(settings, output.append) as database:
        database.watch()
    assert output == []


def test_a_lock_that_is_lost_with_its_connection_is_taken_again(
    settings: Settings, warehouse: Engine, output: list[str]
) -> None:
    with open_up_database(settings, output.append) as database:
        lose_lock(warehouse)
        database.watch()
        with pytest.raises(AnotherUpError), open_up_database(settings, output.append):
            pass
        # Once more, and this time another is faster.
        lose_lock(warehouse)
        with open_up_database(settings, output.append), pytest.raises(AnotherUpError):
            database.watch()


@pytest.fixture
def embedded_settings() -> Iterator[Settings]:
    folder = make_cluster_folder("up-database")
    yield Settings(_env_file=None, market_pipeline_data_dir=folder / "data")
    embedded.destroy(folder / "data")
    shutil.rmtree(folder)


def kill_server(data_dir: Path) -> embedded.Server:
    server = embedded.find_running_server(data_dir)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    return server


def take_port(port: int) -> socket.socket | None:
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", port))
    return None


def responds(database: UpDatabase) -> bool:
    with database.warehouse.connect() as connection:
        return bool(connection.scalar(text("SELECT true")))


def test_a_killed_embedded_server_is_restarted_within_seconds_with_one_line(
    embedded_settings: Settings, output: list[str]
) -> None:
    data_dir = embedded_settings.market_pipeline_data_dir
    with open_up_database(embedded_settings, output.append) as database:
        assert output == [f"starting the embedded PostgreSQL in {data_dir}"]
        before, began = kill_server(data_dir), time.monotonic()
        database.watch()
        assert responds(database)
        assert time.monotonic() - began < BACK_SECONDS
        after = embedded.find_running_server(data_dir)
        assert after is not None
        assert (after.port, after.pid != before.pid) == (before.port, True)
        database.watch()
        assert len(output) == 2
        assert output[1].startswith("the embedded PostgreSQL had ended; it runs again, ")
        with pytest.raises(AnotherUpError):
            UpDatabase(embedded_settings, create_warehouse_engine(after.url()), output.append).take_lock()

        # A failed start is reported once, however often it is tried.
        kill_server(data_dir)
        cluster = data_dir / "postgres" / "cluster"
        cluster.rename(cluster.with_name("away"))
        cluster.write_text("no folder")
        for _ in range(3):
            database.watch()
        assert len(output) == 3
        cluster.unlink()
        cluster.with_name("away").rename(cluster)

        # Everything has been started with the old port, which the killed server's processes release one by one.
        taken = until(lambda: take_port(before.port), "the release of the port")
        with taken, pytest.raises(MovedServerError, match=r"start .* again"):
            database.watch()
    assert output[-1] == "the embedded PostgreSQL has stopped; its data stays"
