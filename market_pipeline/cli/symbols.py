"""`market-pipeline symbols`: track and rename symbols, and look up their reference data at the vendor."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Engine

from market_pipeline.cli.completion import complete_symbol
from market_pipeline.cli.parameters import parse_symbol
from market_pipeline.cli.vendor_option import vendor_settings
from market_pipeline.core.errors import MarketPipelineError, UsageError
from market_pipeline.core.settings import Settings, load_settings
from market_pipeline.core.symbols import AssetClass, Symbol, starting_symbols
from market_pipeline.core.wording import counted, pasteable
from market_pipeline.polygon.client import PolygonClient
from market_pipeline.polygon.limiter import WINDOW_SECONDS
from market_pipeline.polygon.request_planning import waiting_seconds
from market_pipeline.polygon.vendor_errors import PolygonError, UnknownTickerError
from market_pipeline.reference_data import asset_class_of, fetch_reference, refresh_reference
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.symbol_renaming import rename_symbol
from market_pipeline.warehouse.tracked_symbols import (
    Reference,
    active_symbols,
    add_symbols,
    find_active,
    record_reference,
    remove_symbol,
)

SOME_FAILED = 3

app = typer.Typer(help="Tracked symbols.", no_args_is_help=True)


class UnknownSymbolError(UsageError):
    """The vendor has no such ticker."""


class WrongAssetClassError(UsageError):
    """The vendor lists the symbol in another asset class."""


class NotCheckedError(MarketPipelineError):
    """The reference data of a symbol could not be fetched."""


@contextmanager
def _open_client(settings: Settings, engine: Engine) -> Iterator[PolygonClient]:
    limiter = SharedLimiter(engine, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
    with PolygonClient.from_settings(settings, limiter) as client:
        yield client


@app.command("init")
def init() -> None:
    """Track the starting set: 65 stocks, ETFs and crypto pairs. Symbols that you have removed are not added again."""
    settings, symbols = vendor_settings(), starting_symbols()
    with warehouse_of(settings) as engine:
        added = set(add_symbols(engine, symbols, revive=False))
    for symbol in symbols:
        typer.echo(f"{'+' if symbol.name in added else '-'} {symbol.name} ({symbol.asset_class})")
    typer.echo(f"Inserted: {len(added)}  Skipped: {len(symbols) - len(added)}  Total: {len(symbols)}")
    note = f"`market-pipeline symbols check` looks them up at the vendor{_describe_wait(len(symbols), settings)}."
    typer.echo(note, err=True)


@app.command("list")
def list_symbols(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the tracked symbols: symbol, asset class, the vendor's ticker, calendar."""
    with warehouse_of(load_settings()) as engine:
        symbols = active_symbols(engine)
    rows = [
        {"symbol": s.name, "asset_class": s.asset_class.value, "vendor_ticker": s.vendor_ticker, "calendar": s.calendar}
        for s in symbols
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['symbol']:<14} {row['asset_class']:<7} {row['vendor_ticker']:<17} {row['calendar']}")
    if not rows:
        typer.echo("No symbol is tracked: run `market-pipeline symbols init` or `symbols add SYMBOL`.", err=True)


