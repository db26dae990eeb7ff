"""Commands that hand their arguments on to another program as they are."""

import typer
from typer.core import TyperCommand


class PassthroughCommand(TyperCommand):
    """A command that leaves every argument as it is, `--help` and `--` too, for another program to read."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read none of them."""
        ctx.args = list(args)
        return ctx.args
