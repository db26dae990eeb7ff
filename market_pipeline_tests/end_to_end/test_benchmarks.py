"""Benchmarks run on little work; their figures mean nothing. `make bench` measures."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import stage
from benchmarks.report import Finding
from market_pipeline_tests.end_to_end.forked_commands import FORKING

CHECKOUT = Path(__file__).parents[2]
QUICK = ("cold_command", "growth", "nightly")
"""Benchmarks that take seconds. The others start several servers, which takes minutes."""


@pytest.fixture(autouse=True)
def _forked_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the benchmarks' processes, as importing the project takes each 2 s; only figures need new ones."""
    monkeypatch.setattr(stage, "SPAWN", FORKING)


def run(module: str) -> str:
    benchmark = import_module(f"benchmarks.{module}")
    finding: Finding = benchmark.run(benchmark.TINY)
    return finding.format_markdown()


def check(result: str) -> None:
    assert "| what | measured | rounds | goal | verdict |" in result
    assert result.startswith("## ")


@pytest.mark.parametrize("module", QUICK)
def test_a_benchmark_compares_what_it_measures_with_its_goals(module: str) -> None:
    check(run(module))


def test_a_benchmark_is_a_program() -> None:
    command = [sys.executable, "-m", "benchmarks.requests_needed", "--tiny"]
    done = subprocess.run(command, cwd=CHECKOUT, env=dict(os.environ), capture_output=True, text=True, check=True)
    check(done.stdout)


@pytest.mark.skipif(find_spec("dlt") is None, reason="dlt comes with the extra `benchmarks`")
def test_every_way_of_loading_stores_the_same_bars() -> None:
    result = run("load_bars")  # which ends with an error otherwise
    assert result.count("| 90 |") == 4
