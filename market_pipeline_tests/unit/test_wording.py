"""Words of messages."""

import shlex
from pathlib import Path

import pytest

from market_pipeline.core.wording import choose_verb, format_count, prefix_symbol, quote_command

PACKAGE = Path(__file__).parents[2] / "market_pipeline"


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 bars are"), (1, "1 bar is"), (2, "2 bars are"), (1234, "1,234 bars are")]
)
def test_a_number_and_its_noun_agree(number: int, expected: str) -> None:
    assert f"{format_count(number, 'bar')} {choose_verb(number)}" == expected


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert [format_count(number, "process", "processes") for number in (1, 2)] == ["1 process", "2 processes"]


def test_a_command_can_be_pasted_into_a_shell() -> None:
    words = ["market-pipeline", "backfill", "--symbols", "*", "--folder", "/a b/it's"]
    assert shlex.split(quote_command(*words)) == words
    assert quote_command("backfill", "--symbols", "AAPL,BRK.B") == "backfill --symbols AAPL,BRK.B"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no data", "MSFT: no data"),
        ("MSFT was delisted", "MSFT was delisted"),
        ("MSFT: no data", "MSFT: no data"),
        ("MSFTX was delisted", "MSFT: MSFTX was delisted"),
    ],
)
def test_a_symbol_is_named_once(text: str, expected: str) -> None:
    assert prefix_symbol("MSFT", text) == expected
