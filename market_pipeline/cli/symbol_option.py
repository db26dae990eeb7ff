"""Which symbols an option names."""

from sqlalchemy import Engine

from market_pipeline.cli.parameters import SymbolChoice
from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse.tracked_symbols import active_symbols, find_active


class NothingTrackedError(UsageError):
    """All symbols were asked for and there are none."""


def chosen_symbols(warehouse: Engine, choice: SymbolChoice) -> list[Symbol]:
    """The active symbols that an option names.

    Raises:
        UntrackedSymbolError: one is not tracked.
        NothingTrackedError: none is.
    """
    if choice.names is not None:
        return find_active(warehouse, choice.names)
    found = active_symbols(warehouse)
    if not found:
        raise NothingTrackedError("no symbol is tracked: run `market-pipeline symbols init` first")
    return found
