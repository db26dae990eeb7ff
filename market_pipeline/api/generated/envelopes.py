"""Envelopes: the JSON before and after the rows of a response."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Envelope = Callable[[int, bool, str], tuple[bytes, bytes]]
"""Called with the number of rows, True if there are more, and `next` as JSON; returns the JSON around the rows."""


def build_table_envelope(count: int, truncated: bool, following: str) -> tuple[bytes, bytes]:
    """Return the JSON around a table's rows."""
    after = f'],"count":{count},"truncated":{"true" if truncated else "false"},"next":{following}}}'
    return b'{"data":[', after.encode()


def create_envelope(fields: Mapping[str, Any]) -> Envelope:
    """Create an envelope that begins with these fields."""
    begin = orjson.dumps(fields)[:-1]

    def envelope(count: int, truncated: bool, following: str) -> tuple[bytes, bytes]:
        counts = f',"count":{count},"truncated":{"true" if truncated else "false"},"next":{following},"data":['
        return begin + counts.encode(), b"]}"

    return envelope
