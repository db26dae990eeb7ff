"""A disk that fills up under PostgreSQL in the middle of a load."""

import os
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from market_pipeline.warehouse.database_errors import build_unavailable_error
from market_pipeline.warehouse.embedded import Server
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, load_frame, query, recorded

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of a given size")

DISK_KIB = 200
WHOLE = recorded("AAPL", date(2000, 3, 1), date(2013, 3, 1))  # some 300 KiB as a table


@pytest.fixture
def small_disk(server: Server, warehouse: Engine) -> Iterator[Path]:
    """Keep the bars on a disk too small for all of them."""
    disk = Path(f"/tmp/market-pipeline-disk-{os.getpid()}")
    disk.mkdir()
    process = psutil.Process(server.pid)
    options = f"size={DISK_KIB}k,mode=700,uid={process.uids().real},gid={process.gids().real}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    apart = warehouse.execution_options(isolation_level="AUTOCOMMIT")
    with apart.connect() as connection:
        connection.execute(text(f"CREATE TABLESPACE small LOCATION '{disk}'"))
        connection.execute(text("ALTER TABLE bars SET TABLESPACE small"))
    yield disk
    with apart.connect() as connection:
        connection.execute(text("ALTER TABLE bars SET TABLESPACE pg_default"))
        connection.execute(text("DROP TABLESPACE small"))
    subprocess.run(["umount", disk], check=True)
    disk.rmdir()


def test_nothing_is_half_loaded_and_with_room_again_the_same_load_succeeds(warehouse: Engine, small_disk: Path) -> None:
    add_symbols(warehouse, [AAPL])
    load_frame(warehouse, AAPL, WHOLE[:500])
    with pytest.raises(OperationalError) as caught:
        load_frame(warehouse, AAPL, WHOLE, run_id="run-2")
    message = str(build_unavailable_error(caught.value, warehouse))
    assert "No space left on device" in message
    assert message.endswith("Make room on its disk.")
    assert query(warehouse, "SELECT count(*) AS n FROM market_data") == [{"n": 500}]
    assert query(warehouse, "SELECT DISTINCT run_id FROM backfill_history") == [{"run_id": "run-1"}]

    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    result = load_frame(warehouse, AAPL, WHOLE, run_id="run-3")
    assert (result.loaded, result.unchanged) == (len(WHOLE) - 500, 500)
