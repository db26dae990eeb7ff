"""The table `sessions`: every calendar's sessions, so that queries can find missing ones."""

from datetime import date

from sqlalchemy import Connection

from market_pipeline.core.sessions import CALENDARS, list_sessions
from market_pipeline.warehouse.statements import read_statement


def record_sessions(connection: Connection, today: date) -> None:
    """Make the table `sessions` hold every calendar's sessions up to the end of next year.

    A closure that becomes known later, as for a state funeral, takes its session out again.
    """
    for calendar in CALENDARS.values():
        days = list_sessions(calendar.name, calendar.first_session, date(today.year + 1, 12, 31))
        connection.execute(read_statement("record_sessions"), {"calendar": calendar.name, "days": days})
