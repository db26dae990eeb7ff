"""Symbols that an option selects, among the tracked ones."""

from sqlalchemy import Engine

from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import SymbolChoice
from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.symbol_names import resolve_active
from market_pipeline.warehouse.tracked_symbols import list_active_symbols


class NothingTrackedError(UsageError):
    """All tracked symbols were selected, and none is tracked."""


def select_symbols(warehouse: Engine, choice: SymbolChoice) -> list[Symbol]:
    """Return the active symbols that an option selects; a note names those selected by another ticker of theirs.

    Raises:
        UntrackedSymbolError: one is not tracked.
        NothingTrackedError: no symbol is tracked.
    """
    if choice.names is not None:
        selected = resolve_active(warehouse, choice.names)
        for _, alias in selected:
            if alias is not None:
                print_note(alias.note)
        return [symbol for symbol, _ in selected]
    symbols = list_active_symbols(warehouse)
    if not symbols:
        raise NothingTrackedError("no symbol is tracked: run `market-pipeline symbols init` first")
    return symbols
