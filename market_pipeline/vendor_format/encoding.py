"""The vendor's encoding: JSON with Go's number format, and cursors. Text only, no bars and no HTTP.

Source: recorded bodies of the vendor's (`"v":7.0790813e+07`, `"l":18`, `cursor=bGltaXQ9MTAmc29ydD1hc2M`).
"""

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import numpy as np
import orjson

from market_pipeline.vendor_format.error_bodies import RejectedRequestError, bad_parameter

if TYPE_CHECKING:
    import numpy.typing as npt

MILLION = 1e6
SMALLEST = 1e-4
"""Below it the vendor's format has an exponent."""

FEW = 16
"""Numbers that are faster written one by one than as an array."""


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


def number_texts(
    values: "Sequence[float | None] | npt.NDArray[np.float64]", *, exponents: bool = True
) -> Sequence[str]:
    """Return numbers as the vendor writes them; an unknown one, None or NaN, is `null`.

    Args:
        values: positive numbers or zero, or unknown.
        exponents: write a million and more with an exponent, as in JSON; the flat files have none.
    """
    if isinstance(values, list) and len(values) < FEW and exponents:
        return ["null" if value is None else go_number(value) for value in values]
    if not len(values):
        return []
    array = np.ascontiguousarray(values, dtype=np.float64)
    text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    texts = text[1:-1].replace(".0,", ",").removesuffix(".0").split(",")
    special = (array < SMALLEST) | ((array >= MILLION) if exponents else False)
    for place in np.flatnonzero(special).tolist():
        number = float(array[place])
        texts[place] = go_number(number) if exponents else f"{number:.12f}".rstrip("0").rstrip(".")
    return texts


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
