"""Queries of an export: the selected bars, their columns, and their rows as a stream of CSV.

Rows come by COPY: building Python objects of them would take many times as long. `export` writes them; the view
`daily_bars_adjusted` defines adjusted prices.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, column, func, inspect, literal_column, select, table
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import FromClause

from market_pipeline.core.bars import PRICE_COLUMNS, VALUE_COLUMNS
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.sessions import check_order
from market_pipeline.warehouse.bar_tables import market_data
from market_pipeline.warehouse.loads import settle
from market_pipeline.warehouse.spreadsheets import build_decimal_text, build_plain_text
from market_pipeline.warehouse.statements import open_copy
from market_pipeline.warehouse.tables import bar_source
from market_pipeline.warehouse.tracked_symbols import (
    build_named_otherwise_error,
    build_never_tracked_error,
    read_former_names,
    read_names,
)

BLOCK_ROWS = 50_000
"""Rows held in memory at once, some 5 MB."""


class Adjustment(StrEnum):
    """Adjustment of the prices: none (as traded), for splits, or for splits and dividends."""

    NONE = "none"
    SPLITS = "splits"
    ALL = "all"


_BAR = ("symbol", "date", *VALUE_COLUMNS)
_ADJUSTED = ("symbol", "date", *(f"adj_{name}" for name in PRICE_COLUMNS), "volume", "transactions")
COLUMNS: Mapping[Adjustment, Sequence[str]] = {
    Adjustment.NONE: (*_BAR, "validated", "flags", "source", "fetched_at"),
    Adjustment.SPLITS: (*_BAR, "split_factor", "validated", "flags"),
    Adjustment.ALL: (*_ADJUSTED, "split_factor", "dividend_factor", "validated", "flags"),
}
"""Columns of a file, under the names that they have in the table they come from."""

ADJUSTED_BARS = table("daily_bars_adjusted", *map(column, {*COLUMNS[Adjustment.SPLITS], *COLUMNS[Adjustment.ALL]}))

# CSV has no lists and no common way to write true.
_EXPRESSIONS = {"flags": "array_to_string(flags, ' ')", "validated": "validated::text"}
_DECIMALS = (
    *PRICE_COLUMNS,
    *(f"adj_{name}" for name in PRICE_COLUMNS),
    "volume",
    "vwap",
    "split_factor",
    "dividend_factor",
)
_PLAIN = {name: build_plain_text(name) for name in ("symbol", "source")} | {
    name: str(build_decimal_text(name, "double precision")) for name in _DECIMALS
}
_MEANINGS = {"flags": "The rules that flagged the bar, with a blank between; empty if none."}


class ExportRequestError(UsageError):
    """A request for an export that can't be met."""


