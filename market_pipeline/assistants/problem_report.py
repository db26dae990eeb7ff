"""Report of all that is wrong with the data, and why: what `market-pipeline status` finds, with the rows behind it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Engine

from market_pipeline.assistants.api_requests import ApiRequests, to_rows
from market_pipeline.assistants.results import Rows
from market_pipeline.core.settings import Settings
from market_pipeline.core.symbols import Symbol
from market_pipeline.core.wording import format_count
from market_pipeline.warehouse import coverage
from market_pipeline.warehouse.adjustment import find_unknown_adjustments
from market_pipeline.warehouse.corporate_action_refresh import find_actions_behind
from market_pipeline.warehouse.tracked_markets import FETCHABLE
from market_pipeline.warehouse.tracked_symbols import list_active_symbols

MOST = 50
"""Rows of each list."""

_SYMBOL = ("symbol", "health", "health_reason", "first_session", "last_session", "missing", "fetchable")
_GAP = ("symbol", "first_session", "last_session", "sessions", "state", "reason")
_REJECTED = ("symbol", "date", "reasons", "last_rejected_at")
_SESSION = ("market", "date", "state", "reason")
_ALL = "query reads all of them"


class ProblemReport(BaseModel):
    """Problems of the data with their reasons, and the rows behind them. Nothing is wrong if `problems` is empty."""

    problems: list[str] = Field(description="Every problem in a sentence, with the operator's command that fixes it.")
    symbols: Rows = Field(description="Symbols that are not fine: behind, or in need of attention.")
    missing_sessions: Rows = Field(
        description="Sessions without a bar that a request may bring, as gaps with state and reason."
    )
    rejected_bars: Rows = Field(description="The newest bars that can't be true and were not stored, with the rules.")
    market_sessions: Rows = Field(description="Sessions of whole markets that are not stored, newest first.")
    unknown_adjustments: list[str] = Field(description="Symbols whose adjusted prices are not all known, and why.")


def read_tracked(engine: Engine, settings: Settings, symbols: Sequence[Symbol] | None) -> dict[str, Any]:
    """Return the report's parts that concern tracked symbols: of these, or of all and the markets."""
    from market_pipeline.operations.market_state import read_market_states  # imports Dagster
    from market_pipeline.operations.status import find_action_problems, find_data_problems

    now = datetime.now(UTC)
    names = [symbol.name for symbol in (list_active_symbols(engine) if symbols is None else symbols)]
    rows = coverage.read_coverage(engine, names)
    concerned = [row for row in rows if row["health"] != "fine"]
    gaps = [
        gap
        for gap in coverage.list_gaps(engine, [row["symbol"] for row in concerned])
        if gap["state"] in coverage.FILLABLE
    ]
    behind = [each for each in find_actions_behind(engine, now) if each.symbol in names]
    markets = read_market_states(engine, settings, now) if symbols is None else []
    return {
        "problems": [
            *find_data_problems(rows),
            *find_action_problems(behind),
            *(market.problem for market in markets if market.problem),
        ],
        "symbols": _take_first(_SYMBOL, concerned),
        "missing_sessions": _take_first(_GAP, gaps),
        "unknown_adjustments": [str(each) for each in find_unknown_adjustments(engine) if each.symbol in names],
    }


async def read_rejected_bars(requests: ApiRequests, symbol: str | None) -> Rows:
    """Return the newest rejected bars, of a symbol or of all."""
    filters = [("symbol", f"eq.{symbol}")] if symbol else []
    body = await requests.request_table(
        "rejected_bars",
        *filters,
        ("select", ",".join(_REJECTED)),
        ("order", "last_rejected_at.desc,id.desc"),
        ("limit", MOST),
    )
    return to_rows(body, _REJECTED, [], _ALL)


async def read_missing_market_sessions(requests: ApiRequests) -> Rows:
    """Return the newest sessions of whole markets that are not stored and can be fetched."""
    body = await requests.request_table(
        "market_sessions", ("state", f"in.({','.join(FETCHABLE)})"), ("select", ",".join(_SESSION)),
        ("order", "date.desc,market"), ("limit", MOST),
    )  # fmt: skip
    return to_rows(body, _SESSION, [], _ALL)


def to_gaps(gaps: Sequence[coverage.Row]) -> Rows:
    """Return gaps as rows."""
    return _take_first(_GAP[1:], gaps, len(gaps))


def _take_first(columns: Sequence[str], records: Sequence[coverage.Row], most: int = MOST) -> Rows:
    note = f"These are the first {most} of {format_count(len(records), 'row')}: name a symbol for all of its."
    rows = [[_to_plain(record[name]) for name in columns] for record in records[:most]]
    truncated = len(records) > most
    return Rows(
        columns=list(columns), rows=rows, count=len(rows), truncated=truncated, note=note if truncated else None
    )


def _to_plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
