"""The naming rule of CONTRIBUTING.md: one name for one thing, and docstrings that can be understood alone."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import market_pipeline

PACKAGE = Path(market_pipeline.__file__).parent
MODULES = [file for file in sorted(PACKAGE.rglob("*.py")) if "migrations" not in file.parts]
FRONTS = ("cli", "api")
"""Packages whose modules may carry the name of the subject that they front, such as `cli/backups.py`."""
ALIASES = {"orchestration/storage.py"}
"""Modules that only keep a former name of another one working, until the release that their docstring names."""
QUESTION = re.compile(r"(what|who|whom|whose|whether|where|when|which|why|how)\b", re.IGNORECASE)
MOST_WORDS = 20

VERBS = frozenset((Path(__file__).parents[1] / "data" / "verbs.txt").read_text(encoding="utf-8").split())
"""First words of functions, and below them those of predicates; another verb of the field may be added."""
COMMANDS = ("gaps", "dbt", "main")
NOUNS = {
    "quality/impossible.py": "rules, which have the names that bars are flagged with",
    "quality/suspicious.py": "rules, which have the names that bars are flagged with",
    "operations/findings.py": "the grades of a finding",
    "warehouse/tables.py": "kinds of columns, as SQLAlchemy's Column",
    "dagster_storage/internals.py": "Python's own name for a module's attributes",
}
"""Modules whose functions are named by nouns, with the reason."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def trees() -> Iterator[tuple[str, ast.Module]]:
    for file in MODULES:
        yield str(file.relative_to(PACKAGE.parent)), ast.parse(file.read_text(encoding="utf-8"))


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and the first paragraph of every docstring."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, Documented) and (docstring := ast.get_docstring(node)):
                yield f"{name}:{getattr(node, 'lineno', 1)}", " ".join(docstring.partition("\n\n")[0].split())


def several(places: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: found for name, found in places.items() if len(found) > 1}


def test_a_base_name_names_one_module() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in MODULES:
        inside = file.relative_to(PACKAGE)
        if not file.stem.startswith("__") and str(inside) not in ALIASES:
            front = inside.parts[0] if inside.parts[0] in FRONTS else "the rest"
            places[f"{file.stem} in {front}"].append(str(inside))
    assert several(places) == {}


def test_a_class_name_names_one_class() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{name}:{node.lineno}")
    assert several(places) == {}


def test_no_docstring_begins_with_a_question_word() -> None:
    assert {place: text for place, text in docstrings() if QUESTION.match(text)} == {}


def test_the_first_sentence_of_a_docstring_has_at_most_20_words() -> None:
    first = {place: re.split(r"\. ", text)[0] for place, text in docstrings()}
    assert {place: text for place, text in first.items() if len(text.split()) > MOST_WORDS} == {}


def test_a_function_begins_with_a_verb() -> None:
    found = {
        f"{name}:{node.lineno}": node.name
        for name, tree in trees()
        if name.partition("/")[2] not in NOUNS
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.decorator_list  # a context manager, an endpoint, a check: named by what it stands for
        and not is_command(name, node.name)
        and node.name.strip("_").partition("_")[0] not in VERBS
    }
    assert found == {}


def is_command(module: str, function: str) -> bool:
    """Return True if a function is a command, named as users write it."""
    return "/cli/" in module and (function == Path(module).stem or function in COMMANDS)
