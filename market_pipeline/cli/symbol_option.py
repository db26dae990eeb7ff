"""Symbols that an option selects, among the tracked ones."""

from sqlalchemy import Engine

from market_pipeline.cli.parameters import SymbolChoice
from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.tracked_symbols import active_symbols, find_active


class NothingTrackedError(UsageError):
    """All tracked symbols were selected, and none is tracked."""


def select_symbols(warehouse: Engine, choice: SymbolChoice) -> list[Symbol]:
    """Return the active symbols that an option selects.

    Raises:
        UntrackedSymbolError: one is not tracked.
        NothingTrackedError: no symbol is tracked.
    """
    if choice.names is not None:
        return find_active(warehouse, choice.names)
    symbols = active_symbols(warehouse)
    if not symbols:
        raise NothingTrackedError("no symbol is tracked: run `market-pipeline symbols init` first")
    return symbols
