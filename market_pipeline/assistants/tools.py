"""Tools of an assistant. Their docstrings and the descriptions of their parameters are what a model reads of them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from market_pipeline.api.context import ReadingContext
from market_pipeline.assistants.analyst_query import AnalystQueries
from market_pipeline.assistants.api_requests import ApiRequests, to_rows
from market_pipeline.assistants.arguments import check_text, parse_day
from market_pipeline.assistants.problem_report import (
    ProblemReport,
    read_missing_market_sessions,
    read_rejected_bars,
    read_tracked,
    to_gaps,
)
from market_pipeline.assistants.results import Rows, ToolProblem
from market_pipeline.assistants.universe_rows import read_universe
from market_pipeline.core.symbols import Symbol
from market_pipeline.warehouse import coverage
from market_pipeline.warehouse.symbol_names import find_alias

SymbolName = Annotated[str, Field(description="A symbol as list_symbols has it, or a ticker that it had: FB is META.")]
Day = Annotated[str | None, Field(description="YYYY-MM-DD, included; without it there is no bound.")]
AsOf = Annotated[
    str | None,
    Field(description="An instant, e.g. 2026-03-01T12:00:00Z: everything as it was stored then. Default: now."),
]
Health = Annotated[
    Literal["fine", "behind", "attention"] | None,
    Field(description="Only symbols in this state; attention: a person has to act. Default: all."),
]

_BAR = ("date", "open", "high", "low", "close", "volume", "vwap", "flags")
_SPLIT = ("execution_date", "split_from", "split_to")
_DIVIDEND = ("ex_dividend_date", "cash_amount", "currency", "dividend_type", "declaration_date", "pay_date")
_REJECTED = ("kind", "date", "reasons", "listed")
_HEALTH = ("first_session", "last_session", "loaded", "missing", "health", "health_reason")
_REFERENCE = ("symbol", "name", "asset_class", "active")
_SEARCH = """
    SELECT symbol FROM tracked_symbols
    WHERE starts_with(lower(symbol), %(text)s) OR strpos(lower(name), %(text)s) > 0
    ORDER BY symbol LIMIT %(limit)s
