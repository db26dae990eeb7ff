"""Every command under every fault of its database, folder and settings; how often each ends in a traceback.

python -m benchmarks.campaigns.command_faults [fault ...]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from pydantic import SecretStr

from market_pipeline.core.sockets import find_free_port
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols

SECONDS, GRACE = 20, 40
"""Seconds until a command is stopped, as `up` and `api` must be, and seconds for it to end."""

ROLE = "campaign"
COMMANDS = (
    "backfill --symbols AAPL --start 2024-01-02 --end 2024-01-31", "coverage", "gaps",
    "export --symbols AAPL --output /nowhere/bars.parquet", "backup --folder {folder}/backups", "restore latest",
    "marts", "dbt --quiet ls", "api --port 0", "up --api-port {port} --ui-port {ui_port}",
    "worker", "status", "doctor", "demo",
    "symbols list", "symbols init", "symbols add NVDA --no-check", "symbols remove NVDA", "symbols check",
    "db start", "db stop", "db status", "db url", "db analysts", "db migrate", "db migrate --dry-run", "db prune",
    "keys list", "keys create reader", "keys revoke 1", "alerts test",
)  # fmt: skip
"""`sandbox` uses none of what is at fault; `db psql` becomes psql."""

Environment = Mapping[str, str]


def list_faults(server: embedded.Server, url: str) -> Iterator[tuple[str, list[str], list[str], Environment]]:
    """Each fault: its name, the statements that make it and undo it, and the changed variables."""
    role = url.replace(url.split("//")[1].split(":", maxsplit=1)[0], ROLE, 1).replace(
        server.password.get_secret_value(), "pw"
    )
    yield "none", [], [], {}
    yield (
        "read-only server",
        ["ALTER DATABASE campaign SET default_transaction_read_only = on"],
        ["ALTER DATABASE campaign RESET default_transaction_read_only"],
        {},
    )
    yield (
        "no connection left to the role",
        [f"ALTER ROLE {ROLE} CONNECTION LIMIT 0"],
        [f"ALTER ROLE {ROLE} CONNECTION LIMIT -1"],
        {"DATABASE_URL": role},
    )
    yield (
        "one connection to the role",
        [f"ALTER ROLE {ROLE} CONNECTION LIMIT 1"],
        [f"ALTER ROLE {ROLE} CONNECTION LIMIT -1"],
        {"DATABASE_URL": role},
    )
    yield "a role without rights", [], [], {"DATABASE_URL": role}
    yield (
        "a statement timeout of 1 ms",
        ["ALTER DATABASE campaign SET statement_timeout = 1"],
        ["ALTER DATABASE campaign RESET statement_timeout"],
        {},
    )
    yield "a wrong password", [], [], {"DATABASE_URL": role.replace(":pw@", ":wrong@")}
    yield "no such database", [], [], {"DATABASE_URL": url.replace("/campaign", "/nosuch")}
    yield "nobody listens", [], [], {"DATABASE_URL": "postgresql://u:p@127.0.0.1:9/campaign"}
    yield (
        "a broken schema",
        ["ALTER TABLE tracked_symbols RENAME TO t", "ALTER TABLE backfill_history RENAME TO b"],
        ["ALTER TABLE t RENAME TO tracked_symbols", "ALTER TABLE b RENAME TO backfill_history"],
        {},
    )
    yield "a data folder that is a file", [], [], {"MARKET_PIPELINE_DATA_DIR": "/etc/hostname"}
    yield "an embedded server's folder that is a file", [], [], {
        "MARKET_PIPELINE_DATA_DIR": "/etc/hostname", "DATABASE_URL": ""
    }  # fmt: skip
    yield "a setting that is none", [], [], {"BACKFILL_SCHEDULE_HOUR": "noon"}


def main() -> None:
    """Print a line a command and fault, of all faults or those named, and the number of tracebacks."""
    wanted = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="command-faults-"))
    folder.chmod(0o755)
    server = embedded.ensure_running(folder / "server")
    tracebacks = 0
    try:
        execute(server, "postgres", "CREATE DATABASE campaign", f"CREATE ROLE {ROLE} LOGIN PASSWORD 'pw'")
        engine = create_warehouse_engine(server.url("campaign"))
        migrate(engine)
        add_symbols(engine, [Symbol.of("AAPL", "stock")])
        engine.dispose()
        for name, make, undo, changes in list_faults(server, server.url("campaign").get_secret_value()):
            if wanted and name not in wanted:
                continue
            execute(server, "campaign", *make)
            tracebacks += sum(
                run_command(name, command, server.url("campaign"), folder, changes) for command in COMMANDS
            )
            execute(server, "postgres", *[s for s in undo if "DATABASE" in s or "ROLE" in s])
            execute(server, "campaign", *[s for s in undo if "TABLE" in s])
    finally:
        embedded.destroy(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{tracebacks} tracebacks")
    sys.exit(tracebacks > 0)


def run_command(fault: str, command: str, url: SecretStr, folder: Path, changes: Environment) -> int:
    """Run a command under a fault, print what came of it, and return how many tracebacks it wrote."""
    environment = {
        **os.environ, "DATABASE_URL": url.get_secret_value(), "POLYGON_BASE_URL": "http://127.0.0.1:9",
        "MARKET_PIPELINE_DATA_DIR": str(folder / "data"), **changes,
    }  # fmt: skip
    program = Path(sys.executable).with_name("market-pipeline")
    arguments = [
        part.format(folder=folder, port=find_free_port(), ui_port=find_free_port()) for part in command.split()
    ]
    try:
        done = subprocess.run(
            ["timeout", "-s", "TERM", str(SECONDS), program, *arguments],
            env=environment, capture_output=True, text=True,
            timeout=SECONDS + GRACE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{fault:<32} {command[:40]:<40} NO END")
        return 1
    count = (done.stdout + done.stderr).count("Traceback")
    last = (done.stderr.strip().splitlines() or [""])[-1]
    print(f"{fault:<32} {command[:40]:<40} {done.returncode:>3} {count} {last[:150]}", flush=True)
    return count


def execute(server: embedded.Server, database: str, *statements: str) -> None:
    """Run statements as the administrator, whatever the database is set to."""
    address = server.url(database).get_secret_value()
    with psycopg.connect(address, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        for statement in statements:
            connection.execute(statement)


if __name__ == "__main__":
    main()
