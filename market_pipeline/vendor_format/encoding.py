"""The vendor's encoding: JSON with Go's number format, and cursors. Text only, no bars and no HTTP.

Source: recorded bodies of the vendor's (`"v":7.0790813e+07`, `"l":18`, `cursor=bGltaXQ9MTAmc29ydD1hc2M`).
"""

import base64
import binascii
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import orjson

from market_pipeline.vendor_format.error_bodies import RejectedRequestError, describe_bad_parameter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = Sequence[float | None] | npt.NDArray[np.float64]

MILLION = 1e6
DIGITS_OF_MILLION = 7
UNKNOWN = "null"
LARGE_OR_SMALL = re.compile(r",(?:\d{7}|0\.0000)")
"""Found before and in a number that may need another form than the shortest one."""


class JsonText(ABC):
    """A value that encodes itself."""

    @abstractmethod
    def to_json(self) -> str:
        """Return the value as JSON."""


def format_go_number(value: float) -> str:
    """Format a float as Go's strconv.FormatFloat(value, 'g', -1, 64) does: shortest, an exponent from a million up."""
    text = repr(value).removesuffix(".0")
    if value < MILLION or "e" in text:
        return text  # below a million Python writes what Go writes, small exponents included
    whole, _, fraction = text.partition(".")
    digits = (whole + fraction).rstrip("0")
    return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+{len(whole) - 1:02d}"


def format_numbers(values: "Numbers") -> list[str]:
    """Return positive numbers and zeros as the vendor writes them; None and NaN become `null`."""
    text = _join_shortest(values)
    parts = text.split(",") if text else []
    is_shortest = "e" not in text and LARGE_OR_SMALL.search(f",{text}") is None
    if is_shortest:
        return parts
    return [part if len(part) < DIGITS_OF_MILLION and "e" not in part else _rewrite(part) for part in parts]


def format_plain_numbers(values: "Numbers") -> list[str]:
    """Return positive numbers and zeros without exponents."""
    text = _join_shortest(values)
    parts = text.split(",") if text else []
    return [f"{float(part):.12f}".rstrip("0").rstrip(".") if "e" in part else part for part in parts]


def _join_shortest(values: "Numbers") -> str:
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1]
    return text.replace(".0,", ",").removesuffix(".0")


def _rewrite(text: str) -> str:
    """Write a number in the vendor's format."""
    if "e" in text or text.startswith("0.0000"):
        return format_go_number(float(text))
    whole, _, fraction = text.partition(".")
    exponent = len(whole) - 1
    if exponent < DIGITS_OF_MILLION - 1:
        return text
    digits = whole[1:] + fraction if fraction else whole[1:].rstrip("0")
    return f"{whole[0]}{'.' if digits else ''}{digits}e+{exponent:02d}"


# Looked up by type: json.dumps would take ten times as long, and can't write Go's numbers.
_ENCODERS: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    int: str,
    bool: {True: "true", False: "false"}.__getitem__,
    float: format_go_number,
    dict: lambda items: "{" + ",".join([f'"{key}":{to_json(item)}' for key, item in items.items()]) + "}",
    list: lambda items: "[" + ",".join([to_json(item) for item in items]) + "]",
}


def to_json(value: object) -> str:
    """Encode a value as JSON in the order of its keys, without blanks, with Go's numbers."""
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        return encode(value)
    return value.to_json() if isinstance(value, JsonText) else json.dumps(value)


def encode_cursor(parameters: Mapping[str, object]) -> str:
    """Encode parameters as a cursor: a query string in base64url without padding."""
    return base64.urlsafe_b64encode(urlencode(parameters).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> dict[str, str]:
    """Decode a cursor to its parameters.

    Raises:
        RejectedRequestError: the text is not a cursor in the vendor's form.
    """
    try:
        query = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        return dict(parse_qsl(query, strict_parsing=True))
    except (binascii.Error, ValueError):
        raise RejectedRequestError(describe_bad_parameter("cursor", "a next_url's cursor")) from None
