"""LOG_FORMAT=json: one object per line, with its run and symbol, and no secret."""

import json
import logging
import sys
from typing import Any

import pytest
from sqlalchemy import Engine

from market_pipeline.cli.main import main
from market_pipeline.core.logging_json import JsonFormatter, limit_repeats, wrap_line
from market_pipeline.core.symbols import Symbol
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.tracked_symbols import add_symbols
from market_pipeline_tests.integration.stored_bars import AAPL, query

NVDA = Symbol.of("NVDA", "stock")
KEY = "a-key-nobody-may-see"


def objects(text: str) -> list[dict[str, Any]]:
    return [dict(json.loads(line)) for line in text.splitlines()]


@pytest.fixture
def _logging_as_before() -> Any:
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before
    logging.captureWarnings(False)


@pytest.mark.usefixtures("_logging_as_before")
def test_a_backfill_logs_each_symbol_with_its_run(
    warehouse: Engine,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    add_symbols(warehouse, [AAPL, NVDA])
    with running_sandbox(SandboxConfig(faults=("eod403@range/NVDA",))) as url:
        for name, value in (("LOG_FORMAT", "json"), ("POLYGON_API_KEY", KEY), ("POLYGON_BASE_URL", url)):
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            main(["backfill", "--symbols", "AAPL,NVDA", "--start", "2024-01-01", "--end", "2024-01-31"])
    output = capfd.readouterr().err
    entries = objects(output)
    assert KEY not in output
    assert all({"time", "level", "logger", "message"} <= set(line) for line in entries)
    runs = {row["run_id"] for row in query(warehouse, "SELECT run_id FROM backfill_history")}
    for name in ("AAPL", "NVDA"):
        about = [line for line in entries if line.get("symbol") == name and "run_id" in line]
        assert about, name
        assert ({line["run_id"] for line in about}, {line["trigger"] for line in about}) == (runs, {"cli"})


def record(**extra: object) -> logging.LogRecord:
    return logging.getLogger("market_pipeline.x").makeRecord(
        "market_pipeline.x", logging.WARNING, __file__, 1, "%s bars", (3,), None, extra=extra
    )


def test_a_record_has_its_instant_in_utc_its_level_its_message_and_its_symbol() -> None:
    [entry] = objects(JsonFormatter().format(record(symbol="AAPL")))
    assert entry.pop("time").endswith("+00:00")
    assert entry == {"level": "warning", "logger": "market_pipeline.x", "message": "3 bars", "symbol": "AAPL"}


def test_a_programs_line_becomes_an_object_that_names_the_program() -> None:
    [entry] = objects(wrap_line("\x1b[34mplain\x1b[0m", "daemon"))
    assert (entry["program"], entry["message"], entry["level"]) == ("daemon", "plain", "info")
    [entry] = objects(wrap_line('{"event": "a tick", "timestamp": "2026-03-02T02:00:00", "level": "info"}', "daemon"))
    assert entry == {"program": "daemon", "message": "a tick", "time": "2026-03-02T02:00:00", "level": "info"}


def test_a_repeated_message_is_logged_once_a_minute_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Messages are compared without their arguments; those below a warning all pass."""
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("market_pipeline.repeated")
    logging.getLogger().addHandler(handler)
    try:
        with limit_repeats():
            for minute in (0, 61):
                for number in range(1_000):
                    record = logger.makeRecord(
                        logger.name, logging.WARNING, "", 0, "request %d is bad", (number,), None
                    )
                    record.created += minute
                    logger.handle(record)
            for number in range(3):
                logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, "sent %d", (number,), None))
    finally:
        logging.getLogger().removeHandler(handler)
    assert [line for line in capsys.readouterr().err.splitlines() if "bad" in line or "sent" in line] == [
        "request 0 is bad", "request 0 is bad [999 more since]", "sent 0", "sent 1", "sent 2",
    ]  # fmt: skip