@app.command("add")
def add(
    symbol: Annotated[str, typer.Argument(help="The symbol, e.g. NVDA, BRK.B, BTC or BTC-USD.")],
    asset_class: Annotated[AssetClass, typer.Option(help="Asset class of the symbol.")] = AssetClass.STOCK,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not look the symbol up at the vendor.")] = False,
) -> None:
    """Track a symbol after looking it up at the vendor. The next nightly run fetches it."""
    new_symbol = Symbol.of(symbol, asset_class)
    with warehouse_of(load_settings()) as engine:
        reference = None if no_check else _look_up(engine, new_symbol)
        added = add_symbols(engine, [new_symbol])
        if reference is not None:
            record_reference(engine, new_symbol, reference)
            typer.echo(_describe(new_symbol, reference))
    typer.echo(
        f"Tracking {symbol} ({asset_class}). Load its history with "
        f"`{pasteable('market-pipeline', 'backfill', '--symbols', symbol)}`."
        if added
        else f"{symbol} is tracked already."
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
    settings = vendor_settings()
    unknown = 0
    with warehouse_of(settings) as engine, _open_client(settings, engine) as client:
        selected = find_active(engine, symbols) if symbols else active_symbols(engine)
        wait = _describe_wait(len(selected), settings)
        typer.echo(f"Looking {counted(len(selected), 'symbol')} up at the vendor{wait}.", err=True)
        for symbol in selected:
            try:
                reference = refresh_reference(client, engine, symbol)
            except UnknownTickerError as error:
                unknown += 1
                typer.echo(str(error))
                continue
            other = f"; tracked as {symbol.asset_class}" if _find_other_class(symbol, reference) else ""
            typer.echo(f"{_describe(symbol, reference)}{other}")
    if unknown:
        raise typer.Exit(SOME_FAILED)


@app.command("remove")
def remove(
    symbol: Annotated[str, typer.Argument(help="The symbol.", parser=parse_symbol, autocompletion=complete_symbol)],
) -> None:
    """Stop tracking a symbol: it is no longer fetched. Its bars stay in the database."""
    with warehouse_of(load_settings()) as engine:
        remove_symbol(engine, symbol)
    typer.echo(
        f"{symbol} is no longer fetched. Its bars are kept; "
        f"`{pasteable('market-pipeline', 'symbols', 'add', symbol)}` tracks it again."
    )


@app.command("rename")
def rename(
    symbol: Annotated[
        str, typer.Argument(help="Present name, e.g. BTC.", parser=parse_symbol, autocompletion=complete_symbol)
    ],
    new_name: Annotated[str, typer.Argument(help="New name, e.g. BTC-USD.", parser=parse_symbol)],
) -> None:
    """Rename a crypto pair with all its data, so that a fund can use its present name."""
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
        f"{symbol} is called {new_name}, with {counted(len(renamed.sessions), 'bar')}. The marts follow "
        "with their next build: `market-pipeline marts`."
    )


def _look_up(engine: Engine, symbol: Symbol) -> Reference:
    """Fetch the reference data of a symbol that is not tracked yet.

    Raises:
        UnknownSymbolError: the vendor has no such ticker.
        WrongAssetClassError: it lists the ticker in another asset class.
        NotCheckedError: the request failed.
    """
    try:
        with _open_client(vendor_settings(), engine) as client:
            reference = fetch_reference(client, symbol)
    except UnknownTickerError as error:
        raise UnknownSymbolError(f"{error} (--no-check tracks it anyway)") from None
    except PolygonError as error:
        raise NotCheckedError(f"{error} (or use --no-check to track {symbol.name} without looking it up)") from None
    kind = _find_other_class(symbol, reference)
    if kind is not None:
        raise WrongAssetClassError(
            f"{_describe(symbol, reference)}: not of asset class {symbol.asset_class}. Add it with "
            f"--asset-class {kind}, or with --no-check if the vendor is wrong"
        )
    return reference


def _find_other_class(symbol: Symbol, reference: Reference) -> AssetClass | None:
    """Return the vendor's asset class of a symbol if it differs from the tracked one."""
    kind = asset_class_of(reference)
    return None if kind is symbol.asset_class else kind


def _describe_wait(requests: int, settings: Settings) -> str:
    """Return a clause with the minutes that the rate limit takes for the requests; empty under one minute."""
    minutes = waiting_seconds(requests, settings.requests_per_minute) / 60
    return f", which takes about {counted(round(minutes), 'minute')} by the rate limit" if minutes >= 1 else ""


def _describe(symbol: Symbol, reference: Reference) -> str:
    """Describe a symbol in one line: its name, type and exchange, and its delisting if it was delisted."""
    facts = (reference.name, reference.vendor_type, reference.primary_exchange)
    description = ", ".join(fact for fact in facts if fact) or "known to the vendor"
    return f"{symbol.name}: {description}{f'; {reference.ending}' if reference.ending else ''}"
