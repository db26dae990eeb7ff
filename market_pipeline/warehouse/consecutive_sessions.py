"""The loading of consecutive sessions of a market, in the transaction of `market_loading`.

The bars of all symbols and sessions are in the same arrays, by symbol and date: so they are stored, as a symbol's bars
are read together more often than a session's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from market_pipeline.core.bars import VALUE_COLUMNS, Columns, bar_keys, select_rows
from market_pipeline.core.market_bars import CheckedSession
from market_pipeline.core.markets import Market, Origin
from market_pipeline.core.sessions import last_sessions, sessions_between
from market_pipeline.warehouse.adjustment import refresh_factors_after_load
from market_pipeline.warehouse.empty_sessions import empty_sessions, ended_sessions
from market_pipeline.warehouse.flagging import REACH, ChangedBars, FindFlags, flag_bars
from market_pipeline.warehouse.held_bars import SymbolSpan, read_held_bars
from market_pipeline.warehouse.load_history import LoadRequest, LoadResult, record_loads
from market_pipeline.warehouse.loading import RejectedBar, store_rejected
from market_pipeline.warehouse.loads import ensure_load
from market_pipeline.warehouse.market_records import MarketLoadResult, MarketRun
from market_pipeline.warehouse.market_symbols import ChangedSpans, MarketSymbol, MarketSymbols
from market_pipeline.warehouse.recent_bars import RecentBars
from market_pipeline.warehouse.statements import array_text, statement
from market_pipeline.warehouse.upsert import Rows, compare_bars, find_bars, merge_bars, write_bars

DAY = timedelta(days=1)

MARGIN = 8
"""Sessions beyond REACH that are read before and after: most symbols have enough bars in them, without one each."""

SYMBOLS_FLAGGED_TOGETHER = 1_000
"""Symbols whose flags are found at once."""

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
        if is_new.any() or differs.any() or is_withdrawn.any():
            load_id = ensure_load(self._connection, self._run.run_id, self._run.source)
            write_bars(self._connection, load_id, bars, is_new, differs)
            self._withdraw(withdrawn)
            held = select_rows(held, ~is_withdrawn) if is_withdrawn.any() else held
            changes = _find_spans(bars, is_new | differs, withdrawn)
            self._symbols.refresh(changes, tickers)
            self._flag(changes, bars, held, find_flags)
            self._keep_recent(load_id, bars, held)
        self._store_rejected(rejected)
        verdicts = _Verdicts(is_new, differs, self._read_flagged(bars))
        counted = _Counts(self._days, bars, verdicts, held, withdrawn)
        of_tracked = self._record_tracked(counted, rejected)
        return [self._count(place, session, counted, of_tracked) for place, session in enumerate(self._sessions)]

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
        renamed = [ticker for ticker in tickers if self._symbols.is_shared(ticker)]
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
        self._first = last_sessions(self._market.calendar, self._days[0], REACH + MARGIN + 1)[0]
        after = sessions_between(self._market.calendar, self._days[-1], self._days[-1] + 2 * (REACH + MARGIN) * DAY)
        self._last = after[: REACH + MARGIN + 1][-1]
        return self._recent.take(self._connection, [*self._symbols.by_id], self._first, self._last)

    def _keep_recent(self, load_id: int, bars: Columns, held: Columns) -> None:
        """Keep the stored bars that the sessions after these will need."""
        first = last_sessions(self._market.calendar, self._days[-1], REACH + MARGIN)[0]
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

    def _withdraw(self, bars: Columns) -> None:
        if len(bars["date"]):
            which = {"symbol_ids": bars["place"].tolist(), "dates": bars["date"].tolist()}
            self._connection.execute(statement("withdraw_bars"), which)
            self._connection.execute(statement("explain_withdrawn_bars"), {**which, "reason": WITHDRAWN})

    def _flag(self, changes: ChangedSpans, bars: Columns, held: Columns, find_flags: FindFlags) -> None:
        """Bring the flags of changed bars, and the factors of tracked symbols, up to date.

        A part of the symbols at a time, so that few bars are in memory with all that the rules derive from them.
        """
        ids, firsts, lasts = changes.symbol_ids, changes.firsts, changes.lasts
        symbols = [self._symbols.by_id[each] for each in ids.tolist()]
        tracked = {each.name: first for each, first in zip(symbols, firsts.tolist(), strict=True) if each.is_tracked}
        if tracked:
            refresh_factors_after_load(self._connection, tracked)
        for start in range(0, len(ids), SYMBOLS_FLAGGED_TOGETHER):
            part = slice(start, start + SYMBOLS_FLAGGED_TOGETHER)
            own = merge_bars(_of_places(bars, ids[part]), _of_places(held, ids[part]))
            is_changed = np.isin(own["place"], ids[part])
            own = own if is_changed.all() else select_rows(own, is_changed)
            concerned = {**own, "place": np.searchsorted(ids[part], own["place"])}
            self._flag_part(ids[part], symbols[part], concerned, firsts[part], lasts[part], find_flags)

    def _flag_part(
        self,
        ids: NDArray[Any],
        symbols: Sequence[MarketSymbol],
        bars: Columns,
        firsts: NDArray[Any],
        lasts: NDArray[Any],
        find_flags: FindFlags,
    ) -> None:
        short = self._find_short(symbols, bars, firsts, lasts)
        if len(short):
            spans = list(map(SymbolSpan, ids[short].tolist(), firsts[short].tolist(), lasts[short].tolist()))
            looked_up, _ = read_held_bars(self._connection, spans, reach=REACH)
            others = select_rows(bars, ~np.isin(bars["place"], short))
            own = {**looked_up, "place": short[looked_up["place"]]}
            joined = {name: np.concatenate([others[name], own[name]]) for name in own}
            bars = select_rows(joined, np.argsort(bar_keys(joined), kind="stable"))
        having_bars = _distinct(bars["place"])
        if len(having_bars):
            place = bars["place"] if len(having_bars) == len(ids) else np.searchsorted(having_bars, bars["place"])
            changes = ChangedBars(
                [symbols[each].symbol for each in having_bars],
                ids[having_bars].tolist(),
                {"place": place, **{name: bars[name] for name in ("date", *VALUE_COLUMNS)}},
                firsts[having_bars].tolist(),
                lasts[having_bars].tolist(),
            )
            flag_bars(self._connection, changes, find_flags)

    def _find_short(
        self, symbols: Sequence[MarketSymbol], bars: Columns, firsts: NDArray[Any], lasts: NDArray[Any]
    ) -> NDArray[np.intp]:
        """Return the places of the symbols of whose bars before or after the changed ones too few are among `bars`."""
        places = np.arange(len(symbols))
        keys = bar_keys(bars)
        starts, ends = (np.searchsorted(bars["place"], each) for each in (places, places + 1))
        before = np.searchsorted(keys, bar_keys({"place": places, "date": firsts})) - starts
        after = ends - np.searchsorted(keys, bar_keys({"place": places, "date": lasts}), side="right")
        earlier = np.array([each.first is not None and each.first < self._first for each in symbols])
        later = np.array([each.last is not None and each.last > self._last for each in symbols])
        return np.flatnonzero((earlier & (before < REACH)) | (later & (after < REACH)))

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
            "symbol_ids": array_text(_distinct(bars["place"])),
            "first": self._days[0],
            "last": self._days[-1],
        }
        row = self._connection.execute(statement("flagged_sessions"), parameters).one()
        if row.symbol_ids is None:
            return np.zeros(len(bars["date"]), dtype=bool)
        flagged = {"place": np.array(row.symbol_ids), "date": np.array(row.days).astype("datetime64[D]")}
        at, is_accepted = find_bars(flagged, bars)
        is_flagged = np.zeros(len(bars["date"]), dtype=bool)
        is_flagged[at[is_accepted]] = True
        return is_flagged

    def _record_tracked(
        self, counted: "_Counts", rejected: Sequence[tuple[str | MarketSymbol, RejectedBar]]
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
        self, place: int, session: CheckedSession, counted: "_Counts", of_tracked: Sequence[LoadResult]
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
            notes=fetched.notes,
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


@dataclass(frozen=True)
class _Verdicts:
    """One verdict each on the bars of sessions: stored new, replaced another, flagged now."""

    is_new: Rows
    differs: Rows
    is_flagged: Rows


class _Counts:
    """Numbers of bars by session and by symbol, once all are stored."""

    def __init__(
        self, days: Sequence[date], bars: Columns, verdicts: _Verdicts, held: Columns, withdrawn: Columns
    ) -> None:
        self._days, self._bars, self._held, self._verdicts = days, bars, held, verdicts
        is_new, differs = verdicts.is_new, verdicts.differs
        in_order = np.array(days, dtype="datetime64[D]")
        _, is_given = find_bars(held, bars)  # others are tracked symbols'
        other = held["date"][~is_given & (held["date"] >= in_order[0]) & (held["date"] <= in_order[-1])]

        def count(which: Rows) -> NDArray[Any]:
            return np.bincount(bars["session"][which & ~bars["is_copy"]], minlength=len(days))

        self.by_session: Mapping[str, NDArray[Any]] = {
            "loaded": count(is_new),
            "revised": count(differs),
            "unchanged": count(~is_new & ~differs),
            "flagged": count(verdicts.is_flagged),
            "withdrawn": np.bincount(np.searchsorted(in_order, withdrawn["date"]), minlength=len(days)),
            "tickers": np.bincount(np.append(bars["session"], np.searchsorted(in_order, other)), minlength=len(days)),
        }

    def of_symbol(self, request: LoadRequest, symbol_id: int, rejected: Sequence[date | None]) -> LoadResult:
        """Return the result of the sessions for a tracked symbol."""
        own, stored = (
            slice(*np.searchsorted(each["place"], (symbol_id, symbol_id + 1))) for each in (self._bars, self._held)
        )
        is_new, differs = self._verdicts.is_new[own], self._verdicts.differs[own]
        held = sorted({*self._bars["date"][own].tolist(), *self._held["date"][stored].tolist()})
        return LoadResult(
            symbol=request.symbol.name,
            first_session=self._days[0],
            last_session=self._days[-1],
            sessions=len(request.due),
            answered=len(request.answered_sessions),
            loaded=int(is_new.sum()),
            revised=int(differs.sum()),
            unchanged=int((~is_new & ~differs).sum()),
            rejected=len(rejected),
            flagged=int(self._verdicts.is_flagged[own].sum()),
            present=frozenset(held).intersection(request.due),
            empty=empty_sessions(request, held, rejected),
            ended=ended_sessions(request),
            notes=request.notes,
        )


def _keep_vwap(bars: Columns, held: Columns) -> None:
    """Give bars of flat files, which have no vwap, that of the stored bar where all other values are equal."""
    at, is_held = find_bars(bars, held)
    same = bars["is_file"] & is_held
    for name in VALUE_COLUMNS if same.any() else ():
        if name != "vwap":
            ours, theirs = bars[name], held[name][at]
            same &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    bars["vwap"][same] = held["vwap"][at[same]]


def _of_places(bars: Columns, places: NDArray[Any]) -> Columns:
    """Return the bars from the first of some places to the last, with the columns that the rules need."""
    rows = slice(np.searchsorted(bars["place"], places[0]), np.searchsorted(bars["place"], places[-1], side="right"))
    return {name: bars[name][rows] for name in ("place", "date", *VALUE_COLUMNS)}


def _distinct(places: NDArray[Any]) -> NDArray[Any]:
    """Return the places that bars in order have, each once."""
    return places[np.flatnonzero(np.diff(places, prepend=-1))]


def _find_spans(bars: Columns, is_changed: Rows, withdrawn: Columns) -> ChangedSpans:
    """Return the first and the last of each symbol's changed bars, stored or withdrawn ones."""
    joined = {name: np.concatenate([bars[name][is_changed], withdrawn[name]]) for name in ("place", "date")}
    changed = select_rows(joined, np.argsort(bar_keys(joined), kind="stable"))
    ids = _distinct(changed["place"])
    starts = np.searchsorted(changed["place"], ids)
    ends = np.append(starts[1:], len(changed["date"])) - 1
    return ChangedSpans(ids, changed["date"][starts], changed["date"][ends], withdrawn["place"])
