"""Description of the machine that ran the benchmarks."""

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("dagster", "dagster-postgres", "dlt", "fastapi", "numpy", "orjson", "pandas", "psycopg", "sqlalchemy")


def describe(postgres: str, begun: float) -> str:
    """Return the machine, the versions and the date, as a paragraph.

    Args:
        postgres: the server's version.
        begun: `time.time()` when measuring began.
    """
    minutes = (time.time() - begun) / 60
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{_read_processor()}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}. PostgreSQL {postgres} with the settings of the embedded server, "
        f"Python {platform.python_version()}, {versions}. "
        f"{datetime.fromtimestamp(begun, UTC):%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes in all."
    )


def read_load() -> str:
    """Return the machine's load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _read_processor() -> str:
    """Return the processor's model name."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
