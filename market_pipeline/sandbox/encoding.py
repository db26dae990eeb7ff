"""The vendor's encoding: JSON with Go's number format, and cursors. Text only, no bars and no HTTP.

Source: recorded bodies of the vendor's (`"v":7.0790813e+07`, `"l":18`, `cursor=bGltaXQ9MTAmc29ydD1hc2M`).
"""

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from market_pipeline.sandbox.endpoint_responses import RejectedRequestError, bad_parameter

MILLION = 1e6


class JsonText(ABC):
    """A value that encodes itself."""

    @abstractmethod
    def to_json(self) -> str:
        """Return the value as JSON."""


def go_number(value: float) -> str:
    """Format a float as Go's strconv.FormatFloat(value, 'g', -1, 64) does: shortest, an exponent from a million up."""
    text = repr(value).removesuffix(".0")
    if value < MILLION or "e" in text:
        return text  # below a million Python writes what Go writes, small exponents included
    whole, _, fraction = text.partition(".")
    digits = (whole + fraction).rstrip("0")
    return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+{len(whole) - 1:02d}"


def to_json(value: object) -> str:
    """Encode a value as JSON in the order of its keys, without blanks, with Go's numbers."""
    if isinstance(value, float):
        return go_number(value)
    if type(value) is int:
        return str(value)  # json.dumps would do, in ten times as long
    if isinstance(value, dict):
        return "{" + ",".join([f'"{key}":{to_json(item)}' for key, item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([to_json(item) for item in value]) + "]"
    if isinstance(value, JsonText):
        return value.to_json()
    return json.dumps(value)


def to_cursor(parameters: Mapping[str, object]) -> str:
    """Encode parameters as a cursor: a query string in base64url without padding."""
    return base64.urlsafe_b64encode(urlencode(parameters).encode()).rstrip(b"=").decode()


def from_cursor(cursor: str) -> dict[str, str]:
    """Decode a cursor to its parameters.

    Raises:
        RejectedRequestError: the text is not a cursor in the vendor's form.
    """
    try:
        query = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        return dict(parse_qsl(query, strict_parsing=True))
    except (binascii.Error, ValueError):
        raise RejectedRequestError(bad_parameter("cursor", "a next_url's cursor")) from None
