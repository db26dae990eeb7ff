"""The sandbox's encoding: numbers and cursors as recorded from the vendor."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pipeline.vendor_format.encoding import decode_cursor, encode_cursor, format_go_number, to_json
from market_pipeline.vendor_format.error_bodies import RejectedRequestError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (70790813.0, "7.0790813e+07"),
        (112117471.0, "1.12117471e+08"),
        (70661926.525697, "7.0661926525697e+07"),
        (1e6, "1e+06"),
        (394280.0, "394280"),
        (18.0, "18"),
        (133.41, "133.41"),
        (0.000012, "1.2e-05"),
        (0.0001, "0.0001"),
        (0.0, "0"),
    ],
)
def test_numbers_have_the_vendors_form(value: float, text: str) -> None:
    assert format_go_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert math.isclose(float(json.loads(format_go_number(value))), value, rel_tol=0)


def test_json_keeps_the_order_of_keys_and_every_type() -> None:
    body = {"ticker": 'a"b', "n": 3, "ok": True, "none": None, "v": [1.5, 2.0, 3e6]}
    assert to_json(body) == '{"ticker":"a\\"b","n":3,"ok":true,"none":null,"v":[1.5,2,3e+06]}'


def test_a_cursor_is_written_as_recorded() -> None:
    assert encode_cursor({"limit": 10, "sort": "asc"}) == "bGltaXQ9MTAmc29ydD1hc2M"
    assert decode_cursor("bGltaXQ9MTAmc29ydD1hc2M") == {"limit": "10", "sort": "asc"}


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), min_size=1))
def test_a_cursor_reads_back_as_its_parameters(parameters: dict[str, str]) -> None:
    assert decode_cursor(encode_cursor(parameters)) == parameters


@pytest.mark.parametrize("cursor", ["%%%", "bGlt!", "bm9ub25l", "_w"])
def test_an_invalid_cursor_is_rejected(cursor: str) -> None:
    with pytest.raises(RejectedRequestError, match="cursor"):
        decode_cursor(cursor)
