"""A request to one of the vendor's endpoints, independent of the web framework."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from functools import cached_property
from random import getrandbits

from market_pipeline.vendor_format.encoding import decode_cursor
from market_pipeline.vendor_format.error_bodies import RejectedRequestError, describe_bad_parameter, describe_bad_time

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FLAGS = {"true": True, "false": False}
"""Truth values as the vendor writes them."""

DIRECTIONS = {"asc": False, "desc": True}


@dataclass(kw_only=True, eq=False)
class VendorRequest:
    """A request: the parts of its path, and its query. It is not frozen, as creating it would take 3 us more."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    address: Callable[[], str]
    """Returns the server's base URL as the client wrote it."""

    target: str
    """The path as the client wrote it."""

    request_id: str = field(default_factory=lambda: f"{getrandbits(128):032x}")

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The query's parameters, those within a cursor included; the query takes precedence.

        Raises:
            RejectedRequestError: the cursor can't be decoded.
        """
        return merge_cursor(self.query)

    @property
    def is_continued(self) -> bool:
        """True for a later page."""
        return "cursor" in self.query

    @property
    def adjusted(self) -> bool:
        """True if prices are to be adjusted for splits; the vendor's default."""
        return self.parameters.get("adjusted", "true").lower() != "false"

    @property
    def is_descending(self) -> bool:
        """True if bars are to be in order of falling time.

        Raises:
            RejectedRequestError: `sort` is neither asc nor desc.
        """
        return parse_direction(self.parameters.get("sort", "asc"), "sort")

    def envelope(self, **last: object) -> dict[str, object]:
        """Return the fields that end most bodies: status and request_id, then `last`."""
        return {"status": "OK", "request_id": self.request_id, **last}

    def day(self) -> date:
        """Parse the date in the path.

        Raises:
            RejectedRequestError: it is not a date.
        """
        return parse_time(self.path["date"], "date", UTC)

    def limit(self, default: int, most: int) -> int:
        """Parse `limit`; above `most` it is `most`, below one it is the default.

        Raises:
            RejectedRequestError: it is not a number.
        """
        return parse_limit(self.parameters.get("limit"), default, most)


def merge_cursor(query: Mapping[str, str]) -> Mapping[str, str]:
    """Return a query's parameters, those within a cursor included; the query takes precedence.

    Raises:
        RejectedRequestError: the cursor can't be decoded.
    """
    written = {name: value for name, value in query.items() if name.lower() not in ("cursor", "apikey")}
    return {**decode_cursor(query["cursor"]), **written} if "cursor" in query else written


def parse_limit(text: str | None, default: int, most: int) -> int:
    """Return a limit; above `most` it is `most`, missing or below one it is the default.

    Raises:
        RejectedRequestError: it is not a number.
    """
    if text is None:
        return default
    try:
        limit = int(text)
    except ValueError:
        raise RejectedRequestError(describe_bad_parameter("limit", "a number")) from None
    return min(limit, most) if limit > 0 else default


def parse_direction(text: str, name: str) -> bool:
    """Return True for desc, False for asc.

    Raises:
        RejectedRequestError: it is neither.
    """
    if text not in DIRECTIONS:
        raise RejectedRequestError(describe_bad_parameter(name, "asc or desc"))
    return DIRECTIONS[text]


def parse_time(text: str, name: str, zone: tzinfo) -> date:
    """Parse a date, or a time in milliseconds, to the date in a time zone.

    Raises:
        RejectedRequestError: it is neither.
    """
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
        if text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, zone).date()
    except (ValueError, OverflowError, OSError):
        pass
    raise RejectedRequestError(describe_bad_time(name))
