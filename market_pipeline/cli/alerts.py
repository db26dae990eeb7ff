"""`market-pipeline alerts`: whether alerts get through."""

from datetime import UTC, datetime

import typer

from market_pipeline.core.notifications import NO_CHANNEL, Alert, AlertError, NoChannelError, channels
from market_pipeline.core.settings import load_settings

FAILED = 1
app = typer.Typer(help="Alerts by webhook and e-mail.", no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Alerts by webhook and e-mail."""


@app.command("test")
def send_test() -> None:
    """Send a test alert by every way that is set. Exit code 0 if each worked, 1 if one didn't, 2 if none is set."""
    found = channels(load_settings())
    if not found:
        raise NoChannelError(NO_CHANNEL)
    alert = Alert("test", "Market Pipeline: a test alert", "Alerts get through. Nothing is wrong.", datetime.now(UTC))
    failed = False
    for channel in found:
        try:
            channel.send(alert)
        except AlertError as error:
            failed = True
            typer.echo(f"failed: {error}", err=True)
        else:
            typer.echo(f"sent by {channel.name}")
    if failed:
        raise typer.Exit(FAILED)
