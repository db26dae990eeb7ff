"""Defects, unreadable settings and unwritable output: one line each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from market_pipeline.cli import commands
from market_pipeline.cli.main import main

COMMAND = str(Path(sys.executable).with_name("market-pipeline"))
PASSWORD, KEY = "hunter2%21", "a-key-of-the-vendors"


def test_a_defect_is_one_line_that_names_its_log_which_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    address = f"postgresql://trader:{PASSWORD}@127.0.0.1:9/market"
    monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    monkeypatch.setenv("MARKET_PIPELINE_DATA_DIR", str(tmp_path / "data"))

    def defect(_arguments: list[str] | None) -> None:
        raise RuntimeError(f"{address} with hunter2! and {KEY}")

    monkeypatch.setattr(commands, "run", defect)
    with pytest.raises(SystemExit) as ended:
        main(["coverage"])
    log = tmp_path / "data" / "defects.log"
    output = capfd.readouterr()
    assert (ended.value.code, output.out) == (1, "")
    assert output.err == (
        f"error: a defect of Market Pipeline (RuntimeError): report it with its traceback, which is in {log}\n"
    )
    written = log.read_text(encoding="utf-8")
    assert "Traceback" in written
    assert "RuntimeError" in written
    for secret in ("hunter2", KEY):
        assert secret not in written
    assert log.stat().st_mode & 0o077 == 0, "for its owner alone"


@pytest.mark.parametrize(
    ("content", "output"),
    [(b"LOG_FORMAT=\xff\xfe\n", ".env can't be read"), (b"BACKFILL_SCHEDULE_HOUR=noon\n", "BACKFILL_SCHEDULE_HOUR: ")],
)
def test_an_env_file_that_can_not_be_used_is_one_line(content: bytes, output: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    done = subprocess.run(
        [COMMAND, "db", "url"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env=without_database(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert output in done.stderr


def without_database(folder: Path) -> dict[str, str]:
    """Return the environment of a command that needs no database."""
    known = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**known, "DATABASE_URL": "postgresql://127.0.0.1:9/market", "MARKET_PIPELINE_DATA_DIR": str(folder)}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_behind_standard_output_is_named(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "db", "url"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env=without_database(tmp_path),
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "standard output can't be written" in done.stderr
