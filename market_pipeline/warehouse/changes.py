"""The feed of changes: rows that came, changed or went since a point, in the order of loads, in pages.

The SQL function `changes` finds them (`sql/views/7_changes.sql`). A change is below as it is sent, as JSON.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine, text

from market_pipeline.warehouse.loads import NoInstantError, read_settled_point, settle
from market_pipeline.warehouse.tracked_symbols import build_never_tracked_error, read_names

KINDS = ("symbol", "security", "ticker", "bar", "split", "dividend", "factor")
"""The kinds of rows: those of symbol_identities, securities, security_tickers, market_data, splits, dividends and
adjustment_factors, in the order of a load's changes."""

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)

STATEMENT = """
    SELECT (SELECT row_to_json(r)::text FROM (SELECT point, kind, change, key, "values") AS r), place
    FROM public.changes({since}, CAST({after} AS jsonb), {most}, CAST({kinds} AS text[]), {symbol})
"""

BLOCK = 10_000
"""Changes read at a time."""

Place = Sequence[Any]


@dataclass(frozen=True)
class ChangeFilter:
    """A choice of changes by kind and by the present name of a symbol; None for all."""

    kinds: tuple[str, ...] | None = None
    symbol: str | None = None


def read_changes(engine: Engine, since: datetime, chosen: ChangeFilter) -> Iterator[str | datetime]:
    """Yield every change since a point as JSON, and at last the settled point up to which these are all.

    Raises:
        NoInstantError: `since` has no time zone, or is in the future.
        UnsettledError: loads under way may still change what is stored as of `since`.
        UntrackedSymbolError: the symbol never was tracked.
    """
    if chosen.symbol is not None:
        _check_tracked(engine, chosen.symbol)
    settle_since(engine, since)
    statement = text(STATEMENT.format(since=":since", after=":after", most=":most", kinds=":kinds", symbol=":symbol"))
    values = {"since": since, "most": BLOCK, "kinds": chosen.kinds and list(chosen.kinds), "symbol": chosen.symbol}
    place: Place | None = None
    while True:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            point = read_settled_point(connection)
            parameters = {**values, "after": place and json.dumps(place)}
            rows = connection.execute(statement, parameters).all()
        yield from (str(change) for change, _ in rows)
        if len(rows) < BLOCK:
            yield point
            return
        place = rows[-1][1]


def check_kinds(kinds: Sequence[str]) -> None:
    """Check that there are rows of these kinds.

    Raises:
        ValueError: of one there are none.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")


def settle_since(engine: Engine, since: datetime) -> None:
    """Settle the point from which on changes are read.

    Raises:
        NoInstantError: it is in the future.
        UnsettledError: loads under way may still change what is stored as of it.
    """
    try:
        settle(engine, since)
    except NoInstantError:
        raise NoInstantError(f"since: {since.isoformat()} is in the future: use an instant in the past") from None


def _check_tracked(engine: Engine, symbol: str) -> None:
    with engine.connect() as connection:
        known = read_names(connection)
    if symbol not in known:
        raise build_never_tracked_error([symbol], known)


def encode_cursor(place: Place) -> str:
    """Encode the place of a change, for the page after it."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> Place:
    """Decode a cursor to the place of a change.

    Raises:
        ValueError: it is none.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
        is_place = _is_place(place)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        is_place = False
    if not is_place:
        raise ValueError("is not a cursor of this feed: follow `next`")
    return list(place)


def _is_place(place: Any) -> bool:
    load, rank, number, name, day = place
    name.encode()  # half a character can't be sent
    are_numbers = all(type(part) is int for part in (load, rank, number))
    fit = max(abs(load), abs(rank)) < 2**31 and abs(number) < 2**63
    return are_numbers and fit and "\0" not in name and bool(date.fromisoformat(day))
