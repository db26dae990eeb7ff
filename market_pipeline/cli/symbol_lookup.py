"""Look-ups of symbols at the vendor for commands, and their results in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine

from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import AssetClass, Symbol, find_ticker_symbol
from market_pipeline.core.ticker_corrections import read_configured_corrections
from market_pipeline.core.wording import format_count
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.polygon.request_planning import estimate_wait
from market_pipeline.polygon.vendor_errors import PolygonError, UnknownTickerError
from market_pipeline.reference_data import find_asset_class
from market_pipeline.security_lookup import SecurityFinding, look_up_fully
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.securities import SecurityRecord, read_securities
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

REQUESTS_A_SYMBOL = 2
"""Reference data and ticker events."""


class UnknownSymbolError(UsageError):
    """The vendor has no such ticker."""


class WrongAssetClassError(UsageError):
    """The vendor lists the symbol in another asset class."""


class NotCheckedError(MarketPipelineError):
    """The reference data of a symbol could not be fetched."""


@contextmanager
def open_client(settings: Settings, engine: Engine) -> Iterator[PolygonClient]:
    """Open the vendor's client with the rate limit that all processes share."""
    limiter = SharedLimiter(engine, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
    with PolygonClient.from_settings(settings, limiter) as client:
        yield client


def look_up_new(engine: Engine, settings: Settings, symbol: Symbol) -> SecurityFinding:
    """Look up a symbol that is not tracked yet.

    Raises:
        UnknownSymbolError: the vendor has no such ticker.
        WrongAssetClassError: it lists the ticker in another asset class.
        NotCheckedError: the request failed.
    """
    record = SecurityRecord.assume(symbol, datetime.now(UTC).date())
    try:
        with open_client(settings, engine) as client:
            found = look_up_fully(client, record, read_configured_corrections(settings))
    except UnknownTickerError as error:
        raise UnknownSymbolError(f"{error} (--no-check tracks it anyway)") from None
    except PolygonError as error:
        raise NotCheckedError(f"{error} (or use --no-check to track {symbol.name} without looking it up)") from None
    kind = find_other_class(symbol, found)
    if kind is not None:
        raise WrongAssetClassError(
            f"{describe(symbol, found)}: not of asset class {symbol.asset_class}. Add it with "
            f"--asset-class {kind}, or with --no-check if the vendor is wrong"
        )
    return found


def find_same_security(engine: Engine, symbol: Symbol, found: SecurityFinding) -> Symbol | None:
    """Return the tracked symbol that is the same security under another of its tickers, if there is one."""
    others = {find_ticker_symbol(ticker, symbol.asset_class) for ticker in found.history.tickers} - {symbol}
    tracked = sorted(others.intersection(list_active_symbols(engine)))
    records = read_securities(engine, tracked)
    return next((other for other in tracked if not records[other].facts.contradicts(found.facts)), None)


def find_other_class(symbol: Symbol, found: SecurityFinding) -> AssetClass | None:
    """Return the vendor's asset class of a symbol if it differs from the tracked one."""
    kind = find_asset_class(found.reference) if found.reference else None
    return None if kind is symbol.asset_class else kind


def describe_wait(symbols: int, settings: Settings) -> str:
    """Return a clause with the minutes that the rate limit takes for so many look-ups; empty under one minute."""
    minutes = estimate_wait(REQUESTS_A_SYMBOL * symbols, settings.requests_per_minute) / 60
    return f", which takes about {format_count(round(minutes), 'minute')} by the rate limit" if minutes >= 1 else ""


def describe(symbol: Symbol, found: SecurityFinding) -> str:
    """Describe a symbol in one line: its name, type and exchange, its present ticker, and its delisting."""
    reference = found.reference
    facts = (reference.name, reference.vendor_type, reference.primary_exchange) if reference else ()
    description = ", ".join(fact for fact in facts if fact) or "known to the vendor"
    later = (found.history.describe_change(symbol.vendor_ticker), reference.ending if reference else None)
    return "; ".join((f"{symbol.name}: {description}", *(clause for clause in later if clause)))
