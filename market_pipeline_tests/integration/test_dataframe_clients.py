"""Readers of dataframes by an address alone: pandas, polars, DuckDB, pyarrow and curl against a live server."""

import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from market_pipeline.api import kept_files
from market_pipeline.warehouse import embedded
from market_pipeline.warehouse.api_keys import Scope, create_key
from market_pipeline_tests.integration.api_cases import FIRST, HISTORICAL, LAST, TABLES, Api, load_autumn, serving
from market_pipeline_tests.integration.stored_bars import recorded

ROWS = 30_000
"""More than a complete response has, and more than a page of JSON."""

MANY = (
    "CREATE TABLE analytics.many AS SELECT id, 100 + id * 0.5::float AS price, "
    "CASE WHEN id > 20000 THEN 0.95::float ELSE 1 END AS quality_score, date '2000-01-01' + (id %% 1000) AS day, "
    f"'x' || id AS words FROM generate_series(1, {ROWS}) AS id",
    "ALTER TABLE analytics.many ADD PRIMARY KEY (id)",
)
SHAPE = (ROWS, 5)
SCORES = {1.0: 20_000, 0.95: 10_000}
CLOSES = recorded("AAPL", FIRST, LAST)["close"] / 2
"""Of AAPL, adjusted for its split of 2 for 1 in 2005."""

Read = Callable[[str], Any]


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over the autumn's bars and a table of many rows."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        load_autumn(api.warehouse)
        api.execute(*MANY)
        yield api


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with its extension for HTTP, which it would otherwise download."""
    [extension] = Path(str(distribution("duckdb-extension-httpfs").locate_file(""))).glob(
        "duckdb_extension_httpfs/**/httpfs.duckdb_extension"
    )
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        yield connection


def address(api: Api, kind: str, path: str = f"{TABLES}/many") -> str:
    return f"{api.url}{path}{'&' if '?' in path else '?'}format={kind}"


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("csv", pd.read_csv), ("parquet", pd.read_parquet),
        ("csv", pl.read_csv), ("csv", lambda url: pl.scan_csv(url).collect()),
        ("parquet", pl.read_parquet), ("parquet", lambda url: pl.scan_parquet(url).collect()),
        ("arrow", pl.read_ipc_stream),
        ("arrow", lambda url: pa.ipc.open_stream(urllib.request.urlopen(url)).read_pandas()),
    ],
    ids=["pandas CSV", "pandas Parquet", "polars CSV", "polars scan CSV", "polars Parquet", "polars scan Parquet",
         "polars Arrow", "pyarrow Arrow"],
)  # fmt: skip
def test_an_address_alone_gives_all_rows_in_their_types(api: Api, kind: str, read: Read) -> None:
    frame = read(address(api, kind))
    assert frame.shape == SHAPE
    assert frame["id"].to_list() == list(range(1, ROWS + 1))
    assert str(frame["quality_score"].dtype).lower() == "float64"
    assert {score: (frame["quality_score"] == score).sum() for score in SCORES} == SCORES
    bars = read(address(api, kind, f"{HISTORICAL}/AAPL"))
    assert (len(bars), bars["close"].to_list()[0]) == (22, CLOSES.iloc[0])


def test_polars_reads_one_column_of_a_remote_parquet_file(api: Api) -> None:
    frame = pl.scan_parquet(address(api, "parquet")).filter(pl.col("id") > ROWS - 2).select("words").collect()
    assert frame["words"].to_list() == [f"x{ROWS - 1}", f"x{ROWS}"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_duckdb_reads_all_rows_over_http(api: Api, duck: duckdb.DuckDBPyConnection, kind: str) -> None:
    source = f"read_{kind}('{address(api, kind)}')"
    counted = f"SELECT quality_score, count(*) FROM {source} GROUP BY 1"
    assert dict(duck.execute(counted).fetchall()) == SCORES
    types = {name: kind for name, kind, *_ in duck.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    assert (types["price"], types["quality_score"], types["day"]) == ("DOUBLE", "DOUBLE", "DATE")
    bars = f"SELECT count(*), max(close) FROM read_{kind}('{address(api, kind, f'{HISTORICAL}/AAPL')}')"
    assert duck.execute(bars).fetchone() == (22, CLOSES.max())


def test_pyarrow_reads_a_downloaded_parquet_file_by_columns(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "many.parquet"
    urllib.request.urlretrieve(address(api, "parquet"), file)
    table = parquet.read_table(file, columns=["price"])
    assert (table.num_rows, table["price"][-1].as_py()) == (ROWS, 100 + ROWS / 2)


def test_curl_resumes_a_download(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "many.parquet"
    with urllib.request.urlopen(address(api, "parquet")) as response:
        whole = response.read()
    file.write_bytes(whole[:50_000])
    subprocess.run(["curl", "-sS", "-C", "-", "-o", file, address(api, "parquet")], check=True)
    assert file.read_bytes() == whole


def test_a_file_that_is_too_large_to_keep_is_read_in_full_or_not_at_all(
    api: Api, duck: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_files, "KEPT_FILE_BYTES", 20_000)
    whole = f"{TABLES}/many?order=id.desc"  # no file of it is kept
    url = address(api, "parquet", whole)
    assert len(pd.read_parquet(url)) == len(pd.read_csv(url.replace("=parquet", "=csv"))) == ROWS
    assert duck.execute(f"SELECT count(*), max(words) FROM read_parquet('{url}')").fetchone() == (ROWS, "x9999")
    with pytest.raises(OSError, match=r"(?i)range"):
        pl.scan_parquet(url).collect()


def test_readers_that_send_headers_read_with_a_key(
    server: embedded.Server, tmp_path: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    with serving(server, tmp_path, api_key_required=True) as api:
        load_autumn(api.warehouse)
        key = create_key(api.warehouse, "frames", Scope.READ).get_secret_value()
        headers, path = {"X-API-Key": key}, f"{TABLES}/market_data"
        assert len(pd.read_csv(address(api, "csv", path), storage_options=headers)) == 66
        assert len(pd.read_parquet(address(api, "parquet", path), storage_options=headers)) == 66
        duck.execute(f"CREATE SECRET (TYPE http, SCOPE '{api.url}', EXTRA_HTTP_HEADERS MAP {{'X-API-Key': '{key}'}})")
        assert duck.execute(f"FROM read_parquet('{address(api, 'parquet', path)}')").arrow().read_all().num_rows == 66
        with pytest.raises(PermissionError, match="401"):  # docs/clients.md: polars has no way to send a key
            pl.read_parquet(address(api, "parquet", path))
