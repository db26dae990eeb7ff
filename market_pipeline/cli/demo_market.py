"""The demo of a whole market: a year of a generated one, delisted tickers included, in the embedded PostgreSQL."""

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

import typer
from pydantic import SecretStr
from sqlalchemy import Engine, Row, text

from market_pipeline.cli.output import print_columns
from market_pipeline.core.markets import MARKETS
from market_pipeline.core.sessions import list_sessions
from market_pipeline.core.settings import Settings
from market_pipeline.core.wording import format_count
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline.warehouse.database import warehouse_of
from market_pipeline.warehouse.tracked_markets import track_market

MARKET = MARKETS["us_stocks"]
FIRST, LAST = date(2024, 1, 2), date(2024, 12, 31)
MOST_ROWS = 10

GONE = text("""
    SELECT u.ticker, u.symbol, u.name, u.type, u.first_session, u.last_session, u.dollar_volume
    FROM universe(:day) AS u
    JOIN listings AS listed ON listed.market = :market AND listed.symbol = u.symbol AND listed.state = 'ended'
    ORDER BY u.dollar_volume DESC
""")
TOTALS = text("SELECT (SELECT count(*) FROM universe(:day)) AS traded, (SELECT count(*) FROM bars) AS bars")

NEXT_STEPS = """
All of it is generated: no ticker, name or price of it is real. From here, with
`export MARKET_PIPELINE_DATA_DIR='{folder}'`:

  chart       market-pipeline api, then http://localhost:8000: the part "Whole markets" has the number listed by month
  universe    curl "http://localhost:8000/api/v1/universe?date={day}&order=dollar_volume&limit=50"
  query       market-pipeline db psql -c "select * from universe('{day}') limit 5"
  state       market-pipeline market status: the sessions after {last} are missing, as this sandbox has stopped
  remove all  market-pipeline demo --clean --force
"""


def demo_market(settings: Settings, tickers: int) -> int:
    """Load a year of a generated market from a sandbox's flat files, and print the universe of its first session.

    Returns:
        The exit code.
    """
    # Importing Dagster takes a second.
    from market_pipeline.cli.market_runs import MarketLaunch, launch_market
    from market_pipeline.cli.market_summary import print_launch
    from market_pipeline.cli.symbol_lookup import open_client
    from market_pipeline.market_list import refresh_list

    begun = time.perf_counter()
    typer.echo(f"Starting the embedded PostgreSQL in {settings.market_pipeline_data_dir}", err=True)
    key = SecretStr("sandbox")
    with warehouse_of(settings) as warehouse, running_sandbox(SandboxConfig(market_tickers=tickers)) as base_url:
        keys = {"polygon_s3_access_key": key, "polygon_s3_secret_key": key}
        on_sandbox = settings.model_copy(update={"polygon_base_url": base_url, **keys})
        track_market(warehouse, MARKET)
        with open_client(on_sandbox, warehouse) as client:
            refresh_list(client, warehouse, MARKET)  # first, as loads split reused tickers by it
        launch = MarketLaunch(MARKET, list_sessions(MARKET.calendar, FIRST, LAST))
        sessions = format_count(len(launch.sessions), "session")
        typer.echo(
            f"Loading {sessions} of a generated market of about {tickers:,} tickers (sandbox, not the market)", err=True
        )
        loading = time.perf_counter()
        launch_market(on_sandbox, warehouse, launch, {}, quiet=False)
        loaded = time.perf_counter()
        print_launch(launch)
        if launch.exit_code:
            return launch.exit_code
        _print_universe(warehouse, FIRST)
        bars = _read_totals(warehouse, FIRST)[1]
    seconds = loaded - loading
    typer.echo(
        f"\n{bars:,} bars were fetched, checked, stored and recorded in {seconds:.0f} s, {bars / seconds:,.0f} a "
        f"second; all of it took {time.perf_counter() - begun:.0f} s."
    )
    typer.echo(NEXT_STEPS.format(folder=settings.market_pipeline_data_dir, day=FIRST, last=LAST))
    return 0


def _print_universe(warehouse: Engine, day: date) -> None:
    """Print how many tickers traded on a session, and the largest of those that are gone now."""
    with warehouse.connect() as connection:
        gone: Sequence[Any] = connection.execute(GONE, {"day": day, "market": MARKET.name}).mappings().all()
    traded, _ = _read_totals(warehouse, day)
    typer.echo(
        f"\nThe universe of {day}: {format_count(traded, 'ticker')} traded, {len(gone):,} of them gone by the end of "
        "the year. The largest of these, which a list of today's tickers would lack:\n"
    )
    rows = [{**row, "dollar_volume": round(row["dollar_volume"])} for row in gone[:MOST_ROWS]]
    names = ("ticker", "symbol", "name", "type", "first_session", "last_session")
    print_columns(names, ("dollar_volume",), rows)


def _read_totals(warehouse: Engine, day: date) -> tuple[int, int]:
    """Return the number of tickers that traded on a session, and of all stored bars."""
    with warehouse.connect() as connection:
        row: Row[Any] = connection.execute(TOTALS, {"day": day}).one()
    return row.traded, row.bars
