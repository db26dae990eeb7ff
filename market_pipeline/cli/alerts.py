"""`market-pipeline alerts`: a test alert through every channel that is configured."""

from datetime import UTC, datetime

import typer

from market_pipeline.core.notifications import NO_CHANNEL, Alert, AlertError, NoChannelError, list_alert_channels
from market_pipeline.core.settings import load_settings

FAILED = 1
app = typer.Typer(help="Alerts by webhook and e-mail.", no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Alerts by webhook and e-mail."""


@app.command("test")
def send_test() -> None:
    """Send a test alert through every configured channel. Exit code 0 if all work, 1 if one fails, 2 if none is set."""
    configured = list_alert_channels(load_settings())
    if not configured:
        raise NoChannelError(NO_CHANNEL)
    alert = Alert("test", "Market Pipeline: a test alert", "Alerts are delivered. Nothing is wrong.", datetime.now(UTC))
    failed = False
    for channel in configured:
        try:
            channel.send(alert)
        except AlertError as error:
            failed = True
            typer.echo(f"failed: {error}", err=True)
        else:
            typer.echo(f"sent by {channel.name}")
    if failed:
        raise typer.Exit(FAILED)
