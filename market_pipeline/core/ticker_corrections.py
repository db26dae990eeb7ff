"""Manual ticker histories: facts about the market, kept as data, that win over the vendor's.

A CSV file has a row for each ticker of a security, with the person who entered it, the reason and the source. The
packaged file holds public cases; a file of your own (TICKER_CORRECTIONS) is read after it, and wins over it.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

from market_pipeline.core.errors import UsageError
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError, find_ticker_symbol
from market_pipeline.core.ticker_history import TickerHistory, TickerPeriod, TickerSource

COLUMNS = ("security", "asset_class", "ticker", "first_day", "last_day", "who", "why", "source")
PACKAGED = Path(__file__).with_name("ticker_corrections.csv")


class TickerCorrectionsError(UsageError):
    """A file of ticker corrections can't be used."""


@dataclass(frozen=True)
class CorrectedSecurity:
    """A security of the file: its name, its asset class and its ticker history."""

    name: str
    asset_class: AssetClass
    history: TickerHistory


@dataclass(frozen=True)
class TickerCorrections:
    """The securities of the files, by name."""

    securities: Mapping[str, CorrectedSecurity]

    def find(self, ticker: str) -> CorrectedSecurity | None:
        """Return the security that a ticker stands for: its present holder, else its last one."""
        holders = [
            (period.last or date.max, security)
            for security in self.securities.values()
            for period in security.history.periods
            if period.ticker == ticker
        ]
        return max(holders, key=lambda holder: holder[0])[1] if holders else None

    def find_for(self, symbol: Symbol) -> CorrectedSecurity | None:
        """Return the security of a symbol, which is of its asset class."""
        found = self.find(symbol.vendor_ticker)
        return found if found is not None and found.asset_class is symbol.asset_class else None


def read_configured_corrections(settings: Settings) -> TickerCorrections:
    """Read the corrections that the settings name; the packaged ones are about the market, not about a sandbox.

    Raises:
        TickerCorrectionsError: the file can't be read, or a row is wrong; the message names the line.
    """
    return load_corrections(settings.ticker_corrections, packaged=settings.source == "polygon")


def load_corrections(file: Path | None, *, packaged: bool) -> TickerCorrections:
    """Read the packaged file, if wanted, and a file of the user's, whose securities replace those they overlap.

    Raises:
        TickerCorrectionsError: the file can't be read, or a row is wrong; the message names the line.
    """
    securities = dict(_read(PACKAGED)) if packaged else {}
    for name, security in _read(file) if file else ():
        shared = [other for other in securities if _overlap(securities[other].history, security.history)]
        for other in shared:
            del securities[other]
        securities[name] = security
    return TickerCorrections(securities)


def _overlap(one: TickerHistory, other: TickerHistory) -> bool:
    """Return True if both securities had one ticker on one day."""
    return any(
        period.ticker == its.ticker
        and (period.first or date.min) <= (its.last or date.max)
        and (its.first or date.min) <= (period.last or date.max)
        for period in one.periods
        for its in other.periods
    )


def _read(file: Path) -> list[tuple[str, CorrectedSecurity]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise TickerCorrectionsError(
            f"the ticker corrections {file} can't be read: {reason}. Fix the file, or its name in TICKER_CORRECTIONS"
        ) from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and line[0] != "#"]
    rows = csv.reader(line for _, line in numbered)
    header = next(rows, [])
    if tuple(header) != COLUMNS:
        raise TickerCorrectionsError(f"{file}: the first line is not the header {','.join(COLUMNS)}: add it")
    periods: dict[str, tuple[AssetClass, list[TickerPeriod]]] = {}
    for (number, _), row in zip(numbered[1:], rows, strict=True):
        where = f"{file}, line {number}"
        if len(row) != len(COLUMNS):
            raise TickerCorrectionsError(
                f"{where}: it has {len(row)} columns instead of {len(COLUMNS)}: fix it, and quote texts with a comma"
            )
        values = dict(zip(COLUMNS, (cell.strip() for cell in row), strict=True))
        kind, period = _parse_period(values, where)
        known, earlier = periods.setdefault(values["security"], (kind, []))
        if known is not kind:
            raise TickerCorrectionsError(
                f"{where}: {values['security']} has the asset class {known} above: give it one asset class"
            )
        earlier.append(period)
    return [(name, CorrectedSecurity(name, kind, _join(name, of_it, file))) for name, (kind, of_it) in periods.items()]


def _parse_period(values: Mapping[str, str], where: str) -> tuple[AssetClass, TickerPeriod]:
    for name in ("security", "who", "why"):
        if not values[name]:
            raise TickerCorrectionsError(f"{where}: the column {name} is empty: fill it")
    try:
        kind = AssetClass(values["asset_class"])
        ticker = find_ticker_symbol(values["ticker"], kind).vendor_ticker
    except (ValueError, SymbolError) as error:
        raise TickerCorrectionsError(f"{where}: {error}") from None
    first, last = (_parse_day(values, name, where) for name in ("first_day", "last_day"))
    if first and last and first > last:
        raise TickerCorrectionsError(f"{where}: first_day {first} is after last_day {last}: fix one of them")
    note = "; ".join(part for part in (f"{values['who']}: {values['why']}", values["source"]) if part)
    return kind, TickerPeriod(ticker, first, last, TickerSource.MANUAL, certain=True, note=note)


def _parse_day(values: Mapping[str, str], name: str, where: str) -> date | None:
    if not values[name]:
        return None
    try:
        return date.fromisoformat(values[name])
    except ValueError:
        raise TickerCorrectionsError(
            f"{where}: {name} {values[name]!r} is not a date: write it as 2022-06-09"
        ) from None


def _join(name: str, periods: Iterable[TickerPeriod], file: Path) -> TickerHistory:
    """Return the periods in order, after a check that they don't overlap."""
    ordered = sorted(periods, key=lambda period: period.first or date.min)
    for before, period in pairwise(ordered):
        if (before.last or date.max) >= (period.first or date.min):
            raise TickerCorrectionsError(
                f"{file}: {name} has the tickers {before.ticker} and {period.ticker} on one day: fix the days"
            )
    return TickerHistory(tuple(ordered))
