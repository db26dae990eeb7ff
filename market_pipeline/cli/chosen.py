"""Which symbols an option names."""

from sqlalchemy import Engine

from market_pipeline.errors import UsageError
from market_pipeline.symbols import Symbol
from market_pipeline.warehouse.tracked_symbols import active_symbols, find_active


class NothingTrackedError(UsageError):
    """All symbols were asked for and there are none."""


def chosen_symbols(warehouse: Engine, names: str) -> list[Symbol]:
    """The symbols of a comma-separated list, or all active ones for `*`.

    Raises:
        UntrackedSymbolError: one is not tracked.
        NothingTrackedError: none is.
    """
    if names.strip() != "*":
        return find_active(warehouse, [name.strip() for name in names.split(",") if name.strip()])
    found = active_symbols(warehouse)
    if not found:
        raise NothingTrackedError("no symbol is tracked: run `market-pipeline symbols init` first")
    return found
