"""The package's own client, the examples of docs/clients.md and the notebook, against a live server."""

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from market_pipeline.client import ApiError, Client
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.integration.api_cases import FIRST, LAST, Api, load_autumn, serving
from market_pipeline_tests.integration.market_cases import Bar, load_market, session_of
from market_pipeline_tests.integration.stored_bars import recorded
from market_pipeline_tests.scripted_vendor import Reply, scripted_vendor

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = r"<!-- example -->\n```python\n(.*?)```\n\n```\n(.*?)```"


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        yield api


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[Client]:
    """A client of it."""
    with Client(api.url) as client:
        yield client


def test_the_documented_examples_print_the_documented_output(api: Api) -> None:
    [(code, output)] = re.findall(EXAMPLE, (DOCS / "clients.md").read_text(encoding="utf-8"), re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code.replace("http://localhost:8000", api.url), {})
    assert printed.getvalue() == output


def test_the_documented_addresses_are_read(api: Api) -> None:
    [code] = re.findall(r"```python\nimport pandas as pd\n.*?```", (DOCS / "clients.md").read_text(), re.DOTALL)
    variables: dict[str, object] = {}
    exec(code.strip("`").removeprefix("python").replace("http://localhost:8000", api.url), variables)
    assert len(variables["closes"]) == 22  # type: ignore[arg-type]
    assert sorted(variables["newest"]["symbol"]) == ["AAPL", "IBM", "MSFT"]  # type: ignore[index]


