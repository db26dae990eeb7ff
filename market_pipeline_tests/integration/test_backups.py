"""`market-pipeline backup` and `restore`: a lost database is restored completely, and nothing is half-written."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest
from dagster import DagsterInstance
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, event, text

from market_pipeline.core.run_planning import plan_range_runs
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.orchestration.assets import build_asset_key
from market_pipeline.orchestration.build import build_loading
from market_pipeline.orchestration.instance_storage import find_dagster_database_url
from market_pipeline.orchestration.run_launch import launch_range_run, open_instance
from market_pipeline.quality.rules import find_flags
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, accept_key, create_key
from market_pipeline.warehouse.backup.backup import (
    DAGSTER,
    WAREHOUSE,
    Backup,
    BackupError,
    back_up,
    find_backup,
    list_backups,
    remove_old_backups,
)
from market_pipeline.warehouse.backup.client_programs import ClientProgramError, find_program
from market_pipeline.warehouse.backup.dump import (
    DumpError,
    TableContent,
    build_sibling_url,
    open_snapshot,
    read_table_contents,
)
from market_pipeline.warehouse.backup.restore import restore
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.database_errors import DatabaseUnavailableError, SchemaError
from market_pipeline.warehouse.loading import RejectedBar, load
from market_pipeline.warehouse.roles import ANALYST, READER, grant_analyst_access, make_reading_role
from market_pipeline.warehouse.schema import find_head_revision
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.bar_frames import columns_of
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded, request_for
from market_pipeline_tests.processes import wait_for_ends

NOW = datetime(2024, 3, 1, 4, tzinfo=UTC)
FIRST, LAST = date(2012, 1, 3), date(2012, 2, 29)
TABLES_WITH_ROWS = {
    "public.bars", "public.bars_revisions", "public.rejected_bars", "public.backfill_history",
    "public.tracked_symbols", "access.api_keys", "analytics.daily_returns",
}  # fmt: skip
VIEWS = ("session_states", "coverage", "market_data_as_of(settled_point())")


def report_nothing(_message: str) -> None:
    """Report nothing."""


@pytest.fixture
def dagster_database() -> None:
    """Give Dagster no database yet, as in a new warehouse."""


@pytest.fixture
def addresses(settings: Settings) -> dict[str, SecretStr]:
    assert settings.database_url is not None
    return {WAREHOUSE: settings.database_url, DAGSTER: find_dagster_database_url(settings)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def fill(settings: Settings, warehouse: Engine) -> None:
    """Load bars by a run of Dagster's, revised, flagged and rejected ones, and build the marts."""
    add_symbols(warehouse, [AAPL])
    with running_sandbox(SandboxConfig()) as base_url, open_instance(settings) as instance:
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url})
        [run] = plan_range_runs([AAPL], FIRST, LAST, datetime.now(UTC))
        assert launch_range_run(build_loading(on_sandbox), run, instance, warehouse).success
    bars = recorded("AAPL", FIRST, LAST)
    bars.loc[bars.index[30], "volume"] *= 90
    again = replace(request_for(AAPL, run.sessions, "run-2"), source="sandbox")
    load(warehouse, again, columns_of(bars), [RejectedBar(LAST, ["high below low"], {"h": 1, "l": 2})], find_flags)
    run_forked_dbt(settings, "run", "--quiet", "--select", "+daily_returns")


def read_everything(addresses: Mapping[str, SecretStr]) -> dict[str, dict[str, TableContent]]:
    found = {}
    for name, url in addresses.items():
        with open_snapshot(url) as snapshot:
            found[name] = read_table_contents(snapshot.connection)
    return found


def history(instance: DagsterInstance) -> tuple[Any, ...]:
    runs = [(run.run_id, run.status, dict(run.tags)) for run in instance.get_runs()]
    return runs, sorted(instance.get_materialized_partitions(build_asset_key(AAPL)))


