"""Pages: `next` and the header `Link` lead through the rows of one statement, each once."""

import base64
import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from market_pipeline.warehouse import embedded
from market_pipeline_tests.integration.api_cases import TABLES, Api, Parameters, faults, serving

PAGED = f"{TABLES}/paged"
CREATE = """
CREATE TABLE analytics.paged (
    part text, number integer, whole bigint, words text, price double precision, day date, at timestamptz, good boolean,
    PRIMARY KEY (part, number)
)
"""
KEY = ("part", "number")
COLUMNS = (*KEY, "whole", "words", "price", "day", "at", "good")

# Few different values, so that there are ties; and what is written in a special way in SQL, a URL, CSV or a cursor.
WORDS = ["", "a", "b", "B", 'a,"b"', "it's; --", "a\r\nb", "%41&x=+", "Zürich €", "日本", "\\N", "null", "NaN"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.sampled_from([-(2**63), -1, 0, 7, 9007199254740993, 2**63 - 1]),
    "words": st.sampled_from(WORDS) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "price": st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.1 + 0.2, 5e-324, 1e300, math.inf, -math.inf, math.nan])
    | st.floats(),
    "day": st.sampled_from([date(1999, 12, 31), date(2024, 2, 29)]) | st.dates(),
    "at": st.sampled_from([datetime(2024, 1, 31, 12, tzinfo=UTC), datetime(2024, 1, 31, 12, 0, 0, 1, tzinfo=UTC)])
    | st.datetimes(timezones=st.just(UTC)),
    "good": st.booleans(),
}
ROW = st.tuples(*(st.none() | values for values in VALUES.values()))
FILTERS = [
    ([], "TRUE"),
    ([("words", "gte.a")], "words >= 'a'"),
    ([("price", "lt.1"), ("good", "not.is.false")], "price < 1 AND good IS NOT FALSE"),
    ([("whole", "in.(-1,0,7)")], "whole IN (-1, 0, 7)"),
    ([("day", "is.null")], "day IS NULL"),
    ([("at", "lte.2024-01-31T12:00:00Z")], "at <= '2024-01-31 12:00+00'"),
    ([("part", "neq.b"), ("words", "like.*,*")], "part <> 'b' AND words LIKE '%,%'"),
]
IN_SQL = {
    "asc": "ASC", "desc": "DESC", "asc.nullsfirst": "ASC NULLS FIRST", "asc.nullslast": "ASC NULLS LAST",
    "desc.nullsfirst": "DESC NULLS FIRST", "desc.nullslast": "DESC NULLS LAST",
}  # fmt: skip
"""The directions of an order, with their SQL."""


@dataclass(frozen=True)
class PagedQuery:
    """A request for rows: page size, order with directions, filter."""

    limit: int
    order: Sequence[tuple[str, str]]
    filters: Parameters
    condition: str

    @property
    def parameters(self) -> Parameters:
        """Return it as parameters of the API."""
        written = [f"{name}.{direction}" for name, direction in self.order]
        order = [("order", ",".join(written))] if written else []
        return [*self.filters, *order, ("limit", str(self.limit))]

    @property
    def sql(self) -> str:
        """Return it as one statement."""
        named = [name for name, _ in self.order]
        order = [f"{name} {IN_SQL[direction]}" for name, direction in self.order]
        order += [name for name in KEY if name not in named]
        return f"SELECT part, number FROM analytics.paged WHERE {self.condition} ORDER BY {', '.join(order)}"


ORDER = st.lists(st.tuples(st.sampled_from(COLUMNS), st.sampled_from([*IN_SQL])), unique_by=lambda part: part[0])
QUERIES = st.builds(
    lambda limit, order, chosen: PagedQuery(limit, order, *chosen), st.integers(1, 7), ORDER, st.sampled_from(FILTERS)
)
TIES = [(7, "a", 0.1, None, None, True)] * 3 + [(None, None, math.nan, date(2024, 2, 29), None, None)] * 3


