"""Faulty contents of flat files, as the vendor has published them: functions that change the lines, header first."""

from datetime import date, timedelta

from market_pipeline.core.sessions import list_sessions
from market_pipeline.sandbox.flat_files import FlatFile, find_start_nanoseconds


def shift_day(lines: list[str], file: FlatFile, _argument: str) -> list[str]:
    """Stamp all bars with the start of the next session."""
    name = file.calendar.name
    start, following = (
        find_start_nanoseconds(name, day) for day in (file.session, find_next_session(name, file.session))
    )
    return [line.replace(f",{start},", f",{following},") for line in lines]


def add_column(lines: list[str], _file: FlatFile, name: str) -> list[str]:
    """Add a column at the end."""
    return [f"{lines[0]},{name}", *(f"{line},0" for line in lines[1:])]


def remove_column(lines: list[str], _file: FlatFile, name: str) -> list[str]:
    """Remove a column."""
    dropped = lines[0].split(",").index(name)
    rows = (line.split(",") for line in lines)
    return [",".join(row[:dropped] + row[dropped + 1 :]) for row in rows]


def keep_share(lines: list[str], _file: FlatFile, share: str) -> list[str]:
    """Keep a share of the bars."""
    return lines[: 1 + int((len(lines) - 1) * float(share))]


def find_next_session(calendar_name: str, session: date) -> date:
    """Return the session after one."""
    return list_sessions(calendar_name, session + timedelta(days=1), session + timedelta(days=14))[0]
