"""Benchmarks run on little work; their figures mean nothing. `make bench` measures."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
QUICK = ("cold_command", "growth", "nightly", "requests_needed")
"""The others start several servers or Dagsters, which takes the suite longer than it is worth."""


def findings(module: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}", "--tiny"]
    return subprocess.run(
        command, cwd=CHECKOUT, env=dict(os.environ), capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("module", QUICK)
def test_a_benchmark_compares_what_it_measures_with_its_goals(module: str) -> None:
    result = findings(module)
    assert "| what | measured | rounds | goal | verdict |" in result
    assert result.startswith("## ")


@pytest.mark.skipif(find_spec("dlt") is None, reason="dlt comes with the extra `benchmarks`")
def test_every_way_of_loading_stores_the_same_bars() -> None:
    result = findings("load_bars")  # which ends with an error otherwise
    assert result.count("| 90 |") == 4