def test_the_notebook_draws_its_chart(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_PIPELINE_URL", api.url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.reads((DOCS / "adjusted-returns.ipynb").read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert outputs[0]["data"]["text/plain"].startswith("('all', '20")


def test_frames_have_the_bars_in_the_types_of_each_library(client: Client) -> None:
    bars = client.bars("AAPL", FIRST, LAST)
    expected = (recorded("AAPL", FIRST, LAST)["close"] / 2).tolist()
    pandas, polars, arrow = bars.to_pandas(), bars.to_polars(), bars.to_arrow()
    assert pandas["close"].tolist() == polars["close"].to_list() == arrow["close"].to_pylist() == expected
    assert (str(pandas["date"].dtype)[:10], polars["date"][0]) == ("datetime64", FIRST)
    assert client.bars("AAPL", pd.Timestamp(FIRST), pd.Timestamp(LAST)).to_pandas().equals(pandas)
    assert client.bars("AAPL", FIRST, LAST, validated_only=True).to_arrow().num_rows == 20
    assert client.bars("AAPL", adjustment="none").to_pandas()["close"].tolist() == [2 * close for close in expected]


def test_filters_are_the_apis(client: Client) -> None:
    def count(**filters: object) -> int:
        rows = client.table("market_data", select=["symbol", "flags"], **filters)  # type: ignore[arg-type]
        return len(rows.to_pandas())

    assert count() == 66
    assert count(symbol="AAPL", date__gt=FIRST, date__lte=date(2000, 9, 13)) == 2
    assert (count(symbol=["IBM", 'a,"b\\']), count(symbol__neq=["IBM"]), count(symbol=[])) == (22, 44, 0)
    assert (count(vwap=None), count(vwap__neq=None), count(validated=True, symbol="AAPL")) == (66, 0, 20)
    assert count(flags__cs="volume_outlier", symbol__like="AA*") == 2
    assert count(flags__cs=["volume_outlier", "unexplained_move"]) == count(
        flags__cs="{volume_outlier,unexplained_move}"
    )
    assert count(flags__cs=["volume_outlier"], symbol="AAPL") == 2
    newest = client.table("market_data", order=["date.desc", "symbol"], limit=1).to_arrow().to_pylist()
    assert [(row["symbol"], row["date"]) for row in newest] == [("AAPL", LAST)]
    with pytest.raises(ValueError, match="'over' is no operator, only eq, neq"):
        count(date__over=FIRST)
    with pytest.raises(ApiError, match="market_data has no such column") as raised:
        count(colour="red")
    assert (raised.value.status, raised.value.errors[0]["parameter"]) == (400, "colour")


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"vwap__gt": None}, "vwap__gt: gt takes one value, not None, which is possible with vwap, vwap__neq"),
        ({"validated__lte": True}, "lte takes one value, not True, which is possible with validated, validated__neq"),
        ({"symbol__like": ["A*", "B*"]}, "like takes one value, not a list, .* with symbol, symbol__neq, symbol__cs"),
        ({"vwap": [1.5, None]}, "vwap: None can't be one of several values; vwap=None finds the missing ones"),
        ({"flags__cs": []}, "flags__cs: cs takes at least one value"),
    ],
)
def test_an_operator_that_a_value_can_not_have_is_an_error(
    client: Client, filters: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        client.table("market_data", **filters)  # type: ignore[arg-type]


def test_a_single_name_needs_no_list(client: Client) -> None:
    rows = client.table("market_data", select="date", order="date.desc", limit=1).to_arrow().to_pylist()
    assert rows == [{"date": LAST}]
    assert {change["kind"] for change in client.changes(kinds="bar")} == {"bar"}


def test_a_symbol_that_is_named_twice_has_each_bar_once(server: embedded.Server, tmp_path: Path) -> None:
    with serving(server, tmp_path) as api, Client(api.url) as client:
        load_autumn(api.warehouse)
        api.execute(
            "INSERT INTO security_tickers (security_id, ticker, last_day, source, certain) "
            "SELECT security_id, 'AAPL.OLD', '1999-12-31', 'manual', true FROM tracked_symbols WHERE symbol = 'AAPL'"
        )
        bars = client.bars(["AAPL", "IBM", "AAPL", "AAPL.OLD"], FIRST, LAST).to_pandas()
    assert bars.groupby("symbol")["date"].count().to_dict() == {"AAPL": 22, "IBM": 22}


def test_an_address_without_its_protocol_is_an_error_that_shows_a_right_one() -> None:
    with pytest.raises(ValueError, match="write it as http://localhost:8000"):
        Client("localhost:8000")


@pytest.mark.parametrize("key", ["mdw_secret\n", "mdw_secrét"])
def test_a_key_that_is_none_is_an_error_without_the_key(key: str) -> None:
    with pytest.raises(ValueError, match="copy it again") as caught:
        Client("http://localhost:8000", api_key=key)
    assert "secr" not in str(caught.value)


def test_changes_are_followed_page_by_page(client: Client, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_pipeline.client.read_client.MOST_CHANGES", 10)
    feed = client.changes(kinds=["bar"], symbol="IBM")
    rows = list(feed)
    assert [row["key"]["date"] for row in rows] == [str(day.date()) for day in recorded("IBM", FIRST, LAST)["date"]]
    assert feed.settled is not None
    assert client.changes(feed.settled, kinds=["bar"]).to_pandas().empty
    assert client.changes(kinds=["bar"]).to_polars()["change"].unique().to_list() == ["came"]


def test_the_universe_has_tickers_that_are_gone_since(server: embedded.Server, tmp_path: Path) -> None:
    both, rest = {"SIVB": Bar(0.5, 4.0), "SPY": Bar(400.0, 2.0)}, {"SPY": Bar(401.0)}
    with serving(server, tmp_path) as api, Client(api.url) as client:
        load_market(
            api.warehouse, session_of(date(2024, 3, 14), both), session_of(date(2024, 3, 15), rest), accept_small=True
        )
        rows = client.universe(date(2024, 3, 14)).to_arrow().to_pylist()
        assert [(row["ticker"], row["price"], row["dollar_volume"]) for row in rows] == [
            ("SIVB", 0.5, 2),
            ("SPY", 400, 800),
        ]
        assert client.universe("2024-03-15").to_pandas()["ticker"].tolist() == ["SPY"]
        with pytest.raises(ApiError, match="it is no session of XNYS") as raised:
            client.universe("2024-03-16")
    assert raised.value.status == 404


def test_a_key_is_sent_to_its_server_alone(server: embedded.Server, tmp_path: Path) -> None:
    with serving(server, tmp_path, api_key_required=True) as locked:
        key = create_key(locked.warehouse, "client", Scope.READ).get_secret_value()
        assert Client(locked.url, key).table("tracked_symbols").to_arrow().num_rows == 0
        with pytest.raises(ApiError, match="Missing X-API-Key") as raised:
            Client(locked.url).table("tracked_symbols")
    assert (raised.value.status, key in str(raised.value)) == (401, False)


def test_temporary_errors_are_retried_and_others_are_not() -> None:
    replies = [Reply(status=status, headers={"Retry-After": "0"}) for status in (503, 429)]
    redirection = Reply(status=302, headers={"Location": "http://127.0.0.1:9/"})
    with scripted_vendor(*replies, redirection) as vendor:
        with pytest.raises(ApiError, match="HTTP 302 Found without a problem: check that the URL is the API's"):
            Client(vendor.base_url).universe(FIRST)
        assert len(vendor.requests) == 3
    with scripted_vendor(Reply(b"<html>")) as vendor, pytest.raises(ApiError, match="check that the URL"):
        Client(vendor.base_url).bars("AAPL")
    with pytest.raises(ApiError, match="can't be reached"):
        Client("http://127.0.0.1:9", attempts=1).bars("AAPL")
    with pytest.raises(ValueError, match="symbols is empty"):
        Client("http://127.0.0.1:9").bars([])


def test_the_client_imports_nothing_large() -> None:
    large = ("dagster", "fastapi", "numpy", "pandas", "polars", "psycopg", "pyarrow", "pydantic", "sqlalchemy")
    code = f"import sys, market_pipeline.client; print([name for name in {large} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
