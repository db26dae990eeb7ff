"""`market-pipeline symbols`: track and rename symbols, and look up their reference data at the vendor."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Engine

from market_pipeline.cli.completion import complete_symbol
from market_pipeline.cli.failures import FAILED, USAGE
from market_pipeline.cli.output import print_note
from market_pipeline.cli.parameters import parse_symbol
from market_pipeline.cli.security_history import describe_security, print_history
from market_pipeline.cli.symbol_lookup import (
    NotCheckedError,
    describe,
    describe_wait,
    find_other_class,
    find_same_security,
    look_up_new,
    open_client,
)
from market_pipeline.cli.vendor_option import load_vendor_settings
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.symbols import AssetClass, Symbol, list_starting_symbols
from market_pipeline.core.ticker_corrections import read_configured_corrections
from market_pipeline.core.wording import format_count, quote_command
from market_pipeline.polygon.vendor_errors import UnknownTickerError
from market_pipeline.security_lookup import look_up_fully
from market_pipeline.security_refresh import store_finding
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.securities import read_securities
from market_pipeline.warehouse.symbol_names import find_active, find_alias, find_aliases, resolve_active
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import (
    add_symbols,
    list_active_symbols,
    remove_symbol,
)

SOME_FAILED = 3

COMMAND = "symbols"
"""Stands for the run where a command finds that stored bars are another security's."""

app = typer.Typer(help="Tracked symbols.", no_args_is_help=True)


@app.command("init")
def init() -> None:
    """Track the starting set: 65 stocks, ETFs and crypto pairs. Symbols that you have removed are not added again."""
    settings, symbols = load_vendor_settings(), list_starting_symbols()
    with warehouse_of(settings) as engine:
        aliases = find_aliases(engine, [symbol.name for symbol in symbols])
        new = [symbol for symbol in symbols if symbol.name not in aliases]  # not what is tracked under another ticker
        added = set(add_symbols(engine, new, revive=False))
    for symbol in symbols:
        typer.echo(f"{'+' if symbol.name in added else '-'} {symbol.name} ({symbol.asset_class})")
    typer.echo(f"Inserted: {len(added)}  Skipped: {len(symbols) - len(added)}  Total: {len(symbols)}")
    note = f"`market-pipeline symbols check` looks them up at the vendor{describe_wait(len(symbols), settings)}."
    typer.echo(note, err=True)


