"""An own PostgreSQL killed during a backfill: one line, the next step, and all load records."""

import os
import shutil
import signal
from pathlib import Path

from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.database import create_warehouse_engine
from market_pipeline.warehouse.schema import migrate
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.cluster_folders import make_cluster_folder
from market_pipeline_tests.end_to_end.test_interrupts import BACKFILL, Start, start

__all__ = ["start"]


def test_a_server_killed_in_a_backfill_is_one_line_with_the_next_step_and_all_load_records(
    start: Start, tmp_path: Path
) -> None:
    folder = make_cluster_folder("lost-server")
    try:
        server = embedded.ensure_running(folder / "data")  # the command knows its address alone, and can't restart it
        engine = create_warehouse_engine(server.url())
        migrate(engine)
        add_symbols(engine, [Symbol.of(name, "stock") for name in ("AAPL", "MSFT")])
        engine.dispose()
        with running_sandbox(SandboxConfig(faults=("slow=10@range/MSFT",))) as slow:
            backfill = start(
                *BACKFILL,
                POLYGON_BASE_URL=slow,
                DATABASE_URL=server.url().get_secret_value(),
                MARKET_PIPELINE_DATA_DIR=str(tmp_path / "data"),
            )
            backfill.read_until("Successfully backfilled AAPL", "Backfilling MSFT")
            os.kill(server.pid, signal.SIGKILL)
            code, out, err = backfill.end()  # 10 s of them the vendor's, at most
    finally:
        embedded.destroy(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
    assert code == 3
    assert "Traceback" not in out + err
    assert "Retrying" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, err
    assert "Check that it runs and that DATABASE_URL is right" in errors[0]
    assert "run the same command again" in errors[0]
    assert loaded_and_failed(out) == (["AAPL"], ["MSFT"])


def loaded_and_failed(table: str) -> tuple[list[str], list[str]]:
    """Return the symbols that a backfill's table has as fully loaded, and those named as failed."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    counts = [dict(zip(rows[0], row, strict=True)) for row in rows[1:] if row[0] != "total"]
    failed = [line.split(": ")[1] for line in table.splitlines() if line.startswith("failed: ")]
    return [row["symbol"] for row in counts if row["loaded"] == "22"], failed
