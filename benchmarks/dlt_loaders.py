"""Loads of the same bars with dlt (https://dlthub.com), by its tutorial and at its best.

Both merge on (symbol, date), as the project does; neither keeps what it replaces. At its best: Arrow tables instead of
Python dicts, fetched on eight threads, handed to PostgreSQL as CSV by COPY into a staging table.
"""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dlt
import numpy as np
import orjson
import pyarrow as pa

from benchmarks.loaders import AT_ONCE, NUMBERS, Work, iterate_rows
from market_pipeline.core.symbols import Symbol

QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
AT_BEST = {
    "EXTRACT__WORKERS": str(AT_ONCE),
    "EXTRACT__MAX_PARALLEL_ITEMS": str(AT_ONCE),
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}
MERGE: dict[str, Any] = {"name": "bars", "write_disposition": "merge", "primary_key": ("symbol", "date")}


def load_by_dlt_default(work: Work) -> int:
    """Load with a resource that yields dicts."""

    @dlt.resource(**MERGE)
    def bars() -> Iterator[list[dict[str, Any]]]:
        with work.open_session() as session:
            for symbol in work.symbols:
                yield list(iterate_rows(symbol, session.get(work.build_url(symbol)).json()["results"]))

    return _run(bars(), work, "dlt_default")


def load_by_dlt_at_its_best(work: Work) -> int:
    """Load with a transformer that yields Arrow tables."""
    os.environ.update(AT_BEST)
    session = work.open_session()

    @dlt.resource(name="symbols")
    def symbols() -> Iterator[Symbol]:
        yield from work.symbols

    @dlt.transformer(**MERGE, parallelized=True)
    def bars(symbol: Symbol) -> Iterator[pa.Table]:
        yield build_arrow_table(symbol, orjson.loads(session.get(work.build_url(symbol)).content)["results"])

    return _run(symbols() | bars(), work, "dlt_best", loader_file_format="csv")


def build_arrow_table(symbol: Symbol, records: list[dict[str, Any]]) -> pa.Table:
    """Return a symbol's bars as an Arrow table with the columns of market_data that the vendor gives."""
    milliseconds = np.array([record["t"] for record in records]).astype("datetime64[ms]")
    kinds = dict.fromkeys(NUMBERS, "float64") | {"transactions": "int64"}
    return pa.table(
        {
            "symbol": [symbol.name] * len(records),
            # Midnight in New York is four or five hours into the same day in UTC.
            "date": milliseconds.astype("datetime64[D]"),
            "time": pa.array(milliseconds.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
            **{name: np.array([record[key] for record in records], kinds[name]) for name, key in NUMBERS.items()},
        }
    )


def _run(source: Any, work: Work, dataset: str, **options: Any) -> int:
    os.environ.update(QUIET)
    with tempfile.TemporaryDirectory(prefix="market-pipeline-benchmark-dlt-") as folder:
        pipeline = dlt.pipeline(
            f"{dataset}_{datetime.now(UTC):%H%M%S%f}",
            destination=dlt.destinations.postgres(work.database),
            dataset_name=dataset,
            pipelines_dir=folder,
        )
        pipeline.run(source, **options)
        return int(pipeline.last_trace.last_normalize_info.row_counts["bars"])
