"""Draws docs/architecture.svg: who imports whom, read from the code, in the layers that the import rules hold.

Run as `make docs`. What a box says is the first sentence of the package's own docstring; an arrow that follows from two
others is left out.
"""

import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "market_pipeline"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 220, 96, 20, 46, 20
LETTERS = 33
STYLE = """
  svg { font-family: system-ui, sans-serif; font-size: 12px; }
  rect { fill: #f6f8fa; stroke: #57606a; } text { fill: #1f2328; } path { fill: none; stroke: #8c959f; }
  .name { font-weight: 600; font-size: 14px; } marker path { fill: #8c959f; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #21262d; stroke: #8b949e; } text { fill: #e6edf3; } path { stroke: #6e7681; }
    marker path { fill: #6e7681; }
  }"""


@dataclass(frozen=True)
class Box:
    """A package, or a module beside the packages, and where it stands."""

    name: str
    text: str
    x: int
    y: int


def layers() -> list[list[str]]:
    """The layers of the import rules, the highest first, each with its packages."""
    rules = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    [contract] = [contract for contract in rules["contracts"] if contract["type"] == "layers"]
    return [[name.strip().removeprefix(f"{PACKAGE}.") for name in layer.split("|")] for layer in contract["layers"]]


def imports(names: Sequence[str]) -> dict[str, set[str]]:
    """Which package imports which, without what follows from the rest."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = {name: set() for name in names}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (_of(importer), _of(imported))
            if pair[0] != pair[1] and pair[0] in found and pair[1] in found:
                found[pair[0]].add(pair[1])
    return {
        name: {other for other in found[name] if not _reached(found, found[name] - {other}, other)} for name in names
    }


def _of(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def _reached(found: Mapping[str, set[str]], start: set[str], end: str) -> bool:
    return any(end in found[name] or _reached(found, found[name], end) for name in start)


def said(name: str) -> str:
    """The first sentence of a package's docstring."""
    folder = CHECKOUT / PACKAGE
    file = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".").replace("`", "")


def boxes() -> Iterator[Box]:
    """The boxes, a row a layer."""
    rows = layers()
    wide = max(map(len, rows)) * (WIDTH + GAP_X) - GAP_X
    for number, row in enumerate(rows):
        left = MARGIN + (wide - len(row) * (WIDTH + GAP_X) + GAP_X) // 2
        for column, name in enumerate(row):
            yield Box(name, said(name), left + column * (WIDTH + GAP_X), MARGIN + number * (HEIGHT + GAP_Y))


def drawn() -> str:
    """The picture."""
    placed = {box.name: box for box in boxes()}
    arrows = [
        _arrow(placed[name], placed[other])
        for name, others in imports(list(placed)).items()
        for other in sorted(others)
    ]
    right = max(box.x for box in placed.values()) + WIDTH + MARGIN
    bottom = max(box.y for box in placed.values()) + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {bottom}" role="img" '
        'aria-label="The packages of Market Pipeline and what each imports">',
        f"<style>{STYLE}\n</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        *arrows,
        *(line for box in placed.values() for line in _box(box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _arrow(start: Box, end: Box) -> str:
    x1, y1, x2, y2 = start.x + WIDTH // 2, start.y + HEIGHT, end.x + WIDTH // 2, end.y - 2
    bend = (y2 - y1) // 2
    return f'<path d="M{x1} {y1} C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}" marker-end="url(#end)"/>'


def _box(box: Box) -> Iterator[str]:
    yield f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield f'<text class="name" x="{box.x + 10}" y="{box.y + 22}">{escape(box.name)}</text>'
    for number, line in enumerate(textwrap.wrap(box.text, LETTERS, max_lines=4, placeholder=" ...")):
        yield f'<text x="{box.x + 10}" y="{box.y + 40 + 15 * number}">{escape(line)}</text>'


if __name__ == "__main__":
    sys.stdout.write(drawn())
