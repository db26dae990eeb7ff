"""Plan of look-ups: the symbols of a run whose ticker histories are looked up before their bars."""

from collections.abc import Mapping, Sequence
from datetime import date

from market_pipeline.core.symbols import AssetClass, Symbol
from market_pipeline.core.ticker_corrections import TickerCorrections
from market_pipeline.core.ticker_history import TickerHistory, list_spans
from market_pipeline.polygon.request_planning import RangeRequest, plan_requests
from market_pipeline.warehouse.securities import SecurityRecord


def choose_histories(
    records: Mapping[Symbol, SecurityRecord], corrections: TickerCorrections
) -> dict[Symbol, TickerHistory]:
    """Return each symbol's ticker history: the manual one if there is one, else the stored one."""
    manual = {symbol: corrections.find_for(symbol) for symbol in records}
    return {
        symbol: correction.history if (correction := manual[symbol]) else record.history
        for symbol, record in records.items()
    }


def plan_lookups(
    records: Mapping[Symbol, SecurityRecord], corrections: TickerCorrections, sessions: Sequence[date]
) -> list[Symbol]:
    """Return the symbols to look up for a run: those never looked up that take a request of their own.

    So a run takes about twice as many requests at most.
    """
    plan = plan_requests(list_spans(choose_histories(records, corrections), sessions))
    ranged = {request.symbol.symbol for request in plan.requests if isinstance(request, RangeRequest)}
    return [symbol for symbol, record in records.items() if symbol in ranged and _is_unknown(record, corrections)]


def _is_unknown(record: SecurityRecord, corrections: TickerCorrections) -> bool:
    if record.symbol.asset_class is AssetClass.CRYPTO or record.ended or corrections.find_for(record.symbol):
        return False
    return record.checked_at is None or record.is_manual  # a manual history that is no longer in the file
