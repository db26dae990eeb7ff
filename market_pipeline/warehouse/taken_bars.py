"""Bars that are taken out of `market_data`: kept as earlier versions, with the reason."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection

from market_pipeline.warehouse.statements import read_statement


def take_bars_out(connection: Connection, symbol_ids: Sequence[int], dates: Sequence[date], reason: str) -> None:
    """Take bars out, each by its symbol's id and its date, with their flags, and note the reason."""
    if dates:
        connection.execute(read_statement("take_bars_out"), {"symbol_ids": list(symbol_ids), "dates": list(dates)})
        explain_taken_bars(connection, symbol_ids, dates, reason)


def explain_taken_bars(connection: Connection, symbol_ids: Sequence[int], dates: Sequence[date], reason: str) -> None:
    """Note why bars were taken out by the connection's transaction."""
    parameters = {"symbol_ids": list(symbol_ids), "dates": list(dates), "reason": reason}
    connection.execute(read_statement("explain_taken_bars"), parameters)
