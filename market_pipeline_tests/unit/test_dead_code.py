"""Every function, class and SQL statement is used."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "market_pipeline"
NAMED_FROM = [
    *PACKAGE.rglob("*.py"), *(CHECKOUT / "deploy").rglob("*.yaml"), CHECKOUT / "setup.py", CHECKOUT / "dagster.yaml",
]  # fmt: skip


def declared() -> Iterator[tuple[str, str]]:
    """Return the functions and classes of all modules with their files, without those that a decorator registers."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.decorator_list:
                if node.name == "__getattr__":  # Python calls it: https://peps.python.org/pep-0562/
                    continue
                yield str(file.relative_to(CHECKOUT)), node.name


def test_every_function_and_class_is_used() -> None:
    words = Counter(word for file in NAMED_FROM for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))
    assert [found for found in declared() if words[found[1]] < 2] == []


def test_every_sql_statement_is_used() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    statements = [file.stem for file in (PACKAGE / "warehouse" / "sql").glob("*.sql")]
    assert statements
    assert [name for name in statements if f'"{name}"' not in code] == []
