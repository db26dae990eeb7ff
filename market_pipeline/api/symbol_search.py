"""The endpoint `/api/v1/symbols/search`: symbols by the beginning of a ticker or a part of a name, as one types."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from market_pipeline.api.admin.auth import NO_NULL
from market_pipeline.api.context import Context, InContext
from market_pipeline.warehouse.statements import read_driver_statement

MATCHING, FIRST, SUMMARIES = map(read_driver_statement, ("matching_symbols", "first_symbols", "symbol_summaries"))

SHORTEST_IN_NAME = 2
"""Characters of a text that is also searched for in names: a single one is in most of them."""

router = APIRouter(tags=["overview"])


class FoundSymbol(BaseModel):
    """A symbol that a search found, tracked or of a whole market."""

    symbol: str
    asset_class: str
    calendar: str
    market: str | None = Field(description="The market whose sessions have it; null if none does.")
    name: str | None
    tracked: bool = Field(description="True if its bars are fetched by symbol.")
    ended: bool = Field(description="True if it is delisted, or its listing has ended.")
    first_session: date | None = Field(description="Its first session with a bar; null without any.")
    last_session: date | None
    ticker: str | None = Field(description="The ticker that was found, if not the symbol's name: FB of META.")


class FoundSymbols(BaseModel):
    """The symbols that a search found, the best first."""

    truncated: bool = Field(description="True if there are more.")
    symbols: list[FoundSymbol]


@router.get("/api/v1/symbols/search", operation_id="search_symbols")
async def search_symbols(
    context: InContext,
    q: Annotated[
        str,
        Query(
            description="The beginning of a symbol or of a ticker that it has or had, or a part of a company's name; "
            "case is ignored. Without it: tracked symbols, then the largest of the markets.",
            examples=["appl"],
            max_length=100,
            pattern=NO_NULL,
        ),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> FoundSymbols:
    """Search the tracked symbols and all listings of the markets, those that have ended among them."""
    return await find_symbols(context, q, limit)


async def find_symbols(
    context: Context, typed: str, limit: int, *, asset_class: str | None = None, calendar: str | None = None
) -> FoundSymbols:
    """Return the symbols that a search finds, the best first; None: those of any asset class and calendar."""
    text = typed.strip()
    values = {"asset_class": asset_class, "calendar": calendar, "most": limit + 1}
    if text:
        escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        in_name = escaped if len(text) >= SHORTEST_IN_NAME else None
        matching = await context.reader.rows(MATCHING, {"text": escaped, "in_name": in_name, **values})
    else:
        matching = await context.reader.rows(FIRST, values)
    tickers = dict(matching[:limit])
    rows = await context.reader.rows(SUMMARIES, {"ids": [*tickers]})
    symbols = [
        FoundSymbol(
            **dict(zip(FoundSymbol.model_fields, row, strict=False)),
            ticker=ticker if ticker not in (None, row[0]) else None,
        )
        for row, ticker in zip(rows, tickers.values(), strict=True)
    ]
    return FoundSymbols(truncated=len(matching) > limit, symbols=symbols)
