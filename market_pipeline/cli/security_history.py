"""A symbol's security in words: its identifiers, and its tickers with their days and what is certain of them."""

from typing import Any

import typer

from market_pipeline.cli.output import print_columns
from market_pipeline.core.ticker_history import TickerPeriod
from market_pipeline.warehouse.securities import SecurityRecord

ASSUMED = "no source states it; market-pipeline symbols check looks it up"


def describe_security(record: SecurityRecord) -> dict[str, Any]:
    """Return a security and its ticker history as JSON values."""
    facts = record.facts
    return {
        "symbol": record.symbol.name,
        "name": facts.name,
        "composite_figi": facts.composite_figi,
        "share_class_figi": facts.share_class_figi,
        "cik": facts.cik,
        "checked_at": record.checked_at.isoformat() if record.checked_at else None,
        "tickers": [_describe_period(period) for period in record.history.periods],
    }


def print_history(record: SecurityRecord) -> None:
    """Print a security's identifiers, and its tickers as a table."""
    facts = record.facts
    identifiers = (("FIGI", facts.composite_figi), ("CIK", facts.cik))
    known = [facts.name or "name not known", *(f"{kind} {value}" for kind, value in identifiers if value)]
    checked = f"looked up on {record.checked_at.date()}" if record.checked_at else "not looked up yet"
    typer.echo(f"{record.symbol.name}: {', '.join(known)}; {checked}")
    rows = [
        {**_describe_period(period), "certain": "yes" if period.certain else "no"} for period in record.history.periods
    ]
    print_columns(("ticker", "first_day", "last_day", "source", "certain"), (), rows, last="note")


def _describe_period(period: TickerPeriod) -> dict[str, Any]:
    return {
        "ticker": period.ticker,
        "first_day": period.first.isoformat() if period.first else None,
        "last_day": period.last.isoformat() if period.last else None,
        "source": period.source.value,
        "certain": period.certain,
        "note": period.note if period.note or period.certain else ASSUMED,
    }
