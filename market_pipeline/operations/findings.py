"""Findings of `doctor`, and the limits between good, warning and error. Nothing is measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from market_pipeline.warehouse.database_errors import CONNECTIONS_OF_A_RUN

Level = Literal["ok", "warning", "error"]

GIGABYTE = 10**9
ERROR_BYTES, WARNING_BYTES = 1 * GIGABYTE, 5 * GIGABYTE
"""Free space below which a night may fail, and below which it soon may."""

TOLERATED_SECONDS = 5.0
"""Seconds by which clocks may differ; beyond, a session is over by one clock and not by the other."""

FEWEST_CONNECTIONS = 6
"""The fewest connections with which a run ends well: the smallest DATABASE_MAX_CONNECTIONS."""


@dataclass(frozen=True)
class Finding:
    """Result of one check; `fix` is the next step where one is needed."""

    check: str
    level: Level
    found: str
    fix: str | None = None


def ok(check: str, found: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, fix: str) -> Finding:
    """Return a finding that needs no fix yet."""
    return Finding(check, "warning", found, fix)


def error(check: str, found: str, fix: str | None = None) -> Finding:
    """Return a finding that has to be fixed; `found` may hold the fix already, as the project's errors do."""
    return Finding(check, "error", found, fix)


def has_error(findings: Sequence[Finding]) -> bool:
    """Return True if a finding has to be fixed."""
    return any(finding.level == "error" for finding in findings)


def judge_space(check: str, where: str, free_bytes: int) -> Finding:
    """Judge the free space of a folder's disk."""
    found = f"{free_bytes / GIGABYTE:,.1f} GB free at {where}"
    if free_bytes < ERROR_BYTES:
        return error(check, found, "free some space, or set MARKET_PIPELINE_DATA_DIR to a folder on another disk")
    if free_bytes < WARNING_BYTES:
        return warning(check, found, "free some space before the bars fill it")
    return ok(check, found)


def judge_clock(check: str, other: str, seconds_ahead: float) -> Finding:
    """Judge the difference between this machine's clock and another one."""
    difference = abs(seconds_ahead)
    found = f"{difference:.1f} s {'ahead of' if seconds_ahead > 0 else 'behind'} {other}"
    if difference > TOLERATED_SECONDS:
        return warning(check, found, "have both clocks set by NTP, e.g. `timedatectl set-ntp true`")
    return ok(check, found)


def judge_port(check: str, port: int, *, ours: bool, free: bool, option: str) -> Finding:
    """Judge a port that a service needs: good if the service has it or nothing does."""
    if ours:
        return ok(check, f"port {port}: it responds there")
    if free:
        return ok(check, f"port {port} is free")
    return warning(check, f"port {port} is taken by another program", f"stop that, or choose another with {option}")


def judge_writable(check: str, *, standby: bool, read_only: bool) -> Finding:
    """Judge if the server accepts writes."""
    if standby:
        return error(check, "the server is a standby and accepts no writes", "set DATABASE_URL to the primary")
    if read_only:
        fix = "have an administrator reset it for the role and the database: ALTER DATABASE ... RESET ..."
        return error(check, "default_transaction_read_only is on", fix)
    return ok(check, "the server accepts writes")


def judge_connections(check: str, left: Mapping[str, int]) -> Finding:
    """Judge the number of free connections, by the limit that leaves the fewest: server, database or role."""
    limit, fewest = min(left.items(), key=lambda item: item[1])
    found = f"{max(fewest, 0)} more are possible by the limit of the {limit}, and a run takes {CONNECTIONS_OF_A_RUN}"
    if fewest < CONNECTIONS_OF_A_RUN:
        fix = {"server": "max_connections", "database": "its CONNECTION LIMIT", "role": "its CONNECTION LIMIT"}[limit]
        judged = warning if fewest >= FEWEST_CONNECTIONS else error
        return judged(check, found, f"close other programs' connections, or have {fix} raised")
    return ok(check, found)
