"""The comparison of a file with the stored bars, symbol by symbol, in one transaction that also stores the result."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, text

from market_pipeline.core.errors import UsageError
from market_pipeline.core.sessions import CALENDARS, check_order
from market_pipeline.reconciliation.bar_file import stage_file
from market_pipeline.reconciliation.basis import choose_adjustment
from market_pipeline.reconciliation.explanations import SecuritySearch, explain_series
from market_pipeline.reconciliation.field_series import Dates, Explanation, Floats
from market_pipeline.reconciliation.file_layout import FileLayout
from market_pipeline.reconciliation.ranges import (
    ReconciledRange,
    Unstored,
    find_coverage_ranges,
    find_value_ranges,
)
from market_pipeline.reconciliation.symbol_rows import SymbolRows, find_stored_name, read_rows
from market_pipeline.warehouse.export_query import Adjustment
from market_pipeline.warehouse.statements import read_statement
from market_pipeline.warehouse.symbol_names import find_aliases
from market_pipeline.warehouse.tables import reconciliations
from market_pipeline.warehouse.tracked_symbols import build_never_tracked_error, read_names, suggest_names

SAMPLE, SHARE_OF_SAMPLE = 20, 0.9
"""Dates on which another security is looked for, and the share of them that it has to match."""

_SYMBOLS_OF_FILE = text("SELECT DISTINCT symbol FROM staged_prices WHERE date BETWEEN :first AND :last ORDER BY symbol")


class NothingToCompareError(UsageError):
    """The file has nothing that can be compared with the stored bars."""


@dataclass(frozen=True, kw_only=True)
class ReconciliationRequest:
    """The comparison to make.

    `symbols` and the dates, both included, are None for all. `adjustment` is the stored series that the file's prices
    follow, None to find it. The tolerances are relative differences.

    Raises:
        NoSessionError: `start` is after `end`.
    """

    file: Path
    symbols: Sequence[str] | None = None
    start: date | None = None
    end: date | None = None
    adjustment: Adjustment | None = None
    tolerance: float
    volume_tolerance: float

    def __post_init__(self) -> None:
        check_order(self.start, self.end)

    @property
    def first(self) -> date:
        """The first date to compare."""
        return self.start or date.min

    @property
    def last(self) -> date:
        """The last date to compare."""
        return self.end or date.max


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """The result: what was compared, and the ranges of all symbols with their explanations.

    `adjustments` has the stored series that each column of the file was compared with. `unknown_symbols` are those of
    the file that were never tracked here.
    """

    made_at: datetime
    adjustments: dict[str, Adjustment]
    symbols: Sequence[str]
    unknown_symbols: Sequence[str]
    ranges: Sequence[ReconciledRange]


def reconcile(engine: Engine, request: ReconciliationRequest) -> Reconciliation:
    """Compare a file with the stored bars and keep the result in the table `reconciliations`, for the file's name.

    Raises:
        BarFileError: the file can't be read as bars.
        LayoutError: its headers don't say which column means what.
        UntrackedSymbolError: a requested symbol was never tracked.
        NothingToCompareError: the file has no rows of the symbols and dates.
    """
    names = _resolve_names(engine, request.symbols) if request.symbols is not None else None
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        only_symbol = names[0] if names is not None and len(names) == 1 else None
        layout = stage_file(connection, request.file, only_symbol)
        symbols, unknown = _select_symbols(connection, request, names)
        adjustments = _choose_adjustments(connection, request, layout, symbols)
        ranges = [
            found
            for rows in read_rows(connection, symbols, request.first, request.last)
            for found in _compare(connection, request, adjustments, rows)
        ]
        made_at = datetime.now(UTC)
        _store(connection, request, made_at, ranges)
    return Reconciliation(
        made_at=made_at, adjustments=adjustments, symbols=symbols, unknown_symbols=unknown, ranges=ranges
    )


def _resolve_names(engine: Engine, names: Sequence[str]) -> list[str]:
    """Return the symbols of these names, tracked now or once, or of their tickers."""
    with engine.connect() as connection:
        known = read_names(connection, tracked_only=True)
    aliases = find_aliases(engine, [name for name in names if name not in known], active_only=False)
    if unknown := [name for name in names if name not in known and name not in aliases]:
        raise build_never_tracked_error(unknown, known)
    return list(dict.fromkeys(aliases[name].symbol.name if name in aliases else name for name in names))


def _select_symbols(
    connection: Connection, request: ReconciliationRequest, names: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the symbols to compare, and those of the file that were never tracked."""
    in_file = set(connection.scalars(_SYMBOLS_OF_FILE, {"first": request.first, "last": request.last}))
    file = request.file
    if names is not None:
        if missing := [name for name in names if name not in in_file]:
            shown = suggest_names(missing, in_file)
            raise NothingToCompareError(f"{file} has no rows of {shown} on these dates: leave it out of --symbols")
        return list(names), []
    known = set(read_names(connection, tracked_only=True))
    if not in_file:
        raise NothingToCompareError(f"{file} has no rows on these dates: change --start or --end")
    if not in_file & known:
        shown = suggest_names(sorted(in_file)[:3], known)
        raise NothingToCompareError(
            f"no symbol of {file} is tracked, such as {shown}: add them by `market-pipeline symbols add`"
        )
    return sorted(in_file & known), sorted(in_file - known)