"""
_LATER = "send it again with start set to the day after the last one"


class Coverage(BaseModel):
    """Coverage of a symbol: its sessions by state, and its gaps."""

    symbol: str
    counts: dict[str, Any] = Field(description="The row of the view coverage, whose columns the schema describes.")
    gaps: Rows = Field(description="Sessions without a bar, as ranges with state and reason.")
    note: str | None = None


class CorporateActions(BaseModel):
    """Splits and dividends of a symbol by date, announced ones included."""

    symbol: str
    splits: Rows = Field(description="execution_date is the first session after the split.")
    dividends: Rows = Field(description="cash_amount per share, as paid, in currency.")
    rejected: Rows = Field(description="Splits and dividends that contradict themselves, and so are not applied.")
    note: str | None = None


class Tools:
    """The tools over one warehouse. None of them changes anything."""

    def __init__(self, context: ReadingContext, queries: AnalystQueries) -> None:
        self._context, self._queries = context, queries
        self._requests = ApiRequests(context)

    async def list_symbols(
        self,
        search: Annotated[
            str | None, Field(description="The beginning of a symbol, or a part of a company's name.")
        ] = None,
        health: Health = None,
        limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    ) -> Rows:
        """List the symbols of the warehouse with their first and last session, health and the reason for it."""
        columns = (*_REFERENCE, *_HEALTH)
        names = await self._search(search, limit + 1) if search else None
        conditions = [("symbol", _build_filter(names))] if names is not None else []
        conditions += [("health", f"eq.{health}")] if health else []
        select = ("select", ",".join(("symbol", *_HEALTH)))
        body = await self._requests.request_table("coverage", *conditions, select, ("limit", limit + 1))
        covered = {record["symbol"]: record for record in body["data"]}
        listed = sorted(covered if names is None or health else names)
        reference = await self._requests.request_table(
            "tracked_symbols",
            ("symbol", _build_filter(listed)),
            ("select", ",".join(_REFERENCE)),
            ("limit", limit + 1),
        )
        records = [{**dict.fromkeys(_HEALTH), **covered.get(row["symbol"], {}), **row} for row in reference["data"]]
        records.sort(key=lambda record: str(record["symbol"]))
        note = None if records else "No symbol: `market-pipeline symbols init` tracks the starting set."
        if not records and (search or health):
            note = "No symbol meets the conditions: leave out search or health."
        found = {"data": records[:limit], "truncated": len(records) > limit}
        return to_rows(found, columns, [note], "add search or health, or raise limit")

    async def get_coverage(self, symbol: SymbolName) -> Coverage:
        """Count a symbol's sessions by state (loaded, rejected, empty, ...), and list its gaps with their reasons."""
        name, note = await self._resolve(symbol)
        body = await self._requests.request_table("coverage", ("symbol", f"eq.{name}"))
        if not body["data"]:
            raise ToolProblem(f"{name} is not fetched at present, so no session of it counts as missing: use get_bars")
        gaps = await asyncio.to_thread(coverage.list_gaps, self._context.warehouse, [name])
        return Coverage(symbol=name, counts=body["data"][0], gaps=to_gaps(gaps), note=note)

    async def get_bars(
        self,
        symbol: SymbolName,
        start: Day = None,
        end: Day = None,
        adjustment: Annotated[
            Literal["none", "splits", "all"] | None,
            Field(
                description="none: prices as traded; splits: adjusted for splits; all: for splits and dividends, to "
                "compute returns. Default: splits, and with as_of none."
            ),
        ] = None,
        as_of: AsOf = None,
        limit: Annotated[int, Field(ge=1, le=5000, description="The most bars; the earliest ones are returned.")] = 500,
    ) -> Rows:
        """Return a symbol's daily bars by date: open, high, low, close, volume, vwap, and the rules that flagged them.

        Prices are US dollars. Prices whose adjustment is not known are null, and the note has the reason.
        """
        body = await self._requests.request_bars(
            symbol,
            [("start", start), ("end", end), ("adjustment", adjustment), ("as_of", as_of), ("limit", limit)],
        )
        return to_rows(body, _BAR, [f"{body['symbol']}, adjustment {body['adjustment']}.", body["note"]], _LATER)

    async def get_universe(
        self,
        *,
        date: Annotated[str, Field(description="The session, YYYY-MM-DD.")],
        market: Annotated[str, Field(description="A tracked market.")] = "us-stocks",
        types: Annotated[
            list[str] | None, Field(description="The vendor's type codes, e.g. CS (common stock), ETF. Default: all.")
        ] = None,
        min_price: Annotated[float | None, Field(ge=0, description="Least closing price as traded.")] = None,
        min_dollar_volume: Annotated[
            float | None, Field(ge=0, description="Least median of the dollar volume of the last 20 bars.")
        ] = None,
        as_of: AsOf = None,
        limit: Annotated[int, Field(ge=1, le=5000, description="The most tickers, by dollar volume.")] = 200,
    ) -> Rows:
        """Return the tickers that traded on a session of a whole market, by dollar volume, delisted ones included."""
        return await read_universe(self._context, (date, as_of), market, types, (min_price, min_dollar_volume), limit)

    async def get_corporate_actions(self, symbol: SymbolName, start: Day = None, end: Day = None) -> CorporateActions:
        """Return a symbol's splits and dividends by date, and those that were rejected with the reasons."""
        for argument, text in (("start", start), ("end", end)):
            if text is not None:
                parse_day(argument, text)
        name, note = await self._resolve(symbol)
        found = [
            await self._read_actions(name, table, columns, start, end)
            for table, columns in (
                ("splits", _SPLIT),
                ("dividends", _DIVIDEND),
                ("rejected_corporate_actions", _REJECTED),
            )
        ]
        return CorporateActions(symbol=name, splits=found[0], dividends=found[1], rejected=found[2], note=note)

    async def find_problems(
        self,
        symbol: Annotated[
            str | None, Field(description="Only problems of this symbol. Default: of everything.")
        ] = None,
    ) -> ProblemReport:
        """Find what is wrong with the data and why, each problem with the operator's command that fixes it.

        Symbols that need attention, missing sessions, rejected bars, failed sessions of whole markets, and adjusted
        prices that are not known. It runs no command: pass the commands on to the operator.
        """
        name = (await self._resolve(symbol))[0] if symbol else None
        symbols = None
        if name:
            body = await self._requests.request_table("tracked_symbols", ("symbol", f"eq.{name}"))
            symbols = [Symbol.of(name, body["data"][0]["asset_class"])]
        parts = await asyncio.to_thread(read_tracked, self._context.warehouse, self._context.settings, symbols)
        rejected = await read_rejected_bars(self._requests, name)
        markets = Rows(columns=[], rows=[], count=0, truncated=False)
        if not name:
            markets = await read_missing_market_sessions(self._requests)
        return ProblemReport(**parts, rejected_bars=rejected, market_sessions=markets)

    async def query(
        self,
        sql: Annotated[
            str,
            Field(
                description="One query in PostgreSQL's SQL: SELECT, WITH, VALUES or TABLE. Read warehouse://schema "
                "first. Tables of the schema analytics need that prefix."
            ),
        ],
        limit: Annotated[int, Field(ge=1, le=5000, description="The most rows that are returned.")] = 200,
    ) -> Rows:
        """Execute a read-only SQL query on the warehouse as the analysts' tables, within 15 seconds.

        Nothing can be changed. Aggregate in SQL instead of reading many rows.
        """
        return await self._queries.execute(sql, limit)

    async def _search(self, text: str, limit: int) -> Sequence[str]:
        """Return the symbols that begin with a text, or whose names contain it, in any case.

        Raises:
            ToolProblem: the text can't be searched for.
        """
        check_text("search", text)
        rows = await self._context.reader.rows(_SEARCH, {"text": text.lower(), "limit": limit})
        return [symbol for (symbol,) in rows]

    async def _resolve(self, symbol: str) -> tuple[str, str | None]:
        """Return the symbol of this name or former ticker, and a note if it is one.

        Raises:
            ToolProblem: there is none.
        """
        body = await self._requests.request_table("tracked_symbols", ("symbol", f"eq.{symbol}"), ("select", "symbol"))
        if body["data"]:
            return symbol, None
        alias = await asyncio.to_thread(find_alias, self._context.warehouse, symbol, active_only=False)
        if alias is None:
            raise ToolProblem(
                f"{symbol} is not tracked: list_symbols finds symbols by name; an operator adds one by "
                "`market-pipeline symbols add`"
            )
        return alias.symbol.name, alias.note

    async def _read_actions(
        self, name: str, table: str, columns: Sequence[str], start: str | None, end: str | None
    ) -> Rows:
        day = next(column for column in columns if column.endswith("date"))
        bounds = [(day, f"gte.{start}") if start else None, (day, f"lte.{end}") if end else None]
        body = await self._requests.request_table(
            table, ("symbol", f"eq.{name}"), *(bound for bound in bounds if bound), ("select", ",".join(columns)),
            ("order", day), ("limit", 1000),
        )  # fmt: skip
        return to_rows(body, columns, [], _LATER)


def _build_filter(names: Sequence[str]) -> str:
    quoted = ",".join(f'"{name}"' for name in names)
    return f"in.({quoted})"