def drop(server: embedded.Server, addresses: Mapping[str, SecretStr]) -> None:
    with psycopg.connect(server.url("postgres").get_secret_value(), autocommit=True) as connection:
        for url in addresses.values():
            name = url.get_secret_value().rsplit("/", 1)[1]
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name != ".lock")


def test_a_lost_warehouse_and_dagsters_history_are_restored_completely(
    server: embedded.Server,
    settings: Settings,
    warehouse: Engine,
    addresses: dict[str, SecretStr],
    folder: Path,
    command: Command,
) -> None:
    fill(settings, warehouse)
    key = create_key(warehouse, "operations", Scope.ADMIN)
    make_reading_role(warehouse)
    grant_analyst_access(warehouse)
    assert query(warehouse, "SELECT count(*) > 0 AS flagged FROM market_data WHERE NOT validated") == [
        {"flagged": True}
    ]
    before, views = (
        read_everything(addresses),
        [query(warehouse, f"SELECT * FROM {view} ORDER BY 1, 2, 3") for view in VIEWS],
    )
    with open_instance(settings) as instance:
        runs, partitions = history(instance)
    assert {name for name, table in before[WAREHOUSE].items() if table.rows} >= TABLES_WITH_ROWS
    assert len(runs) == 1
    assert len(partitions) == len(recorded("AAPL", FIRST, LAST))

    code, output, _ = command("backup", "--folder", folder)
    assert code == 0
    assert "verified" in output
    drop(server, addresses)
    warehouse.dispose()
    code, output, _ = command("restore", "latest", "--folder", folder)

    assert (code, "restored" in output) == (0, True)
    assert read_everything(addresses) == before
    assert [query(warehouse, f"SELECT * FROM {view} ORDER BY 1, 2, 3") for view in VIEWS] == views
    with open_instance(settings) as instance:
        assert history(instance) == (runs, partitions)
    assert accept_key(warehouse, key) is not None
    for role in (READER, ANALYST):
        assert query(warehouse, f"SELECT has_table_privilege('{role}', 'market_data', 'SELECT') AS may") == [
            {"may": True}
        ]
        assert query(warehouse, f"SELECT has_schema_privilege('{role}', 'access', 'USAGE') AS may") == [{"may": False}]
    assert load_again(warehouse) == {"unchanged": len(partitions), "loaded": 0}


def load_again(warehouse: Engine) -> dict[str, int]:
    bars = recorded("AAPL", FIRST, LAST)
    bars.loc[bars.index[30], "volume"] *= 90
    sessions = list_sessions("XNYS", FIRST, LAST)
    again = replace(request_for(AAPL, sessions, "run-3"), source="sandbox")
    result = load(warehouse, again, columns_of(bars), [], find_flags)
    return {"unchanged": result.unchanged, "loaded": result.loaded}


@pytest.fixture
def stocked(warehouse: Engine) -> Engine:
    """Return a warehouse with bars, and nothing in Dagster."""
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, recorded("AAPL", FIRST, LAST))
    return warehouse


@pytest.fixture
def saved(stocked: Engine, addresses: dict[str, SecretStr], folder: Path) -> Backup:
    return back_up(addresses, folder, NOW, verify=False, report=report_nothing)


