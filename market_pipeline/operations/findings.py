"""What the doctor makes of what it has measured: a finding for each check, good, worth a warning, or wrong.

Judgement only: how things are measured is said beside what is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from market_pipeline.warehouse.database_errors import CONNECTIONS_OF_A_RUN

Level = Literal["ok", "warning", "error"]

GIGABYTE = 10**9
ERROR_BYTES, WARNING_BYTES = 1 * GIGABYTE, 5 * GIGABYTE
"""Free space under which a night may fail, and under which that is near."""

TOLERATED_SECONDS = 5.0
"""Seconds that clocks may be apart before what is due by one of them isn't by the other."""

FEWEST_CONNECTIONS = 6
"""Connections without which no run ends well: the smallest DATABASE_MAX_CONNECTIONS."""


@dataclass(frozen=True)
class Finding:
    """What one check found, and how to mend it where that is needed."""

    check: str
    level: Level
    found: str
    mend: str | None = None


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, mend: str) -> Finding:
    """Something will do for now."""
    return Finding(check, "warning", found, mend)


def error(check: str, found: str, mend: str | None = None) -> Finding:
    """Something doesn't work; `mend` may be part of what an error of the project's says itself."""
    return Finding(check, "error", found, mend)


def any_error(findings: Sequence[Finding]) -> bool:
    """Whether something doesn't work."""
    return any(finding.level == "error" for finding in findings)


def judge_space(check: str, where: str, free_bytes: int) -> Finding:
    """Of the free space of a folder's disk."""
    found = f"{free_bytes / GIGABYTE:,.1f} GB free at {where}"
    if free_bytes < ERROR_BYTES:
        return error(check, found, "free some space, or set MARKET_PIPELINE_DATA_DIR to a folder on another disk")
    if free_bytes < WARNING_BYTES:
        return warning(check, found, "free some space before the bars fill it")
    return ok(check, found)


def judge_clock(check: str, other: str, seconds_ahead: float) -> Finding:
    """Of this machine's clock beside another one."""
    apart = abs(seconds_ahead)
    found = f"{apart:.1f} s {'ahead of' if seconds_ahead > 0 else 'behind'} {other}"
    if apart > TOLERATED_SECONDS:
        return warning(check, found, "have both clocks set by NTP, e.g. `timedatectl set-ntp true`")
    return ok(check, found)


def judge_port(check: str, port: int, *, ours: bool, free: bool, option: str) -> Finding:
    """Of a port that one of our servers wants: ours may answer there, or nobody."""
    if ours:
        return ok(check, f"port {port}: it answers there")
    if free:
        return ok(check, f"port {port} is free")
    return warning(check, f"port {port} is taken by another program", f"stop that, or choose another with {option}")


def judge_writable(check: str, *, standby: bool, read_only: bool) -> Finding:
    """Judge whether the server takes writes."""
    if standby:
        return error(check, "the server is a standby and takes no writes", "set DATABASE_URL to the primary")
    if read_only:
        fix = "have an administrator reset it for the role and the database: ALTER DATABASE ... RESET ..."
        return error(check, "default_transaction_read_only is on", fix)
    return ok(check, "the server takes writes")


def judge_connections(check: str, left: Mapping[str, int]) -> Finding:
    """Judge how many more connections there may be, by what limits them: server, database, role."""
    limit, fewest = min(left.items(), key=lambda item: item[1])
    found = f"{max(fewest, 0)} more are possible by the limit of the {limit}, and a run takes {CONNECTIONS_OF_A_RUN}"
    if fewest < CONNECTIONS_OF_A_RUN:
        fix = {"server": "max_connections", "database": "its CONNECTION LIMIT", "role": "its CONNECTION LIMIT"}[limit]
        judged = warning if fewest >= FEWEST_CONNECTIONS else error
        return judged(check, found, f"close other programs' connections, or have {fix} raised")
    return ok(check, found)