class NotAdjustedError(MarketPipelineError):
    """No adjusted price of the selection is known."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The bars to export: of these symbols, from `start` to `end`, both included and None for no limit.

    `as_of` selects the bars and their adjustment as they were at that instant, which is settled, rather than now;
    `snapshot` is the name of the snapshot that it comes from.

    Raises:
        NoSessionError: `start` is after `end`.
    """

    symbols: Sequence[str]
    start: date | None = None
    end: date | None = None
    adjustment: Adjustment = Adjustment.NONE
    as_of: datetime | None = None
    snapshot: str | None = None

    def __post_init__(self) -> None:
        check_order(self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class ColumnMeaning:
    """A column of the file, its PostgreSQL type and its meaning."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Summary:
    """Summary of a selection, at the time of the database's state that it is read from.

    `as_of` is the instant of the bars: the selection's, else the settled point of that state. `first_date` and
    `last_date` are those of the bars found, None without any; `rows_not_adjusted` counts those whose prices are NULL
    because the splits or dividends of their symbols, which `symbols_not_adjusted` names, aren't known; `source` is
    polygon or sandbox.
    """

    made_at: datetime
    as_of: datetime
    source: str | None
    first_date: date | None
    last_date: date | None
    rows: int
    rows_not_adjusted: int
    symbols_not_adjusted: Sequence[str]


def find_exportable_symbols(engine: Engine, names: Sequence[str] | None, as_of: datetime | None = None) -> list[str]:
    """Return the symbols of these names, each once, or all that were ever tracked; removed ones have bars too.

    With `as_of` they are named as they were at that instant.

    Raises:
        UntrackedSymbolError: one never was, or not under this name.
        NoInstantError: `as_of` has no time zone, or is in the future.
        UnsettledError: loads under way may still change what is stored as of it.
    """
    if as_of is not None:
        settle(engine, as_of)
    with engine.connect() as connection:
        known = read_names(connection, as_of)
        selected = read_names(connection, as_of, tracked_only=True) if names is None else list(dict.fromkeys(names))
        if unknown := sorted(set(selected).difference(known), key=selected.index):
            former = read_former_names(connection, unknown, as_of) if as_of else {}
            raise build_named_otherwise_error(former) if former else build_never_tracked_error(unknown, known, as_of)
    if not selected:
        raise ExportRequestError(
            "there is no symbol to export: name some, or load some with `market-pipeline backfill`"
        )
    return selected


def describe_columns(connection: Connection, adjustment: Adjustment) -> list[ColumnMeaning]:
    """Return the columns of the file, with the database's own comments on them."""
    held = market_data if adjustment is Adjustment.NONE else ADJUSTED_BARS
    known = {column["name"]: column for column in inspect(connection).get_columns(held.name)}
    return [
        ColumnMeaning(
            name=name,
            type="TEXT" if name in _MEANINGS else str(known[name]["type"]),
            meaning=_MEANINGS.get(name) or str(known[name]["comment"]),
        )
        for name in COLUMNS[adjustment]
    ]


def choose_bars_source(adjustment: Adjustment, as_of: datetime | None) -> FromClause:
    """Return the relation to read bars from: as traded or adjusted, now or as of an instant."""
    source = market_data if adjustment is Adjustment.NONE else ADJUSTED_BARS
    if as_of is None:
        return source
    rows: FunctionElement[Any] = getattr(func, f"{source.name}_as_of")(as_of)
    return rows.table_valued(*source.columns)


def _filter(query: Select[Any], bars: FromClause, selection: Selection) -> Select[Any]:
    query = query.select_from(bars).where(bars.c.symbol.in_(selection.symbols))
    if selection.start:
        query = query.where(bars.c.date >= selection.start)
    return query.where(bars.c.date <= selection.end) if selection.end else query


def summarize(connection: Connection, selection: Selection) -> Summary:
    """Return the summary of a selection."""
    bars = choose_bars_source(selection.adjustment, selection.as_of)
    price = bars.c.adj_close if selection.adjustment is Adjustment.ALL else bars.c.close
    query = select(
        func.now().label("made_at"),
        func.coalesce(selection.as_of, func.settled_point()).label("as_of"),
        select(bar_source.c.source).scalar_subquery().label("source"),
        func.min(bars.c.date).label("first_date"),
        func.max(bars.c.date).label("last_date"),
        func.count().label("rows"),
        (func.count() - func.count(price)).label("rows_not_adjusted"),
        func.coalesce(
            func.array_agg(aggregate_order_by(bars.c.symbol.distinct(), bars.c.symbol)).filter(price.is_(None)),
            literal_column("'{}'::text[]"),
        ).label("symbols_not_adjusted"),
    )
    return Summary(**connection.execute(_filter(query, bars, selection)).mappings().one())


def read_blocks(connection: Connection, selection: Selection, *, for_spreadsheets: bool) -> Generator[list[bytes]]:
    """Yield the rows by symbol and date as lines of CSV, in blocks.

    With `for_spreadsheets`, no text in them is one that a spreadsheet would take for a formula, and a whole decimal
    number has a decimal point.
    """
    bars = choose_bars_source(selection.adjustment, selection.as_of)
    expressions = {**_EXPRESSIONS, **(_PLAIN if for_spreadsheets else {})}
    values: list[ColumnElement[Any]] = [
        literal_column(expressions.get(name, name)) for name in COLUMNS[selection.adjustment]
    ]
    # By bytes, so that a database with another collation gives the same file.
    query = _filter(select(*values), bars, selection).order_by(bars.c.symbol.collate("C"), bars.c.date)
    compiled = query.compile(connection, compile_kwargs={"render_postcompile": True})
    command = f"COPY ({compiled}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
    with open_copy(connection, command, compiled.params) as copy:
        lines = map(bytes, copy)
        while block := list(islice(lines, BLOCK_ROWS)):
            yield block