@app.command("list")
def list_symbols(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the tracked symbols: symbol, asset class, the vendor's present ticker, calendar."""
    with warehouse_of(load_settings()) as engine:
        symbols = list_active_symbols(engine)
        histories = {symbol: record.history for symbol, record in read_securities(engine, symbols).items()}
    rows = [
        {
            "symbol": symbol.name,
            "asset_class": symbol.asset_class.value,
            "vendor_ticker": histories[symbol].current.ticker,
            "calendar": symbol.calendar,
        }
        for symbol in symbols
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for symbol, row in zip(symbols, rows, strict=True):
        change = histories[symbol].describe_change(symbol.vendor_ticker)
        line = f"{row['symbol']:<14} {row['asset_class']:<7} {row['vendor_ticker']:<17} {row['calendar']}"
        typer.echo(f"{line}  {change}" if change else line)
    if not rows:
        typer.echo("No symbol is tracked: run `market-pipeline symbols init` or `symbols add SYMBOL`.", err=True)


@app.command("history")
def history(
    symbol: Annotated[
        str,
        typer.Argument(
            help="The symbol, or a ticker that it has had.", parser=parse_symbol, autocompletion=complete_symbol
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the tickers that a symbol's company or fund has had, and what is certain of them."""
    with warehouse_of(load_settings()) as engine:
        [(tracked, alias)] = resolve_active(engine, [symbol])
        record = read_securities(engine, [tracked])[tracked]
    if alias is not None:
        print_note(alias.note)
    if as_json:
        typer.echo(json.dumps(describe_security(record), indent=2))
        return
    print_history(record)


@app.command("add")
def add(
    symbols: Annotated[
        list[str],
        typer.Argument(help="One or several symbols, e.g. NVDA, BRK.B, BTC or BTC-USD.", metavar="SYMBOL"),
    ],
    asset_class: Annotated[AssetClass, typer.Option(help="Asset class of the symbols.")] = AssetClass.STOCK,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not look the symbols up at the vendor.")] = False,
) -> None:
    """Track symbols after looking them up at the vendor. The next nightly run fetches them.

    A symbol that can't be added leaves the others added; the exit code is 3 then.
    """
    names = [*dict.fromkeys(symbols)]
    checked, failed = list[Symbol](), list[MarketPipelineError]()
    for name in names:
        with _collecting(failed):
            checked.append(Symbol.of(name, asset_class))
    if checked:
        vendor = None if no_check else load_vendor_settings()
        with warehouse_of(load_settings()) as engine:
            for symbol in checked:
                with _collecting(failed):
                    _add_symbol(engine, vendor, symbol)
    if failed:
        is_usage = all(isinstance(error, UsageError) for error in failed)
        raise typer.Exit(SOME_FAILED if len(failed) < len(names) else USAGE if is_usage else FAILED)


@contextmanager
def _collecting(failed: list[MarketPipelineError]) -> Iterator[None]:
    """Print an error of one symbol and add it to a list, so that others go on."""
    try:
        yield
    except (UsageError, NotCheckedError) as error:
        print_note(str(error), logging.ERROR)
        failed.append(error)


def _add_symbol(engine: Engine, vendor: Settings | None, symbol: Symbol) -> None:
    """Track a symbol, after looking it up if there is a vendor, and print what was done.

    Raises:
        UsageError: the vendor has no such ticker, or the name is taken.
        NotCheckedError: the vendor's request failed.
    """
    known = find_alias(engine, symbol.name)
    if known is not None and known.symbol != symbol and known.symbol.asset_class is symbol.asset_class:
        typer.echo(f"{known.note}. Nothing was added.")
        return
    found = None if vendor is None else look_up_new(engine, vendor, symbol)
    if found is not None and (same := find_same_security(engine, symbol, found)):
        typer.echo(f"{describe(symbol, found)}. It is tracked as {same.name}. Nothing was added.")
        return
    added = add_symbols(engine, [symbol])
    if found is not None:
        record = read_securities(engine, [symbol])[symbol]
        store_finding(engine, record, found, run_id=COMMAND)
        typer.echo(describe(symbol, found))
    typer.echo(
        f"Tracking {symbol.name} ({symbol.asset_class}). Load its history with "
        f"`{quote_command('market-pipeline', 'backfill', '--symbols', symbol.name)}`."
        if added
        else f"{symbol.name} is tracked already."
    )


@app.command("check")
def check(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            help="Symbols to look up; default: all tracked ones.",
            metavar="SYMBOL",
            parser=parse_symbol,
            autocompletion=complete_symbol,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look tracked symbols up at the vendor, and print which are delisted, renamed or unknown there."""
    settings = load_vendor_settings()
    unknown = 0
    with warehouse_of(settings) as engine, open_client(settings, engine) as client:
        selected = find_active(engine, symbols) if symbols else list_active_symbols(engine)
        records, corrections = read_securities(engine, selected), read_configured_corrections(settings)
        wait = describe_wait(len(selected), settings)
        typer.echo(f"Looking {format_count(len(selected), 'symbol')} up at the vendor{wait}.", err=True)
        for symbol in selected:
            try:
                found = look_up_fully(client, records[symbol], corrections)
            except UnknownTickerError as error:
                unknown += 1
                typer.echo(str(error))
                continue
            store_finding(engine, records[symbol], found, run_id=COMMAND)
            other = f"; tracked as {symbol.asset_class}" if find_other_class(symbol, found) else ""
            typer.echo(f"{describe(symbol, found)}{other}")
    if unknown:
        raise typer.Exit(SOME_FAILED)


@app.command("remove")
def remove(
    symbol: Annotated[str, typer.Argument(help="The symbol.", parser=parse_symbol, autocompletion=complete_symbol)],
) -> None:
    """Stop tracking a symbol: it is no longer fetched. Its bars stay in the database."""
    with warehouse_of(load_settings()) as engine:
        is_own = any(tracked.name == symbol for tracked in list_active_symbols(engine))
        alias = None if is_own else find_alias(engine, symbol)
        if alias is not None:
            print_note(alias.note)
            symbol = alias.symbol.name
        remove_symbol(engine, symbol)
    typer.echo(
        f"{symbol} is no longer fetched. Its bars are kept; "
        f"`{quote_command('market-pipeline', 'symbols', 'add', symbol)}` tracks it again."
    )


@app.command("rename")
def rename(
    symbol: Annotated[
        str, typer.Argument(help="Present name, e.g. BTC or SQ.", parser=parse_symbol, autocompletion=complete_symbol)
    ],
    new_name: Annotated[str, typer.Argument(help="New name, e.g. BTC-USD or XYZ.", parser=parse_symbol)],
) -> None:
    """Rename a symbol with all its data: a crypto pair, or a company to another of its tickers."""
    from market_pipeline.orchestration.asset_renaming import rename_asset
    from market_pipeline.orchestration.instance import open_existing_instance
    from market_pipeline.orchestration.run_launch import close_abandoned_runs  # importing Dagster takes a second

    settings = load_settings()
    with (
        warehouse_of(settings) as engine,
        rename_symbol(engine, symbol, new_name) as renamed,
        open_existing_instance(settings, engine) as instance,
    ):
        if instance is not None:
            close_abandoned_runs(instance, engine)
            rename_asset(instance, renamed)
    typer.echo(
        f"{symbol} is called {new_name}, with {format_count(len(renamed.sessions), 'bar')}. The marts follow "
        "with their next build: `market-pipeline marts`."
    )
