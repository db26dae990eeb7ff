"""Lazy commands: the module of a command is imported when the command is used, since most take long to import."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from market_pipeline.cli.parameters import Command


class PassthroughCommand(TyperCommand):
    """A command that passes all arguments to another program, `--help` and `--` included."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Keep the arguments unparsed in `ctx.args`."""
        ctx.args = list(args)
        return ctx.args


@dataclass(frozen=True)
class LazyCommand:
    """Location of a command in `cli`: a module, and in it a function or a `typer.Typer` with subcommands."""

    module: str
    name: str
    cls: type[TyperCommand] = Command

    def load(self, as_name: str) -> Any:
        """Import the command and return it under the name `as_name`."""
        found = getattr(import_module(f"market_pipeline.cli.{self.module}"), self.name)
        app = typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            for command in found.registered_commands:
                if command.cls in (None, TyperCommand):
                    command.cls = self.cls
            app.add_typer(found, name=as_name)
            return typer.main.get_group(app).commands[as_name]
        app.command(as_name, cls=self.cls)(found)
        return typer.main.get_command(app)


class _LazyCommands(Mapping[str, Any]):
    """Commands by name, each imported when it is looked up."""

    def __init__(self, commands: Mapping[str, LazyCommand]) -> None:
        self._commands = commands

    def __getitem__(self, name: str) -> Any:
        return self._commands[name].load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


def create_lazy_group(commands: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """Return the class of a group of these commands, in their order. Its `--help` imports them all."""

    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = _LazyCommands(commands)  # type: ignore[assignment]  # commands are never added to it

        def list_commands(self, _ctx: Any) -> list[str]:
            return list(commands)

    return LazyGroup
