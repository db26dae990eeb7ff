"""Flags of a single symbol's bars."""

from collections.abc import Mapping
from datetime import date

from market_pipeline.core.bars import Columns, FlaggedBar, join_bars
from market_pipeline.core.symbols import Symbol
from market_pipeline.quality.rules import find_flags


def find_symbol_flags(
    symbol: Symbol,
    bars: Columns,
    splits: Mapping[date, float] | None = None,
    distributions: Mapping[date, float] | None = None,
) -> list[FlaggedBar]:
    """Return the suspicious ones of a symbol's bars in order, given its splits and distributions by day."""
    return find_flags(join_bars([bars]), [symbol.asset_class], {0: splits or {}}, {0: distributions or {}})
