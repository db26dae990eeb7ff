"""The catalog of served relations: the warehouse's declared tables and views, and the marts, as the database has them.

Columns, types and comments are read from PostgreSQL's catalog, so a new table or a new dbt model is served without code
of its own.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import sql

from market_pipeline.api.generated.reader import Reader
from market_pipeline.dbt_project import read_model_keys
from market_pipeline.warehouse.bar_tables import readable
from market_pipeline.warehouse.statements import VIEW_KEYS, read_statement
from market_pipeline.warehouse.tables import metadata

STALE_SECONDS = 30.0
SOON_SECONDS = 1.0
"""Age at which the catalog is read again: in general, and for a table that it lacks."""


@dataclass(frozen=True)
class Column:
    """A column, its PostgreSQL type and its meaning."""

    name: str
    type: str
    nullable: bool
    description: str

    @cached_property
    def sql(self) -> str:
        """Its quoted name."""
        return _quote_identifier(self.name)

    @property
    def is_ordered(self) -> bool:
        """True if rows can be ordered by it and compared with it."""
        return self.type not in ("json", "jsonb") and not self.type.endswith("[]")


@dataclass(frozen=True, eq=False)
class Relation:
    """A table, a view or a mart. `key` names the columns that identify its rows; None if unknown."""

    name: str
    schema: str
    kind: str
    description: str
    columns: Mapping[str, Column]
    key: Sequence[str] | None
    row_estimate: int | None
    is_versioned: bool = False
    """True if its rows can be read as of an instant."""

    @property
    def sql_as_of(self) -> str:
        """The function that returns its rows as of an instant, with a placeholder."""
        return f"{_quote_identifier(self.schema)}.{_quote_identifier(f'{self.relation_name}_as_of')}(%s::timestamptz)"

    @cached_property
    def sql(self) -> str:
        """Its quoted name."""
        return f"{_quote_identifier(self.schema)}.{_quote_identifier(self.relation_name)}"

    @property
    def relation_name(self) -> str:
        """Its name in the database; `name` has the schema too if another relation has the same name."""
        return self.name.rpartition(".")[2]


def _quote_identifier(name: str) -> str:
    return sql.Identifier(name).as_string().replace("%", "%%")


class Catalog:
    """The relations by the names that they are served under. It is read again when it gets old."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.relations: Mapping[str, Relation] = {}

    async def find(self, name: str) -> Relation | None:
        """Return the relation of this name; None if there is none.

        Raises:
            ProblemError: the database can't be reached.
        """
        await self.refresh(STALE_SECONDS if name in self.relations else SOON_SECONDS)
        return self.relations.get(name)

    async def refresh(self, older_than: float = STALE_SECONDS) -> None:
        """Read the catalog again if it is older than this many seconds.

        Raises:
            ProblemError: the database can't be reached.
        """
        if time.monotonic() - self._read_at < older_than:
            return
        async with self._reading:
            if time.monotonic() - self._read_at >= older_than:
                self.relations = await self._read()
                self._read_at = time.monotonic()

    async def _read(self) -> Mapping[str, Relation]:
        found: dict[str, Relation] = {}
        declared = {name: [column.name for column in table.primary_key] for name, table in readable.tables.items()}
        keys = {**VIEW_KEYS, **declared, **await asyncio.to_thread(read_model_keys)}
        for name, schema, is_view, is_versioned, description, rows, own_key, columns in await self._reader.rows(
            _CATALOG, [_list_served_names()]
        ):
            served_as = f"{schema}.{name}" if name in found else name
            key = own_key or keys.get(name)
            found[served_as] = Relation(
                name=served_as,
                schema=schema,
                kind=_find_kind(name, schema, is_view=is_view),
                description=description,
                columns={
                    column["name"]: _build_column(column, _list_never_null(name) or key or ()) for column in columns
                },
                key=key,
                row_estimate=rows,
                is_versioned=is_versioned,
            )
        return found


def _find_kind(name: str, schema: str, *, is_view: bool) -> str:
    if schema == "analytics":
        return "mart"
    return "view" if is_view and name not in readable.tables else "table"


def _list_never_null(name: str) -> Sequence[str]:
    """Return the columns without NULL of a view that is declared as a table; none of another relation."""
    table = readable.tables.get(name)
    return [] if table is None else [column.name for column in table.columns if not column.nullable]


def _build_column(record: Mapping[str, Any], never_null: Sequence[str]) -> Column:
    # PostgreSQL reports every column of a view as nullable; those of its key are not.
    return Column(**{**record, "nullable": record["nullable"] and record["name"] not in never_null})


_CATALOG = str(read_statement("catalog")).replace("%", "%%").replace(":relations", "%s")


def _list_served_names() -> list[str]:
    tables = [*metadata.tables.values(), *readable.tables.values()]
    return [*(table.name for table in tables if not table.info.get("internal")), *VIEW_KEYS]