def _choose_adjustments(
    connection: Connection, request: ReconciliationRequest, layout: FileLayout, symbols: Sequence[str]
) -> dict[str, Adjustment]:
    """Return the stored series that each column is compared with; an adjusted close beside others is fully adjusted."""
    prices = [name for name in layout.values if name not in ("adj_close", "volume")]
    chosen = request.adjustment
    if chosen is None:
        name = "close" if "close" in prices else (prices or layout.values)[0]
        chosen = (
            choose_adjustment(connection, symbols, name, request.first, request.last, request.tolerance)
            if name != "adj_close"
            else Adjustment.ALL
        )
    return {name: Adjustment.ALL if name == "adj_close" and prices else chosen for name in layout.values}


def _compare(
    connection: Connection, request: ReconciliationRequest, adjustments: dict[str, Adjustment], rows: SymbolRows
) -> Iterator[ReconciledRange]:
    series = {
        name: rows.series(
            name,
            adjustment,
            request.volume_tolerance if name == "volume" else request.tolerance,
            any_unit=request.adjustment is None,
        )
        for name, adjustment in adjustments.items()
    }
    explained = {
        name: explain_series(
            each,
            rows.replaced.get(find_stored_name(name), {}),
            _build_security_search(connection, rows, name, each.adjustment),
        )
        for name, each in series.items()
    }
    prices = next(iter([name for name in ("close", "adj_close") if name in explained] or explained))
    missing = bool((rows.in_file & ~rows.in_warehouse).any())
    yield from find_coverage_ranges(rows, explained[prices], _find_unstored(connection, rows) if missing else {})
    for name, each in explained.items():
        yield from find_value_ranges(rows, name, each)


def _build_security_search(
    connection: Connection, rows: SymbolRows, name: str, adjustment: Adjustment
) -> SecuritySearch:
    def search(dates: Dates, values: Floats, noise: Floats) -> str | None:
        step = max(1, len(dates) // SAMPLE)
        sample = dates[::step]
        parameters = {
            "symbol": rows.symbol,
            "field": find_stored_name(name),
            "by_splits": adjustment is not Adjustment.NONE,
            "by_dividends": adjustment is Adjustment.ALL,
            "dates": sample.tolist(),
            "file_values": values[::step].tolist(),
            "noise": noise[::step].tolist(),
            "least": SHARE_OF_SAMPLE * len(sample),
        }
        symbol: str | None = connection.scalar(read_statement("matching_security"), parameters)
        return symbol

    return search


def _find_unstored(connection: Connection, rows: SymbolRows) -> Unstored:
    """Return the dates of the file without a stored bar, and what the warehouse knows of them."""
    only_in_file = rows.dates[rows.in_file & ~rows.in_warehouse]
    parameters = {"symbol": rows.symbol, "first": only_in_file[0].item(), "last": only_in_file[-1].item()}
    found = {}
    for row in connection.execute(read_statement("unstored_sessions"), parameters):
        if row.state == "empty":
            known = Explanation.UNEXPLAINED, "the vendor has confirmed that there is no bar"
        elif row.state is not None:
            known = Explanation.MISSING_HERE, f"{row.state}: {row.reason}" if row.reason else row.state
        elif row.is_session or row.date < CALENDARS[row.calendar].first_session:
            known = Explanation.MISSING_HERE, "never loaded"
        else:
            known = Explanation.NO_SESSION, f"no session of {row.calendar}"
        found[row.date] = known
    return found


def _store(
    connection: Connection, request: ReconciliationRequest, made_at: datetime, ranges: Sequence[ReconciledRange]
) -> None:
    """Replace the rows of an earlier comparison with a file of this name."""
    name = request.file.name
    connection.execute(delete(reconciliations).where(reconciliations.c.file == name))
    about = {"file": name, "made_at": made_at}
    rows = [
        {
            **about,
            **asdict(found),
            "explained": found.explained,
            "tolerance": request.volume_tolerance if found.field == "volume" else request.tolerance,
        }
        for found in ranges
    ]
    if rows:
        connection.execute(insert(reconciliations), rows)
