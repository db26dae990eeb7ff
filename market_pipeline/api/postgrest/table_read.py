"""Reads of a table: a request's parameters, checked, and the statements that return its rows and count them.

Names come from the catalog and never from a request; values are parameters of the statements.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from market_pipeline.api.generated.catalog import Relation
from market_pipeline.api.generated.query_params import CACHED_QUERIES, parse_parameters
from market_pipeline.api.generated.query_sql import Condition, Order
from market_pipeline.api.generated.responses import MAX_COMPLETE_ROWS
from market_pipeline.api.postgrest.rest_columns import SelectedColumn, parse_order, parse_select
from market_pipeline.api.postgrest.rest_errors import RestError, build_not_embedded_error
from market_pipeline.api.postgrest.rest_filters import parse_filter, parse_logic
from market_pipeline.api.postgrest.row_range import RowRange, parse_range

Statement = tuple[str, list[Any]]

RESERVED = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
LOGIC = ("and", "or")
OF_EMBEDDED = ("order", "limit", "offset")


@dataclass(frozen=True, eq=False)
class TableRead:
    """A read of a table: its columns, conditions, order and range of rows.

    `by_key`: a condition is that the key's first column equals a value, so a generic plan is as good as a specific one.
    """

    source: str
    selected: Sequence[SelectedColumn]
    conditions: Sequence[Condition]
    order: Sequence[Order]
    range: RowRange
    by_key: bool = False

    def with_limit(self, limit: int) -> "TableRead":
        """Return the same read of at most so many rows."""
        most = limit if self.range.limit is None else min(limit, self.range.limit)
        return replace(self, range=RowRange(self.range.offset, most))

    @cached_property
    def first_rows(self) -> "TableRead":
        """The same read with a limit of one row more than a complete response has."""
        most = MAX_COMPLETE_ROWS + 1
        return self if self.range.limit is not None and self.range.limit <= most else self.with_limit(most)

    def json_statement(self, *, strips_nulls: bool, counts_all: bool) -> Statement:
        """Return the statement of one row: the rows as JSON objects, their number, and that of all rows or NULL."""
        page, values = self._shown(column.sql for column in self.selected)
        return self._counted(
            f"string_agg({_choose_row_json(strips_nulls)}::text, ',')", page, values, counts_all=counts_all
        )

    def count_statement(self, *, counts_all: bool) -> Statement:
        """Return the statement of one row: NULL, the number of rows, and that of all rows or NULL."""
        page, values = self._page("")
        return self._counted("NULL", page, values, counts_all=counts_all)

    def total_statement(self, limit: int | None = None) -> Statement:
        """Return the statement of the number of all rows that match, or of the first `limit` of them."""
        statement, values = self._matching()
        return f"SELECT count(*) FROM ({statement} LIMIT %s::bigint) AS matching", [*values, limit]  # noqa: S608 - see above

    @property
    def plan_statement(self) -> Statement:
        """The statement that returns PostgreSQL's plan of all rows that match, as JSON."""
        statement, values = self._matching()
        return f"EXPLAIN (FORMAT json) {statement}", values

    def copy_statement(self, *, as_csv: bool, strips_nulls: bool) -> Statement:
        """Return the COPY of the rows: as lines of CSV, or each as a JSON object, in quotes."""
        if as_csv:
            shown, values = self._shown(column.csv_sql for column in self.selected)
            return f"COPY ({shown}) TO STDOUT (FORMAT csv)", values
        shown, values = self._shown(column.sql for column in self.selected)
        rows = f"SELECT {_choose_row_json(strips_nulls)} FROM ({shown}) AS shown"  # noqa: S608 - see above
        return rf"COPY ({rows}) TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')", values

    def _counted(self, rows: str, shown: str, values: list[Any], *, counts_all: bool) -> Statement:
        total, total_values = self.total_statement() if counts_all else ("NULL", [])
        return f"SELECT {rows}, count(*), ({total}) FROM ({shown}) AS shown", [*total_values, *values]  # noqa: S608 - see above

    def _shown(self, expressions: Iterable[str]) -> Statement:
        """Return the SELECT of these expressions over the rows, which are found with their own names and types."""
        page, values = self._page(", ".join(dict.fromkeys(each.column.sql for each in self.selected)))
        return f"SELECT {', '.join(expressions)} FROM ({page}) AS page", values  # noqa: S608 - see above

    def _page(self, columns: str) -> Statement:
        """Return the SELECT of the rows; without columns they are only counted, so their order doesn't matter."""
        statement, values = self._matching(columns)
        if columns and self.order:
            statement = f"{statement} ORDER BY {', '.join(part.sql for part in self.order)}"
        return f"{statement} LIMIT %s::bigint OFFSET %s::bigint", [*values, self.range.limit, self.range.offset]

    def _matching(self, columns: str = "") -> Statement:
        """Return the SELECT of all rows that match."""
        where = " AND ".join(condition.sql for condition in self.conditions)
        values = [value for condition in self.conditions for value in condition.values]
        return f"SELECT {columns} FROM {self.source}{' WHERE ' if where else ''}{where}", values  # noqa: S608 - see above


def _choose_row_json(strips_nulls: bool) -> str:
    return "json_strip_nulls(row_to_json(shown))" if strips_nulls else "row_to_json(shown)"


@lru_cache(CACHED_QUERIES)
def parse_read(relation: Relation, query: str, range_header: str) -> TableRead:
    """Parse a query string, and the header Range, to a read of a table.

    Raises:
        RestError: a parameter is wrong; the first one is reported, as PostgREST does.
    """
    parameters = parse_parameters(query)
    if any("\0" in text for parameter in parameters for text in parameter):
        raise RestError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    plain: dict[str, str] = {}
    conditions: list[Condition] = []
    for name, value in parameters:
        last = name.rpartition(".")[2]
        if name in RESERVED:
            # PostgREST takes the first select and order, and the last limit and offset.
            if name in ("limit", "offset") or name not in plain:
                plain[name] = value
        elif last in OF_EMBEDDED:
            raise build_not_embedded_error(name.partition(".")[0])
        elif last in LOGIC:
            conditions.append(parse_logic(relation, name, value))
        else:
            conditions.append(parse_filter(relation, name, value))
    first_key = relation.columns[relation.key[0]].sql if relation.key else None
    return TableRead(
        source=relation.sql,
        selected=parse_select(relation, plain.get("select", "*")),
        conditions=conditions,
        order=parse_order(relation, plain.get("order", "")),
        range=parse_range(plain, range_header),
        by_key=first_key is not None and any(each.sql.startswith(f"{first_key} = %s") for each in conditions),
    )
