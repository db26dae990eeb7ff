"""Dagster is imported by the modules that pyproject.toml names alone, and its internals by the doors alone."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from market_pipeline.dagster_storage import internals

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "market_pipeline"
DOORS = {
    "market_pipeline/dagster_storage/internals.py",
    "market_pipeline/dagster_storage/celery_internals.py",
    "market_pipeline_tests/dagster_internals.py",
    "market_pipeline_tests/dagster_storage/internals.py",
    "market_pipeline_tests/dagster_storage/shipped_cases.py",
}
FOLDERS = ("benchmarks", "docs", "market_pipeline", "market_pipeline_tests", "scripts")
DOCUMENTED = {"dagster", "dagster_dbt", "dagster_postgres"}
"""The modules whose names are documented: https://docs.dagster.io/api"""


def dagster_imports(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of each import of Dagster's packages, at any depth."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        elif isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        else:
            continue
        yield from ((node.lineno, module) for module in imported if module.startswith("dagster"))


def test_internals_are_imported_by_the_doors_alone() -> None:
    outside = [
        f"{name}:{line} imports {module}"
        for folder in FOLDERS
        for file in sorted((CHECKOUT / folder).rglob("*.py"))
        if (name := str(file.relative_to(CHECKOUT))) not in DOORS
        for line, module in dagster_imports(file)
        if module not in DOCUMENTED
    ]
    assert outside == []


def test_names_imported_late_are_typed_from_the_same_modules() -> None:
    tree = ast.parse(Path(internals.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == internals.LATE_NAMES


def test_every_late_name_exists() -> None:
    assert [name for name in internals.LATE_NAMES if getattr(internals, name, None) is None] == []


def test_importing_dagsters_internals_loads_nothing_more_than_dagster() -> None:
    code = (
        "import sys, dagster; before = set(sys.modules); import market_pipeline.dagster_storage.internals; "
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=CHECKOUT, text=True).split()
    assert [name for name in loaded if not name.startswith("market_pipeline")] == []


def test_a_new_module_may_not_import_dagster(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "market_pipeline", ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copyfile(CHECKOUT / "pyproject.toml", tmp_path / "pyproject.toml")
    for new in ("core/new.py", "api/new.py", "operations/new/__init__.py"):
        file = tmp_path / "market_pipeline" / new
        file.parent.mkdir(exist_ok=True)
        file.write_text('"""New."""\n\nimport dagster\n', encoding="utf-8")
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    linted = subprocess.run(lint, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert linted.returncode == 1
    for module in ("core.new", "api.new", "operations.new"):
        assert f"market_pipeline.{module} -> dagster (l.3)" in linted.stdout.replace("Module ", "")