def test_the_manifest_lists_the_saved_databases_and_no_password_is_anywhere(
    stocked: Engine, server: embedded.Server, folder: Path, command: Command
) -> None:
    code, out, err = command("backup", "--folder", folder, "--json")
    printed = json.loads(out)
    manifest = Path(printed["folder"], "manifest.json").read_text(encoding="utf-8")
    assert code == 0
    assert printed["revision"] == find_head_revision()
    assert printed["verified"] is True
    dump = printed["databases"]["warehouse"]
    content = Path(printed["folder"], dump["file"]).read_bytes()
    assert (dump["bytes"], dump["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert dump["tables"]["public.bars"]["rows"] == len(recorded("AAPL", FIRST, LAST))
    assert list(printed["databases"]) == ["warehouse"]  # Dagster has none yet
    secret = server.password.get_secret_value()
    assert secret not in out + err + manifest
    assert secret.encode() not in content
    assert not Path(printed["folder"]).stat().st_mode & 0o077


def test_rows_that_come_while_it_is_made_are_in_neither_dump_nor_count(
    stocked: Engine, addresses: dict[str, SecretStr], folder: Path
) -> None:
    def add_more(message: str) -> None:
        if message.startswith("dumping"):
            load_frame(stocked, AAPL, recorded("AAPL", date(2012, 3, 1), date(2012, 3, 30)), run_id="run-2")

    made = back_up(addresses, folder, NOW, report=add_more)
    assert made.manifest.databases[WAREHOUSE].tables["public.bars"].rows == len(recorded("AAPL", FIRST, LAST))


def test_a_database_in_use_is_replaced_only_on_demand_and_kept(
    saved: Backup, warehouse: Engine, command: Command, folder: Path, kept_databases: None
) -> None:
    was = query(warehouse, "SELECT count(*) AS bars FROM market_data")
    load_frame(warehouse, AAPL, recorded("AAPL", date(2012, 3, 1), date(2012, 3, 30)), run_id="run-2")
    now = query(warehouse, "SELECT count(*) AS bars FROM market_data")
    code, _, err = command("restore", saved.folder)
    assert (code, "--replace" in err) == (1, True)
    assert query(warehouse, "SELECT count(*) AS bars FROM market_data") == now

    code, out, _ = command("restore", saved.folder, "--replace", "--json")
    printed = json.loads(out)
    assert code == 0
    assert query(warehouse, "SELECT count(*) AS bars FROM market_data") == was
    old = create_warehouse_engine(
        build_sibling_url(SecretStr(os.environ["DATABASE_URL"]), printed["kept"]["warehouse"])
    )
    assert query(old, "SELECT count(*) AS bars FROM market_data") == now
    old.dispose()


def test_a_damaged_dump_is_rejected_before_anything_changes(
    saved: Backup, command: Command, warehouse: Engine, folder: Path
) -> None:
    dump = saved.folder / "warehouse.dump"
    content = bytearray(dump.read_bytes())
    content[len(content) // 2] ^= 1
    dump.write_bytes(content)
    code, _, err = command("restore", "latest", "--folder", folder, "--replace")
    assert (code, "is damaged" in err) == (1, True)
    assert query(warehouse, "SELECT count(*) > 0 AS there FROM market_data") == [{"there": True}]


def test_a_dump_that_differs_from_its_manifest_is_not_restored(
    saved: Backup, addresses: dict[str, SecretStr], warehouse: Engine
) -> None:
    dump = saved.manifest.databases[WAREHOUSE]
    tables = {**dump.tables, "public.bars": TableContent(7, "7")}
    wrong = replace(saved, manifest=replace(saved.manifest, databases={WAREHOUSE: replace(dump, tables=tables)}))
    with pytest.raises(DumpError, match=r"public\.bars"):
        restore(wrong, [WAREHOUSE], addresses, NOW, replace=True, report=report_nothing)
    assert query(warehouse, "SELECT count(*) > 7 AS there FROM market_data") == [{"there": True}]
    assert query(warehouse, "SELECT datname FROM pg_database WHERE datname LIKE current_database() || '\\_%'") == []


def test_a_backup_of_a_newer_version_is_rejected(saved: Backup, addresses: dict[str, SecretStr]) -> None:
    newer = replace(saved, manifest=replace(saved.manifest, revision="9999"))
    with pytest.raises(SchemaError, match="9999"):
        restore(newer, [WAREHOUSE], addresses, NOW, replace=True, report=report_nothing)


def test_one_database_alone_is_restored_from_its_dump(saved: Backup, folder: Path) -> None:
    assert find_backup(str(saved.folder / "warehouse.dump"), folder) == (saved, ["warehouse"])
    assert find_backup("20240301T040000Z", folder) == (saved, ["warehouse"])


def test_a_folder_that_is_no_backup_is_reported(folder: Path, command: Command) -> None:
    code, _, err = command("restore", "latest", "--folder", folder)
    assert (code, "market-pipeline backup" in err) == (2, True)
    code, _, err = command("restore", folder)
    assert (code, "is no backup" in err, "`market-pipeline restore latest`" in err) == (2, True, True)


def test_only_the_oldest_backups_are_removed(saved: Backup, addresses: dict[str, SecretStr], folder: Path) -> None:
    (folder / "mine").mkdir()
    for days in (1, 2, 3):
        back_up(addresses, folder, NOW + timedelta(days=days), verify=False, report=report_nothing)
    assert [path.name for path in remove_old_backups(folder, 2)] == ["20240301T040000Z", "20240302T040000Z"]
    assert [path.name for path in list_backups(folder)] == ["20240303T040000Z", "20240304T040000Z"]
    assert (folder / "mine").is_dir()


def test_an_older_backup_is_removed_only_when_the_new_one_is_verified(
    saved: Backup, folder: Path, command: Command
) -> None:
    other = folder / "elsewhere"
    (other / "20240101T000000Z").mkdir(parents=True)
    for file in saved.folder.iterdir():
        (other / "20240101T000000Z" / file.name).write_bytes(file.read_bytes())
    code, out, _ = command("backup", "--folder", other, "--keep", 1, "--no-verify", "--json")
    unverified = Path(json.loads(out)["folder"])
    assert (code, len(list_backups(other))) == (0, 2)
    unverified.rename(other / "20240102T000000Z")  # made within the same second
    code, out, _ = command("backup", "--folder", other, "--keep", 1, "--json")
    assert (code, len(json.loads(out)["removed"])) == (0, 2)
    assert [str(path) for path in list_backups(other)] == [json.loads(out)["folder"]]


@pytest.fixture
def halfway(stocked: Engine, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Yield a backup in a process of its own whose pg_dump has begun and waits for a table."""
    arguments = [str(Path(sys.executable).with_name("market-pipeline")), "backup", "--folder", str(folder)]
    with stocked.begin() as connection:
        connection.execute(text("LOCK TABLE bars IN ACCESS EXCLUSIVE MODE"))
        process = subprocess.Popen(
            arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        while not query(stocked, WAITING):
            assert process.poll() is None, process.communicate()
        yield process
    process.kill()
    process.communicate()


WAITING = (
    "SELECT pid FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'pg_dump' AND wait_event_type = 'Lock'"
)


def test_no_argument_of_a_running_pg_dump_holds_the_password(
    halfway: subprocess.Popen[str], server: embedded.Server
) -> None:
    children = psutil.Process(halfway.pid).children(recursive=True)
    dumping = [child.cmdline() for child in children if "pg_dump" in child.name()]
    assert dumping
    assert server.password.get_secret_value() not in str(dumping)


def test_a_server_that_stops_during_a_backup_is_one_line_and_leaves_nothing(
    halfway: subprocess.Popen[str], stocked: Engine, folder: Path
) -> None:
    query(stocked, f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS dumping")
    _, err = halfway.communicate(timeout=60)
    assert halfway.returncode == 1
    assert "error: pg_dump failed, saying:" in err
    assert "Traceback" not in err
    assert files(folder) == []


def test_a_backup_that_is_stopped_leaves_nothing(halfway: subprocess.Popen[str], folder: Path) -> None:
    halfway.send_signal(signal.SIGTERM)
    halfway.communicate(timeout=60)
    assert halfway.returncode == 128 + signal.SIGTERM
    assert files(folder) == []


def test_a_killed_backup_is_no_backup_and_the_next_one_removes_its_files(
    halfway: subprocess.Popen[str], stocked: Engine, addresses: dict[str, SecretStr], folder: Path
) -> None:
    halfway.kill()
    halfway.communicate(timeout=60)
    query(stocked, f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS dumping")
    assert list_backups(folder) == []
    assert files(folder) != []
    with pytest.raises(BackupError):
        back_up(
            {**addresses, WAREHOUSE: build_sibling_url(addresses[WAREHOUSE], "postgres")},
            folder,
            NOW,
            report=report_nothing,
        )
    assert files(folder) == []


def test_of_two_backups_at_once_in_one_folder_one_is_rejected(
    halfway: subprocess.Popen[str], command: Command, folder: Path
) -> None:
    code, _, err = command("backup", "--folder", folder)
    assert (code, "another backup" in err) == (1, True)


def test_a_restore_right_after_a_killed_one_succeeds_while_that_one_still_works(
    saved: Backup, environment: dict[str, str], addresses: dict[str, SecretStr]
) -> None:
    new = {
        WAREHOUSE: build_sibling_url(addresses[WAREHOUSE], f"restored_{uuid4().hex}")
    }  # where there is nothing to replace
    dump = saved.folder / saved.manifest.databases[WAREHOUSE].file
    program = str(Path(sys.executable).with_name("market-pipeline"))
    with subprocess.Popen(
        [program, "restore", str(dump)],
        env={**environment, "DATABASE_URL": new[WAREHOUSE].get_secret_value()},
        stderr=subprocess.DEVNULL,
    ) as killed:
        while not (at_work := restoring(killed.pid)):
            assert killed.poll() is None
        at_work[0].suspend()
        with pytest.raises(DumpError, match="another backup or restore is at work in the database restored_"):
            restore(saved, [WAREHOUSE], new, NOW, report=report_nothing)
        killed.kill()
    try:
        assert restore(saved, [WAREHOUSE], new, NOW, report=report_nothing).databases == [WAREHOUSE]
        assert at_work[0].status() == psutil.STATUS_STOPPED
    finally:
        at_work[0].resume()
    wait_for_ends(at_work)  # it ends with its parent


def restoring(parent: int) -> list[psutil.Process]:
    """Return the pg_restore processes of a parent."""
    found = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):  # one that only printed its version
            found += [child] if any(word.startswith("--dbname") for word in child.cmdline()) else []
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of a given size")
def test_a_full_disk_is_reported_and_the_older_backup_stays(
    saved: Backup, addresses: dict[str, SecretStr], folder: Path, tmp_path: Path, command: Command
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", small], check=True)
    try:
        code, _, err = command("backup", "--folder", small)
        assert (code, "No space left on device" in err) == (1, True)
        assert files(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_database_without_our_tables_is_not_saved(addresses: dict[str, SecretStr], folder: Path) -> None:
    with pytest.raises(BackupError, match="nothing to save"):
        back_up(
            {**addresses, WAREHOUSE: build_sibling_url(addresses[WAREHOUSE], "postgres")},
            folder,
            NOW,
            report=report_nothing,
        )


@pytest.fixture
def newest(warehouse: Engine) -> Iterator[Connection]:
    """Yield a connection whose server reports a future version."""
    with warehouse.connect() as connection:

        def _report(*_: object) -> tuple[str, tuple[()]]:
            return "SELECT '990001' AS found", ()

        event.listen(connection, "before_cursor_execute", _report, retval=True)
        yield connection


def test_a_server_newer_than_every_program_is_named_with_what_to_install(newest: Connection) -> None:
    with pytest.raises(
        ClientProgramError, match="there is no pg_dump for it: install the client programs of PostgreSQL 99"
    ):
        find_program(newest, "pg_dump")


def test_a_server_that_is_not_there_is_one_line(addresses: dict[str, SecretStr], folder: Path) -> None:
    nowhere = {name: SecretStr("postgresql://user:hunter2@127.0.0.1:1/nowhere") for name in addresses}
    with pytest.raises(DatabaseUnavailableError) as caught:
        back_up(nowhere, folder, NOW, report=report_nothing)
    assert "hunter2" not in str(caught.value)
    assert files(folder) == []