@pytest.fixture(scope="module")
def api(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API over a table with several pages."""
    with serving(server, tmp_path_factory.mktemp("api")) as api:
        api.execute(CREATE)
        yield api


@pytest.fixture
def pages_of_two(api: Api) -> str:
    """The URL of the second page of three."""
    fill(api, TIES)
    following: str = api.get(PAGED, [("order", "price,day.desc"), ("limit", "2")]).json()["next"]
    return following


def fill(api: Api, rows: Sequence[Sequence[Any]]) -> None:
    """Replace all rows by these, with keys."""
    api.execute("TRUNCATE analytics.paged")
    api.insert("analytics.paged", [("ab,"[number % 3], number, *row) for number, row in enumerate(rows)])


def json_pages(api: Api, query: PagedQuery) -> Iterator[list[tuple[str, int]]]:
    """Yield the keys on each page, by `next`."""
    page = api.get(PAGED, query.parameters).json()
    while True:
        yield [(row["part"], row["number"]) for row in page["data"]]
        assert page["truncated"] == (page["next"] is not None)
        assert page["count"] == len(page["data"])
        if page["next"] is None:
            return
        page = api.get(page["next"]).json()


def csv_pages(api: Api, query: PagedQuery) -> Iterator[list[tuple[str, int]]]:
    """Yield the keys on each page, by the header Link."""
    response = api.get(PAGED, [*query.parameters, ("format", "csv")])
    while True:
        rows = csv.DictReader(io.StringIO(response.content.decode(), newline=""))
        yield [(row["part"], int(row["number"])) for row in rows]
        if "next" not in response.links:
            return
        response = api.get(response.links["next"]["url"])


@pytest.mark.parametrize("pages_of", [json_pages, csv_pages])
@settings(max_examples=60)
@example(TIES, PagedQuery(1, [("price", "desc"), ("day", "asc")], *FILTERS[0]))
@example(TIES, PagedQuery(2, [("words", "asc"), ("whole", "desc"), ("number", "desc")], *FILTERS[0]))
@given(st.lists(ROW, max_size=20), QUERIES)
def test_all_pages_together_are_the_rows_of_one_statement_in_its_order(
    api: Api, pages_of: Any, rows: Sequence[Sequence[Any]], query: PagedQuery
) -> None:
    fill(api, rows)
    pages = list(pages_of(api, query))
    expected = api.sql(query.sql)
    assert [key for page in pages for key in page] == expected
    assert [len(page) for page in pages[:-1]] == [query.limit] * (len(pages) - 1)
    assert len(pages) == max(1, math.ceil(len(expected) / query.limit))


def test_pages_follow_an_order_by_columns_that_are_not_selected(api: Api) -> None:
    fill(api, TIES)
    page = api.get(PAGED, [("select", "whole"), ("order", "number.desc"), ("limit", "2")]).json()
    assert page["data"] == [{"whole": None}, {"whole": None}]
    assert api.get(page["next"]).json()["data"] == [{"whole": None}, {"whole": 7}]


def test_rows_that_come_and_go_between_pages_disturb_no_others(api: Api, pages_of_two: str) -> None:
    """A page begins after a row, not at a row number."""
    before = [row["number"] for row in api.get(pages_of_two).json()["data"]]
    [(first,)] = api.sql("SELECT min(number) FROM analytics.paged WHERE price = 0.1")
    api.execute(
        f"DELETE FROM analytics.paged WHERE number = {first}",
        "INSERT INTO analytics.paged (part, number, price) VALUES ('a', 100, -5)",
    )
    assert [row["number"] for row in api.get(pages_of_two).json()["data"]] == before


def cursor_of(url: str) -> str:
    return url.partition("cursor=")[2]


def forge(*parts: object) -> str:
    """Forge a cursor after the form of a real one."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_a_cursor_of_another_order_is_rejected(api: Api, pages_of_two: str) -> None:
    other = [("order", "price,day"), ("limit", "2"), ("cursor", cursor_of(pages_of_two))]
    assert faults(api.get(PAGED, other)) == ["cursor"]
    assert faults(api.get(PAGED, other[1:])) == ["cursor"]
    assert faults(api.get(f"{TABLES}/market_data", other[2:])) == ["cursor"]


@pytest.mark.parametrize("mangle", [lambda c: c[:-5], lambda c: c[5:], lambda c: c[::-1], lambda c: c + "é", str.upper])
def test_a_mangled_cursor_is_rejected(api: Api, pages_of_two: str, mangle: Any) -> None:
    cursor = mangle(cursor_of(pages_of_two))
    assert faults(api.get(PAGED, [("order", "price,day.desc"), ("cursor", cursor)])) == ["cursor"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!", "A" * 5000, "null", forge(), forge("number"),
     forge("number", "1", "a", "1"), forge("number", 1, "a"),
     forge("number", "1.5", "a"), forge("number", "1", ["a"]), forge("number", "2147483648", "a"),
     forge(["number"], "1"), forge("number", "1 OR true", "a"),
     forge("number", "1", "a\0"), forge("number", "1", "\ud800"),
     base64.urlsafe_b64encode(b"[" * 20_000).decode(), base64.urlsafe_b64encode(b"{}").decode(),
     base64.urlsafe_b64encode(b"7").decode(), base64.urlsafe_b64encode(b"\xff\xfe").decode()],
    ids=lambda cursor: cursor[:24],
)  # fmt: skip
def test_a_forged_cursor_is_rejected(api: Api, cursor: str) -> None:
    assert faults(api.get(PAGED, [("order", "number"), ("cursor", cursor)])) == ["cursor"]
