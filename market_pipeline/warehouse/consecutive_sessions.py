"""The loading of consecutive sessions of a market, in the transaction of `market_loading`.

The bars of all symbols and sessions are in the same arrays, by symbol and date: so they are stored, as a symbol's bars
are read together more often than a session's.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from market_pipeline.core.bars import VALUE_COLUMNS, Columns, select_rows
from market_pipeline.core.market_bars import CheckedSession
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.sessions import list_last_sessions, list_sessions
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse.adjustment import refresh_factors_after_load
from market_pipeline.warehouse.flagging import REACH, FindFlags, write_flags
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_loads
from market_pipeline.warehouse.loading import RejectedBar, store_rejected
from market_pipeline.warehouse.loads import ensure_load
from market_pipeline.warehouse.market_counts import BarVerdicts, MarketCounts
from market_pipeline.warehouse.market_flags import FlagInputs, HeldBars, find_distinct_places, find_spans
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun
from market_pipeline.warehouse.market_symbols import ChangedSpans, MarketSymbol, MarketSymbols
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.statements import format_array, read_statement
from market_pipeline.warehouse.taken_bars import take_bars_out
from market_pipeline.warehouse.upsert import Rows, compare_bars, find_bars, write_bars

DAY = timedelta(days=1)

MARGIN = 8
"""Sessions beyond REACH that are read before and after: most symbols have enough bars in them, without one each."""

WITHDRAWN = "the vendor no longer gives it"
"""Reason of a bar that was taken out."""


class ConsecutiveSessions:
    """Consecutive sessions of a market that are loaded in one transaction, and its symbols."""

    def __init__(
        self,
        connection: Connection,
        market: Market,
        symbols: MarketSymbols,
        sessions: Sequence[CheckedSession],
        run: MarketRun,
        started_at: datetime,
        *,
        recent: RecentBars,
    ) -> None:
        self._recent = recent
        self._connection, self._market, self._symbols, self._run = connection, market, symbols, run
        self._sessions, self._started_at = sessions, started_at
        self._days = [each.fetched.session for each in sessions]

    def load(self, find_flags: FindFlags) -> list[MarketLoadResult]:
        """Load the sessions, and return the result of each."""
        bars, tickers = self._join()
        rejected = self._rejected()
        held = self._read_held()
        _keep_vwap(bars, held)
        is_new, differs = compare_bars(bars, held)
        is_withdrawn = self._find_withdrawn(bars, held, rejected)
        withdrawn = select_rows(held, is_withdrawn)
        # A symbol's own loads may have stored all of its bars, and no listing.
        unlisted = self._symbols.find_unlisted(find_spans(bars))
        if is_new.any() or differs.any() or is_withdrawn.any() or len(unlisted.symbol_ids):
            load_id = ensure_load(self._connection, self._run.run_id, self._run.source)
            take_bars_out(self._connection, withdrawn["place"].tolist(), withdrawn["date"].tolist(), WITHDRAWN)
            self._symbols.refresh(unlisted, withdrawn["place"], tickers)
            held = select_rows(held, ~is_withdrawn) if is_withdrawn.any() else held
            in_memory = HeldBars(held, self._first, self._last)
            changes = find_spans(select_rows(bars, is_new | differs), withdrawn)
            self._store(load_id, changes, bars, is_new, differs, in_memory, find_flags=find_flags)
        self._store_rejected(rejected)
        verdicts = BarVerdicts(is_new, differs, self._read_flagged(bars))
        counted = MarketCounts(self._days, bars, verdicts, held, withdrawn)
        of_tracked = self._record_tracked(counted, rejected)
        return [self._count(place, session, counted, of_tracked) for place, session in enumerate(self._sessions)]

    def _store(
        self,
        load_id: int,
        changes: ChangedSpans,
        bars: Columns,
        is_new: Rows,
        differs: Rows,
        held: HeldBars,
        *,
        find_flags: FindFlags,
    ) -> None:
        """Store what is new or differs, and find the flags of all `changes` meanwhile."""
        connection = self._connection
        symbols = [self._symbols.by_id[each] for each in changes.symbol_ids.tolist()]
        if symbols:
            inputs = FlagInputs.read(connection, changes, symbols, bars, held)
            with ThreadPoolExecutor(1, thread_name_prefix="flags") as pool:
                finding = pool.submit(inputs.find_flags, bars, held.bars, find_flags)
                write_bars(connection, load_id, bars, is_new, differs)
            if found := finding.result():
                write_flags(connection, found)
        tracked = {
            each.name: day for each, day in zip(symbols, changes.firsts.tolist(), strict=True) if each.is_tracked
        }
        if tracked:
            refresh_factors_after_load(connection, tracked)
        self._keep_recent(load_id, bars, held.bars)

    def _join(self) -> tuple[Columns, list[str]]:
        """Return the accepted bars by symbol and session, and the tickers whose symbols may get another name.

        A symbol's place is its id. Further columns are `session` (its place), `is_file` (it has no vwap) and `is_copy`:
        the bar is another tracked symbol's too.
        """
        lengths = [len(each.tickers) for each in self._sessions]
        session = np.repeat(np.arange(len(lengths)), lengths)
        code, tickers = pd.factorize(np.concatenate([each.tickers for each in self._sessions]))
        found = self._symbols.find(tickers.tolist(), self._days)
        lacking = np.zeros(found.ids.shape, dtype=bool)
        lacking[code, session] = True
        lacking &= found.ids == 0
        renamed = self._symbols.find_shared(tickers)
        if lacking.any():
            ensure_load(self._connection, self._run.run_id, self._run.source)
            without = np.flatnonzero(lacking.any(axis=1))
            self._symbols.add(
                {tickers[row]: [self._days[column] for column in np.flatnonzero(lacking[row])] for row in without}
            )
            renamed = [*{*renamed, *tickers[without]}]
            found = self._symbols.find(tickers.tolist(), self._days)
        symbol_id = found.ids[code, session]
        rows = np.arange(len(code))
        for row, column, other in found.others:
            copied = np.flatnonzero((code == row) & (session == column))
            rows = np.append(rows, copied)
            symbol_id = np.append(symbol_id, np.full(len(copied), other, dtype=symbol_id.dtype))
        is_file = np.array([each.fetched.origin is Origin.FLAT_FILE for each in self._sessions])
        days = np.array(self._days, dtype="datetime64[D]")
        order = np.argsort((symbol_id.astype(np.int64) << 32) + session[rows], kind="stable")
        rows, place = rows[order], symbol_id[order].astype(np.int64)
        bars: dict[str, NDArray[Any]] = {
            "place": place,
            "symbol_id": place,
            "session": session[rows],
            "date": days[session[rows]],
            "is_file": is_file[session[rows]],
            "is_copy": order >= len(code),
        }
        for name in VALUE_COLUMNS:
            bars[name] = np.concatenate([each.columns[name] for each in self._sessions])[rows]
        return bars, renamed

    def _read_held(self) -> Columns:
        """Return the stored bars of the market's symbols on these sessions, and on REACH ones before and after."""
        self._first = list_last_sessions(self._market.calendar, self._days[0], REACH + MARGIN + 1)[0]
        after = list_sessions(self._market.calendar, self._days[-1], self._days[-1] + 2 * (REACH + MARGIN) * DAY)
        self._last = after[: REACH + MARGIN + 1][-1]
        return self._recent.take(self._connection, [*self._symbols.by_id], self._first, self._last)

    def _keep_recent(self, load_id: int, bars: Columns, held: Columns) -> None:
        """Keep the stored bars that the sessions after these will need."""
        first = list_last_sessions(self._market.calendar, self._days[-1], REACH + MARGIN)[0]
        last = self._days[-1]
        _, is_given = find_bars(held, bars)
        rest, ours = (
            (np.datetime64(first) <= each["date"]) & (each["date"] <= np.datetime64(last)) for each in (held, bars)
        )
        parts = [select_rows(held, rest & ~is_given), select_rows({name: bars[name] for name in held}, ours)]
        self._recent.keep(load_id, first, last, parts)

    def _rejected(self) -> list[tuple[str | MarketSymbol, RejectedBar]]:
        """Return the rejected bars, each with its symbol, or its ticker where nobody has it."""
        rejected: list[tuple[str | MarketSymbol, RejectedBar]] = []
        for each in self._sessions:
            session = each.fetched.session
            tickers = [row.ticker for row in each.rejected]
            found = self._symbols.find(tickers, [session])
            bars = [RejectedBar(session, row.reasons, row.payload) for row in each.rejected]
            for row, bar in enumerate(bars):
                holder = int(found.ids[row, 0])
                rejected.append((self._symbols.by_id[holder] if holder else tickers[row], bar))
            rejected += [(self._symbols.by_id[other], bars[row]) for row, _, other in found.others]
        return rejected

    def _find_withdrawn(
        self, bars: Columns, held: Columns, rejected: Sequence[tuple[str | MarketSymbol, RejectedBar]]
    ) -> Rows:
        """Return for each stored bar if it is a symbol's that isn't tracked, and the vendor no longer gives it."""
        days = np.array(self._days, dtype="datetime64[D]")
        _, is_given = find_bars(held, bars)
        gone = ~is_given & (held["date"] >= days[0]) & (held["date"] <= days[-1])
        gone &= ~np.isin(held["place"], [each.id for each in self._symbols.tracked])
        for symbol, bar in rejected:  # its bar of before is not known to be wrong
            if isinstance(symbol, MarketSymbol):
                gone &= ~((held["place"] == symbol.id) & (held["date"] == np.datetime64(bar.session or date.min)))
        return np.asarray(gone)

    def _store_rejected(self, rejected: Sequence[tuple[str | MarketSymbol, RejectedBar]]) -> None:
        tracked = {each.name for each in self._symbols.tracked}
        named = []
        for symbol, bar in rejected:
            name = symbol.name if isinstance(symbol, MarketSymbol) else symbol
            # Nobody had the ticker then, so the bar is none of the symbol that has its name.
            is_other = isinstance(symbol, str) and symbol in tracked
            named.append((f"{name}-{bar.session:%Y%m}" if is_other else name, bar))
        store_rejected(self._connection, named, self._run.source, self._run.run_id)

    def _read_flagged(self, bars: Columns) -> Rows:
        """Return for each bar if it is flagged now."""
        parameters = {
            "symbol_ids": format_array(find_distinct_places(bars["place"])),
            "first": self._days[0],
            "last": self._days[-1],
        }
        row = self._connection.execute(read_statement("flagged_sessions"), parameters).one()
        if row.symbol_ids is None:
            return np.zeros(len(bars["date"]), dtype=bool)
        flagged = {"place": np.array(row.symbol_ids), "date": np.array(row.days).astype("datetime64[D]")}
        at, is_accepted = find_bars(flagged, bars)
        is_flagged = np.zeros(len(bars["date"]), dtype=bool)
        is_flagged[at[is_accepted]] = True
        return is_flagged

    def _record_tracked(
        self, counted: MarketCounts, rejected: Sequence[tuple[str | MarketSymbol, RejectedBar]]
    ) -> list[LoadResult]:
        """Write the load records of the active tracked symbols, and return their results."""
        rejected_of: defaultdict[int, list[date | None]] = defaultdict(list)
        for symbol, bar in rejected:
            if isinstance(symbol, MarketSymbol):
                rejected_of[symbol.id].append(bar.session)
        records = []
        for symbol in self._symbols.tracked:
            if symbol.is_active:
                request = LoadRequest(
                    symbol.symbol, self._days, self._run.source, self._run.run_id, self._run.trigger, self._started_at,
                    notes=(f"from the market {self._market.option}",), delisted_on=symbol.delisted_on,
                    answered=(self._days[0], self._days[-1]),
                )  # fmt: skip
                records.append((request, counted.of_symbol(request, symbol.id, rejected_of[symbol.id])))
        due = [(request, result) for request, result in records if result.sessions]
        if due:
            record_loads(self._connection, due)
        return [result for _, result in records]

    def _count(
        self, place: int, session: CheckedSession, counted: MarketCounts, of_tracked: Sequence[LoadResult]
    ) -> MarketLoadResult:
        fetched = session.fetched
        day = fetched.session
        numbers = {name: int(of_sessions[place]) for name, of_sessions in counted.by_session.items()}
        return MarketLoadResult(
            market=self._market.name,
            session=day,
            origin=fetched.origin,
            version=fetched.version,
            requests=fetched.requests,
            waited_seconds=fetched.waited_seconds,
            rejected=len(session.rejected),
            notes=(*fetched.notes, *_note_withdrawn(numbers["withdrawn"])),
            present=frozenset(each.symbol for each in of_tracked if day in each.present),
            empty={each.symbol: each.empty[day] for each in of_tracked if day in each.empty},
            ended={each.symbol: each.ended[day] for each in of_tracked if day in each.ended},
            loaded=numbers["loaded"],
            revised=numbers["revised"],
            unchanged=numbers["unchanged"],
            withdrawn=numbers["withdrawn"],
            flagged=numbers["flagged"],
            tickers=numbers["tickers"],
        )


def _note_withdrawn(bars: int) -> list[str]:
    return [f"{format_count(bars, 'bar')} withdrawn, which the vendor no longer gives"] if bars else []


def _keep_vwap(bars: Columns, held: Columns) -> None:
    """Give bars of flat files, which have no vwap, that of the stored bar where all other values are equal."""
    at, is_held = find_bars(bars, held)
    same = bars["is_file"] & is_held
    for name in VALUE_COLUMNS if same.any() else ():
        if name != "vwap":
            ours, theirs = bars[name], held[name][at]
            same &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    bars["vwap"][same] = held["vwap"][at[same]]
