"""Ticker histories looked up: from manual corrections, the vendor's ticker events and its reference data on a date.

The vendor's history is incomplete: what it doesn't state stays assumed. `warehouse.securities` stores the result;
`series_vendor` looks up what a run needs.
"""

import logging
from dataclasses import dataclass, replace
from datetime import date, timedelta

from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError, find_ticker_symbol
from market_pipeline.core.ticker_corrections import TickerCorrections
from market_pipeline.core.ticker_history import DATE_TOLERANCE, TickerHistory, TickerPeriod, TickerSource
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.reference import Ticker, TickerChange, TickerEvents
from market_pipeline.polygon.vendor_errors import (
    BadRequestError,
    PlanError,
    PolygonError,
    UnknownEndpointError,
    UnknownTickerError,
)
from market_pipeline.reference_data import fetch_reference, find_renaming
from market_pipeline.warehouse.securities import SecurityFacts, SecurityRecord
from market_pipeline.warehouse.tracked_symbols import Reference

log = logging.getLogger(__name__)

FIRST_VENDOR_DAY = date(2003, 9, 10)
"""The first session of the vendor's stock bars. Its events that are as old say nothing about earlier holders."""


@dataclass(frozen=True)
class SecurityFinding:
    """The result of a look-up: facts and ticker history. `reference` is None if the ticker's own wasn't needed."""

    facts: SecurityFacts
    history: TickerHistory
    reference: Reference | None = None


def find_correction(corrections: TickerCorrections, symbol: Symbol) -> SecurityFinding | None:
    """Return the manual history of a symbol's security, if there is one."""
    corrected = corrections.find_for(symbol)
    return SecurityFinding(SecurityFacts(name=corrected.name), corrected.history) if corrected else None


def look_up(client: PolygonClient, record: SecurityRecord, *, thorough: bool) -> SecurityFinding:
    """Look a symbol's security up at the vendor: one request for most, more for one that is not listed.

    Args:
        client: the vendor's client.
        record: the security as it is known.
        thorough: look for a successor or a delisting even if the plan has no ticker events.

    Raises:
        UnknownTickerError: the vendor has no such ticker.
        PolygonError: there is no usable response.
    """
    known = record.history
    present = find_ticker_symbol(known.current.ticker, record.symbol.asset_class)
    if record.symbol.asset_class is AssetClass.CRYPTO:
        return SecurityFinding(record.facts, known)
    try:
        events = client.fetch_ticker_events(present)
    except UnknownTickerError:
        return _look_up_ended(client, record, present)
    except (PlanError, UnknownEndpointError, BadRequestError) as error:
        log.info("%s: the vendor gives no ticker events: %s", record.symbol.name, error)
        return _look_up_ended(client, record, present) if thorough else SecurityFinding(record.facts, known)
    if not _is_usable(events, present):
        return _look_up_ended(client, record, present) if thorough else SecurityFinding(record.facts, known)
    return _judge_holder(client, record, present, events)


def _is_usable(events: TickerEvents, present: Symbol) -> bool:
    """Return True if the events end with the present ticker, and each ticker can be tracked."""
    try:
        tickers = [find_ticker_symbol(change.ticker, present.asset_class).vendor_ticker for change in events.changes]
    except SymbolError:
        return False
    return bool(tickers) and tickers[-1] == present.vendor_ticker


def _judge_holder(
    client: PolygonClient, record: SecurityRecord, present: Symbol, events: TickerEvents
) -> SecurityFinding:
    """Return the finding for a ticker that some security has now: the tracked one or a later one."""
    facts = _build_facts(events)
    begins = events.changes[-1].date
    if record.facts.contradicts(facts):
        return _hand_over(client, record, present, begins, None)
    if begins > record.added_on + DATE_TOLERANCE and not _had_ticker(record, events):
        earlier = client.fetch_holder(present, record.added_on)  # the security that was meant when it was first tracked
        if earlier is not None and not _is_same(earlier, events):
            return _hand_over(client, record, present, begins, earlier)
    return SecurityFinding(facts, _build_history(client, record.symbol, events))


def _had_ticker(record: SecurityRecord, events: TickerEvents) -> bool:
    """Return True if a security had one of the record's tickers on the day that the symbol was first tracked."""
    before = [change.ticker for change in events.changes if change.date <= record.added_on]
    return bool(before) and before[-1] in record.history.tickers


def _hand_over(
    client: PolygonClient, record: SecurityRecord, present: Symbol, begins: date, earlier: Ticker | None
) -> SecurityFinding:
    """Return the finding for a security whose ticker is another's since a date: its successor's history, or its end."""
    change = find_renaming(client, present, earlier) if earlier else None
    if change is not None:
        successor = client.fetch_ticker_events(find_ticker_symbol(change.ticker, record.symbol.asset_class))
        return SecurityFinding(_build_facts(successor), _build_history(client, record.symbol, successor))
    note = f"{present.vendor_ticker} is another security's since {begins}"
    return SecurityFinding(record.facts, _end(record.history, begins - timedelta(days=1), TickerSource.EVENTS, note))


