"""One request to one of the vendor's endpoints, as the endpoints see it. Knows nothing of the web framework."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from uuid import uuid4

from market_pipeline.sandbox.encoding import from_cursor
from market_pipeline.sandbox.endpoint_responses import TO_BEFORE_FROM, RejectedRequestError, bad_parameter, bad_time
from market_pipeline.sandbox.market import Market

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class ApiRequest:
    """A request: its address in parts, what it came with, and the market it asks."""

    market: Market
    path: Mapping[str, str]
    query: Mapping[str, str]
    address: str
    """The sandbox's own address as the client wrote it, without a path."""

    target: str
    """The path that was asked for, as it was written."""

    key: str | None = None
    accepts_gzip: bool = False
    request_id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters, those within a cursor included; what is written out counts.

        Raises:
            RejectedRequestError: the cursor can't be read.
        """
        written = {name: value for name, value in self.query.items() if name not in ("cursor", "apiKey")}
        return {**from_cursor(self.query["cursor"]), **written} if self.is_continued else written

    @property
    def is_continued(self) -> bool:
        """Whether it asks for a later page."""
        return "cursor" in self.query

    @property
    def adjusted(self) -> bool:
        """Whether prices are to be adjusted for splits; the vendor's default."""
        return self.parameters.get("adjusted", "true").lower() != "false"

    def envelope(self, **last: object) -> dict[str, object]:
        """What ends most bodies: status and request_id, then anything else."""
        return {"status": "OK", "request_id": self.request_id, **last}

    def day(self) -> date:
        """The date in the path.

        Raises:
            RejectedRequestError: it is none.
        """
        return moment(self.path["date"], "date", UTC)

    def time_range(self, zone: tzinfo) -> tuple[date, date]:
        """The dates that the path's `from` and `to` fall on, so snapped to the bars; both included.

        Raises:
            RejectedRequestError: one can't be read, or they are the wrong way round (except on a page behind the last).
        """
        first, last = (moment(self.path[name], name, zone) for name in ("from", "to"))
        if last < first and not self.is_continued:
            raise RejectedRequestError(TO_BEFORE_FROM)
        return first, last

    def limit(self, default: int, most: int) -> int:
        """The `limit`; beyond `most` it is `most`, and below one it is the default.

        Raises:
            RejectedRequestError: it is no number.
        """
        try:
            limit = int(self.parameters.get("limit", default))
        except ValueError:
            raise RejectedRequestError(bad_parameter("limit", "a number")) from None
        return min(limit, most) if limit > 0 else default


def moment(text: str, name: str, zone: tzinfo) -> date:
    """The date that a date or a time in milliseconds falls on in a time zone.

    Raises:
        RejectedRequestError: it is neither.
    """
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, zone).date()
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        pass
    raise RejectedRequestError(bad_time(name))
