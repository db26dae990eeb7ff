"""Looked-up ticker histories and reference data, stored: what was found out about a tracked symbol's security.

`security_lookup` fetches the vendor's data; `warehouse.securities` holds the tables.
"""

import logging
from itertools import pairwise

from sqlalchemy import Engine

from market_pipeline.core.symbols import Symbol
from market_pipeline.core.ticker_corrections import TickerCorrections
from market_pipeline.core.ticker_history import TickerHistory
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.quality.rules import find_flags
from market_pipeline.security_lookup import SecurityFinding, fetch_present_reference, find_correction, look_up
from market_pipeline.warehouse.securities import SecurityRecord, read_securities, store_history
from market_pipeline.warehouse.tracked_symbols import Reference, record_reference

log = logging.getLogger(__name__)


def refresh_reference(
    client: PolygonClient, warehouse: Engine, symbol: Symbol, history: TickerHistory | None = None
) -> Reference:
    """Fetch the reference data of a tracked symbol's present ticker, store and return them.

    Args:
        client: the vendor's client.
        warehouse: the database.
        symbol: the symbol.
        history: its ticker history; None if it has always had its own ticker.

    Raises:
        UnknownTickerError: the vendor has no such ticker; the stored data stay.
        PolygonError: there is no usable response; the stored data stay.
    """
    reference = fetch_present_reference(client, symbol, history or TickerHistory.assume(symbol))
    record_reference(warehouse, symbol, reference)
    return reference


def refresh_security(
    client: PolygonClient,
    warehouse: Engine,
    symbol: Symbol,
    corrections: TickerCorrections,
    *,
    run_id: str,
    thorough: bool = True,
) -> SecurityRecord:
    """Look a tracked symbol's security up, store what was found, and return it.

    A manual correction needs no request, and wins.

    Raises:
        UnknownTickerError: the vendor has no such ticker; the stored history stays.
        PolygonError: there is no usable response; the stored history stays.
    """
    record = read_securities(warehouse, [symbol])[symbol]
    finding = find_correction(corrections, symbol) or look_up(client, record, thorough=thorough)
    return store_finding(warehouse, record, finding, run_id=run_id)


def store_finding(
    warehouse: Engine, record: SecurityRecord, finding: SecurityFinding, *, run_id: str
) -> SecurityRecord:
    """Store what was found out about a security, and return its record."""
    symbol, history = record.symbol, finding.history
    if finding.reference is not None:
        record_reference(warehouse, symbol, finding.reference)
    moved = store_history(warehouse, symbol, finding.facts, history, run_id=run_id, find_flags=find_flags)
    for before, period in pairwise(history.periods) if history != record.history else ():
        log.info("%s: its ticker is %s since %s, and was %s", symbol.name, period.ticker, period.first, before.ticker)
    if moved:
        log.warning(
            "%s: %d bars from %s to %s are another security's and were taken from it; market_data_revisions says why",
            symbol.name, len(moved), moved[0], moved[-1],
        )  # fmt: skip
    return read_securities(warehouse, [symbol])[symbol]
