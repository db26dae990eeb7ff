"""Types of values in conditions: the texts that each PostgreSQL type accepts, for the parser and for OpenAPI.

The documented patterns are no wider than the parser, so a client generated from them sends nothing that is rejected.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

_DAY = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = rf"(?:19|20)[0-9]{{2}}-{_DAY}"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_ANYTHING = r"[^\x00]*"


@dataclass(frozen=True)
class ValueKind:
    """Form of a type's values.

    `shape` and `check` decide in the parser. `pattern` is documented, and narrower, since a regular expression
    can't check everything; `schema` is that of the values in responses.
    """

    called: str
    example: str
    shape: re.Pattern[str]
    check: Callable[[str], object]
    pattern: str
    schema: Mapping[str, Any]


def _check_finite(text: str) -> None:
    number = float(text)
    if not math.isfinite(number) or (number == 0 and re.search("[1-9]", text.lower().partition("e")[0])):
        raise ValueError(text)


def _create_whole_check(bits: int) -> Callable[[str], None]:
    def check(text: str) -> None:
        if not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
            raise ValueError(text)

    return check


def _check_instant(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(text)


def _check_text(text: str) -> None:
    text.encode()  # lone surrogates can't be stored


def _compile_shape(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.DOTALL)


_NUMBER = ValueKind(
    "a number such as 100.5",
    "100.5",
    _compile_shape(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    _check_finite,
    r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?",
    {"type": "number"},
)
_WHOLE = _compile_shape(r"[+-]?\d{1,30}")
_TEXT = ValueKind(
    "text without a null character", "AAPL", _compile_shape(_ANYTHING), _check_text, _ANYTHING, {"type": "string"}
)
VALUE_KINDS: Mapping[str, ValueKind] = {
    "text": _TEXT,
    "text[]": replace(_TEXT, example="unexplained_move", schema={"type": "array", "items": {"type": "string"}}),
    "json": replace(_TEXT, schema={}),
    "date": ValueKind(
        "a date such as 2024-01-31", "2024-01-31", _compile_shape(r"\d{4}-\d\d-\d\d"), date.fromisoformat, _DATE,
        {"type": "string", "format": "date"},
    ),
    "timestamp with time zone": ValueKind(
        "an instant with a time zone such as 2024-01-31T12:00:00Z (in a URL, + is %2B)",
        "2024-01-31T12:00:00Z",
        _compile_shape(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)"),
        _check_instant,
        rf"{_DATE}T{_TIME}Z",
        {"type": "string", "format": "date-time"},
    ),
    "double precision": _NUMBER,
    "numeric": _NUMBER,
    "bigint": ValueKind(
        "a whole number", "1000", _WHOLE, _create_whole_check(64), r"-?(?:0|[1-9][0-9]{0,17})",
        {"type": "integer", "format": "int64"},
    ),
    "integer": ValueKind(
        "a whole number", "1000", _WHOLE, _create_whole_check(32), r"-?(?:0|[1-9][0-9]{0,8})",
        {"type": "integer", "format": "int32"},
    ),
    "boolean": ValueKind(
        "true or false", "true", _compile_shape("true|false|t|f"), str, "true|false", {"type": "boolean"},
    ),
}  # fmt: skip


def find_value_kind(type_name: str) -> ValueKind:
    """Return the form of a PostgreSQL type's values; values of unknown types are text."""
    return VALUE_KINDS.get(type_name, _TEXT)


def is_valid(type_name: str, value: str) -> bool:
    """Return True if PostgreSQL accepts the text as a value of the type."""
    kind = find_value_kind(type_name)
    try:
        kind.check(value)
    except ValueError:
        return False
    return kind.shape.fullmatch(value) is not None


def is_not_finite(type_name: str, value: str) -> bool:
    """Return True for NaN and infinities, which a table may hold but no condition takes."""
    return find_value_kind(type_name) is _NUMBER and value in ("NaN", "Infinity", "-Infinity")
