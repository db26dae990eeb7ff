"""Parsers of option values: symbols, dates and instants; and the command class that rejects empty values."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from urllib.parse import urlsplit

import typer
from typer.core import TyperCommand

from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError

ALL = "*"
_LISTING = re.compile(r"[A-Za-z0-9.:]+-(US|unseen|\d{6})(-\d+)?", re.ASCII)
"""A name that a symbol of a market has beside a newer one with its ticker."""


class ParameterError(UsageError):
    """The value of an option or argument is invalid."""


class Command(TyperCommand):
    """A command that rejects empty arguments, which unset shell variables become."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Parse the arguments.

        Raises:
            ParameterError: one is empty, or invalid for its option.
        """
        for option in _find_empty(args):
            raise ParameterError(f"{option} is empty: give it a value (is a variable of the shell not set?)")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if error.param is None or type(error) is not typer.BadParameter:
                raise  # typer's message names the missing option
            name = error.param.opts[0] if error.param.param_type_name == "option" else str(error.param.name).upper()
            reason = error.message.removeprefix("Value error, ").removesuffix(".")  # pydantic's form of it
            raise ParameterError(f"{name}: {reason}") from None


def _find_empty(arguments: list[str]) -> Iterator[str]:
    """Yield the options with empty values, and "an argument" for each other empty argument."""
    for before, word in zip(["", *arguments], arguments, strict=False):
        if not word.strip():
            yield before if before.startswith("-") and "=" not in before else "an argument"
        elif word.startswith("--") and "=" in word and not word.partition("=")[2].strip():
            yield word.partition("=")[0]


@dataclass(frozen=True)
class SymbolChoice:
    """The symbols that an option selects, without duplicates; None for all of them."""

    names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return ALL if self.names is None else ",".join(self.names)


EVERY = SymbolChoice()


def parse_web_url(text: str) -> str:
    """Parse the URL of a web server, and return it without a slash at its end.

    Raises:
        BadParameter: it has no scheme of HTTP, or no host.
    """
    try:
        parts = urlsplit(text)
    except ValueError:  # of a bracket that is not closed
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(f"{text!r} is not a URL: write it as http://host:port")
    return text.rstrip("/")


def parse_symbols(text: str | SymbolChoice) -> SymbolChoice:
    """Parse a comma-separated list of symbols, or `*` for all.

    Raises:
        BadParameter: a name is empty, or `*` is one of several.
        SymbolError: a name is invalid in every asset class.
    """
    return _parse_choice(text, _check_form)


def parse_stored_symbols(text: str | SymbolChoice) -> SymbolChoice:
    """Parse a comma-separated list of symbols, or `*`; a name of an ended listing, such as META-202201, is accepted.

    Raises:
        BadParameter: a name is empty, or `*` is one of several.
        SymbolError: a name is invalid in every asset class.
    """
    return _parse_choice(text, lambda name: None if _LISTING.fullmatch(name) else _check_form(name))


def _parse_choice(text: str | SymbolChoice, check: Callable[[str], None]) -> SymbolChoice:
    if isinstance(text, SymbolChoice):  # an option's default is parsed too
        return text
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == (ALL,):
        return SymbolChoice()
    if "" in names:
        raise typer.BadParameter(f"{text!r} has an empty name (is a variable of the shell not set?): write it as A,B,C")
    if ALL in names:
        raise typer.BadParameter(f"{text!r} has names beside *, which is all of them: give one or the other")
    for name in names:
        check(name)
    return SymbolChoice(names)


def parse_symbol(text: str) -> str:
    """Parse one symbol.

    Raises:
        SymbolError: it is invalid in every asset class.
    """
    _check_form(text.strip())
    return text.strip()


def _check_form(name: str) -> None:
    """Check that a name is valid in some asset class."""
    if len(name.split()) > 1:
        raise typer.BadParameter(f"{name!r} is not a ticker: put commas between symbols, as in A,B,C")
    errors = {}
    for kind in AssetClass:
        try:
            Symbol.of(name, kind)
        except SymbolError as error:
            errors[kind] = error
        else:
            return
    is_pair = name.upper().startswith("X:") or name.upper().endswith("USD")
    raise errors[AssetClass.CRYPTO if is_pair else AssetClass.STOCK]


def parse_codes(text: str) -> str:
    """Parse a comma-separated list of codes, and return it without blanks.

    Raises:
        BadParameter: a code is empty.
    """
    codes = [code.strip() for code in text.split(",")]
    if "" in codes:
        raise typer.BadParameter(f"{text!r} has an empty code (is a variable of the shell not set?): write it as A,B")
    return ",".join(codes)


def parse_amount(text: str) -> float:
    """Parse an amount of dollars from 0 on.

    Raises:
        BadParameter: it is none.
    """
    with suppress(ValueError):
        if isfinite(amount := float(text)) and amount >= 0:
            return amount
    raise typer.BadParameter(f"{text!r} is not an amount from 0 on: write it as 5, 0.25 or 1e6")


def parse_date(text: str) -> date:
    """Parse a date in the form YYYY-MM-DD; other forms of ISO 8601 are rejected.

    Raises:
        BadParameter: it is no such date.
    """
    with suppress(ValueError):
        parsed = date.fromisoformat(text)
        if parsed.isoformat() == text:
            return parsed
    raise typer.BadParameter(f"{text!r} is not a date: write it as YYYY-MM-DD")


def parse_instant(text: str) -> datetime:
    """Parse an instant in ISO 8601, with a time zone.

    Raises:
        BadParameter: it is no instant, or has no time zone.
    """
    instant = _parse_iso(text, "2026-03-01T12:00Z")
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: write it as 2026-03-01T12:00Z")
    try:
        instant.astimezone(UTC)
    except OverflowError:  # such as the year 1 east of Greenwich
        raise typer.BadParameter(f"{text!r} is not between the years 1 and 9999 in UTC") from None
    return instant


def parse_utc_instant(text: str) -> datetime:
    """Parse an instant in ISO 8601, taken as UTC if it has no time zone.

    Raises:
        BadParameter: it is no instant.
    """
    instant = _parse_iso(text, "2024-06-04T02:00")
    return instant.replace(tzinfo=instant.tzinfo or UTC)


def _parse_iso(text: str, example: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an instant: write it as {example}") from None
