"""The worked example of docs/markets.md: its query on a generated market, against the same in pandas."""

import re
from datetime import date
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from market_pipeline.core.settings import Settings
from market_pipeline.sandbox.config import SandboxConfig
from market_pipeline.sandbox.loopback_server import running_sandbox
from market_pipeline_tests.conftest import Command
from market_pipeline_tests.dbt_server import run_forked_dbt
from market_pipeline_tests.integration.mart_cases import read

DOCUMENT = Path(__file__).parents[2] / "docs" / "markets.md"
FIRST, LAST = date(2024, 1, 2), date(2024, 5, 31)
BARS = """
    SELECT bars.symbol_id, bars.date, bars.close, bars.volume, named.symbol FROM bars
    JOIN symbol_identities AS named USING (symbol_id)
"""


def documented_query() -> str:
    """Return the query of the worked example."""
    [query] = re.findall(r"<!-- backtest -->\n```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return str(query).strip().rstrip(";").replace("::numeric", "\\:\\:numeric")


def backtest(bars: pd.DataFrame, *, survivors_only: bool) -> dict[date, tuple[float, int]]:
    """Return the mean return in percent, and the number of picks that are gone at the end, of each month."""
    bars = bars.sort_values(["symbol", "date"])
    dollars = (bars["close"] * bars["volume"]).groupby(bars["symbol"])
    bars["median"] = dollars.transform(lambda each: each.rolling(20, min_periods=1).median())
    sessions = sorted(bars["date"].unique())
    lasting = set(bars.loc[bars["date"] >= sessions[-10], "symbol"])
    ends = pd.Series(sessions).groupby([day.strftime("%Y-%m") for day in sessions]).max().tolist()
    found = {}
    for day, following in pairwise(ends):
        offered = bars[(bars["date"] == day) & (bars["close"] >= 5)]
        if survivors_only:
            offered = offered[offered["symbol"].isin(lasting)]
        picks = offered.nlargest(50, "median").set_index("symbol")["close"]
        sold = bars[bars["date"] <= following].groupby("symbol")["close"].last()
        gone = sum(symbol not in lasting for symbol in picks.index)
        found[day] = (round(float((sold[picks.index] / picks - 1).mean() * 100), 2), gone)
    return found


def test_the_worked_example_equals_the_same_in_pandas(
    command: Command, warehouse: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_sandbox(SandboxConfig(market_tickers=150, seed=1)) as base_url:
        monkeypatch.setenv("POLYGON_BASE_URL", base_url)
        assert command("market", "track", "us-stocks")[0] == 0
        code, output, _ = command("market", "backfill", "us-stocks", "--start", FIRST, "--end", LAST)
        assert code == 0, output
    run_forked_dbt(settings, "run", "--quiet", "--select", "+universe_daily")
    rows = read(warehouse, documented_query()).set_index("bought")
    bars = read(warehouse, BARS)
    expected, survivors = (backtest(bars, survivors_only=only) for only in (False, True))
    assert list(rows.index) == list(expected)
    assert [float(value) for value in rows["universe"]] == [value for value, _ in expected.values()]
    assert [float(value) for value in rows["survivors"]] == [value for value, _ in survivors.values()]
    assert list(rows["gone_since"]) == [gone for _, gone in expected.values()]
    assert rows["gone_since"].sum() > 0  # so that the two columns can differ
    assert list(rows["universe"]) != list(rows["survivors"])