def _look_up_ended(client: PolygonClient, record: SecurityRecord, present: Symbol) -> SecurityFinding:
    """Return the finding for a ticker without events: its security was renamed or delisted, or has no events at all."""
    reference = fetch_reference(client, present)
    if reference.renamed_to is not None:
        successor = client.fetch_ticker_events(find_ticker_symbol(reference.renamed_to, record.symbol.asset_class))
        history = _build_history(client, record.symbol, successor)
        if present.vendor_ticker in history.tickers:
            current = replace(reference, listed=True, delisted_on=None)
            return SecurityFinding(_build_facts(successor), history, current)
    if reference.delisted_on is not None:
        history = _end(record.history, reference.delisted_on, TickerSource.REFERENCE, reference.ending)
        return SecurityFinding(record.facts, history, reference)
    return SecurityFinding(record.facts, record.history, reference)


def _build_facts(events: TickerEvents) -> SecurityFacts:
    return SecurityFacts(name=events.name, composite_figi=events.composite_figi, cik=events.cik)


def _is_same(holder: Ticker, events: TickerEvents) -> bool:
    """Return True if a ticker's holder on some date is the security of these events."""
    for theirs, ours in ((holder.composite_figi, events.composite_figi), (holder.cik, events.cik)):
        if theirs and ours:
            return theirs == ours
    return holder.name == events.name


def _build_history(client: PolygonClient, symbol: Symbol, events: TickerEvents) -> TickerHistory:
    """Return the history that a security's ticker events state."""
    by_day = {change.date: change for change in events.changes}  # of several on one day, the last
    changes: list[TickerChange] = []
    for change in by_day.values():
        if not changes or change.ticker != changes[-1].ticker:
            changes.append(change)
    starts = [change.date for change in changes[1:]]
    lasts = [*(start - timedelta(days=1) for start in starts), None]
    periods = [
        TickerPeriod(change.ticker, change.date, last, TickerSource.EVENTS, certain=True)
        for change, last in zip(changes, lasts, strict=True)
    ]
    return TickerHistory((_check_first(client, symbol, events, periods[0]), *periods[1:]))


def _check_first(client: PolygonClient, symbol: Symbol, events: TickerEvents, period: TickerPeriod) -> TickerPeriod:
    """Return the first period, after a check by the vendor's reference data that the ticker was another's before it."""
    if period.first is None or period.first <= FIRST_VENDOR_DAY:
        return replace(period, first=None)
    day = period.first - DATE_TOLERANCE
    try:
        holder = client.fetch_holder(find_ticker_symbol(period.ticker, symbol.asset_class), day)
    except PolygonError as error:
        log.info("%s: nothing confirms that %s begins: %s", symbol.name, period.first, error)
        note = f"the vendor's reference data of {day} could not be had, so its first day isn't confirmed"
        return replace(period, certain=False, note=note)
    if holder is not None and _is_same(holder, events):
        note = f"the vendor's events begin on {period.first}, its reference data earlier"
        return replace(period, first=None, source=TickerSource.REFERENCE, note=note)
    return period


def _end(history: TickerHistory, last: date, source: TickerSource, note: str | None) -> TickerHistory:
    kept = [period for period in history.periods if period.first is None or period.first <= last]
    if not kept or (kept[-1].last is not None and kept[-1].last <= last):
        return history  # it has ended before
    return TickerHistory((*kept[:-1], replace(kept[-1], last=last, source=source, certain=True, note=note)))


def look_up_fully(client: PolygonClient, record: SecurityRecord, corrections: TickerCorrections) -> SecurityFinding:
    """Return a symbol's manual or looked-up history, always with the reference data of its present ticker.

    Raises:
        UnknownTickerError: the vendor has no such ticker.
        PolygonError: there is no usable response.
    """
    finding = find_correction(corrections, record.symbol) or look_up(client, record, thorough=True)
    if finding.reference is not None:
        return finding
    return replace(finding, reference=fetch_present_reference(client, record.symbol, finding.history))


def fetch_present_reference(client: PolygonClient, symbol: Symbol, history: TickerHistory) -> Reference:
    """Fetch the reference data of a symbol's present ticker, which is noted in `renamed_to` if it isn't the symbol's.

    Raises:
        UnknownTickerError: the vendor has no such ticker.
        PolygonError: there is no usable response.
    """
    ticker = history.current.ticker
    reference = fetch_reference(client, find_ticker_symbol(ticker, symbol.asset_class))
    is_renamed = reference.listed and ticker != symbol.vendor_ticker
    return replace(reference, renamed_to=ticker) if is_renamed else reference
