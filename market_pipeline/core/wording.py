"""Parts of messages: numbers with their nouns, lists of names, commands to paste, a symbol in front of a text."""

import re
import shlex
from collections.abc import Sequence

NAMED = 5
"""The most names that a message lists."""


def format_count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 bar`, `1,234 bars`.

    Args:
        number: the count.
        noun: the singular.
        plural: if it is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def choose_verb(number: int) -> str:
    """Return the verb for a number: `is` for one, `are` for more."""
    return "is" if number == 1 else "are"


def quote_command(*words: object) -> str:
    """Return a command, quoted so that it works pasted into a shell."""
    return shlex.join(map(str, words))


def prefix_symbol(symbol: str, text: str) -> str:
    """Return a text with the symbol's name in front, once: `MSFT: no data`, `MSFT was delisted`."""
    return text if re.match(rf"{re.escape(symbol)}[ :,]", text) else f"{symbol}: {text}"


def name_some(names: Sequence[str]) -> str:
    """Return the first few of some names, and how many more there are: `AAPL, MSFT and 13 more`."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
