"""Values that several commands take alike: symbols, dates and instants, and that none of them may be empty."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

import typer
from typer.core import TyperCommand

from market_pipeline.core.errors import UsageError
from market_pipeline.core.symbols import AssetClass, Symbol, SymbolError

ALL = "*"


class ParameterError(UsageError):
    """An option or argument that can't be used."""


class Command(TyperCommand):
    """A command that takes no empty argument, which is what an unset variable of a shell becomes."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the arguments.

        Raises:
            ParameterError: one is empty, or can't be what its option takes.
        """
        for option in _empty(args):
            raise ParameterError(f"{option} is empty: give it a value (is a variable of the shell not set?)")
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if error.param is None or type(error) is not typer.BadParameter:
                raise  # which option is missing, typer says
            name = error.param.opts[0] if error.param.param_type_name == "option" else str(error.param.name).upper()
            raise ParameterError(f"{name}: {error.message}") from None


def _empty(arguments: list[str]) -> Iterator[str]:
    """The options whose values are empty, and "an argument" for what is not an option's."""
    for before, word in zip(["", *arguments], arguments, strict=False):
        if not word.strip():
            yield before if before.startswith("-") and "=" not in before else "an argument"
        elif word.startswith("--") and "=" in word and not word.partition("=")[2].strip():
            yield word.partition("=")[0]


@dataclass(frozen=True)
class SymbolChoice:
    """The symbols that an option names, each once; None for all of them."""

    names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return ALL if self.names is None else ",".join(self.names)


EVERY = SymbolChoice()


def parse_symbols(text: str | SymbolChoice) -> SymbolChoice:
    """The symbols of a comma-separated list, or all of them for `*`.

    Raises:
        BadParameter: a name is empty, or `*` is one of several.
        SymbolError: a name is no ticker of any asset class.
    """
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
        _check_form(name)
    return SymbolChoice(names)


def parse_symbol(text: str) -> str:
    """One symbol.

    Raises:
        SymbolError: it is no ticker of any asset class.
    """
    _check_form(text.strip())
    return text.strip()


def _check_form(name: str) -> None:
    """Let the ticker of any asset class pass."""
    if len(name.split()) > 1:
        raise typer.BadParameter(f"{name!r} is not a ticker: put commas between symbols, as in A,B,C")
    refused = {}
    for kind in AssetClass:
        try:
            Symbol.of(name, kind)
        except SymbolError as error:
            refused[kind] = error
        else:
            return
    is_pair = name.upper().startswith("X:") or name.upper().endswith("USD")
    raise refused[AssetClass.CRYPTO if is_pair else AssetClass.STOCK]


def parse_date(text: str) -> date:
    """A date written as YYYY-MM-DD, and in no other form of ISO 8601.

    Raises:
        BadParameter: it is none.
    """
    with suppress(ValueError):
        parsed = date.fromisoformat(text)
        if parsed.isoformat() == text:
            return parsed
    raise typer.BadParameter(f"{text!r} is not a date: write it as YYYY-MM-DD")


def parse_instant(text: str) -> datetime:
    """An instant in ISO 8601, with its time zone.

    Raises:
        BadParameter: it is none, or has no time zone.
    """
    instant = _instant(text, "2026-03-01T12:00Z")
    if instant.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: write it as 2026-03-01T12:00Z")
    return instant


def parse_utc_instant(text: str) -> datetime:
    """An instant in ISO 8601, UTC where it has no time zone.

    Raises:
        BadParameter: it is none.
    """
    instant = _instant(text, "2024-06-04T02:00")
    return instant.replace(tzinfo=instant.tzinfo or UTC)


def _instant(text: str, example: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an instant: write it as {example}") from None
