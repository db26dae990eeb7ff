"""Python client of the read API: bars, tables, changes and the universe, as pandas, polars or Arrow.

    from market_pipeline.client import Client

    client = Client("http://localhost:8000")
    frame = client.bars("AAPL", start="2020-01-01", adjustment="all").to_pandas()

It needs requests and tenacity, and nothing of the server. pyarrow, and the library of a frame, are imported when one is
made.
"""

from market_pipeline.client.frames import ChangeFeed, ChangeRecord, RowSet
from market_pipeline.client.read_client import Client
from market_pipeline.client.requests_with_retries import ApiError

__all__ = ["ApiError", "ChangeFeed", "ChangeRecord", "Client", "RowSet"]
