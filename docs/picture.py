"""Draw docs/architecture.svg, the imports between packages, from the code: `make docs`.

A box holds the first sentence of the package's docstring and stands above all that it imports. An arrow that follows
from two others is left out. Lines that pass a row get a place in it, as boxes do, so that none runs behind a box; rows
are ordered so that few cross (as by Sugiyama, Tagawa and Toda, 1981).
"""

import ast
import sys
import textwrap
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = "market_pipeline"
WIDTH, HEIGHT, GAP_X, GAP_Y, LINE, MARGIN = 204, 84, 18, 52, 14, 20
LETTERS, LINES = 31, 4
SWEEPS = 24
STYLE = """
  svg { font-family: system-ui, sans-serif; font-size: 11px; }
  rect { fill: #f6f8fa; stroke: #57606a; } text { fill: #1f2328; } path { fill: none; stroke: #8c959f; }
  .name { font-weight: 600; font-size: 14px; }
  marker path { fill: #8c959f; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #21262d; stroke: #8b949e; } text { fill: #e6edf3; } path { stroke: #6e7681; }
    marker path { fill: #6e7681; }
  }"""

Graph = Mapping[str, set[str]]
"""Packages by importer."""


def list_packages() -> list[str]:
    """Return the packages that the import rules name, from the top layer down."""
    rules = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    [contract] = [contract for contract in rules["contracts"] if contract.get("containers") == [PACKAGE]]
    return [name.strip() for layer in contract["layers"] for name in layer.split("|")]


def find_imports(names: Sequence[str]) -> Graph:
    """Return the imports between packages, without those that follow from others."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = {name: set() for name in names}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            pair = (_package_of(importer), _package_of(imported))
            if pair[0] != pair[1] and pair[0] in found and pair[1] in found:
                found[pair[0]].add(pair[1])
    return {
        name: {other for other in found[name] if not _is_reached(found, found[name] - {other}, other)} for name in names
    }


def _package_of(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def _is_reached(found: Graph, start: set[str], end: str) -> bool:
    return any(end in found[name] or _is_reached(found, found[name], end) for name in start)


def read_summary(name: str) -> str:
    """Return the first sentence of a package's docstring."""
    folder = CHECKOUT / PACKAGE
    file = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".").replace("`", "")


def height(graph: Graph, name: str) -> int:
    """Return the number of rows beneath a package."""
    return max((height(graph, other) + 1 for other in graph[name]), default=0)


def arrange_rows(graph: Graph) -> tuple[list[list[str]], Graph]:
    """Return the rows, the highest first, and the links of each package or place to the next row.

    A place, where a line passes a row, is named `importer>imported>row`.
    """
    top = max(height(graph, name) for name in graph)
    rows: list[list[str]] = [[] for _ in range(top + 1)]
    threads: defaultdict[str, set[str]] = defaultdict(set)
    for name in graph:
        rows[top - height(graph, name)].append(name)
    for name, others in graph.items():
        for other in sorted(others):
            last = name
            for row in range(top - height(graph, name) + 1, top - height(graph, other)):
                rows[row].append(place := f"{name}>{other}>{row}")
                threads[last].add(place)
                last = place
            threads[last].add(other)
    return rows, threads


def place_columns(rows: Sequence[list[str]], threads: Graph) -> dict[str, float]:
    """Return the x of each middle, as near as possible to the boxes and places it is linked with."""
    tied: defaultdict[str, list[str]] = defaultdict(list)
    for name, others in threads.items():
        for other in sorted(others):
            tied[name].append(other)
            tied[other].append(name)
    at = {name: float(number * WIDTH) for row in rows for number, name in enumerate(row)}
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wished = {name: sum(at[other] for other in tied[name]) / len(tied[name]) for name in row if tied[name]}
            row.sort(key=lambda name: wished.get(name, at[name]))
            _spread(row, {name: wished.get(name, at[name]) for name in row}, at)
    left = min(at[name] - width_of(name) / 2 for name in at)
    return {name: x - left + MARGIN for name, x in at.items()}


def width_of(name: str) -> int:
    """Return the width of a box or of a line's place."""
    return LINE if ">" in name else WIDTH


def _spread(row: Sequence[str], wished: Mapping[str, float], at: dict[str, float]) -> None:
    for number, name in enumerate(row):
        at[name] = wished[name]
        if number:
            before = row[number - 1]
            at[name] = max(at[name], at[before] + (width_of(before) + width_of(name)) / 2 + GAP_X)
    off = sum(at[name] - wished[name] for name in row) / len(row)
    for name in row:
        at[name] -= off


def draw() -> str:
    """Return the picture as SVG."""
    names = list_packages()
    graph = find_imports(names)
    rows, threads = arrange_rows(graph)
    at = place_columns(rows, threads)
    down = {name: MARGIN + number * (HEIGHT + GAP_Y) for number, row in enumerate(rows) for name in row}
    right = round(max(at[name] + width_of(name) / 2 for name in at) + MARGIN)
    bottom = MARGIN + len(rows) * (HEIGHT + GAP_Y)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right} {bottom}" role="img" '
        'aria-label="The packages of Market Pipeline and what each imports">',
        f"<style>{STYLE}\n</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        *(_draw_line(name, other, threads, at, down) for name in names for other in sorted(threads.get(name, ()))),
        *(line for name in names for line in _draw_box(name, at[name] - WIDTH / 2, down[name])),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _draw_line(name: str, other: str, threads: Graph, at: Mapping[str, float], down: Mapping[str, int]) -> str:
    """Draw a line from the foot of a box through its places to the head of another."""
    path = f"M{at[name]:.0f} {down[name] + HEIGHT}"
    while True:
        bend = GAP_Y // 2
        head = down[other] - (0 if ">" in other else 2)
        path += f" C{at[name]:.0f} {head - bend} {at[other]:.0f} {head - bend} {at[other]:.0f} {head}"
        if ">" not in other:
            return f'<path d="{path}" marker-end="url(#end)"/>'
        path += f" V{down[other] + HEIGHT}"
        name, [other] = other, threads[other]


def _draw_box(name: str, x: float, y: int) -> Iterator[str]:
    yield f'<rect x="{x:.0f}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield f'<text class="name" x="{x + 10:.0f}" y="{y + 20}">{escape(name)}</text>'
    for number, line in enumerate(textwrap.wrap(read_summary(name), LETTERS, max_lines=LINES, placeholder=" ...")):
        yield f'<text x="{x + 10:.0f}" y="{y + 36 + 14 * number}">{escape(line)}</text>'


if __name__ == "__main__":
    sys.stdout.write(draw())
