"""Results of the client: rows and changes, and the frames made of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from market_pipeline.client.requests_with_retries import Parameters, ServerSession

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class ChangeRecord(TypedDict):
    """A row that came, changed or went: as in `/api/v1/changes`."""

    point: str
    kind: str
    change: Literal["came", "changed", "went"]
    key: dict[str, Any]
    values: dict[str, Any] | None


class _Frames:
    """Conversions of what has an Arrow table."""

    def to_arrow(self) -> "pa.Table":
        """Return the rows as an Arrow table."""
        raise NotImplementedError

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a pandas frame, dates as datetime64."""
        frame: pd.DataFrame = self.to_arrow().to_pandas(date_as_object=False)
        return frame

    def to_polars(self) -> "pl.DataFrame":
        """Return the rows as a polars frame.

        Raises:
            ImportError: polars is not installed.
        """
        try:
            import polars as pl
        except ImportError:
            raise ImportError("polars is not installed: `pip install polars`, or use to_pandas or to_arrow") from None
        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - it is one of a table
        return frame


@dataclass(frozen=True)
class RowSet(_Frames):
    """Rows of one instant. `adjustment` and `known_from` are of bars: how they are adjusted, and from which day on.

    `known_from` has for a symbol the day before which its adjusted prices are not known, and null.
    """

    as_of: datetime
    adjustment: str | None = None
    known_from: Mapping[str, date] = field(default_factory=dict)
    streams: Sequence[bytes] = field(default=(), repr=False)
    """Streams of Arrow record batches, of one schema."""

    def to_arrow(self) -> "pa.Table":
        """Return the rows as an Arrow table."""
        import pyarrow as pa

        return pa.concat_tables([pa.ipc.open_stream(stream).read_all() for stream in self.streams])


class ChangeFeed(_Frames):
    """Changes since a point, fetched page by page while they are iterated over, once.

    Afterwards `settled` is the point that the next request starts from.
    """

    def __init__(self, session: ServerSession, path: str, parameters: Parameters) -> None:
        self._session, self._path, self._parameters = session, path, parameters
        self.settled: str | None = None

    def __iter__(self) -> Iterator[ChangeRecord]:
        path, parameters = self._path, self._parameters
        while True:
            page = self._session.get(path, parameters).json()
            yield from page["data"]
            if not page["truncated"]:
                self.settled = page["settled"]
                return
            path, parameters = page["next"], ()

    def to_arrow(self) -> "pa.Table":
        """Return all changes as an Arrow table; keys and values, which differ by kind, are JSON."""
        import pyarrow as pa

        changes = list(self)
        return pa.table(
            {
                "point": pa.array(
                    [datetime.fromisoformat(change["point"]) for change in changes], pa.timestamp("us", "UTC")
                ),
                "kind": pa.array([change["kind"] for change in changes], pa.string()),
                "change": pa.array([change["change"] for change in changes], pa.string()),
                "key": pa.array([json.dumps(change["key"]) for change in changes], pa.string()),
                "values": pa.array(
                    [change["values"] and json.dumps(change["values"]) for change in changes], pa.string()
                ),
            }
        )
