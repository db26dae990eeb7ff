"""docs/earlier-failures.md: each failure has its row, and each test that a row names exists."""

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs" / "earlier-failures.md"
TESTS = CHECKOUT / "market_pipeline_tests"
NAMED = re.compile(r"`(\w+/\w+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """Return the table's cells: number, failure there, here, tests."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]


def declared_in(file: Path) -> set[str]:
    module = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_failure_has_its_row() -> None:
    assert [int(row[0]) for row in rows()] == [*range(1, 35)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_a_row_has_all_cells_and_names_tests_that_exist(row: list[str]) -> None:
    _, wrong, here, shown = row
    assert wrong
    assert here
    named = shown.split("<br>")
    for name in named:
        found = NAMED.fullmatch(name)
        assert found, name
        assert found[2] in declared_in(TESTS / found[1]), name
