"""A vendor that fails a fifth of all requests, and a key that must appear nowhere."""

import json
import re
import subprocess
from collections.abc import Sequence

import pandas as pd
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select

from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import DEFAULT_BACKFILL, Symbol
from market_pipeline.orchestration.instance_storage import find_dagster_database_url
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.tables import backfill_history
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.end_to_end.conftest import Run
from market_pipeline_tests.integration.stored_bars import read_bars

RANGE = ("--start", "2024-01-02", "--end", "2024-03-28")
FAULTS = ("429=1:0.05", "500:0.05", "reset:0.05", "truncate:0.04", "slow=1:0.03")
KEY = "pk-k3y-that-must-turn-up-nowhere"


def test_a_backfill_through_failures_ends_in_the_content_of_an_undisturbed_one(run: Run, warehouse: Engine) -> None:
    add_symbols(warehouse, [Symbol.of(name, "stock") for name in DEFAULT_BACKFILL])
    with running_sandbox(SandboxConfig(faults=FAULTS, seed=7)) as base_url:
        disturbed = run("market-pipeline", "backfill", *RANGE, "--json", POLYGON_BASE_URL=base_url)
    assert disturbed.returncode == 0, disturbed.stderr
    records = json.loads(disturbed.stdout)["symbols"]
    assert {record["fetched"] for record in records} == {61}
    retries = sum(record["requests"] for record in records) - len(DEFAULT_BACKFILL)
    # Of requests for bars alone: look-ups, splits and dividends are in no symbol's record.
    assert retries == len(re.findall(r"Retrying .*: \w+ 2024-01-02 to 2024-03-28", disturbed.stderr))
    assert retries > 0
    after = read_bars(warehouse)
    # The undisturbed sandbox's bars equal the stored ones value by value, so that nothing changes.
    undisturbed = json.loads(run("market-pipeline", "backfill", *RANGE, "--json").stdout)["symbols"]
    assert {(a["unchanged"], a["loaded"], a["revised"]) for a in undisturbed} == {(61, 0, 0)}
    pd.testing.assert_frame_equal(read_bars(warehouse), after)


BACKFILL = ("market-pipeline", "backfill", "--symbols", "AAPL,MSFT", *RANGE)
MATERIALIZE = (
    "dagster", "asset", "materialize", "--select", "key:market_data/MSFT", "--partition", "2024-01-02",
    "-m", "market_pipeline.definitions",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "fault"),
    [(BACKFILL, "unknown_key"), (BACKFILL, "foreign_next_url@MSFT"), (MATERIALIZE, "500@MSFT*1")],
    ids=["unknown_key", "foreign_next_url", "500"],
)
def test_the_key_appears_nowhere(
    run: Run, warehouse: Engine, database_url: SecretStr, settings: Settings, command: Sequence[str], fault: str
) -> None:
    add_symbols(warehouse, [Symbol.of(name, "stock") for name in ("AAPL", "MSFT")])
    with running_sandbox(SandboxConfig(faults=(fault,))) as base_url:
        where = {"POLYGON_BASE_URL": base_url, "POLYGON_API_KEY": KEY}
        done = run(*command, **where)
    output = done.stdout + done.stderr
    stored = "".join(dump(url) for url in (database_url, find_dagster_database_url(settings)))
    files = b"".join(path.read_bytes() for path in settings.market_pipeline_data_dir.rglob("*") if path.is_file())
    with warehouse.connect() as connection:
        assert connection.execute(select(backfill_history)).all()
    assert len(stored) > 10_000
    assert KEY not in output
    assert KEY not in stored
    assert KEY.encode() not in files


def dump(url: SecretStr) -> str:
    """Return the content of a database as text."""
    program = embedded.find_binary("pg_dump")
    done = subprocess.run(
        [program, "--dbname", url.get_secret_value().replace("+psycopg2", "")],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
