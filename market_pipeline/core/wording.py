"""Words of messages: numbers with their nouns, commands to paste, a symbol in front of what is said of it."""

import re
import shlex


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 bar`, `1,234 bars`.

    Args:
        number: how many.
        noun: in the singular.
        plural: where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def are(number: int) -> str:
    """The verb of a number: `is` for one, `are` for more."""
    return "is" if number == 1 else "are"


def pasteable(*words: object) -> str:
    """The words of a command, quoted so that it works pasted into a shell."""
    return shlex.join(map(str, words))


def under(symbol: str, text: str) -> str:
    """Text under a symbol's name, which it is not given twice: `MSFT: no data`, `MSFT was delisted`."""
    return text if re.match(rf"{re.escape(symbol)}[ :,]", text) else f"{symbol}: {text}"
