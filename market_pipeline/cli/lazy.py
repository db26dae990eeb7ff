"""Commands whose modules are imported when they are asked for: each needs a part of the project that others needn't."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from market_pipeline.cli.parameters import Command


@dataclass(frozen=True)
class LazyCommand:
    """Where a command is: a function, or a `typer.Typer` with commands of its own, in a module of `cli`."""

    module: str
    name: str
    cls: type[TyperCommand] = Command

    def load(self, as_name: str) -> Any:
        """The command under the name that it is called by."""
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


class _Loaded(Mapping[str, Any]):
    """The commands by their names, each loaded when it is looked up."""

    def __init__(self, commands: Mapping[str, LazyCommand]) -> None:
        self._commands = commands

    def __getitem__(self, name: str) -> Any:
        return self._commands[name].load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


def group_of(commands: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """A group of these commands, in their order. Its `--help` imports them all."""

    class Commands(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = _Loaded(commands)  # type: ignore[assignment]  # nobody adds to it

        def list_commands(self, _ctx: Any) -> list[str]:
            return list(commands)

    return Commands
