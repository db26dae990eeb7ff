"""A scanner of PostgREST's parameters: names, quoted values, and errors with their position."""

import re
from typing import NoReturn

from market_pipeline.api.postgrest.rest_errors import RestError

_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPACES = re.compile("[ \t]*")


class Scanner:
    """Text of a parameter and the position up to which it has been read. `subject` names it in errors."""

    def __init__(self, text: str, subject: str) -> None:
        self._text, self._subject = text, subject
        self.position = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read what the pattern matches here; None if it doesn't."""
        found = pattern.match(self._text, self.position)
        if found is not None:
            self.position = found.end()
        return found

    def read(self, pattern: re.Pattern[str]) -> str:
        """Read the text that the pattern matches here; "" if it doesn't."""
        found = self.match(pattern)
        return found[0] if found is not None else ""

    def take(self, literal: str) -> bool:
        """Read this text if it is next; return True if it was."""
        if not self._text.startswith(literal, self.position):
            return False
        self.position += len(literal)
        return True

    def skip_spaces(self) -> None:
        """Read spaces and tabs."""
        self.match(_SPACES)

    @property
    def is_at_end(self) -> bool:
        """True if all has been read."""
        return self.position == len(self._text)

    def expect_end(self, expected: str) -> None:
        """Check that all has been read.

        Raises:
            RestError: there is more.
        """
        if not self.is_at_end:
            self.fail(expected)

    def read_name(self) -> str:
        """Read a name, quoted or not.

        Raises:
            RestError: there is none.
        """
        quoted = self.read_quoted(ends_value=False)
        name = self.read(_NAME).strip() if quoted is None else quoted
        if not name:
            self.fail("expecting field name (* or [a..z0..9_$])")
        return name

    def read_quoted(self, *, ends_value: bool = True) -> str | None:
        """Read a text in double quotes, without its escapes; None if there is none.

        `ends_value`: a comma, a parenthesis or the end has to follow, otherwise the quotes are part of a plain value.
        """
        found = _QUOTED.match(self._text, self.position)
        if found is None or (ends_value and self._text[found.end() : found.end() + 1] not in ("", ",", ")")):
            return None
        self.position = found.end()
        return _ESCAPE.sub(r"\1", found[1])

    def fail(self, expected: str, position: int | None = None) -> NoReturn:
        """Raise the error of a text that is not as expected at this position, or at an earlier one.

        Raises:
            RestError: always.
        """
        at = self.position if position is None else position
        found = f'unexpected "{self._text[at]}"' if at < len(self._text) else "unexpected end of input"
        message = f'"failed to parse {self._subject} ({self._text})" (line 1, column {at + 1})'
        raise RestError(400, "PGRST100", message, details=f"{found} {expected}")
