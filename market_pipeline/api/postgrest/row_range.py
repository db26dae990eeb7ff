"""Ranges of rows: `limit` and `offset`, the header Range, and Content-Range, as PostgREST reads and writes them.

See https://docs.postgrest.org/en/stable/references/api/pagination_count.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from market_pipeline.api.postgrest.rest_errors import RestError

LARGEST = 2**63 - 1
"""Of PostgreSQL's bigint, which LIMIT and OFFSET are."""

_ITEMS = re.compile(r"(\d{1,30})-(\d{0,30})", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,30}", re.ASCII)


@dataclass(frozen=True)
class RowRange:
    """A range of rows: the number of rows before it, and the most rows in it. Without a limit it has all others."""

    offset: int = 0
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        """True if no row is left out."""
        return self.offset == 0 and self.limit is None


def parse_range(parameters: Mapping[str, str], header: str) -> RowRange:
    """Return the rows that both the parameters and the header Range request.

    A header that is not of the form `0-9` or `10-`, and a parameter that is no whole number, have no effect.

    Raises:
        RestError: the range has no row, other than by `limit=0`.
    """
    limit = _parse_whole(parameters.get("limit", ""))
    offset = max(0, _parse_whole(parameters.get("offset", "")) or 0)
    if limit == 0:
        return RowRange(0, 0)
    end = None if limit is None else offset + limit
    found = _ITEMS.fullmatch(header)
    if found is not None:
        first, last = int(found[1]), int(found[2]) if found[2] else None
        if last is not None and last < first:
            raise _build_empty_range(
                "The lower boundary must be lower than or equal to the upper boundary in the Range header."
            )
        offset = max(offset, first)
        end = min((each for each in (end, None if last is None else last + 1) if each is not None), default=None)
    if end is not None and end <= offset:
        raise _build_empty_range("Limit should be greater than or equal to zero.")
    return RowRange(min(offset, LARGEST), None if end is None else min(end - offset, LARGEST))


def format_content_range(offset: int, count: int, total: int | None) -> str:
    """Return the header Content-Range of `count` rows after `offset` rows, of `total` if that is known."""
    rows = f"{offset}-{offset + count - 1}" if count and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}"


def choose_range_status(offset: int, count: int, total: int | None) -> int:
    """Return 206 if there are more rows than these, otherwise 200.

    Raises:
        RestError: the range begins after the last row.
    """
    if total is not None and offset > total:
        details = f"An offset of {offset} was requested, but there are only {total} rows."
        raise _build_empty_range(details, {"Content-Range": format_content_range(offset, 0, total)})
    return 206 if total is not None and count < total else 200


def _parse_whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None


def _build_empty_range(details: str, headers: Mapping[str, str] | None = None) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details, headers=headers)
