"""`market-pipeline symbols`: which symbols are tracked, and who they are at the vendor."""

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
from market_pipeline.polygon.rate_limit import WINDOW_SECONDS
from market_pipeline.polygon.request_planning import waiting_seconds
from market_pipeline.polygon.vendor_errors import PolygonError, UnknownTickerError
from market_pipeline.reference_data import asset_class_of, look_up, refresh
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.rate_limit import SharedLimiter
from market_pipeline.warehouse.symbol_renaming import renaming
from market_pipeline.warehouse.tracked_symbols import (
    Reference,
    active_symbols,
    add_symbols,
    find_active,
    record_reference,
    remove_symbol,
)

SOME_FAILED = 3

app = typer.Typer(help="Which symbols are tracked.", no_args_is_help=True)


class UnknownSymbolError(UsageError):
    """The vendor knows no such ticker."""


class WrongAssetClassError(UsageError):
    """The vendor says that the symbol is something else."""


class NotCheckedError(MarketPipelineError):
    """The vendor could not be asked who a symbol is."""


@contextmanager
def _vendor(settings: Settings, engine: Engine) -> Iterator[PolygonClient]:
    limiter = SharedLimiter(engine, settings.requests_per_minute, window_seconds=WINDOW_SECONDS)
    with PolygonClient.from_settings(settings, limiter) as client:
        yield client


@app.command("init")
def init() -> None:
    """Track the starting set: large-cap stocks, ETFs, crypto. What is tracked or removed already stays as it is."""
    settings, symbols = vendor_settings(), starting_symbols()
    with warehouse_of(settings) as engine:
        added = set(add_symbols(engine, symbols, revive=False))
    for symbol in symbols:
        typer.echo(f"{'+' if symbol.name in added else '-'} {symbol.name} ({symbol.asset_class})")
    typer.echo(f"Inserted: {len(added)}  Skipped: {len(symbols) - len(added)}  Total: {len(symbols)}")
    told = f"`market-pipeline symbols check` asks the vendor who they are{_taking(len(symbols), settings)}."
    typer.echo(told, err=True)


@app.command("list")
def list_symbols(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the active symbols."""
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
    symbol: Annotated[str, typer.Argument(help="The ticker, e.g. NVDA, BRK.B, BTC or BTC-USD.")],
    asset_class: Annotated[AssetClass, typer.Option(help="What it is.")] = AssetClass.STOCK,
    no_check: Annotated[bool, typer.Option("--no-check", help="Don't ask the vendor who that is.")] = False,
) -> None:
    """Track a symbol, once the vendor has said who that is: the next nightly run fetches it."""
    wanted = Symbol.of(symbol, asset_class)
    with warehouse_of(load_settings()) as engine:
        reference = None if no_check else _who_is(engine, wanted)
        added = add_symbols(engine, [wanted])
        if reference is not None:
            record_reference(engine, wanted, reference)
            typer.echo(_described(wanted, reference))
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
            help="The tickers, by default all.",
            metavar="SYMBOL",
            parser=parse_symbol,
            autocompletion=complete_symbol,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Ask the vendor who the tracked symbols are, and say which are delisted, renamed or unknown to it."""
    settings = vendor_settings()
    unknown = 0
    with warehouse_of(settings) as engine, _vendor(settings, engine) as client:
        wanted = find_active(engine, symbols) if symbols else active_symbols(engine)
        typer.echo(
            f"Asking the vendor about {counted(len(wanted), 'symbol')}{_taking(len(wanted), settings)}.", err=True
        )
        for symbol in wanted:
            try:
                reference = refresh(client, engine, symbol)
            except UnknownTickerError as error:
                unknown += 1
                typer.echo(str(error))
                continue
            other = f"; tracked as {symbol.asset_class}" if _other_class(symbol, reference) else ""
            typer.echo(f"{_described(symbol, reference)}{other}")
    if unknown:
        raise typer.Exit(SOME_FAILED)


@app.command("remove")
def remove(
    symbol: Annotated[str, typer.Argument(help="The ticker.", parser=parse_symbol, autocompletion=complete_symbol)],
) -> None:
    """Stop fetching a symbol. Its bars stay in the database."""
    with warehouse_of(load_settings()) as engine:
        remove_symbol(engine, symbol)
    typer.echo(
        f"{symbol} is no longer fetched. Its bars are kept; "
        f"`{pasteable('market-pipeline', 'symbols', 'add', symbol)}` takes it up again."
    )


@app.command("rename")
def rename(
    symbol: Annotated[
        str, typer.Argument(help="Its name, e.g. BTC.", parser=parse_symbol, autocompletion=complete_symbol)
    ],
    new_name: Annotated[str, typer.Argument(help="Its other name, e.g. BTC-USD.", parser=parse_symbol)],
) -> None:
    """Give a coin its other name, with all that is stored of it, so that a fund can have the name that it had."""
    from market_pipeline.orchestration.asset_renaming import rename_asset
    from market_pipeline.orchestration.instance import existing_instance
    from market_pipeline.orchestration.run_launch import close_abandoned_runs  # Dagster takes a second to import

    settings = load_settings()
    with (
        warehouse_of(settings) as engine,
        renaming(engine, symbol, new_name) as renamed,
        existing_instance(settings, engine) as instance,
    ):
        if instance is not None:
            close_abandoned_runs(instance, engine)
            rename_asset(instance, renamed)
    typer.echo(
        f"{symbol} is called {new_name}, with {counted(len(renamed.sessions), 'bar')}. The analysts' tables follow "
        "with their next build: `market-pipeline marts`."
    )


def _who_is(engine: Engine, symbol: Symbol) -> Reference:
    """What the vendor says of a symbol that is to be tracked.

    Raises:
        UnknownSymbolError: it doesn't know it.
        WrongAssetClassError: it says that it is something else.
        NotCheckedError: it can't be asked.
    """
    try:
        with _vendor(vendor_settings(), engine) as client:
            reference = look_up(client, symbol)
    except UnknownTickerError as error:
        raise UnknownSymbolError(f"{error} (--no-check tracks it all the same)") from None
    except PolygonError as error:
        raise NotCheckedError(f"{error} (or use --no-check to track {symbol.name} without asking)") from None
    kind = _other_class(symbol, reference)
    if kind is not None:
        raise WrongAssetClassError(
            f"{_described(symbol, reference)}: that is no {symbol.asset_class}. Add it with --asset-class {kind}, "
            "or with --no-check if the vendor is wrong"
        )
    return reference


def _other_class(symbol: Symbol, reference: Reference) -> AssetClass | None:
    """The asset class that the vendor gives a symbol, if it is another than ours."""
    kind = asset_class_of(reference)
    return None if kind is symbol.asset_class else kind


def _taking(questions: int, settings: Settings) -> str:
    """What a user should know of the time that so many questions take, if it is long."""
    minutes = waiting_seconds(questions, settings.requests_per_minute) / 60
    return f", which the rate limit makes some {counted(round(minutes), 'minute')}" if minutes >= 1 else ""


def _described(symbol: Symbol, reference: Reference) -> str:
    """A symbol in one line: who it is, and how it left the market if it has."""
    facts = (reference.name, reference.vendor_type, reference.primary_exchange)
    who = ", ".join(fact for fact in facts if fact) or "known to the vendor"
    return f"{symbol.name}: {who}{f'; {reference.ending}' if reference.ending else ''}"
