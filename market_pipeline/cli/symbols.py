"""`market-pipeline symbols`: which symbols are tracked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Engine

from market_pipeline.settings import load_settings
from market_pipeline.symbols import AssetClass, Symbol, starting_symbols
from market_pipeline.warehouse.database import open_warehouse
from market_pipeline.warehouse.tracked_symbols import active_symbols, add_symbols, remove_symbol

app = typer.Typer(help="Which symbols are tracked.", no_args_is_help=True)


@contextmanager
def _warehouse() -> Iterator[Engine]:
    engine = open_warehouse(load_settings())
    try:
        yield engine
    finally:
        engine.dispose()


@app.command("init")
def init() -> None:
    """Track the starting set: large-cap stocks, ETFs and crypto. Symbols tracked already stay as they are."""
    symbols = starting_symbols()
    with _warehouse() as engine:
        added = set(add_symbols(engine, symbols))
    for symbol in symbols:
        typer.echo(f"{'+' if symbol.name in added else '-'} {symbol.name} ({symbol.asset_class})")
    typer.echo(f"Inserted: {len(added)}  Skipped: {len(symbols) - len(added)}  Total: {len(symbols)}")


@app.command("list")
def list_symbols(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the active symbols."""
    with _warehouse() as engine:
        symbols = active_symbols(engine)
    rows = [
        {"symbol": s.name, "asset_class": s.asset_class.value, "vendor_ticker": s.vendor_ticker, "calendar": s.calendar}
        for s in symbols
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['symbol']:<14}{row['asset_class']:<8}{row['vendor_ticker']:<18}{row['calendar']}")
    if not rows:
        typer.echo("No symbol is tracked: run `market-pipeline symbols init` or `symbols add SYMBOL`.", err=True)


@app.command("add")
def add(
    symbol: Annotated[str, typer.Argument(help="The ticker, e.g. NVDA, BRK.B, BTC.")],
    asset_class: Annotated[AssetClass, typer.Option(help="What it is.")] = AssetClass.STOCK,
) -> None:
    """Track a symbol: the next nightly run fetches it."""
    checked = Symbol.of(symbol, asset_class)
    with _warehouse() as engine:
        added = add_symbols(engine, [checked])
    typer.echo(
        f"Tracking {symbol} ({asset_class}). Load its history with `market-pipeline backfill --symbols {symbol}`."
        if added
        else f"{symbol} is tracked already."
    )


@app.command("remove")
def remove(symbol: Annotated[str, typer.Argument(help="The ticker.")]) -> None:
    """Stop fetching a symbol. Its bars stay in the database."""
    with _warehouse() as engine:
        remove_symbol(engine, symbol)
    typer.echo(f"{symbol} is no longer fetched. Its bars are kept; `symbols add {symbol}` takes it up again.")
