"""`market-pipeline keys`: create, list and revoke API keys, and print their audit trails."""

import json
from datetime import timedelta
from typing import Annotated, Any

import typer

from market_pipeline.cli.output import print_columns
from market_pipeline.core.settings import load_settings
from market_pipeline.warehouse import api_keys
from market_pipeline.warehouse.api_keys import Scope
from market_pipeline.warehouse.database import warehouse_of

app = typer.Typer(help="API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="Id of the key, as in `keys list`.", metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of its user or purpose.")],
    scope: Annotated[Scope, typer.Option(help="Rights of the key; admin includes read.")] = Scope.READ,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires; default: never.")] = None,
) -> None:
    """Create a key and print it. It can't be shown again: only its hash is stored."""
    with warehouse_of(load_settings()) as warehouse:
        key = api_keys.create_key(warehouse, name, scope, timedelta(days=days) if days else None)
    typer.echo(key.get_secret_value())
    typer.echo("Send it as the header X-API-Key. It is not shown again.", err=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Print all keys, including revoked and expired ones."""
    with warehouse_of(load_settings()) as warehouse:
        rows = [_format_times(row._asdict()) for row in api_keys.list_keys(warehouse)]
    if as_json:
        typer.echo(json.dumps({"keys": rows}, indent=2))
    elif rows:
        print_columns(("id", "name", "scope", "created_at", "expires_at", "revoked_at", "last_used"), (), rows)
    else:
        typer.echo("There is no key: create one with `market-pipeline keys create NAME --scope admin`.", err=True)


@app.command("revoke")
def revoke(key_id: KeyId) -> None:
    """Revoke a key: requests with it are rejected from now on. Its audit trail stays."""
    with warehouse_of(load_settings()) as warehouse:
        at = api_keys.revoke_key(warehouse, key_id)
    typer.echo(f"{key_id} is revoked since {at:%Y-%m-%d %H:%M:%S} UTC.")


@app.command("audit")
def audit(
    key_id: KeyId,
    limit: Annotated[int, typer.Option(min=1, help="Number of lines.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Print the requests to admin endpoints that a key was used for, newest first."""
    with warehouse_of(load_settings()) as warehouse:
        rows = [_format_times(row._asdict()) for row in api_keys.read_audit_trail(warehouse, key_id, limit)]
    if as_json:
        typer.echo(json.dumps({"id": key_id, "entries": rows}, indent=2))
    else:
        print_columns(("at", "method", "endpoint"), ("status_code",), rows)


def _format_times(row: Any) -> dict[str, Any]:
    return {
        name: value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }
